"""``self``, ``inputs`` and ``current`` of the task that was chosen. Imports on Python 3.7 (step side)."""

from __future__ import annotations

import sys
from typing import Any, Callable, Iterator

from .described import flow_module, lend, task
from .stores import Group, Recorded, Stores


def open_task() -> tuple[Any, Any, Any]:
    """Return ``self``, ``inputs`` (None but for a join) and ``current`` of the chosen task, as its step began.

    With ``inspect`` in its description, as it ended. Artifacts are read when they are touched; nothing is written.
    """
    lend()
    opened = _Opened(getattr(flow_module(), task["flow"]))
    return opened.flow, opened.inputs, _current(opened)


class _Opened:
    def __init__(self, cls: Any) -> None:
        from metaflow.task import MetaflowTask

        self._stores = Stores()
        parameters = self._stores.recorded(task["parameters"])
        _configure(cls, parameters)
        self.flow = flow = cls(use_cli=False)
        flow._current_step = task["step"]
        flow._success, flow._task_ok, flow._exception = False, None, None
        self._machine = MetaflowTask(flow, self._stores.flow, None, None, None, None, None, None)
        self._group = Group(self._stores)
        self.inputs = self._inputs(cls) if task["join"] else None
        if task["inspect"]:
            flow._set_datastore(self._stores.recorded(task["task"], unfinished=True))
        elif task["join"]:
            self._before_join()
        else:
            self._before_step()
        self.parameter_names = self._machine._init_parameters(
            parameters, passdown=bool(task["join"]) and not task["inspect"]
        )
        flow.next = _next
        cls.__delattr__ = _delete

    def _inputs(self, cls: Any) -> Any:
        from metaflow.datastore.inputs import Inputs

        def opened(recorded: Recorded) -> Any:
            flow = cls(use_cli=False)
            flow._set_datastore(recorded)
            return flow

        if task["join"] == "foreach":
            return _ForeachInputs(lambda position: opened(self._group.recorded(position)), self._group)
        flows = []
        for pathspec in task["inputs"]:
            flows.append(opened(self._stores.recorded(pathspec)))
            flows[-1]._current_step = pathspec.split("/")[1]  # else it is read, of every one
        return Inputs(flows)

    def _before_join(self) -> None:
        flow = self.flow
        flow._foreach_var = flow._foreach_num_splits = None
        flow._foreach_stack = _Stack(self._group)
        flow._iteration_stack = []
        # A place for what is merged, in memory alone: nothing is begun and nothing is saved.
        words = task["task"].split("/")
        scratch = self._stores.flow.get_task_datastore(*words, attempt=task["attempt"], mode="w")
        flow._set_datastore(Recorded(task["task"], lambda: scratch))

    def _before_step(self) -> None:
        source = self._stores.recorded(task["inputs"][0])
        self._machine._init_foreach(task["step"], None, [source], task["index"])
        if hasattr(self._machine, "_init_iteration"):
            self._machine._init_iteration(task["step"], [source], task["recursive"])
        self.flow._set_datastore(source)


class _ForeachInputs:
    """``inputs`` of the join of a foreach: iterable, indexable, with a length; made when they are asked for."""

    def __init__(self, opened: Callable[[int], Any], group: Group) -> None:
        self._opened, self._group = opened, group
        self._flows = {}  # type: dict[int, Any]

    def __len__(self) -> int:
        return len(self._group.ordered())

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[position] for position in range(*index.indices(len(self)))]
        position = range(len(self))[index]
        if position not in self._flows:
            self._flows[position] = self._opened(position)
        return self._flows[position]

    def __iter__(self) -> Iterator[Any]:
        return (self[position] for position in range(len(self)))

    @property
    def flows(self) -> list[Any]:
        """All of them, as Metaflow's own class has them."""
        return list(self)

    def __getattr__(self, name: str) -> Any:
        if any(pathspec.split("/")[1] == name for pathspec in task["inputs"]):
            return self[-1]  # as in Metaflow
        raise AttributeError(f"the inputs of a foreach have no {name!r}: write inputs[0].{name}")


class _Stack(list):  # type: ignore[type-arg]
    """The foreach stack of a join, read from one of its inputs when it is touched."""

    def __init__(self, group: Group) -> None:
        super().__init__()
        self._group = group
        self._read = False

    def _filled(self) -> _Stack:
        if not self._read:
            self._read = True
            stack = self._group.around()
            self.extend(stack[:-1] if task["join"] == "foreach" else stack)
        return self

    def __iter__(self) -> Iterator[Any]:
        return super(_Stack, self._filled()).__iter__()

    def __len__(self) -> int:
        return super(_Stack, self._filled()).__len__()

    def __getitem__(self, index: Any) -> Any:
        return super(_Stack, self._filled()).__getitem__(index)


def _configure(cls: Any, parameters: Recorded) -> None:
    """Let configs and mutators change the flow as they did in the run, in the way of the Metaflow at hand."""
    process = getattr(cls, "_process_config_decorators", None)
    if process is None:
        return
    from metaflow import flowspec
    from metaflow import parameters as module

    items = getattr(flowspec, "FlowStateItems", None)
    values = {}
    for name, config in list(cls._get_parameters()):
        if getattr(config, "IS_CONFIG_PARAMETER", False) and name in parameters:
            stored = parameters[name]
            values[config.name.replace("-", "_").lower()] = config.load_parameter(stored)
            if items is not None:
                cls._flow_state.self_data[items.CONFIGS][config.name] = (stored, bool(config.kwargs.get("plain")))
            else:  # before 2.16
                cls._flow_state.setdefault(flowspec._FlowState.CONFIGS, {})[config.name] = stored
    if not hasattr(process, "__self__"):  # before 2.13 it is no class method
        process = cls(use_cli=False)._process_config_decorators
    with module.flow_context(cls):
        process(values)


def _next(*targets: Any, **words: Any) -> None:
    names = ", ".join(getattr(target, "__name__", str(target)) for target in targets) or ", ".join(task["next"])
    each = "" if words.get("foreach") is None else f", for each of self.{words['foreach']}"
    if words.get("condition") is not None:
        names, each = ", ".join(task["next"]), f", by what self.{words['condition']} is"
    print(f"Here the flow goes on to {names}{each}. Nothing is executed: it is the end of this step.")


def _delete(flow: Any, name: str) -> None:
    recorded = flow._datastore
    there = recorded is not None and name in recorded
    if name in vars(flow):
        object.__delattr__(flow, name)
    elif not there:
        raise AttributeError(f"Flow {flow.name} has no attribute {name!r}")
    if there:
        recorded.removed.add(name)


def _current(opened: _Opened) -> Any:
    import metaflow
    from metaflow import current

    if task["metadata"]:
        _told(lambda: metaflow.metadata(task["metadata"]))
    if task["namespace"]:
        _told(lambda: metaflow.namespace(task["namespace"]))
    run, step, own = task["task"].split("/")
    current._set_env(
        flow=opened.flow,
        run_id=run,
        step_name=step,
        task_id=own,
        retry_count=task["attempt"],
        origin_run_id=task["origin_run_id"],
        namespace=task["namespace"],
        username=task["username"],
        metadata_str=task["metadata"],
        is_running=True,
        tags=frozenset(task["tags"]),
    )
    current._update_env({"parameter_names": opened.parameter_names, **task["project"]})
    if task["parallel"]:
        from metaflow.metaflow_current import Parallel

        current._update_env({"is_parallel": True, "parallel": Parallel(**task["parallel"])})
    cls = type(current)
    cls.graph = property(lambda _: opened.flow._graph_info)
    cls.__getattr__ = _absent
    return current


def _absent(_: Any, name: str) -> Any:
    pathspec = f"{task['flow']}/{task['task']}"
    if name == "card":
        raise AttributeError(
            "current.card: a card is made by a task while it runs; those of this one are read by "
            f"metaflow.cards.get_cards({pathspec!r})"
        )
    raise AttributeError(f"current has no {name!r} here: what decorators put there while a task runs is not recorded")


def _told(work: Callable[[], Any]) -> None:
    try:
        work()
    except Exception as error:  # needed for current.run and current.task alone
        print(f"metaflow_debug: {error}", file=sys.stderr)
