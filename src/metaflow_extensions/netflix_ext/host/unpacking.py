"""The code of a past task, or Metaflow alone, in a folder of the user's."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

from ..engine.errors import CreateError, InputError, PackageError
from .workbench import Workbench

PYTHON = "__conda_python"
_IGNORED = shutil.ignore_patterns("__pycache__", "*.pyc")


def check_folder(folder: Path, envs_root: Path, *, force: bool) -> None:
    """Raise InputError where *folder* cannot take code: it is a file, holds something, or is the folder of prefixes."""
    if folder.is_relative_to(envs_root) or envs_root.is_relative_to(folder):
        raise InputError(f"'{folder}' and the folder of environments lie in each other", "choose another folder")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"'{folder}' is a file", "name a folder; it is made where there is none")
    if folder.is_dir() and any(folder.iterdir()) and not force:
        raise InputError(
            f"'{folder}' is not empty",
            "choose another folder, or write over files of the same name by --force (nothing else is touched)",
        )


def unpack(folder: Path, task: Any, recorded: str, bench: Workbench) -> str:
    """Put the code of *task* into *folder*, or Metaflow in the version *recorded* where there is none.

    Returns what was put there, for people. Raises PackageError where that cannot be had, CreateError where *folder*
    cannot be written.
    """
    text = task.metadata_dict.get("code-package") if task is not None else None
    with _aside(folder) as stage:
        if text:
            told = f"the code package of {task.pathspec}"
            _extract(_package(task, text), stage)
        else:
            version = _version(task.metadata_dict.get("metaflow_version") if task is not None else recorded)
            told = _metaflow(version, stage, bench)
            if task is not None:
                told += (
                    "; the run has kept no code package: METAFLOW_FEAT_ALWAYS_UPLOAD_CODE_PACKAGE=1 makes runs keep it"
                )
        _move(stage, folder)
    return told


def link_python(folder: Path, python: Path) -> None:
    """Put a link to *python* beside the code."""
    aside = folder / f".{PYTHON}.{secrets.token_hex(8)}"
    try:
        aside.symlink_to(python)
        os.replace(aside, folder / PYTHON)
    except OSError as error:
        raise _unwritable(folder, error) from error


def _package(task: Any, text: str) -> bytes:
    from metaflow.client.filecache import FileCache
    from metaflow.exception import MetaflowException

    try:
        facts = json.loads(text)
        flow = task.pathspec.partition("/")[0]
        _, data = FileCache().get_data(facts["ds_type"], flow, facts["location"], facts["sha"])
    except (MetaflowException, OSError, ValueError, KeyError) as error:
        raise PackageError(
            f"the code package of {task.pathspec} cannot be had: {error}", "check that its datastore can be reached"
        ) from error
    assert isinstance(data, bytes)
    return data


def _extract(data: bytes, stage: Path) -> None:
    try:
        with tarfile.open(fileobj=BytesIO(data)) as archive:
            archive.extractall(stage, filter="data")  # which keeps every path inside
    except tarfile.TarError as error:
        raise PackageError(
            f"the code package cannot be unpacked: {error}", "it is damaged, or not from Metaflow"
        ) from error


def _version(text: str | None) -> str:
    """Return the version of Metaflow in ``2.19.39+netflix-ext(2.0.0)``."""
    match = re.match(r"\d+(?:\.\d+)*", text or "")
    return match.group() if match else ""


def _metaflow(version: str, stage: Path, bench: Workbench) -> str:
    import metaflow

    running = _version(str(metaflow.__version__))
    if version in ("", running):
        shutil.copytree(Path(metaflow.__file__).parent, stage / "metaflow", ignore=_IGNORED)
        own = Path(__file__).parents[1]
        shutil.copytree(own, stage / "metaflow_extensions" / own.name, ignore=_IGNORED)
        return f"Metaflow {running}, as it is installed here"
    bench.wiring.put_package("metaflow", version, stage)
    return f"Metaflow {version}, which the environment was made for"


@contextmanager
def _aside(folder: Path) -> Iterator[Path]:
    stage = folder.with_name(f".{folder.name}.{secrets.token_hex(8)}")
    try:
        stage.mkdir(parents=True)
        yield stage
    except OSError as error:
        raise _unwritable(folder, error) from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _move(stage: Path, folder: Path) -> None:
    """Move files one by one, so that those of the user stay; a link of the user's is not followed."""
    if not folder.exists():
        stage.rename(folder)
        return
    for path in sorted(stage.rglob("*")):
        target = folder / path.relative_to(stage)
        if path.is_dir() and not path.is_symlink():
            if target.is_symlink() or (target.exists() and not target.is_dir()):
                raise InputError(f"'{target}' is in the way of a folder", "move it away, or choose another folder")
            target.mkdir(exist_ok=True)
        else:
            os.replace(path, target)


def _unwritable(folder: Path, error: OSError) -> CreateError:
    return CreateError(
        f"'{folder}' cannot be written: {error.strerror or error}", "choose a folder that you may write to, with room"
    )


def task_of(name: str, *, pathspec: bool) -> Any:
    """Return Metaflow's task where *name* is a step or a task, else None."""
    from ..engine.alias import Pathspec
    from . import tasks

    return tasks.find(Pathspec.parse(name)) if pathspec or name.startswith("step:") else None
