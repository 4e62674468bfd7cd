"""Write conda packages (``.conda`` and ``.tar.bz2``) with reproducible bytes."""

from __future__ import annotations

import bz2
import hashlib
import io
import json
import os
import posixpath
import stat
import tarfile
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

import zstandard

CONDA = ".conda"
TAR_BZ2 = ".tar.bz2"
ZSTD_LEVEL = 3
EPOCH = 1_600_000_000
ZIP_DATE = (2020, 9, 13, 12, 26, 40)

# conda replaces this by the folder it installs into; a binary file has room for as many bytes.
PLACEHOLDER = "/opt/" + "placehold_" * 25


@dataclass(frozen=True)
class Item:
    """One file (or symbolic link) of a package."""

    path: str
    data: bytes | Path = b""
    link: str | None = None
    executable: bool = False
    prefix: Literal["text", "binary"] | None = None

    def read(self) -> bytes:
        """Return the contents of the file."""
        return self.data.read_bytes() if isinstance(self.data, Path) else self.data


@dataclass(frozen=True)
class Package:
    """What a package is called, needs and contains."""

    name: str
    version: str
    build: str = "0"
    subdir: str = "noarch"
    noarch: Literal["python", "generic"] | None = None
    depends: Sequence[str] = ()
    constrains: Sequence[str] = ()
    items: Sequence[Item] = ()
    entry_points: Sequence[str] = ()
    purl: str | None = None
    about: Mapping[str, str] = field(default_factory=dict)

    @property
    def stem(self) -> str:
        """Return the file name of the package without its extension."""
        return f"{self.name}-{self.version}-{self.build}"


def items_below(root: Path, *, texts: Iterable[str] = ()) -> list[Item]:
    """List every file below a folder; those in ``texts`` hold the placeholder as text."""
    prefixed = set(texts)
    found = []
    for folder, names, files in os.walk(root):
        links = [name for name in names if Path(folder, name).is_symlink()]
        for name in [*files, *links]:
            path = Path(folder, name)
            relative = path.relative_to(root).as_posix()
            if path.is_symlink():
                found.append(Item(relative, link=str(path.readlink())))
                continue
            runs = bool(path.stat().st_mode & stat.S_IXUSR)
            prefix: Literal["text"] | None = "text" if relative in prefixed else None
            found.append(Item(relative, path, executable=runs, prefix=prefix))
    return sorted(found, key=lambda item: item.path)


def write(package: Package, folder: Path, *, formats: Sequence[str] = (CONDA,)) -> list[Path]:
    """Write a package below a channel folder and return the archives."""
    target = folder / package.subdir
    target.mkdir(parents=True, exist_ok=True)
    payload = sorted(package.items, key=lambda item: item.path)
    info = _info_items(package, payload)
    written = []
    for suffix in formats:
        path = target / (package.stem + suffix)
        if suffix == CONDA:
            _write_conda(path, package.stem, payload=payload, info=info)
        else:
            _write_tar_bz2(path, [*info, *payload])
        written.append(path)
    return written


def _write_conda(path: Path, stem: str, *, payload: list[Item], info: list[Item]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        members = (
            ("metadata.json", _json({"conda_pkg_format_version": 2})),
            (f"pkg-{stem}.tar.zst", _tar_zst(payload)),
            (f"info-{stem}.tar.zst", _tar_zst(info)),
        )
        for name, data in members:
            member = zipfile.ZipInfo(name, ZIP_DATE)
            member.create_system = 3
            member.external_attr = 0o644 << 16
            archive.writestr(member, data)


def _write_tar_bz2(path: Path, items: Iterable[Item]) -> None:
    with bz2.BZ2File(path, "wb") as stream:
        _write_tar(stream, items)


def _tar_zst(items: Iterable[Item]) -> bytes:
    buffer = io.BytesIO()
    compressor = zstandard.ZstdCompressor(level=ZSTD_LEVEL)
    with compressor.stream_writer(buffer, closefd=False) as stream:
        _write_tar(stream, items)
    return buffer.getvalue()


def _write_tar(stream: Any, items: Iterable[Item]) -> None:
    sink: IO[bytes] = stream
    with tarfile.open(fileobj=sink, mode="w|", bufsize=1 << 18) as tar:
        for item in items:
            member = tarfile.TarInfo(item.path)
            member.mtime = EPOCH
            if item.link is not None:
                member.type = tarfile.SYMTYPE
                member.linkname = item.link
                member.mode = 0o777
                tar.addfile(member)
                continue
            data = item.read()
            member.size = len(data)
            member.mode = 0o755 if item.executable else 0o644
            tar.addfile(member, io.BytesIO(data))


def _info_items(package: Package, payload: Sequence[Item]) -> list[Item]:
    documents: dict[str, Any] = {
        "about.json": dict(package.about),
        "index.json": _index(package),
        "paths.json": {"paths": _paths(payload), "paths_version": 1},
    }
    if package.noarch == "python":
        noarch: dict[str, Any] = {"type": "python"}
        if package.entry_points:
            noarch["entry_points"] = list(package.entry_points)
        documents["link.json"] = {"noarch": noarch, "package_metadata_version": 1}
    texts = {f"info/{name}": _json(value) for name, value in documents.items()}
    texts["info/files"] = "".join(f"{item.path}\n" for item in payload).encode()
    prefixed = [f"{PLACEHOLDER} {i.prefix} {i.path}\n" for i in payload if i.prefix]
    if prefixed:
        texts["info/has_prefix"] = "".join(prefixed).encode()
    return [Item(path, texts[path]) for path in sorted(texts)]


def _index(package: Package) -> dict[str, Any]:
    platform, _, machine = package.subdir.partition("-")
    index: dict[str, Any] = {
        "arch": _ARCHITECTURES.get(machine, machine) or None,
        "build": package.build,
        "build_number": 0,
        "constrains": list(package.constrains),
        "depends": list(package.depends),
        "license": package.about.get("license", "Unknown"),
        "name": package.name,
        "platform": platform if machine else None,
        "subdir": package.subdir,
        "timestamp": EPOCH * 1000,
        "version": package.version,
    }
    if package.noarch:
        index["noarch"] = package.noarch
    if package.purl:
        index["purls"] = [package.purl]
    return index


_ARCHITECTURES = {"64": "x86_64", "32": "x86"}


def _paths(payload: Sequence[Item]) -> list[dict[str, Any]]:
    known = {item.path: item for item in payload}
    return [_path_entry(item, known) for item in payload]


def _path_entry(item: Item, known: Mapping[str, Item]) -> dict[str, Any]:
    target = item
    while target.link is not None:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(target.path), target.link))
        target = known.get(path, Item(path))
    data = target.read()
    entry: dict[str, Any] = {
        "_path": item.path,
        "path_type": "softlink" if item.link is not None else "hardlink",
        "sha256": hashlib.sha256(data).hexdigest(),
        "size_in_bytes": len(data),
    }
    if item.prefix and item.link is None:
        entry["file_mode"] = item.prefix
        entry["prefix_placeholder"] = PLACEHOLDER
    return entry


def _json(value: object) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True).encode() + b"\n"
