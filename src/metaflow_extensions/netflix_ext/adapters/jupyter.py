"""Jupyter kernels of prefixes, registered for the user by the ipykernel in the prefix itself."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..engine.errors import CreateError
from . import disk, process, register_kernel

MARK = "metaflow-netflixext"
_PROGRAM = Path(register_kernel.__file__)
_TIMEOUT = 120.0
_TAIL = 600


class Kernels:
    """The user's kernels, where Jupyter looks for them (``JUPYTER_DATA_DIR``).

    Who registers one holds a lock in the folder *locks*.
    """

    def __init__(self, locks: Path) -> None:
        self._locks = locks

    def register(
        self,
        python: Path,
        name: str,
        title: str,
        variables: Mapping[str, str],
        *,
        facts: Mapping[str, str] | None = None,
        force: bool,
    ) -> Path:
        """Register the kernel *name*, shown as *title*, of the interpreter *python*, if need be; return its folder.

        *variables* are set for it, and *facts* are given back by `ours`. Raises CreateError where that fails, or where
        a kernel of that name is not ours, or another prefix's: with *force* it is replaced.
        """
        asked = {"name": name, "display_name": title, "env": dict(variables), "facts": dict(facts or {})}
        if _is(_read(_folder() / name), asked, python):
            return _folder() / name
        # Isolated: beside the program lie modules of ours that have names of the standard library's.
        command = [str(python), "-I", "-W", "ignore", str(_PROGRAM)]
        text = json.dumps({**asked, "force": force, "mark": MARK})
        with disk.locked(self._locks / f".kernel-{name}"):
            done = process.run(command, environment={**os.environ, **variables}, text=text, timeout=_TIMEOUT)
        return _folder_of(done, name, python)

    def ours(self) -> Iterator[tuple[str, Mapping[str, str]]]:
        """Yield the name of each kernel of ours, and its facts."""
        folder = _folder()
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            there = _read(path)
            if MARK in there.get("metadata", {}):
                yield path.name, _facts(there)

    def remove(self, name: str) -> None:
        """Remove the kernel *name* of ours; raise CreateError where that fails."""
        try:
            shutil.rmtree(_folder() / name)
        except FileNotFoundError:
            return
        except OSError as error:
            raise CreateError(
                f"the kernel '{name}' cannot be removed: {error.strerror}", f"remove '{_folder() / name}' by hand"
            ) from error


def _folder_of(done: process.Finished, name: str, python: Path) -> Path:
    """Return the folder of the kernel that was registered; raise CreateError where it was not."""
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
            "choose another name, or replace it by --force",
        )
    return Path(answer["folder"])


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


def _is(there: Mapping[str, Any], asked: Mapping[str, Any], python: Path) -> bool:
    """Tell whether *there* is what registering what was *asked* would write, and ours."""
    if MARK not in there.get("metadata", {}) or there["argv"][0] != str(python):
        return False
    return all(there[key] == asked[key] for key in ("display_name", "env")) and _facts(there) == asked["facts"]


def _facts(there: Mapping[str, Any]) -> dict[str, str]:
    return {key: value for key, value in there.get("metadata", {}).items() if key not in (MARK, "debugger")}


def _owner(prefix: str) -> str:
    return f"that of '{prefix}'" if prefix else "not ours"
