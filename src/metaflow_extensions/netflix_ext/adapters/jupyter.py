"""Jupyter kernels of prefixes, registered for the user by the ipykernel in the prefix itself."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from ..engine.errors import CreateError
from . import disk, process, register_kernel

MARK = "metaflow-netflixext"
_PROGRAM = Path(register_kernel.__file__)
_TIMEOUT = 120.0
_TAIL = 600


def register(python: Path, name: str, title: str, variables: Mapping[str, str], *, force: bool) -> Path:
    """Register the kernel *name*, shown as *title*, of the interpreter *python*; return its folder.

    *variables* are set for the kernel. It is registered where Jupyter looks for the user's kernels
    (``JUPYTER_DATA_DIR``). *python* lies in a prefix, ``<root>/<prefix>/bin/``. Raises CreateError where that fails, or
    where a kernel of that name is not ours, or another prefix's: with *force* it is replaced.
    """
    asked = {"name": name, "display_name": title, "env": dict(variables), "force": force, "mark": MARK}
    # Isolated: beside the program lie modules of ours that have names of the standard library's.
    command = [str(python), "-I", "-W", "ignore", str(_PROGRAM)]
    environment = {**os.environ, **variables}
    with disk.locked(python.parents[2] / ".locks" / f".kernel-{name}"):
        done = process.run(command, environment=environment, text=json.dumps(asked), timeout=_TIMEOUT)
    try:
        answer = json.loads(done.stdout)
    except ValueError:
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


def _owner(prefix: str) -> str:
    return f"that of '{prefix}'" if prefix else "not ours"
