"""What Metaflow would have other schedulers run: state machines of Step Functions, graphs of Airflow."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.project import Project

from .batch_api import container_of, variables_of
from .cluster import Cluster
from .container import Container
from .placeholders import UnsupportedError
from .pods import Pod, run_pod
from .replay import Played, Task

_STEP = re.compile(r"\.?\['?([^'\]]+)'?\]|\.([^.\[]+)")


def step_functions(project: Project, cluster: Cluster, script: Path | str, *words: str) -> dict[str, Any]:
    """Return the state machine of a flow on S3; *words* are the flow's options, as ``--environment=conda``."""
    command = [str(script), "--datastore=s3", "--metadata=local", *words, "step-functions", "create", "--only-json"]
    done = project.command(*command, variables=cluster.variables)
    assert done.returncode == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout[done.stdout.index("{") :])
    return found


def step_functions_commands(machine: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the commands of all containers in a state machine, by their steps."""
    return {
        state["Parameters"]["Parameters"]["metaflow.step_name"]: state["Parameters"]["ContainerOverrides"]["Command"]
        for state in _states(machine)
        if "ContainerOverrides" in (state.get("Parameters") or {})
    }


def airflow_commands(project: Project, cluster: Cluster, script: Path | str, *words: str) -> dict[str, list[str]]:
    """Return the commands of all containers in the Airflow graph of a flow on S3, by their steps."""
    target = project.root / "graph.py"
    command = [str(script), "--datastore=s3", "--metadata=local", *words, "airflow", "create", str(target)]
    done = project.command(*command, variables=cluster.variables)
    assert done.returncode == 0, done.output
    for node in ast.parse(target.read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "CONFIG":
            states = ast.literal_eval(node.value)["states"]
            return {name: state["operator_args"]["cmds"] for name, state in states.items()}
    raise UnsupportedError("the Airflow graph has its configuration in a way that is not known here")


def play_states(
    machine: Mapping[str, Any],
    container: Container | Callable[[str], Container],
    *,
    name: str = "run",
    parameters: Mapping[str, Any] | None = None,
    kill_at: Mapping[str, str] | None = None,
) -> Played:
    """Run a state machine without foreach, each container in a fresh copy of *container*; see `replay`."""
    chooser = container if callable(container) else lambda _step: container
    tasks: list[Task] = []
    flow = machine["States"][machine["StartAt"]]["Parameters"]["Parameters"]["metaflow.flow_name"]

    def play(part: Mapping[str, Any], given: Any) -> Any:
        current: str | None = part["StartAt"]
        while current is not None:
            state = part["States"][current]
            if state["Type"] == "Parallel":
                given = [play(branch, given) for branch in state["Branches"]]
            elif state["Type"] == "Task" and "ContainerOverrides" in state["Parameters"]:
                given = _batch_job(state["Parameters"], given, name, chooser, tasks, kill_at or {})
            else:
                raise UnsupportedError(f"state {current} is of a kind that is not understood here: {state['Type']}")
            if tasks[-1].status != 0:
                return given
            current = state.get("Next")
        return given

    play(machine, {"Parameters": json.dumps(parameters or {})})
    return Played(run=f"{flow}/sfn-{name}", tasks=tuple(tasks))


def _batch_job(
    asked: Mapping[str, Any],
    given: Any,
    name: str,
    container: Callable[[str], Container],
    tasks: list[Task],
    kill_at: Mapping[str, str],
) -> Any:
    """Run the job of a state, as often as it may be tried; return what the next state is given."""
    facts = {key.removesuffix(".$"): _value(key, value, given, name) for key, value in asked["Parameters"].items()}
    step, job = facts["metaflow.step_name"], f"job-{len(tasks)}"
    settings = asked["ContainerOverrides"]["Environment"]
    variables = {
        each["Name"]: _value(
            "Value" if "Value" in each else "Value.$", each.get("Value", each.get("Value.$")), given, name
        )
        for each in settings
    }
    for attempt in range(1, int(asked["RetryStrategy"]["Attempts"]) + 1):
        env = [{"name": key, "value": value} for key, value in {**variables, **variables_of(job, attempt)}.items()]
        overrides = {"command": asked["ContainerOverrides"]["Command"], "environment": env}
        pod = Pod(name=job, spec=container_of(overrides, {"containerProperties": {}}))
        ended = run_pod(pod, container(step), kill_at=kill_at.get(step)).ended
        pathspec = f"{facts['metaflow.flow_name']}/sfn-{name}/{step}/{job}"
        tasks.append(Task(step=step, pathspec=pathspec, attempt=attempt - 1, ended=ended))
        if ended.status == 0:
            break
    return {"JobId": job, "Parameters": facts}


def _value(key: str, value: str, given: Any, name: str) -> str:
    """Return a value; one whose *key* ends with ``.$`` is a path into what the state is given."""
    if not key.endswith(".$"):
        return value
    if value == "$$.Execution.Name":
        return name
    found = given
    for quoted, plain in _STEP.findall(value.removeprefix("$")):
        found = found[int(quoted)] if isinstance(found, list) else found[quoted or plain]
    return str(found)


def _states(machine: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield all states, those of branches and iterations too."""
    for state in machine["States"].values():
        yield state
        inner = [*(state.get("Branches") or ()), state.get("Iterator"), state.get("ItemProcessor")]
        for part in inner:
            if part is not None:
                yield from _states(part)
