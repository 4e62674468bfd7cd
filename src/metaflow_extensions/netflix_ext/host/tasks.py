"""What past tasks have recorded of their environments, by Metaflow's client. Imports on Python 3.7 (step side)."""

from __future__ import annotations

from typing import Any

from ..engine.alias import Pathspec
from ..engine.errors import ExtensionError, UnknownError
from ..engine.identity import EnvID, parse_env_id
from ..engine.resolved import ResolvedEnvironment
from . import client


def find(pathspec: Pathspec) -> Any:
    """Return Metaflow's Task of a task, or the first one of a step, in any namespace; raise UnknownError."""
    from metaflow import Step, Task
    from metaflow.exception import MetaflowException

    try:
        if pathspec.task:
            return Task(str(pathspec), _namespace_check=False)
        task = Step(str(pathspec), _namespace_check=False).task
    except MetaflowException as error:
        raise UnknownError(
            f"there is no '{pathspec}': {' '.join(str(error).split())}",
            "check the flow, the run and the step; --metadata says where runs are looked up",
        ) from error
    if task is None:
        raise UnknownError(f"no task of '{pathspec}' has begun", "wait for one, or name another step")
    return task


def env_id(pathspec: Pathspec) -> EnvID:
    """Return the id that a step or a task has recorded; raise UnknownError where there is none."""
    task = find(pathspec)
    value = task.metadata_dict.get("conda_env_id")
    if not value:
        why = "ran outside of environments" if value == "" else "has recorded no environment"
        raise UnknownError(
            f"'{task.pathspec}' {why}", "name a step that ran with --environment=conda and is not disabled"
        )
    try:
        return parse_env_id(value)
    except ValueError:
        raise UnknownError(
            f"'{task.pathspec}' has recorded an environment that cannot be read: {value}",
            "it ran with another extension's environments",
        ) from None


def packaged(pathspec: Pathspec, env_id: EnvID) -> ResolvedEnvironment | None:
    """Return the environment of that id from the code package of a step or a task, or None."""
    from metaflow.exception import MetaflowException

    try:
        task = find(pathspec)
        return client.from_package(pathspec.flow, task.metadata_dict.get("code-package"), env_id)
    except (OSError, ValueError, KeyError, MetaflowException, ExtensionError):
        return None
