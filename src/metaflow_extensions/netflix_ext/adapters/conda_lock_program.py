"""The program conda-lock: found, or installed into a virtual environment of its own."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..engine.errors import ToolError
from ..engine.secret import redact
from . import disk, process
from .uv_program import find_uv, run_uv

OLDEST = (2, 4)
_REQUIREMENT = "conda-lock>=2.4"
_COMPLETE = ".complete"
_VERSION_SECONDS = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CondaLock:
    """The program and its version."""

    path: Path
    version: str


def find(environ: Mapping[str, str], *, distribution: Path | None, folder: Path) -> CondaLock:
    """Return conda-lock: that of *distribution*, the one on PATH, else our own, put into *folder* if need be.

    Raises ToolError where it is older than we can talk to, or cannot be installed.
    """
    own = distribution / "bin" / "conda-lock" if distribution is not None else None
    found = str(own) if own is not None and os.access(own, os.X_OK) else None
    if found is None and distribution is None:
        found = shutil.which("conda-lock", path=environ.get("PATH", ""))
    path = Path(found) if found else _installed(folder)
    done = process.run([str(path), "--version"], timeout=_VERSION_SECONDS)
    match = re.search(r"version (\d+)\.(\d+)(\S*)", done.stdout)
    if done.returncode != 0 or match is None:
        said = redact((done.stdout + done.stderr).strip()[-300:]) or "nothing"
        raise ToolError(f"'{path} --version' does not say the version of conda-lock: {said}", "reinstall it")
    if (int(match[1]), int(match[2])) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise ToolError(
            f"'{path}' is conda-lock {match[1]}.{match[2]}{match[3]}, and {oldest} or newer is needed",
            "update it, or take it off PATH: without one there, our own is installed",
        )
    return CondaLock(path=path, version=f"{match[1]}.{match[2]}{match[3]}")


def _installed(folder: Path) -> Path:
    """Return the program in *folder*, a virtual environment that is made once, from the user's default index."""
    program = folder / "bin" / "conda-lock"
    with disk.locked(folder.with_name(f"{folder.name}.lock")):
        if (folder / _COMPLETE).exists():
            return program
        shutil.rmtree(folder, ignore_errors=True)  # of one that was killed
        uv = find_uv()
        for words in (
            ["venv", "--quiet", "--python", sys.executable, str(folder)],
            ["pip", "install", "--quiet", "--python", str(folder / "bin" / "python"), _REQUIREMENT],
        ):
            done = run_uv(uv, words)
            if done.returncode != 0:
                raise ToolError(
                    f"conda-lock cannot be installed: {redact(done.stderr.strip()[-500:])}",
                    "put a conda-lock on PATH, or leave METAFLOW_CONDA_MIXED_DEPENDENCY_RESOLVER at default",
                )
        (folder / _COMPLETE).touch()
    return program
