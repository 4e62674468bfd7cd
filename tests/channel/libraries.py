"""The shared libraries that a program of this machine needs beside glibc, as conda packages bring them."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

# Of glibc itself: every machine has them, in its own version.
_SYSTEM = re.compile(r"(linux-vdso|ld-linux.*|libc|libm|libdl|librt|libutil|libpthread|libresolv|libnsl)[.-].*|/.*")
# What compiled wheels take for granted.
_ALWAYS = ("libstdc++.so.6", "libgcc_s.so.1")
_FOUND = re.compile(r"^\s*(\S+) => (/\S+)", re.MULTILINE)


def copy_libraries(files: Iterable[Path], folder: Path) -> list[Path]:
    """Copy what the programs and libraries *files* need into *folder*, and return the copies."""
    tool = shutil.which("ldd")
    if tool is None:
        return []
    found = _known(_ALWAYS)
    for path in files:
        said = subprocess.run([tool, str(path)], capture_output=True, text=True, check=False).stdout
        found.update(dict(_FOUND.findall(said)))
    copies = []
    for name, source in sorted(found.items()):
        target = folder / name
        if not _SYSTEM.fullmatch(name) and not target.exists():
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
            copies.append(target)
    return copies


def _known(names: Iterable[str]) -> dict[str, str]:
    """Return where the loader finds libraries of these names."""
    tool = shutil.which("ldconfig", path="/sbin:/usr/sbin:/bin:/usr/bin")
    if tool is None:
        return {}
    said = subprocess.run([tool, "-p"], capture_output=True, text=True, check=False).stdout
    every = {line.split()[0]: line.rpartition(" => ")[2] for line in reversed(said.splitlines()) if " => " in line}
    return {name: every[name] for name in names if name in every}
