"""The task that was chosen, as `reopening` has described it, and the module of its flow.

Imports on Python 3.7 (step side).
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from types import ModuleType
from typing import Any

FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PACKAGED = os.path.join(FOLDER, ".mf_code")

task = {}  # type: dict[str, Any]


class StepReturned(Exception):  # noqa: N818 - it is no error
    """The step ends here: its ``return``, in a cell."""

    def _render_traceback_(self) -> list[str]:
        return ["The step returns here: it has not come to the cells below this one, or has by another way."]


def use(name: str) -> None:
    """Choose the task that the file *name*, beside this folder, describes; its code can be imported from now on."""
    with open(os.path.join(FOLDER, name), encoding="utf-8") as file:
        task.clear()
        task.update(json.load(file))
    folders = [os.path.dirname(flow_file()), FOLDER]
    if os.path.isdir(PACKAGED):
        folders.insert(0, PACKAGED)
        os.environ["METAFLOW_EXTRACTED_ROOT"] = FOLDER
    folders = list(dict.fromkeys(folders))
    sys.path[:] = [*folders, *(path for path in sys.path if path not in folders)]
    # For programs that the step starts, as a task has it.
    os.environ["PYTHONPATH"] = os.pathsep.join(folders)
    if task["prefix"]:
        os.environ.update(task["variables"], CONDA_PREFIX=task["prefix"])
        programs = os.path.join(task["prefix"], "bin")
        if programs not in os.environ.get("PATH", "").split(os.pathsep):
            os.environ["PATH"] = os.pathsep.join([programs, os.environ.get("PATH", "")])


def recorded_traceback() -> str:
    """Return the traceback with which the task has failed."""
    return str(task["exception"] or "the task has recorded no exception")


def flow_file() -> str:
    """Return the path of the file with the flow."""
    return os.path.join(FOLDER, task["file"])


def flow_module() -> ModuleType:
    """Return the module with the flow, imported under the name of its file, whatever that is."""
    file = flow_file()
    name = os.path.splitext(os.path.basename(file))[0]
    before = sys.modules.get(name)
    if before is not None and _same(getattr(before, "__file__", None), file):
        return before
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name)
        if before is not None:
            sys.modules[name] = before
        raise
    return module


def names_of_flow() -> dict[str, Any]:
    """Return what ``from <the flow's file> import *`` would give."""
    found = vars(flow_module())
    names = found.get("__all__") or [name for name in found if not name.startswith("_")]
    return {name: found[name] for name in names}


def lend() -> None:
    """Give ``__main__`` what the flow's file defines: in the run that file was ``__main__``, and so pickles say."""
    main = vars(sys.modules["__main__"])
    for name, value in vars(flow_module()).items():
        if not (name.startswith("__") and name.endswith("__")):
            main.setdefault(name, value)


def _same(first: str | None, second: str) -> bool:
    return first is not None and os.path.realpath(first) == os.path.realpath(second)
