"""Jupyter kernels of prefixes, registered for the user by the ipykernel in the prefix itself."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..engine.errors import CreateError
from . import disk, process, register_kernel

MARK = "metaflow-netflixext"
_PROGRAM = Path(register_kernel.__file__)
_TIMEOUT = 120.0
_TAIL = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """A kernel to register: its name, what people see, what is set for it, and facts that `ours` gives back."""

    name: str
    title: str
    variables: Mapping[str, str]
    facts: Mapping[str, str] = field(default_factory=dict)


def register(python: Path, kernel: Kernel, locks: Path, *, force: bool) -> Path:
    """Register *kernel* for the interpreter *python*, where that is not done yet; return its folder.

    It is registered where Jupyter looks for the user's kernels (``JUPYTER_DATA_DIR``); who does so holds a lock in the
    folder *locks*. Raises CreateError where that fails, or where a kernel of that name is not ours, or another
    prefix's: with *force* it is replaced.
    """
    name, variables = kernel.name, dict(kernel.variables)
    asked = {"name": name, "display_name": kernel.title, "env": variables, "force": force, "mark": MARK}
    asked["facts"] = dict(kernel.facts)
    if _is(_read(_folder() / name), kernel, python):
        return _folder() / name
    # Isolated: beside the program lie modules of ours that have names of the standard library's.
    command = [str(python), "-I", "-W", "ignore", str(_PROGRAM)]
    environment = {**os.environ, **variables}
    with disk.locked(locks / f".kernel-{name}"):
        done = process.run(command, environment=environment, text=json.dumps(asked), timeout=_TIMEOUT)
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        if "No module named 'ipykernel'" in done.stderr:
            raise CreateError(f"{python} has no ipykernel", f"install it: {python} -m pip install ipykernel") from None
        raise CreateError(
            f"the kernel '{name}' cannot be registered: {done.stderr.strip()[-_TAIL:]}",
            "check that Jupyter's folder of kernels may be written to; JUPYTER_DATA_DIR names another",
        ) from None
    if "taken" in answer:
        raise CreateError(
            f"there is a kernel '{name}' already, in '{answer['taken']}', and it is {_owner(answer['of'])}",
            "choose another --name, or replace it by --force",
        )
    return Path(answer["folder"])


def ours() -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield the name of each kernel of ours that is registered for the user, and the facts that it was given."""
    folder = _folder()
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        there = _read(path)
        if MARK in there.get("metadata", {}):
            yield path.name, _facts(there)


def remove(name: str) -> None:
    """Remove the kernel *name* of ours; raise CreateError where that fails."""
    try:
        shutil.rmtree(_folder() / name)
    except FileNotFoundError:
        return
    except OSError as error:
        raise CreateError(
            f"the kernel '{name}' cannot be removed: {error.strerror}", f"remove '{_folder() / name}' by hand"
        ) from error


def _folder() -> Path:
    from jupyter_core.paths import jupyter_data_dir

    return Path(jupyter_data_dir()) / "kernels"


def _read(folder: Path) -> dict[str, Any]:
    """Return what ``kernel.json`` says; nothing where there is none that can be read."""
    try:
        found = json.loads((folder / "kernel.json").read_text("utf-8"))
        whole = all(key in found for key in ("argv", "display_name", "env")) and bool(found["argv"])
        return dict(found) if whole else {}
    except (OSError, ValueError, TypeError):
        return {}


def _is(there: Mapping[str, Any], kernel: Kernel, python: Path) -> bool:
    """Tell whether *there* is what registering *kernel* would write, and ours."""
    if MARK not in there.get("metadata", {}) or there["argv"][0] != str(python):
        return False
    return (there["display_name"], there["env"], _facts(there)) == (
        kernel.title,
        {**kernel.variables},
        {**kernel.facts},
    )


def _facts(there: Mapping[str, Any]) -> dict[str, str]:
    return {key: value for key, value in there.get("metadata", {}).items() if key not in (MARK, "debugger")}


def _owner(prefix: str) -> str:
    return f"that of '{prefix}'" if prefix else "not ours"
