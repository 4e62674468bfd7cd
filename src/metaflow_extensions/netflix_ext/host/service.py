"""Resolve the steps of a flow and give them prefixes: the use cases of a run.

What goes in and out is plain JSON, since `delegate` carries it between interpreters.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from ..engine import create as creation
from ..engine.alias import fill
from ..engine.errors import InputError
from ..engine.events import Reporter
from ..engine.identity import EnvID
from ..engine.layout import package_file_key
from ..engine.ports import Prefix
from ..engine.resolved import ResolvedEnvironment, package_document
from . import progress, steps
from .containers import provisions
from .settings import check_envs_root
from .workbench import Workbench, at, check_whole


class Service:
    """Answers for one flow, whose datastore is of the kind *datastore*; constructing it does nothing."""

    def __init__(self, datastore: str = "local") -> None:
        self._known: dict[EnvID, ResolvedEnvironment] = {}
        self._creating: dict[EnvID, Future[Prefix]] = {}
        self._steps: dict[EnvID, list[str]] = {}
        self._compiled: set[tuple[str, ...]] = set()
        self._provisions: dict[tuple[tuple[EnvID, ...], tuple[str, ...]], dict[str, Any]] = {}
        self._bench = Workbench(lambda *_, **__: None, datastore=datastore)

    def resolve(self, question: Mapping[str, Any], echo: progress.Echo) -> dict[str, dict[str, Any]]:
        """Answer `flow.question`: for each step its id (None: disabled) and whether it runs on this machine.

        A step whose environment is chosen when the task starts has no id, and the environment's name as ``fetch``.
        One that runs elsewhere in an environment has that platform as ``arch``, and as ``root`` that of the store which
        has all that it needs by then.
        Raises InputError, SettingError, ResolveError, SourceError: then nothing was written. PackageError, StoreError,
        ToolError: then what was resolved is kept.
        """
        self._bench.echo = echo
        self._bench.datastore = str(question["datastore"])
        check_envs_root(self._bench.settings.envs_root, Path(question["folder"]))
        found = steps.read(question, self._bench)
        root = self._remote_root(found)
        environments = self._resolve_all(found, question["needs"], force=bool(question["force"]))
        remote = [name for name, step in found.items() if step.remote]
        wanted = {environments[name].env_id for name in remote if name in environments}
        self._provided(wanted, {found[name].arch for name in remote})
        return {
            name: {
                "id": list(environments[name].env_id) if name in environments else None,
                "local": step.local,
                **({"fetch": step.fetched} if step.fetched else {}),
                **({"arch": step.arch, "root": root} if step.remote else {}),
            }
            for name, step in found.items()
        }

    def _remote_root(self, found: Mapping[str, steps.Step]) -> str:
        """Return the root of the store that containers read; raise InputError where a step needs one and has none."""
        remote = [name for name, step in found.items() if step.remote]
        shared = self._bench.wiring.shared_root
        if remote and shared is None:
            raise InputError(
                f"{steps.named(remote)}: it runs on another machine, and in the datastore '{self._bench.datastore}' "
                "that machine cannot find its environment",
                "run the flow with --datastore=s3, azure or gs",
            )
        return shared[1] if shared is not None else ""

    def _resolve_all(
        self, found: Mapping[str, steps.Step], needs: Mapping[str, str], *, force: bool
    ) -> dict[str, ResolvedEnvironment]:
        """Return the environment of each step that has one by now."""
        obtained = self._bench.obtain(steps.asking(found.values()), needs, force=force)
        environments = {
            name: obtained[step.request].environment if step.request is not None else step.base
            for name, step in found.items()
        }
        _check_pythons({name: environments[name] for name, step in found.items() if step.remote})
        self._bench.keep(obtained, also=[step.base for step in found.values() if step.base and not step.request])
        known = {name: environment for name, environment in environments.items() if environment is not None}
        for name, environment in known.items():
            self._known[environment.env_id] = environment
            self._steps.setdefault(environment.env_id, []).append(name)
        return known

    def _provided(self, env_ids: Iterable[EnvID], arches: Iterable[str]) -> dict[str, Any]:
        """Return what containers for *arches* need to create these environments: see `provisions.prepare`."""
        key = (tuple(sorted(env_ids)), tuple(sorted(arches)))
        if key not in self._provisions:
            environments = [self._environment(env_id) for env_id in key[0]]
            self._provisions[key] = provisions.prepare(environments, key[1], self._bench)
        return self._provisions[key]

    def command(
        self, what: str, question: Mapping[str, Any], options: Mapping[str, Any], echo: progress.Echo
    ) -> dict[str, str]:
        """Return what a flow-level command prints: see `flow_commands.answer`."""
        from .commands import flow_commands

        return flow_commands.answer(what, question, options, echo)

    def fetch(self, asked: Mapping[str, Any]) -> list[str]:
        """Return the id of the environment that is chosen now, for a task that starts on this machine.

        *asked* holds the ``name``, the ``step``, and the ``variables`` of the task that may stand in the name.
        """
        with at(f"step {asked['step']}"):
            text = fill(asked["name"], asked["variables"])
            environment = steps.find(text, self._bench.wiring.machine.arch(), self._bench)
        self._known[environment.env_id] = environment
        self._steps.setdefault(environment.env_id, []).append(asked["step"])
        return list(environment.env_id)

    def begin(self, env_id: Sequence[str]) -> None:
        """Create the prefix of *env_id* in the background."""
        self._start(EnvID(*env_id))

    def prefix(self, env_id: Sequence[str]) -> dict[str, Any]:
        """Return the prefix of *env_id*, created if need be: its path, its interpreter, its activation variables.

        Raises CreateError, PackageError.
        """
        found = EnvID(*env_id)
        creating = self._start(found)
        live = contextlib.nullcontext() if creating.done() else self._bench.report.live()
        with self._bench.background.interruptible(), live:
            prefix = creating.result()
        check_whole(prefix)
        if found not in self._compiled:
            self._compiled.add(found)
            environment = self._environment(found)
            self._bench.wiring.byte_code.begin(prefix.path, environment.packages, found)
        return {"path": str(prefix.path), "python": str(prefix.python), "variables": dict(prefix.variables)}

    def _start(self, env_id: EnvID) -> Future[Prefix]:
        if env_id not in self._creating:
            found = creation.find(self._environment(env_id), self._bench.wiring.prefixes)
            if found is not None:
                self._creating[env_id] = Future()
                self._creating[env_id].set_result(found)
            else:
                report = self._bench.report
                creator = self._bench.wiring.creator  # made here: threads would race to make it
                self._creating[env_id] = self._bench.background.submit(lambda: self._create(env_id, creator, report))
        return self._creating[env_id]

    def _create(self, env_id: EnvID, creator: creation.Creator, report: Reporter) -> Prefix:
        names = list(dict.fromkeys(self._steps.get(env_id, ())))
        title = f"Creating the environment of {steps.named(names)}" if names else f"Creating {env_id.prefix_name}"
        with at(steps.named(names)) if names else contextlib.nullcontext():
            return creation.create(self._environment(env_id), creator, report, title=title)

    def _environment(self, env_id: EnvID) -> ResolvedEnvironment:
        return self._known.get(env_id) or self._bench.environment(env_id)

    def compile(self, code: str, prefix: Mapping[str, Any]) -> None:
        """Make byte code of *code*, where tasks find Metaflow, for the Python of *prefix*, in the background."""
        if (code, prefix["python"]) not in self._compiled:
            self._compiled.add((code, prefix["python"]))
            self._bench.wiring.byte_code.begin_tree(Path(code), Path(prefix["python"]))

    def package_file(
        self, env_ids: Sequence[Sequence[str]], remote: Sequence[Sequence[str]], arches: Sequence[str]
    ) -> str | None:
        """Write the documents of *env_ids*, and what containers need, to one file; return its path.

        *remote* are the ids that containers need, *arches* their platforms. None where there is nothing to write.
        """
        found = self._provided({EnvID(*env_id) for env_id in remote}, arches)
        if not env_ids and not found:
            return None
        data = package_document([self._environment(EnvID(*env_id)) for env_id in env_ids], found)
        return str(self._bench.wiring.keep(package_file_key(data), data))


def _check_pythons(remote: Mapping[str, ResolvedEnvironment | None]) -> None:
    """Raise InputError where a step that runs on another machine would have a Python that is on this one alone."""
    alone = {
        name: found.interpreter
        for name, found in remote.items()
        if found is not None and found.interpreter is not None and found.interpreter.installed
    }
    if alone:
        python = next(iter(alone.values()))
        raise InputError(
            f"{steps.named(list(alone))}: it runs on another machine, and its Python, {python.url}, is on this one "
            "alone",
            "set METAFLOW_CONDA_PYPI_PYTHON=uv-managed: then it is a build that goes wherever the environment goes; or "
            "METAFLOW_CONDA_PYPI_PYTHON=conda, and it comes from a channel",
        )
