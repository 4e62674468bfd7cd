"""The environment that is chosen when a task starts: what may stand in its name. Imports on Python 3.7."""

from __future__ import annotations

import os
from typing import Any

from ..engine.alias import of_a_task, variables_in
from . import compat

_PARAMETER = "METAFLOW_INIT_"


def question(name: str, cli_args: Any) -> dict[str, Any]:
    """Return what `service.Service.fetch` needs to know of the task that Metaflow starts with *cli_args*.

    *name* says which variables it may depend on. Those that tell of a run or a task are this one's or not set: where
    this process has them, they are of a task that launched the flow.
    """
    task = cli_args.task
    needed = variables_in(name)
    ours = [variable for variable in needed if variable in os.environ and not of_a_task(variable)]
    variables = {variable: os.environ[variable] for variable in ours}
    if any(variable.startswith(_PARAMETER) for variable in needed):
        stored = compat.parameters(task, cli_args.orig_flow_datastore, lambda one: _variable(one) in needed)
        variables.update({_variable(one): value for one, value in stored.items()})
    variables.update(
        METAFLOW_RUN_ID=str(task.run_id),
        METAFLOW_RUN_ID_BASE=str(task.run_id),
        METAFLOW_STEP_NAME=str(task.step),
        METAFLOW_TASK_ID=str(task.task_id),
    )
    return {"name": name, "step": str(task.step), "variables": variables}


def variables_in_container(name: str, datastore: str) -> dict[str, str]:
    """Return the variables that *name* may depend on, of the task in a container that this process is a part of.

    Parameters come from the environment, where the workflow engine has put them, or from what the run has stored.
    """
    needed = variables_in(name)
    found = {variable: os.environ[variable] for variable in needed if variable in os.environ}
    flow, run, step, task = os.environ["MF_PATHSPEC"].split("/")
    if any(variable.startswith(_PARAMETER) and variable not in found for variable in needed):
        from .store import MetaflowStore

        sysroot = f"DATASTORE_SYSROOT_{datastore.upper()}"
        files = MetaflowStore(datastore, compat.configured((sysroot,))[sysroot] or "")
        stored = compat.run_parameters(flow, run, files, lambda one: _variable(one) in needed)
        found.update({_variable(one): value for one, value in stored.items()})
    found.update(METAFLOW_RUN_ID=run, METAFLOW_RUN_ID_BASE=run, METAFLOW_STEP_NAME=step, METAFLOW_TASK_ID=task)
    return found


def _variable(parameter: str) -> str:
    return _PARAMETER + parameter.upper().replace("-", "_")
