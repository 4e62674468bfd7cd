"""Move a prefix that an executable has made: the paths in its files are those of another place from now on."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

_BYTE_CODE = "pyc_file"


def relocate(stage: Path, final: Path, sign: Callable[[Path], None] = lambda _: None) -> None:
    """Rewrite *stage* to *final*, which is no longer, in the files of the prefix that lies at *stage*.

    Links to the cache of packages are not looked at: what names a prefix is a file of its own. Byte code, whose paths
    are lost then, goes. *sign* is called for each changed binary. What the records in ``conda-meta`` say of the
    changed files is brought up to date.
    """
    for record in sorted((stage / "conda-meta").glob("*.json")):
        content = json.loads(record.read_bytes())
        if _relocated(stage, final, content, sign):
            record.write_text(json.dumps(content, indent=2, sort_keys=True))
    log = stage / "conda-meta" / "history"
    if log.is_file():
        log.write_bytes(log.read_bytes().replace(os.fsencode(stage), os.fsencode(final)))


def _relocated(stage: Path, final: Path, content: dict[str, Any], sign: Callable[[Path], None]) -> bool:
    entries = content.get("paths_data", {}).get("paths", [])
    kept, changed = [], False
    for entry in entries:
        path = stage / entry["_path"]
        if entry.get("path_type") == _BYTE_CODE or entry["_path"].endswith(".pyc"):
            path.unlink(missing_ok=True)
            changed = True
            continue
        kept.append(entry)
        if _is_own(path) and _rewrite(path, os.fsencode(stage), os.fsencode(final), entry.get("file_mode"), sign):
            entry["sha256_in_prefix"], changed = hashlib.sha256(path.read_bytes()).hexdigest(), True
    if changed:
        gone = {entry["_path"] for entry in entries} - {entry["_path"] for entry in kept}
        content["paths_data"]["paths"] = kept
        content["files"] = [name for name in content.get("files", ()) if name not in gone]
    return changed


def _is_own(path: Path) -> bool:
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return False
    return found.st_nlink == 1 and path.is_file() and not path.is_symlink()


def _rewrite(path: Path, old: bytes, new: bytes, mode: str | None, sign: Callable[[Path], None]) -> bool:
    data = path.read_bytes()
    if old not in data:
        return False
    is_binary = mode == "binary" or (mode is None and b"\0" in data)
    rewritten = _padded(data, old, new) if is_binary else data.replace(old, new)
    rights = path.stat().st_mode
    path.chmod(rights | 0o200)
    path.write_bytes(rewritten)
    path.chmod(rights)
    if is_binary:
        sign(path)
    return True


def _padded(data: bytes, old: bytes, new: bytes) -> bytes:
    """Replace within strings that end with a NUL, each as long as before: places in a binary must not move."""

    def shorter(match: re.Match[bytes]) -> bytes:
        text = match.group()
        return text.replace(old, new).ljust(len(text), b"\0")

    return re.sub(re.escape(old) + rb"[^\0]*(?=\0)", shorter, data)
