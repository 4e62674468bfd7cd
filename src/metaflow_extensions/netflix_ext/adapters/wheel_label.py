"""A wheel with a local version (PEP 440), so that builds of a source that moves can be told apart."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
import zipfile
from pathlib import Path

from packaging.utils import parse_wheel_filename
from packaging.version import Version

from ..engine.errors import PackageError


def labelled(wheel: Path, label: str) -> Path:
    """Return *wheel* beside itself with *label* at the end of its version; the same where it is in there already.

    Raises PackageError where its metadata are not those that its name tells (binary distribution format).
    """
    _, version, _, _ = parse_wheel_filename(wheel.name)
    if version.local is not None and label[1:8] in version.local:
        return wheel
    new = Version(f"{version.public}+{'.'.join(filter(None, (version.local, label)))}")
    stem, old = wheel.name.split("-")[:2]
    target = wheel.with_name(wheel.name.replace(f"{stem}-{old}-", f"{stem}-{new}-", 1))
    with zipfile.ZipFile(wheel) as source:
        folder = _metadata_folder(source, wheel, f"{stem}-{old}")
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as file:
            _rewrite(source, file, folder, new)
    return target


def _metadata_folder(source: zipfile.ZipFile, wheel: Path, stem: str) -> str:
    folders = {name.partition("/")[0] for name in source.namelist() if ".dist-info/" in name}
    if len(folders) != 1 or f"{next(iter(folders))}/METADATA" not in source.namelist():
        raise PackageError(f"'{wheel.name}' has no sound {stem}.dist-info", "the project's build back-end is at fault")
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
