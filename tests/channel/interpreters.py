"""Find the CPython interpreters of this machine."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .errors import ChannelError

MINORS = tuple(f"3.{number}" for number in range(7, 15))

_PROBE = """
import json, platform, sys, sysconfig
var, paths = sysconfig.get_config_var, sysconfig.get_paths()
print(json.dumps({
    "implementation": platform.python_implementation(),
    "version": platform.python_version(),
    "prefix": sys.base_prefix,
    "stdlib": paths["stdlib"],
    "include": var("INCLUDEPY") or "",
    "library": var("INSTSONAME") if var("Py_ENABLE_SHARED") else "",
    "libdir": var("LIBDIR") or "",
    "abiflags": getattr(sys, "abiflags", ""),
    "patched": any("dist-packages" in sysconfig.get_path("purelib", name)
                   for name in sysconfig.get_scheme_names()),
}))
"""


@dataclass(frozen=True)
class Interpreter:
    """One CPython installation and where its parts are."""

    version: str
    executable: str
    prefix: str
    stdlib: str
    include: str
    library: str
    libdir: str
    abiflags: str
    patched: bool

    @property
    def minor(self) -> str:
        """Return the first two numbers of the version."""
        return ".".join(self.version.split(".")[:2])

    @property
    def abi(self) -> str:
        """Return the ABI tag, such as cp311."""
        return f"cp{self.minor.replace('.', '')}{self.abiflags}"


def find(cache: Path | None = None) -> dict[str, Interpreter]:
    """Return the best interpreter of each minor version, asking each candidate only once."""
    memory = _load(cache)
    known: dict[str, dict[str, object] | None] = {}
    best: dict[str, tuple[tuple[object, ...], Interpreter]] = {}
    for rank, path in enumerate(_unique(_candidates())):
        key = _identity(path)
        if key not in known:
            known[key] = memory[key] if key in memory else _probe(path)
        found = _interpreter(path, known[key])
        if found is None or found.minor not in MINORS:
            continue
        micro = int(found.version.split(".")[2])
        order = (not found.patched, micro, -rank)
        if found.minor not in best or order > best[found.minor][0]:
            best[found.minor] = (order, found)
    if known != memory:
        _store(cache, known)
    return {minor: best[minor][1] for minor in MINORS if minor in best}


def _candidates() -> Iterator[Path]:
    for root in _roots():
        for folder in sorted(root.glob("*"), reverse=True):
            yield from _in_folder(folder / "bin")
    yield Path(sys.executable)
    shims = _pyenv() / "shims"
    for entry in os.environ.get("PATH", "").split(os.pathsep):
        if entry and Path(entry) != shims:
            yield from _in_folder(Path(entry))
    yield from _in_folder(Path("/usr/bin"))


def _roots() -> Iterator[Path]:
    yield _pyenv() / "versions"
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    yield Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or Path(data) / "uv" / "python")


def _pyenv() -> Path:
    root = os.environ.get("PYENV_ROOT")
    if root:
        return Path(root)
    default = Path.home() / ".pyenv"
    tool = None if default.is_dir() else shutil.which("pyenv")
    if tool:
        done = subprocess.run([tool, "root"], capture_output=True, text=True, check=False)
        if done.returncode == 0 and done.stdout.strip():
            return Path(done.stdout.strip())
    return default


def _in_folder(folder: Path) -> Iterator[Path]:
    for minor in MINORS:
        path = folder / f"python{minor}"
        if os.access(path, os.X_OK) and path.is_file():
            yield path


def _unique(paths: Iterator[Path]) -> Iterator[Path]:
    seen: set[Path] = set()
    for path in paths:
        # A virtual environment's python is a link whose own place matters, so links are kept.
        if path not in seen:
            seen.add(path)
            yield path


def _identity(path: Path) -> str:
    status = path.stat()
    return f"{path}|{status.st_mtime_ns}|{status.st_size}"


def _probe(path: Path) -> dict[str, object] | None:
    try:
        done = subprocess.run(
            [str(path), "-I", "-c", _PROBE],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        answer = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return answer if isinstance(answer, dict) else None


def _interpreter(path: Path, answer: dict[str, object] | None) -> Interpreter | None:
    if answer is None or answer.get("implementation") != "CPython":
        return None
    if not re.fullmatch(r"\d+\.\d+\.\d+", str(answer.get("version"))):
        return None
    values = {key: str(value) for key, value in answer.items() if key != "implementation"}
    patched = bool(answer.get("patched"))
    minor = ".".join(values["version"].split(".")[:2])
    base = Path(values["prefix"], "bin", f"python{minor}")
    executable = base if base.exists() else path.resolve()
    facts: dict[str, Any] = {**values, "patched": patched, "executable": str(executable)}
    return Interpreter(**facts)


def _load(cache: Path | None) -> dict[str, dict[str, object] | None]:
    if cache is None:
        return {}
    try:
        stored = json.loads((cache / "interpreters.json").read_text())
    except (OSError, ValueError):
        return {}
    return stored if isinstance(stored, dict) else {}


def _store(cache: Path | None, known: dict[str, dict[str, object] | None]) -> None:
    if cache is None:
        return
    cache.mkdir(parents=True, exist_ok=True)
    aside = cache / f"interpreters.json.{os.getpid()}"
    aside.write_text(json.dumps(known, indent=1, sort_keys=True))
    aside.replace(cache / "interpreters.json")


def choose(wanted: tuple[str, ...], found: dict[str, Interpreter], most: int | None = None) -> dict[str, Interpreter]:
    """Keep the interpreters of the minors a set asks for, the last *most* of them; at least one must exist."""
    there = [minor for minor in wanted if minor in found]
    chosen = {minor: found[minor] for minor in (there if most is None else there[-most:])}
    if not chosen:
        seen = ", ".join(found) or "none"
        raise ChannelError(f"no CPython {' or '.join(wanted)} on this machine (found: {seen})")
    return chosen


def describe(one: Interpreter) -> dict[str, object]:
    """Return the interpreter as plain data."""
    return asdict(one)
