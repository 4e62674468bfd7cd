"""Workflows as Metaflow writes them for Argo, run pod by pod: what an Argo server does, for ordinary graphs."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tests.project import Project

from .container import Container, Ended
from .placeholders import UnsupportedError, as_text, filled, item_values, items, needed
from .pods import Pod, run_pod

_CREATED = "2026-01-01T00:00:00Z"
_TASK_ID = re.compile(r"METAFLOW_TASK_ID=\(t-\$\(echo (.*?) \| md5sum")
_OPTIONS = ("create", "--only-json", "--no-auto-emit-argo-events")


@dataclass(frozen=True)
class Workflow:
    """A workflow template, as the cluster would get it."""

    document: Mapping[str, Any]

    @property
    def templates(self) -> dict[str, Mapping[str, Any]]:
        return {template["name"]: template for template in self.document["spec"]["templates"]}

    @property
    def flow(self) -> str:
        return str(self.document["spec"]["entrypoint"])

    def command(self, step: str) -> str:
        """Return the text that the shell of *step*'s container is given, with its placeholders."""
        return str(self.templates[step.replace("_", "-")]["container"]["command"][-1])


@dataclass(frozen=True, kw_only=True)
class Task:
    """An attempt at a task: its step, where its artifacts are, and how its container ended."""

    step: str
    pathspec: str
    attempt: int
    ended: Ended

    @property
    def status(self) -> int:
        return self.ended.status

    @property
    def output(self) -> str:
        return self.ended.output

    @property
    def seconds(self) -> float:
        return self.ended.seconds


@dataclass(frozen=True, kw_only=True)
class Played:
    """A run of a workflow: ``run`` is its pathspec, ``tasks`` are all attempts in the order of their end."""

    run: str
    tasks: tuple[Task, ...]

    @property
    def succeeded(self) -> bool:
        last = {task.pathspec: task for task in self.tasks}
        return all(task.status == 0 for task in last.values())

    @property
    def output(self) -> str:
        return "\n".join(f"--- {task.pathspec} ({task.status})\n{task.output}" for task in self.tasks)

    def of(self, step: str) -> list[Task]:
        return [task for task in self.tasks if task.step == step]


def deploy(project: Project, script: Path | str, *words: str, kind: str = "s3", name: str = "replayed") -> Workflow:
    """Return the workflow of a flow on a datastore; *words* are the flow's options, as ``--environment=conda``."""
    top = [str(script), f"--datastore={kind}", "--metadata=local", *words]
    done = project.command(*top, "argo-workflows", "--name", name, *_OPTIONS)
    assert done.returncode == 0, done.output
    return Workflow(json.loads(done.stdout[done.stdout.index("{") :]))


def replay(
    workflow: Workflow,
    container: Container | Callable[[str], Container],
    *,
    name: str = "run",
    parameters: Mapping[str, Any] | None = None,
    parallel: int = 1,
    claims: Mapping[str, Path] | None = None,
    kill_at: Mapping[str, str] | None = None,
    last: str = "",
) -> Played:
    """Run all of *workflow*, each container in a fresh copy of *container*, which may depend on the step.

    A failure ends it when what runs beside is over, and so does the end of the step *last*. *parallel* tasks run at
    a time, *claims* are the folders of volume claims, and *kill_at* has, for steps, the pattern of the line at which
    their containers are killed.
    """
    values = {
        "workflow.name": name,
        "workflow.namespace": "default",
        "workflow.uid": f"uid-of-{name}",
        "workflow.creationTimestamp": _CREATED,
    }
    for entry in (workflow.document["spec"].get("arguments") or {}).get("parameters") or ():
        given = parameters or {}
        chosen = as_text(given[entry["name"]]) if entry["name"] in given else str(entry["value"])
        values[f"workflow.parameters.{entry['name']}"] = chosen
    chooser = container if callable(container) else lambda _step: container
    player = _Player(workflow, chooser, values, parallel, claims or {}, kill_at or {}, last)
    with contextlib.suppress(_OverError):
        player.template(workflow.flow, {})
    return Played(run=f"{workflow.flow}/argo-{name}", tasks=tuple(player.tasks))


class _OverError(Exception):
    """A container failed for good, or was the last that is wanted."""


@dataclass
class _Player:
    workflow: Workflow
    container: Callable[[str], Container]
    values: Mapping[str, str]
    parallel: int
    claims: Mapping[str, Path]
    kill_at: Mapping[str, str]
    last: str
    tasks: list[Task] = field(default_factory=list)

    def template(self, name: str, inputs: Mapping[str, str]) -> dict[str, str]:
        """Run a template and return its outputs."""
        template = self.workflow.templates[name]
        values = {**self.values, **{f"inputs.parameters.{key}": value for key, value in inputs.items()}}
        if template.get("dag"):
            return self._dag(template, values)
        if template.get("container"):
            return self._container(template, values)
        raise UnsupportedError(f"template {name} is neither a graph nor a container")

    def _dag(self, template: Mapping[str, Any], values: Mapping[str, str]) -> dict[str, str]:
        known = dict(values)
        waiting = {task["name"]: task for task in template["dag"]["tasks"]}
        over: set[str] = set()
        while waiting:
            ready = [task for task in waiting.values() if needed(task) <= over]
            if not ready:
                raise UnsupportedError(f"tasks of {template['name']} wait for what is not there: {', '.join(waiting)}")
            for task, outputs in zip(ready, self._each(ready, known), strict=True):
                found = {f"tasks.{task['name']}.outputs.parameters.{key}": text for key, text in outputs.items()}
                known.update(found)
                over.add(task["name"])
                del waiting[task["name"]]
        entries = (template.get("outputs") or {}).get("parameters") or ()
        return {entry["name"]: filled(entry["valueFrom"]["parameter"], known) for entry in entries}

    def _each(self, tasks: list[Mapping[str, Any]], values: Mapping[str, str]) -> list[dict[str, str]]:
        return self._beside([partial(self._task, task, values) for task in tasks])

    def _task(self, task: Mapping[str, Any], values: Mapping[str, str]) -> dict[str, str]:
        """Run a task of a graph, once for each of its items; the outputs of several are lists."""

        def once(more: Mapping[str, str]) -> dict[str, str]:
            entries = (task.get("arguments") or {}).get("parameters") or ()
            arguments = {entry["name"]: filled(str(entry["value"]), {**values, **more}) for entry in entries}
            return self.template(task["template"], arguments)

        over = items(task, values)
        if over is None:
            return once({})
        results = self._beside([partial(once, item_values(item)) for item in over])
        names = results[0] if results else {}
        return {name: json.dumps([result[name] for result in results]) for name in names}

    def _beside(self, calls: list[Callable[[], dict[str, str]]]) -> list[dict[str, str]]:
        if self.parallel == 1 or len(calls) == 1:
            return [call() for call in calls]
        with ThreadPoolExecutor(self.parallel) as pool:
            return [running.result() for running in [pool.submit(call) for call in calls]]

    def _container(self, template: Mapping[str, Any], values: Mapping[str, str]) -> dict[str, str]:
        """Run the container of a template, as often as its strategy for retries allows."""
        limit = int((template.get("retryStrategy") or {}).get("limit") or 0)
        for attempt in range(limit + 1):
            outputs = self._attempt(template, {**values, "retries": str(attempt)}, attempt)
            if outputs is not None and self.tasks[-1].step != self.last:
                return outputs
            if outputs is not None:
                break
        raise _OverError

    def _attempt(self, template: Mapping[str, Any], values: Mapping[str, str], attempt: int) -> dict[str, str] | None:
        step = str(template["metadata"]["annotations"]["metaflow/step_name"])
        entries = (template.get("outputs") or {}).get("parameters") or ()
        pod = Pod(
            name=f"{values['workflow.name']}-{template['name']}-{len(self.tasks)}",
            spec=template["container"],
            volumes=template.get("volumes") or (),
            fill=lambda text: filled(text, values),
            claims=self.claims,
        )
        paths = {entry["name"]: entry["valueFrom"]["path"] for entry in entries}
        done = run_pod(pod, self.container(step), paths, kill_at=self.kill_at.get(step))
        pathspec = f"{self.workflow.flow}/argo-{values['workflow.name']}/{step}/{_task_id(pod, values)}"
        self.tasks.append(Task(step=step, pathspec=pathspec, attempt=attempt, ended=done.ended))
        if done.ended.status != 0:
            return None
        missing = sorted(set(paths) - set(done.outputs))
        if missing:
            raise AssertionError(f"{pathspec} left no {', '.join(missing)}:\n{done.ended.output}")
        return dict(done.outputs)


def _task_id(pod: Pod, values: Mapping[str, str]) -> str:
    """Return the task id as the container's shell computes it."""
    found = _TASK_ID.search(pod.command[-1])
    if found is None:
        raise UnsupportedError("the container computes its task id in a way that is not known here")
    text = found.group(1).replace("$(echo $INPUT_PATHS)", values.get("inputs.parameters.input-paths", ""))
    return "t-" + hashlib.md5(f"{text}\n".encode()).hexdigest()[-8:]
