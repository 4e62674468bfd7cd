"""Resolve the steps of a flow and give them prefixes: the use cases, bound to this machine's adapters.

What goes in and out is plain JSON, since `delegate` carries it between interpreters.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..engine import create as creation
from ..engine.ask import Ask, ask_of, combine, override
from ..engine.errors import CreateError, ExtensionError, InputError, ResolveError
from ..engine.events import Reporter
from ..engine.identity import EnvID
from ..engine.layout import package_file_key
from ..engine.request import Request, Surroundings, request_for
from ..engine.resolve import named, resolve
from ..engine.resolved import ResolvedEnvironment, package_document
from . import compat, progress
from .background import Background
from .settings import NAMES, Settings, channel_name, check_envs_root, read
from .wiring import Wiring

_DEPRECATED = {"pip": "@pypi", "pip_base": "@pypi_base"}
_DEPRECATED_WORDS = {
    "pip_packages": "@pypi(packages=...)",
    "pip_sources": "@pypi(extra_indices=...)",
    "sources": "extra_indices",
}


class Service:
    """Answers for one flow; constructing it does nothing."""

    def __init__(self) -> None:
        self._parts: Wiring | None = None
        self._known: dict[EnvID, ResolvedEnvironment] = {}
        self._creating: dict[EnvID, Future[creation.Prefix]] = {}
        self._steps: dict[EnvID, list[str]] = {}
        self._compiled: set[tuple[str, ...]] = set()
        self._reporter: progress.LineReporter | None = None
        self._background = Background(lambda: self._parts.end_programs() if self._parts is not None else None)
        self._echo: progress.Echo = lambda *_, **__: None

    @property
    def _wiring(self) -> Wiring:
        if self._parts is None:
            settings = read(compat.configured(NAMES), os.environ)
            self._parts = Wiring(settings, Path(compat.local_root(self._echo)) / "conda_v2")
        return self._parts

    def resolve(self, question: Mapping[str, Any], echo: progress.Echo) -> dict[str, dict[str, Any]]:
        """Answer `flow.question`: for each step its id (None: disabled) and whether it runs on this machine.

        Raises InputError, SettingError, ResolveError, SourceError; then nothing was written.
        """
        self._echo = echo
        check_envs_root(self._wiring.settings.envs_root, Path(question["folder"]))
        requests, local = self._requests(question, self._wiring.settings)
        steps_of: dict[Request, list[str]] = {}
        for step, request in requests.items():
            if request is not None:
                steps_of.setdefault(request, []).append(step)
        found = self._resolve_all(steps_of, question["needs"], force=bool(question["force"]))
        return {
            step: {"id": list(found[request].env_id) if request is not None else None, "local": local[step]}
            for step, request in requests.items()
        }

    def _requests(
        self, question: Mapping[str, Any], settings: Settings
    ) -> tuple[dict[str, Request | None], dict[str, bool]]:
        with _at("the flow"):
            flow = Ask()
            for words in question["flow"]:
                flow = override(flow, combine(self._asks(words)))
        surroundings = Surroundings(
            python=f"{question['python']}.*",
            channels=settings.channels,
            index=settings.index,
            needs=question["needs"],
            virtual=settings.virtual,
            gpu_virtual=settings.gpu_virtual,
        )
        requests: dict[str, Request | None] = {}
        local: dict[str, bool] = {}
        for step, facts in question["steps"].items():
            with _at(f"step {step}"):
                ask = override(flow, combine(self._asks(facts["words"])))
                target = _target(facts, settings)
                arch = target or self._wiring.machine.arch()
                _check_kind(ask, settings)
                local[step] = target is None and not ask.disabled
                requests[step] = None if ask.disabled else request_for(ask, surroundings, arch=arch, gpu=facts["gpu"])
        return requests, local

    def _asks(self, words: Sequence[Sequence[Any]]) -> list[Ask]:
        found = []
        for name, attributes in words:
            if name in _DEPRECATED:
                self._echo(f"    @{name} is deprecated: use {_DEPRECATED[name]}", bold=False)
            for word in attributes:
                if word in _DEPRECATED_WORDS:
                    self._echo(f"    {word} of @{name} is deprecated: use {_DEPRECATED_WORDS[word]}", bold=False)
            ask = ask_of(name, attributes)
            self._wiring.remember(ask.urls)
            found.append(replace(ask, channels=tuple(channel_name(channel) for channel in ask.channels)))
        return found

    def _resolve_all(
        self, steps_of: Mapping[Request, list[str]], needs: Mapping[str, str], *, force: bool
    ) -> dict[Request, ResolvedEnvironment]:
        catalog = self._wiring.catalog
        found = (
            {}
            if force
            else {
                request: known
                for request in steps_of
                if (known := catalog.default(request.spec.req_id, request.arch)) is not None
            }
        )
        missing = {request: steps for request, steps in steps_of.items() if request not in found}
        if missing:
            report = self._report()
            with _telling(needs), self._background.interruptible(), report.live():
                resolved = resolve(missing, self._wiring.resolver, report)
            for request, environment in resolved.items():
                catalog.add(environment)
                found[request] = environment
        self._known.update({environment.env_id: environment for environment in found.values()})
        for request, environment in found.items():
            self._steps.setdefault(environment.env_id, []).extend(steps_of[request])
        return found

    def begin(self, env_id: Sequence[str]) -> None:
        """Create the prefix of *env_id* in the background."""
        self._start(EnvID(*env_id))

    def prefix(self, env_id: Sequence[str]) -> dict[str, Any]:
        """Return the prefix of *env_id*, created if need be: its path, its interpreter, its activation variables.

        Raises CreateError, PackageError.
        """
        found = EnvID(*env_id)
        creating = self._start(found)
        with self._background.interruptible(), contextlib.nullcontext() if creating.done() else self._report().live():
            prefix = creating.result()
        if not prefix.python.exists():
            raise CreateError(f"'{prefix.path}' is damaged: it has no bin/python", "remove it: it will be made again")
        if found not in self._compiled:
            self._compiled.add(found)
            environment = self._environment(found)
            self._wiring.byte_code.begin(prefix.path, (*environment.conda, *environment.pypi))
        return {"path": str(prefix.path), "python": str(prefix.python), "variables": dict(prefix.variables)}

    def _start(self, env_id: EnvID) -> Future[creation.Prefix]:
        if env_id not in self._creating:
            found = creation.find(self._environment(env_id), self._wiring.prefixes)
            if found is not None:
                self._creating[env_id] = Future()
                self._creating[env_id].set_result(found)
            else:
                report = self._report()
                creator = self._wiring.creator  # made here: threads would race to make it
                self._creating[env_id] = self._background.submit(lambda: self._create(env_id, creator, report))
        return self._creating[env_id]

    def _create(self, env_id: EnvID, creator: creation.Creator, report: Reporter) -> creation.Prefix:
        steps = self._steps.get(env_id)
        title = f"Creating the environment of {named(steps)}" if steps else f"Creating {env_id.prefix_name}"
        with _at(named(steps)) if steps else contextlib.nullcontext():
            return creation.create(self._environment(env_id), creator, report, title=title)

    def _environment(self, env_id: EnvID) -> ResolvedEnvironment:
        environment = self._known.get(env_id) or self._wiring.catalog.find(env_id)
        if environment is None:
            raise CreateError(f"the environment {':'.join(env_id[:2])} is not known here", "resolve it again")
        return environment

    def _report(self) -> progress.LineReporter:
        if self._reporter is None:
            self._reporter = progress.reporter(self._echo)
        return self._reporter

    def compile(self, code: str, prefix: Mapping[str, Any]) -> None:
        """Make byte code of *code*, where tasks find Metaflow, for the Python of *prefix*, in the background."""
        if (code, prefix["python"]) not in self._compiled:
            self._compiled.add((code, prefix["python"]))
            self._wiring.byte_code.begin_tree(Path(code), Path(prefix["python"]))

    def package_file(self, env_ids: Sequence[Sequence[str]]) -> str | None:
        """Write the documents of *env_ids* to one file and return its path; None where there are none."""
        if not env_ids:
            return None
        data = package_document([self._environment(EnvID(*env_id)) for env_id in env_ids])
        return str(self._wiring.keep(package_file_key(data), data))


def _target(facts: Mapping[str, Any], settings: Settings) -> str | None:
    """Return the arch that the step's compute decorator gives it; None for a step that runs here."""
    compute = facts["compute"]
    named = [name for name in facts["names"] if name in compute or name in settings.remote_commands]
    return str(compute.get(named[0], "linux-64")) if named else None


def _check_kind(ask: Ask, settings: Settings) -> None:
    if ask.pypi and not settings.pypi:
        raise InputError("PyPI packages are asked for, and no PyPI resolver is configured", _RESOLVER)
    if ask.pypi and ask.conda and not settings.mixed:
        raise InputError("conda and PyPI packages are mixed, and no resolver for that is configured", _RESOLVER)


_RESOLVER = "leave METAFLOW_CONDA_PYPI_DEPENDENCY_RESOLVER and METAFLOW_CONDA_MIXED_DEPENDENCY_RESOLVER unset"


@contextlib.contextmanager
def _telling(needs: Mapping[str, str]) -> Iterator[None]:
    """Say of packages that a solver's explanation names which of them Metaflow itself asks for."""
    try:
        yield
    except ResolveError as error:
        named_too = [
            f"{name} {version}" for name, version in needs.items() if re.search(rf"(?<![\w.-]){name}\b", error.message)
        ]
        if not named_too:
            raise
        raise ResolveError(f"{error.message}\n- Metaflow itself needs {', '.join(named_too)}", error.hint) from None


@contextlib.contextmanager
def _at(where: str) -> Iterator[None]:
    """Put the place into the message of an error."""
    try:
        yield
    except ExtensionError as error:
        raise type(error)(f"{where}: {error.message}", error.hint) from None
