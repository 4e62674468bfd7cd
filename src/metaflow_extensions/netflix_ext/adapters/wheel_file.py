"""The file of a wheel: whether its name tells the truth, and the same with a local version (PEP 440).

By that, builds of a source that moves can be told apart.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
import zipfile
from pathlib import Path

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from ..engine.errors import PackageError


def checked(wheel: Path) -> Path:
    """Return *wheel*; raise PackageError where its metadata are not those that its name tells."""
    from packaging.metadata import parse_email  # slow: it loads all licences

    try:
        name, version, _, _ = parse_wheel_filename(wheel.name)
        with zipfile.ZipFile(wheel) as file:
            raw, _ = parse_email(file.read(f"{_metadata_folder(file)}/METADATA"))
        found = raw.get("name", ""), raw.get("version", "")
        if canonicalize_name(found[0]) == name and Version(found[1]) == version:
            return wheel
        told = f"by its own metadata it is {found[0] or 'nameless'} {found[1]}"
    except (InvalidWheelFilename, InvalidVersion, zipfile.BadZipFile, KeyError) as error:
        told = str(error)
    raise PackageError(f"'{wheel.name}' is no sound wheel: {told}", "take another file, or ask those who made it")


def labelled(wheel: Path, label: str) -> Path:
    """Return *wheel* beside itself with *label* at the end of its version; the same where it is in there already."""
    _, version, _, _ = parse_wheel_filename(wheel.name)
    if version.local is not None and label[1:8] in version.local:
        return wheel
    new = Version(f"{version.public}+{'.'.join(filter(None, (version.local, label)))}")
    stem, old = wheel.name.split("-")[:2]
    target = wheel.with_name(wheel.name.replace(f"{stem}-{old}-", f"{stem}-{new}-", 1))
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as file:
        _rewrite(source, file, _metadata_folder(source), new)
    return target


def _metadata_folder(source: zipfile.ZipFile) -> str:
    """Return the name of the one folder of metadata; raise KeyError where there is none."""
    folders = {name.partition("/")[0] for name in source.namelist() if ".dist-info/" in name}
    if len(folders) != 1:
        raise KeyError(f"it has {len(folders)} folders .dist-info")
    return folders.pop()


def _rewrite(source: zipfile.ZipFile, file: zipfile.ZipFile, folder: str, version: Version) -> None:
    stem, _, old = folder.removesuffix(".dist-info").rpartition("-")
    renamed = {f"{stem}-{old}.{end}/": f"{stem}-{version}.{end}/" for end in ("dist-info", "data")}
    rows = []
    for item in source.infolist():
        name = item.filename
        if name.endswith(("/RECORD", "/RECORD.jws", "/RECORD.p7s")) and name.startswith(f"{folder}/"):
            continue
        content = source.read(item)
        if name == f"{folder}/METADATA":
            content = re.sub(rb"(?m)^Version:.*$", f"Version: {version}".encode(), content, count=1)
        for before, after in renamed.items():
            if name.startswith(before):
                name = after + name[len(before) :]
        info = zipfile.ZipInfo(name, item.date_time)
        info.external_attr, info.compress_type = item.external_attr, zipfile.ZIP_DEFLATED
        file.writestr(info, content)
        if not item.is_dir():
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            rows.append([name, f"sha256={digest}", str(len(content))])
    record = f"{stem}-{version}.dist-info/RECORD"
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([*rows, [record, "", ""]])
    info = zipfile.ZipInfo(record, source.infolist()[0].date_time)
    info.external_attr = 0o100644 << 16
    file.writestr(info, text.getvalue())
