"""The program uv: where it is, and what surrounds a call."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType

from ..engine.errors import ToolError
from ..engine.ports import Prefix
from ..engine.secret import redact
from .process import Finished, run

# They would choose another interpreter, another folder or unverified files, or colour and log what we read.
_UNWANTED = (
    "UV_PYTHON",
    "UV_SYSTEM_PYTHON",
    "UV_MANAGED_PYTHON",
    "UV_NO_MANAGED_PYTHON",
    "UV_WORKING_DIR",
    "UV_PROJECT",
    "UV_NO_VERIFY_HASHES",
    "UV_COMPILE_BYTECODE",
    "UV_DRY_RUN",
    "RUST_LOG",
    "FORCE_COLOR",
    "CLICOLOR_FORCE",
)
_ALWAYS = {"UV_NO_PROGRESS": "1", "NO_COLOR": "1", "UV_PYTHON_DOWNLOADS": "never"}
# Three tries in some 3 s where nothing listens; a host that swallows packets costs 3 x 5 s more.
_UNLESS_SET = {"UV_HTTP_RETRIES": "2", "UV_HTTP_CONNECT_TIMEOUT": "5"}

_FINDING, _ASKING = threading.Lock(), threading.Lock()


def find_uv() -> str:
    """Return the path of the program. Raises ToolError where it is not installed."""
    # Where several threads ask sysconfig first, all but one see it half-filled (CPython 3.11).
    with _FINDING:
        return _find_uv()


@cache
def _find_uv() -> str:
    hint = "reinstall the extension's dependencies: pip install --force-reinstall uv"
    try:
        import uv
    except ImportError as error:
        raise ToolError("uv, which resolves and installs PyPI packages, is not installed", hint) from error
    try:
        return uv.find_uv_bin()
    except FileNotFoundError as error:
        raise ToolError(f"the package uv is installed but its program is missing: {error}", hint) from error


def uv_version(program: str) -> str:
    """Return the version of *program*, which is asked once, however many threads want to know."""
    with _ASKING:
        return _uv_version(program)


@cache
def _uv_version(program: str) -> str:
    words = run_uv(program, ["--version"]).stdout.split()
    return words[1] if len(words) > 1 else "unknown"


def run_uv(
    program: str,
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    text: str | None = None,
    folder: Path | None = None,
) -> Finished:
    """Run uv with the user's own UV_* settings, *environment* over them. Raises ToolError where it crashes."""
    finished = run(
        [program, *arguments],
        environment=surroundings(environment or {}),
        text=text,
        folder=folder,
        leashed=list(arguments[:2]) == ["pip", "install"],
    )
    if finished.returncode in (0, 1, 2):
        return finished
    raise ToolError(
        f"uv {' '.join(arguments[:2])} ended with status {finished.returncode}: {redact(finished.stderr.strip())}",
        "run the command again; if it stays, report it together with `uv --version`",
    )


def surroundings(extra: Mapping[str, str]) -> dict[str, str]:
    """Return the variables for a call; an empty value in *extra* takes the variable away."""
    kept = {name: value for name, value in os.environ.items() if name not in _UNWANTED}
    merged = {**_UNLESS_SET, **kept, **_ALWAYS, **extra}
    return {name: value for name, value in merged.items() if value or name not in extra}


def building(prefix: Prefix) -> dict[str, str]:
    """Return the variables for a build in *prefix*: it is activated, and its programs come first."""
    path = f"{prefix.path / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return {**prefix.variables, "CONDA_PREFIX": str(prefix.path), "PATH": path}


def default_index(program: str, environment: Mapping[str, str] = MappingProxyType({})) -> str:
    """Return the URL that uv takes as its default index here, credentials included: never to be written."""
    # The interpreter is named because uv searches the machine for one else (0.15 s).
    arguments = ["pip", "compile", "-", "--python", sys.executable, "--no-header", "--quiet", "--emit-index-url"]
    for line in run_uv(program, arguments, text="", environment=environment).stdout.splitlines():
        option, _, url = line.partition(" ")
        if option == "--index-url":
            return url.strip()
    return ""
