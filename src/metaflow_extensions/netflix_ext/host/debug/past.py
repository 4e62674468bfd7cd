"""A past task and what is recorded of it: where it stands in its flow, and what it was given. By Metaflow's client."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ...engine.errors import UnknownError

_PLACE = "foreach-execution-path"
_SPLITS = {"split-foreach": "foreach", "split-parallel": "foreach"}


@dataclass(frozen=True)
class Past:
    """One task; what is recorded of it is read when it is asked for, and never by going through all tasks."""

    task: Any

    @property
    def pathspec(self) -> str:
        """Flow, run, step and task."""
        return str(self.task.pathspec)

    @cached_property
    def parts(self) -> tuple[str, str, str, str]:
        """Flow, run, step and task, one by one."""
        flow, run, step, task = self.pathspec.split("/")
        return flow, run, step, task

    @cached_property
    def metadata(self) -> dict[str, str]:
        """What the task has recorded; a resumed one has what its origin did."""
        return dict(self.task.metadata_dict)

    @cached_property
    def attempt(self) -> int:
        """The last attempt, counted from zero."""
        return int(self.task.current_attempt)

    @cached_property
    def graph(self) -> dict[str, Any]:
        """The graph of the flow."""
        return graph_of(self._parameters, self.parts[0], self.parts[1])

    @cached_property
    def _parameters(self) -> Any:
        return first_task("/".join((*self.parts[:2], "_parameters")))

    @property
    def parameters(self) -> str:
        """Run, step and task of what holds the parameters."""
        return _short(self._parameters)

    @property
    def node(self) -> dict[str, Any]:
        """The step in the graph."""
        found: dict[str, Any] = self.graph["steps"][self.parts[2]]
        return found

    @cached_property
    def path(self) -> list[tuple[str, int]]:
        """The foreach steps that the task is in, the outermost first, with its index in each."""
        if any(node["type"] in _SPLITS for node in self.graph["steps"].values()):
            return path_of(recorded_path(self.task))
        return []

    @property
    def origin(self) -> str | None:
        """The run that the task's run has resumed, if it has."""
        found = self.metadata.get("origin-run-id")
        return None if found in (None, "", "None") else found

    @property
    def _unindexed(self) -> bool:
        """Whether tasks of the run cannot be asked for by their place: a resumed run has some that have recorded none.

        So have those of a Metaflow before 2.13.
        """
        return self.origin is not None or (bool(self.path) and _PLACE not in self.metadata)

    @property
    def index(self) -> int | None:
        """The index in the foreach that begins with this very step."""
        begins = any(kind in _SPLITS for kind in (self.graph["steps"][name]["type"] for name in self._before))
        return self.path[-1][1] if begins and self.path else None

    @property
    def join(self) -> str:
        """``foreach`` or ``static`` for a join, by what it joins; else empty."""
        if self.node["type"] != "join":
            return ""
        closed = [node["type"] for node in self.graph["steps"].values() if node.get("matching_join") == self.parts[2]]
        return next((_SPLITS[kind] for kind in closed if kind in _SPLITS), "static")

    @property
    def recursive(self) -> bool:
        """Whether the step may be followed by itself."""
        return self.node["type"] == "split-switch" and self.parts[2] in self.node["next"]

    @property
    def _before(self) -> list[str]:
        return [name for name, node in self.graph["steps"].items() if self.parts[2] in node["next"]]

    @cached_property
    def inputs(self) -> list[str]:
        """Run, step and task of what the step was given; of a join by steps as the graph has them, else in no order."""
        if self.parts[2] == self.graph.get("start_step", "start"):
            return [self.parameters]
        found = list(self._candidates())
        if not self.join and len(found) > 1:
            return [_chosen(self, found)]
        if not found:
            raise UnknownError(
                f"what {self.pathspec} was given cannot be found", "the tasks before it are no longer recorded"
            )
        return [pathspec.partition("/")[2] for pathspec in found]

    def _candidates(self) -> Iterator[str]:
        flow, run = self.parts[:2]
        names = self._before
        if self.join == "static":  # in the order of the branches
            split = next(n for n in self.graph["steps"].values() if n.get("matching_join") == self.parts[2])
            names = sorted(names, key=lambda name: _branch(self.graph, split["next"], name))
        for name in names:
            path, deeper = self.path, False
            if self.join == "foreach":
                deeper = True
            elif self.graph["steps"][name]["type"] in _SPLITS:
                path = path[:-1]
            yield from _matching(f"{flow}/{run}/{name}", path, deeper=deeper, unindexed=self._unindexed)

    @property
    def exception(self) -> Any:
        """What the step raised, as it was recorded, or None."""
        try:
            return self.task["_exception"].data
        except Exception:  # it may be of a class that is not here
            return None

    @property
    def run(self) -> Any:
        """The run that the task is of."""
        return self.task.parent.parent


def _branch(graph: Mapping[str, Any], heads: Iterable[str], step: str) -> int:
    """Return which of the branches *heads* leads to *step*."""
    for number, head in enumerate(heads):
        reached, waiting = {head}, [head]
        while waiting:
            for name in graph["steps"][waiting.pop()]["next"]:
                if name not in reached and graph["steps"][name]["type"] != "end":
                    reached.add(name)
                    waiting.append(name)
        if step in reached:
            return number
    return -1


def _matching(step: str, path: list[tuple[str, int]], *, deeper: bool, unindexed: bool) -> Iterator[str]:
    """Yield the tasks of *step* that are at *path* of the foreach steps, or with *deeper* one below it."""
    text = re.escape(",".join(f"{name}:{index}" for name, index in path))
    below = (",[^,]+" if text else "[^,]+") if deeper else ""
    if unindexed:
        yield from (task.pathspec for task in _tasks(step) if re.fullmatch(text + below, recorded_path(task)))
    else:
        yield from filtered(step, text + below if text else ".*")


def filtered(step: str, pattern: str) -> list[str]:
    """Return the tasks of *step* whose place in foreach steps, as ``outer:1,inner:0``, matches all of *pattern*."""
    from metaflow.client import Metaflow
    from metaflow.exception import MetaflowException

    try:
        return list(Metaflow().metadata.filter_tasks_by_metadata(*step.split("/"), _PLACE, pattern))
    except MetaflowException:  # a service that is too old to be asked so
        return [task.pathspec for task in _tasks(step) if re.fullmatch(pattern, recorded_path(task))]


def _tasks(step: str) -> Iterator[Any]:
    from metaflow import Step

    return iter(Step(step, _namespace_check=False))


def recorded_path(task: Any) -> str:
    """Return where a task is in foreach steps, by its metadata, or its origin's, or by what else it has left."""
    found = task.metadata_dict.get(_PLACE)
    if found is not None:
        return str(found)
    try:
        return ",".join(f"{frame.step}:{frame.index}" for frame in task["_foreach_stack"].data)
    except (KeyError, AttributeError):  # it has not come so far
        return ""


def _chosen(past: Past, found: list[str]) -> str:
    """Return which of several tasks, by a switch, the one is that the step followed."""
    from metaflow import Task

    own = [text for text in found if text.split("/")[2] == past.parts[2]]
    if own:
        count = past.task["_iteration_stack"].data[-1]
        if count == 0:
            return next(text for text in found if text not in own).partition("/")[2]
        found, last = own, count - 1
    else:
        last = -1
    counted = {}
    for text in found:
        task = Task(text, _namespace_check=False)
        stack = task["_iteration_stack"].data if "_iteration_stack" in task else []
        counted[stack[-1] if stack else -1] = text
    return (counted[last] if last in counted else counted[max(counted)]).partition("/")[2]


def path_of(text: str) -> list[tuple[str, int]]:
    """Read a place in foreach steps."""
    pairs = (part.rpartition(":") for part in text.split(",") if part)
    return [(name, int(index)) for name, _, index in pairs]


def _short(task: Any) -> str:
    return str(task.pathspec).partition("/")[2]


def graph_of(parameters: Any, flow: str, run: str) -> dict[str, Any]:
    """Return the graph that a run has recorded with its *parameters*; raise UnknownError where it has none."""
    try:
        graph = parameters["_graph_info"].data
    except (KeyError, AttributeError):
        graph = None
    if not isinstance(graph, dict) or "steps" not in graph:
        raise UnknownError(
            f"the run {flow}/{run} has recorded no graph of its flow",
            "its Metaflow is too old: 2.9 and newer record it",
        )
    return graph


def first_task(pathspec: str) -> Any:
    """Return the first task of a step; raise UnknownError where none has begun."""
    from metaflow import Step

    found = Step(pathspec, _namespace_check=False).task
    if found is None:
        raise UnknownError(f"no task of '{pathspec}' has begun", "wait for one, or name another run")
    return found
