"""A past task and what is recorded of it: where it stands in its flow, and what it was given. By Metaflow's client."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

from ..engine.errors import InputError, UnknownError

_LISTED = 12
_PATH = "foreach-execution-path"
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
        return _graph(self._parameters, self.parts[0], self.parts[1])

    @cached_property
    def _parameters(self) -> Any:
        return _first_task("/".join((*self.parts[:2], "_parameters")))

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
        return _path(self.metadata.get(_PATH))

    @property
    def origin(self) -> str | None:
        """The run that the task's run has resumed, if it has."""
        found = self.metadata.get("origin-run-id")
        return None if found in (None, "", "None") else found

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
            yield from _matching(f"{flow}/{run}/{name}", path, deeper=deeper, resumed=self.origin is not None)

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


def _matching(step: str, path: list[tuple[str, int]], *, deeper: bool, resumed: bool) -> Iterator[str]:
    """Yield the tasks of *step* that are at *path* of the foreach steps, or with *deeper* one below it."""
    text = re.escape(",".join(f"{name}:{index}" for name, index in path))
    below = (",[^,]+" if text else "[^,]+") if deeper else ""
    if resumed:
        # Tasks that were taken over have recorded none of it themselves: their metadata is their origins'.
        yield from (task.pathspec for task in _tasks(step) if re.fullmatch(text + below, _recorded_path(task)))
    else:
        yield from _filtered(step, text + below if text else ".*")


def _filtered(step: str, pattern: str) -> list[str]:
    from metaflow.client import Metaflow
    from metaflow.exception import MetaflowException

    try:
        return list(Metaflow().metadata.filter_tasks_by_metadata(*step.split("/"), _PATH, pattern))
    except MetaflowException:  # a service that is too old to be asked so
        return [task.pathspec for task in _tasks(step) if re.fullmatch(pattern, _recorded_path(task))]


def _tasks(step: str) -> Iterator[Any]:
    from metaflow import Step

    return iter(Step(step, _namespace_check=False))


def _recorded_path(task: Any) -> str:
    return task.metadata_dict.get(_PATH) or ""


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


def _path(text: str | None) -> list[tuple[str, int]]:
    pairs = (part.rpartition(":") for part in (text or "").split(",") if part)
    return [(name, int(index)) for name, _, index in pairs]


def _short(task: Any) -> str:
    return str(task.pathspec).partition("/")[2]


def _graph(parameters: Any, flow: str, run: str) -> dict[str, Any]:
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


def _first_task(pathspec: str) -> Any:
    from metaflow import Step

    found = Step(pathspec, _namespace_check=False).task
    if found is None:
        raise UnknownError(f"no task of '{pathspec}' has begun", "wait for one, or name another run")
    return found


def find(text: str, *, index: str | None = None) -> Past:
    """Return the task that *text* means: ``Flow``, ``Flow/Run``, ``Flow/Run/Step`` or ``Flow/Run/Step/Task``.

    *index* chooses among the tasks of a foreach: an index, or several divided by commas, the outermost first.
    Raises UnknownError with what there is where it means none or several; InputError where it is no pathspec.
    """
    parts = text.split("/")
    if not 1 <= len(parts) <= 4 or not all(parts):
        raise InputError(f"'{text}' names no task", "write Flow, Flow/Run, Flow/Run/Step or Flow/Run/Step/Task")
    run = _run(parts)
    flow_and_run = "/".join(run.pathspec.split("/")[:2])
    if len(parts) == 4:
        return Past(_named(run[parts[2]] if _has(run, parts[2]) else _no_step(run, parts[2]), parts[3]))
    name = (
        parts[2]
        if len(parts) == 3
        else _graph(_first_task(f"{flow_and_run}/_parameters"), *run.pathspec.split("/")).get("end_step", "end")
    )
    if not _has(run, name):
        _no_step(run, name)
    return Past(_only(run[name], index))


def _run(parts: list[str]) -> Any:
    from metaflow import Flow, Run
    from metaflow.exception import MetaflowException

    flow = _asked(lambda: Flow(parts[0], _namespace_check=False), f"there is no flow '{parts[0]}'", _flows)
    if len(parts) == 1:
        return _latest(parts[0], flow)
    try:
        return Run("/".join(parts[:2]), _namespace_check=False)
    except MetaflowException:
        runs = ", ".join(run.id for run in islice(_anywhere(flow), _LISTED))
        raise UnknownError(
            f"there is no run '{parts[0]}/{parts[1]}'", f"the latest ones are: {runs}" if runs else "it has no runs"
        ) from None


def _latest(name: str, flow: Any) -> Any:
    from metaflow import Flow, get_namespace
    from metaflow.exception import MetaflowException

    try:
        run = Flow(name).latest_run
    except MetaflowException:
        run = None
    if run is None:
        others = ", ".join(run.id for run in islice(_anywhere(flow), _LISTED))
        hint = f"name one: {name}/RUN; there are, in other namespaces, {others}" if others else "it has no runs"
        raise UnknownError(f"'{name}' has no run in the namespace {get_namespace()}", hint)
    return run


def _anywhere(flow: Any) -> Iterator[Any]:
    from metaflow import get_namespace, namespace

    before = get_namespace()
    namespace(None)
    try:
        yield from flow.runs()
    finally:
        namespace(before)


def _flows() -> str:
    from metaflow import Metaflow, get_namespace, namespace

    before = get_namespace()
    namespace(None)
    try:
        names = sorted(flow.id for flow in Metaflow().flows)
    finally:
        namespace(before)
    where = "; --metadata says where runs are looked up"
    return (f"there are: {', '.join(names[:_LISTED])}" if names else "no flow has run") + where


def _asked(work: Callable[[], Any], message: str, hint: Callable[[], str]) -> Any:
    from metaflow.exception import MetaflowException

    try:
        return work()
    except MetaflowException:
        raise UnknownError(message, hint()) from None


def _has(run: Any, step: str) -> bool:
    return step in run


def _no_step(run: Any, name: str) -> Any:
    names = [step.id for step in run if step.id != "_parameters"]
    raise UnknownError(
        f"the run {run.pathspec} has no step '{name}', or has not come to it",
        f"its steps are: {', '.join(reversed(names))}" if names else "none of its steps has begun",
    )


def _named(step: Any, task: str) -> Any:
    try:
        return step[task]
    except KeyError:
        names = [item.id for item in islice(iter(step), _LISTED)]
        raise UnknownError(f"the step {step.pathspec} has no task '{task}'", f"it has: {', '.join(names)}") from None


def _only(step: Any, index: str | None) -> Any:
    tasks = list(islice(iter(step), 2))
    if not tasks:
        raise UnknownError(f"no task of '{step.pathspec}' has begun", "wait for one, or name another step")
    if index is not None:
        return _indexed(step, index)
    if len(tasks) == 1:
        return tasks[0]
    lines = [f"  {item.id}  {_where(item)}" for item in islice(iter(step), _LISTED)]
    more = len(list(iter(step))) - len(lines)
    raise UnknownError(
        "\n".join([f"the step {step.pathspec} has several tasks:", *lines, *([f"  and {more} more"] if more else [])]),
        f"name one, as {step.pathspec}/{tasks[0].id}, or choose by --index",
    )


def _where(task: Any) -> str:
    metadata = task.metadata_dict
    indices = ",".join(str(index) for _, index in _path(metadata.get(_PATH)))
    stack = metadata.get("foreach-stack") or ""
    if isinstance(stack, str) and stack.startswith("["):
        stack = ", ".join(map(str, json.loads(stack.replace("'", '"')))) if stack.count('"') == 0 else stack
    return f"--index {indices or '?'}  {stack}".rstrip()


def _indexed(step: Any, index: str) -> Any:
    if not re.fullmatch(r"\d+(,\d+)*", index):
        raise InputError(f"--index {index}: that is no index", "write a number, or several as 1,0, the outermost first")
    from metaflow import Task

    wanted = r"(?:.*,)?" + ",".join(rf"[^,]+:{part}" for part in index.split(","))
    found = _filtered(step.pathspec, wanted)
    if not found:
        found = [task.pathspec for task in iter(step) if re.fullmatch(wanted, _recorded_path(task))]
    if len(found) == 1:
        return Task(found[0], _namespace_check=False)
    if not found:
        raise UnknownError(f"the step {step.pathspec} has no task at index {index}", "leave --index out to see them")
    raise UnknownError(
        f"{len(found)} tasks of {step.pathspec} are at index {index} of their foreach",
        "write all indices, the outermost first, as --index 1,0",
    )
