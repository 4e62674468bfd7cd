"""The code of a past task, or Metaflow alone, in a folder of the user's."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from ...engine.alias import Pathspec, names_step
from ...engine.errors import CreateError, InputError, PackageError
from .. import compat, tasks
from ..workbench import Workbench

PYTHON = "__conda_python"
PACKAGED = ".mf_code"
_IGNORED = shutil.ignore_patterns("__pycache__", "*.pyc")
_NO_PACKAGE = "the run has kept no code package: METAFLOW_FEAT_ALWAYS_UPLOAD_CODE_PACKAGE=1 makes runs keep it"
_STAGE = ".metaflow-unpacking-"
_VERSION = re.compile(r"\d+(?:\.\d+)*(?:(?:a|b|rc)\d+)?(?:\.post\d+)?(?:\.dev\d+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpacked:
    """What is put into a folder, in words, and whether Metaflow lies in a folder of its own there.

    ``lacking`` says why it is not the code of the run, where it is not. ``stage`` is where it is made ready: more may
    be put beside it.
    """

    told: str
    lacking: str
    packaged: bool
    stage: Path


def check_folder(folder: Path, envs_root: Path, *, force: bool) -> None:
    """Raise InputError where *folder* cannot take code: it is a file, holds something, or is the folder of prefixes.

    What a killed process has left there is no hindrance.
    """
    root, own = Path(os.path.realpath(envs_root)), Path(os.path.realpath(folder))
    if own.is_relative_to(root) or root.is_relative_to(own):
        raise InputError(f"'{folder}' and the folder of environments lie in each other", "choose another folder")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"'{folder}' is a file", "name a folder; it is made where there is none")
    try:
        there = sorted(os.listdir(folder)) if folder.is_dir() else []
    except OSError as error:
        raise _unwritable(folder, error) from error
    if there and not force and not any(name.startswith(_STAGE) for name in there):
        raise InputError(
            f"'{folder}' is not empty",
            "choose another folder, or write over files of the same name by --force (nothing else is touched)",
        )


@contextmanager
def unpacked(folder: Path, task: Any, recorded: str | None, python: Path, bench: Workbench) -> Iterator[Unpacked]:
    """Put the code of *task*, or else Metaflow in the version *recorded*, and a link to *python* into *folder*.

    Where *recorded* is None, that Python is none of ours: it has a Metaflow of its own, and may be no more than a link.
    All is made ready first, and goes to its place when the block is left without an error.
    Raises PackageError where the code cannot be had, CreateError where *folder* cannot be written.
    """
    with _stage(folder) as stage:
        told, lacking = _code(task, recorded, stage, bench)
        (stage / PYTHON).unlink(missing_ok=True)
        if recorded is not None:
            (stage / PYTHON).symlink_to(python)
        yield Unpacked(told=told, lacking=lacking, packaged=(stage / PACKAGED).is_dir(), stage=stage)
        _move(stage, folder)


def _code(task: Any, recorded: str | None, stage: Path, bench: Workbench) -> tuple[str, str]:
    """Return what was put into *stage*, and why it is not the code of the run, where it is not."""
    metadata = {} if task is None else task.metadata_dict
    if metadata.get("code-package"):
        _extract(package_of(task), stage)
        return f"the code package of {task.pathspec}", ""
    lacking = "" if task is None else _NO_PACKAGE
    if recorded is None:
        return f"Metaflow of {sys.executable}", lacking
    version = _version(recorded if task is None else metadata.get("metaflow_version"))
    return _metaflow(version, stage, bench), lacking


def package_of(task: Any) -> bytes:
    """Return the code package of *task*, which has kept one; raise PackageError where it cannot be had."""
    from metaflow.exception import MetaflowException

    try:
        facts = json.loads(task.metadata_dict["code-package"])
        return compat.code_package(task.pathspec.partition("/")[0], facts)
    except (TypeError, StopIteration):  # Metaflow's storages answer with no file for what is not there
        raise PackageError(
            f"the code package of {task.pathspec} cannot be had: '{facts['location']}' is gone",
            "name another task of that flow; 'metaflow environment create' without --into-dir needs no code",
        ) from None
    except (MetaflowException, OSError, ValueError, KeyError) as error:
        raise PackageError(
            f"the code package of {task.pathspec} cannot be had: {error}", "check that its datastore can be reached"
        ) from error


def _extract(data: bytes, stage: Path) -> None:
    if not hasattr(tarfile, "data_filter"):
        raise PackageError(
            f"Python {sys.version.split()[0]} cannot unpack archives safely",
            "use the newest Python 3.10, or a newer one",
        )
    try:
        with tarfile.open(fileobj=BytesIO(data)) as archive:
            archive.extractall(stage, filter="data")  # which keeps every path inside
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise PackageError(
            f"the code package cannot be unpacked: {error}", "it is damaged, or not from Metaflow"
        ) from error


def _version(text: str | None) -> str:
    """Return the version of Metaflow in ``2.19.39+netflix-ext(2.0.0)``."""
    match = _VERSION.match(text or "")
    return match.group() if match else ""


def _metaflow(version: str, stage: Path, bench: Workbench) -> str:
    import metaflow

    running = _version(str(metaflow.__version__))
    if version in ("", running):
        shutil.copytree(Path(metaflow.__file__).parent, stage / "metaflow", ignore=_IGNORED)
        own = Path(__file__).parents[2]
        shutil.copytree(own, stage / "metaflow_extensions" / own.name, ignore=_IGNORED)
        return f"Metaflow {running}, as it is installed here"
    bench.wiring.put_package("metaflow", version, stage)
    return f"Metaflow {version}, which the environment was made for"


@contextmanager
def _stage(folder: Path) -> Iterator[Path]:
    """Yield a folder in *folder*, so that moving from one to the other is renaming; it is held as long as it is ours.

    It stays where we are killed, and tells who comes next that *folder* is unfinished.
    """
    made = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stage = Path(tempfile.mkdtemp(prefix=_STAGE, dir=folder))
        hold = os.open(stage, os.O_RDONLY)
    except OSError as error:
        raise _unwritable(folder, error) from error
    try:
        fcntl.flock(hold, fcntl.LOCK_EX)
        yield stage
        _sweep(folder)
    except OSError as error:
        raise _unwritable(folder, error) from error
    finally:
        os.close(hold)
        shutil.rmtree(stage, ignore_errors=True)
        if made:
            with suppress(OSError):  # not empty: it is finished
                folder.rmdir()


def _sweep(folder: Path) -> None:
    """Remove what killed processes have left in *folder*; what is held by another process stays."""
    for left in folder.glob(f"{_STAGE}*"):
        with suppress(OSError):
            handle = os.open(left, os.O_RDONLY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left, ignore_errors=True)
            finally:
                os.close(handle)


def _move(stage: Path, folder: Path) -> None:
    """Move files one by one, so that those of the user stay; a link of the user's is not followed."""
    for path in sorted(stage.rglob("*")):
        target = folder / path.relative_to(stage)
        if path.is_dir() and not path.is_symlink():
            if target.is_symlink() or (target.exists() and not target.is_dir()):
                raise InputError(f"'{target}' is in the way of a folder", "move it away, or choose another folder")
            target.mkdir(exist_ok=True)
        elif target.is_dir() and not target.is_symlink():
            raise InputError(f"'{target}' is a folder, in the way of a file", "move it away, or choose another folder")
        else:
            os.replace(path, target)


def _unwritable(folder: Path, error: OSError) -> CreateError:
    return CreateError(
        f"'{folder}' cannot be written: {error.strerror or error}", "choose a folder that you may write to, with room"
    )


def task_of(name: str) -> Any:
    """Return Metaflow's task where *name* means the environment of a step or a task, else None."""
    return tasks.find(Pathspec.parse(name)) if names_step(name) else None
