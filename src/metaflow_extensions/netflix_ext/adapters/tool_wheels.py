"""The tools that a bare container needs, as archives made from what is installed here."""

from __future__ import annotations

import io
import struct
import zipfile
from importlib import metadata
from pathlib import Path, PurePosixPath

_ELF = b"\x7fELF\x02\x01"
_ELF_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_EPOCH = (1980, 1, 1, 0, 0, 0)


def installed(name: str) -> tuple[str, bytes] | None:
    """Return file name and bytes of the installed distribution *name* as a wheel; the same bytes for the same files.

    None where it is not installed, was not installed from a wheel with a record of its files, or fits this very version
    of Python alone: then it may not fit the Python of a container.
    """
    try:
        found = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return None
    tag = _portable_tag(found.read_text("WHEEL") or "")
    files = [path for path in found.files or () if "__pycache__" not in path.parts]
    if tag is None or not files:
        return None
    stem = f"{name.replace('-', '_')}-{found.version}"
    buffer = io.BytesIO()
    # Not compressed: in a datacentre it takes longer to inflate than to transfer, and every task does it.
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(files, key=str):
            place = Path(path.locate())
            inside = _inside(PurePosixPath(str(path)), stem)
            if inside is None or not place.is_file():
                continue
            archive.writestr(zipfile.ZipInfo(inside, _EPOCH), without_symbols(place.read_bytes()))
    return f"{stem}-{tag}.whl", buffer.getvalue()


def without_symbols(data: bytes) -> bytes:
    """Return a library or program in ELF's format (64 bits) without what follows its segments; other *data* as it is.

    Segments are all that is loaded; what follows are sections of symbols and the list of sections: a third of
    py-rattler, which every task would read. Source: the ELF specification, program loading.
    """
    if data[:6] != _ELF or len(data) < _ELF_HEADER.size:
        return data
    found = _ELF_HEADER.unpack_from(data)
    segments, sections, size, count = found[5], found[6], found[9], found[10]
    end = segments + size * count
    for number in range(count):
        begin, length = (struct.unpack_from("<Q", data, segments + number * size + at)[0] for at in (8, 32))
        end = max(end, begin + length)
    if not segments <= end <= sections <= len(data):
        return data
    return _ELF_HEADER.pack(*found[:6], 0, *found[7:12], 0, 0) + data[_ELF_HEADER.size : end]


def _portable_tag(wheel: str) -> str | None:
    """Return the first tag that any Python 3 of this platform takes, as the file ``WHEEL`` lists them."""
    tags = [line.partition(":")[2].strip() for line in wheel.splitlines() if line.startswith("Tag:")]
    return next((tag for tag in tags if tag.split("-")[1] in ("abi3", "none")), None)


def _inside(path: PurePosixPath, stem: str) -> str | None:
    """Return where a wheel holds an installed file; None for what an installer has written."""
    if path.name in ("INSTALLER", "REQUESTED", "direct_url.json"):
        return None
    if ".." not in path.parts:
        return str(path)
    return f"{stem}.data/scripts/{path.name}" if path.parent.name == "bin" else None
