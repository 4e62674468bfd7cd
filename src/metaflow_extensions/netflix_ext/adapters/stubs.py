"""Stand-ins for distributions that are there already: wheels of a name and a version, and nothing else."""

from __future__ import annotations

import io
import re
import sys
import zipfile
from pathlib import Path

from packaging.version import InvalidVersion, Version

from . import disk


def free_threaded_python(folder: Path) -> Path:
    """Write a program into *folder* that tells uv of a Python without a global lock: this one, but for that.

    uv takes an ABI from the interpreter that it is given alone, and asks it by ``-c``.
    """
    code = folder / "free_threaded.py"
    code.write_text(_FREE_THREADED, encoding="utf-8")
    program = folder / "python"
    program.write_text(f"#!/bin/sh\nexec '{sys.executable}' '{code}' \"$@\"\n", encoding="utf-8")
    program.chmod(0o755)
    return program


_FREE_THREADED = """
import sys, sysconfig
get = sysconfig.get_config_var
sysconfig.get_config_var = lambda name: 1 if name == "Py_GIL_DISABLED" else get(name)
sys.path.pop(0)
exec(sys.argv[sys.argv.index("-c") + 1])
"""


def distribution_version(text: str) -> str:
    """Return conda's version as PEP 440 writes it: as it is, else its leading numbers, else empty."""
    candidates = (text, text.replace("_", "."), (re.match(r"\d+(?:\.\d+)*", text) or [""])[0])
    for candidate in candidates:
        try:
            return str(Version(candidate))
        except InvalidVersion:
            continue
    return ""


def stub_wheel(folder: Path, name: str, version: str) -> Path:
    """Return the stand-in for *name* at *version* in *folder*, written where it is not there yet."""
    stem = f"{re.sub(r'[-_.]+', '_', name)}-{version}"
    path = folder.resolve() / f"{stem}-py3-none-any.whl"
    if not path.exists():
        disk.write(path, _content(stem, name, version))
    return path


def _content(stem: str, name: str, version: str) -> bytes:
    files = {
        "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        "WHEEL": "Wheel-Version: 1.0\nGenerator: metaflow-netflixext\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{stem}.dist-info/{file},,\n" for file in (*files, "RECORD"))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for file, text in {**files, "RECORD": record}.items():
            archive.writestr(zipfile.ZipInfo(f"{stem}.dist-info/{file}"), text)
    return buffer.getvalue()
