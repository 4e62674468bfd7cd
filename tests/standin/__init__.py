"""A stand-in for micromamba, mamba and conda: real solves and real links by py-rattler, said in their words."""

from __future__ import annotations

import sys
from pathlib import Path

# The newest of each form of answers, and the oldest that is taken.
NEWEST = {"micromamba": "2.8.0", "mamba": "2.3.2", "conda": "26.7.0"}
OLDEST = {"micromamba": "1.4.0", "mamba": "1.4.0", "conda": "4.14.0"}
_ROOT = Path(__file__).parents[2]


def put(folder: Path, name: str, *, version: str = "", fault: str = "") -> Path:
    """Put the program *name* into *folder*, of *version* (default: the newest), and return its path.

    *fault* is what is wrong with it: see `program.FAULTS`. Each of its calls is noted in ``<folder>/<name>.calls``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / name
    words = f"{name} {version or NEWEST[name]} '{fault}' '{folder / name}.calls'"
    program.write_text(
        f"#!/bin/sh\nPYTHONPATH='{_ROOT}' exec '{sys.executable}' -m tests.standin.program {words} \"$@\"\n"
    )
    program.chmod(0o755)
    return program


def calls(program: Path) -> list[list[str]]:
    """Return the command lines with which *program* was called."""
    noted = Path(f"{program}.calls")
    return [line.split("\0") for line in noted.read_text().splitlines()] if noted.exists() else []
