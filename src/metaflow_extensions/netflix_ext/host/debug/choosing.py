"""Which past task a name means, and what there is to choose from where it means none or several."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

from ...engine.errors import InputError, UnknownError
from .past import Past, filtered, first_task, graph_of, path_of, recorded_path

_LISTED = 12


def find(text: str, *, index: str | None = None) -> Past:
    """Return the task that *text* means: ``Flow``, ``Flow/Run``, ``Flow/Run/Step`` or ``Flow/Run/Step/Task``.

    *index* chooses among the tasks of a foreach: an index, or several divided by commas, the outermost first.
    Raises UnknownError with what there is where it means none or several; InputError where it is no pathspec.
    """
    parts = text.split("/")
    if not 1 <= len(parts) <= 4 or not all(parts):
        raise InputError(f"'{text}' names no task", "write Flow, Flow/Run, Flow/Run/Step or Flow/Run/Step/Task")
    if len(parts) == 4 and index is not None:
        raise InputError(
            f"'{text}' is one task, and --index chooses among the tasks of a step", "leave out --index, or the task"
        )
    run = _run(parts)
    name = parts[2] if len(parts) > 2 else _end(run)
    if name not in run:
        raise _no_step(run, name)
    return Past(_named(run[name], parts[3]) if len(parts) == 4 else _only(run[name], index))


def _run(parts: list[str]) -> Any:
    from metaflow import Flow, Run
    from metaflow.exception import MetaflowException

    flow = _asked(lambda: Flow(parts[0], _namespace_check=False), f"there is no flow '{parts[0]}'", _flows)
    if len(parts) == 1:
        return _latest(parts[0], flow)
    try:
        return Run("/".join(parts[:2]), _namespace_check=False)
    except MetaflowException:
        runs = _anywhere(flow)
        raise UnknownError(
            f"there is no run '{parts[0]}/{parts[1]}'", f"the latest ones are: {runs}" if runs else "it has no runs"
        ) from None


def _end(run: Any) -> str:
    return str(graph_of(first_task(f"{run.pathspec}/_parameters"), *run.pathspec.split("/")).get("end_step", "end"))


def _latest(name: str, flow: Any) -> Any:
    from metaflow import Flow, get_namespace
    from metaflow.exception import MetaflowException

    try:
        run = Flow(name).latest_run
    except MetaflowException:
        run = None
    if run is None:
        others = _anywhere(flow)
        hint = f"name one: {name}/RUN; there are, in other namespaces, {others}" if others else "it has no runs"
        raise UnknownError(f"'{name}' has no run in the namespace {get_namespace()}", hint)
    return run


@contextmanager
def _no_namespace() -> Iterator[None]:
    from metaflow import get_namespace, namespace

    before = get_namespace()
    namespace(None)
    try:
        yield
    finally:
        namespace(before)


def _anywhere(flow: Any) -> str:
    """Return the ids of the latest runs of *flow*, in all namespaces."""
    with _no_namespace():
        return ", ".join(run.id for run in islice(flow.runs(), _LISTED))


def _flows() -> str:
    from metaflow import Metaflow

    with _no_namespace():
        names = sorted(flow.id for flow in Metaflow().flows)
    where = "; --metadata says where runs are looked up"
    return (f"there are: {', '.join(names[:_LISTED])}" if names else "no flow has run") + where


def _asked(work: Callable[[], Any], message: str, hint: Callable[[], str]) -> Any:
    from metaflow.exception import MetaflowException

    try:
        return work()
    except MetaflowException:
        raise UnknownError(message, hint()) from None


def _no_step(run: Any, name: str) -> UnknownError:
    names = [step.id for step in run if step.id != "_parameters"]
    return UnknownError(
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
    indices = ",".join(str(index) for _, index in path_of(recorded_path(task)))
    return f"--index {indices or '?'}  {task.metadata_dict.get('foreach-stack') or ''}".rstrip()


def _indexed(step: Any, index: str) -> Any:
    if not re.fullmatch(r"\d+(,\d+)*", index):
        raise InputError(f"--index {index}: that is no index", "write a number, or several as 1,0, the outermost first")
    from metaflow import Task

    wanted = r"(?:.*,)?" + ",".join(rf"[^,]+:{part}" for part in index.split(","))
    found = filtered(step.pathspec, wanted)
    if not found:
        found = [task.pathspec for task in iter(step) if re.fullmatch(wanted, recorded_path(task))]
    if len(found) == 1:
        return Task(found[0], _namespace_check=False)
    if not found:
        raise UnknownError(f"the step {step.pathspec} has no task at index {index}", "leave --index out to see them")
    raise UnknownError(
        f"{len(found)} tasks of {step.pathspec} are at index {index} of their foreach",
        "write all indices, the outermost first, as --index 1,0",
    )
