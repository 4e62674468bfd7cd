"""What the steps of a flow ask for, decided as far as that goes without resolving."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..engine.alias import check_name, fill, of_a_task, step_name, variables_in
from ..engine.ask import Ask, ask_of, combine, override
from ..engine.errors import InputError
from ..engine.extend import extend
from ..engine.request import DEFAULT_INDEX, Request, Surroundings, request_for
from ..engine.resolved import ResolvedEnvironment
from ..engine.secret import is_public_index
from . import launcher
from .settings import Settings, channel_name
from .wiring import pypi_names
from .workbench import Workbench, at

_DEPRECATED = {"pip": "@pypi", "pip_base": "@pypi_base"}
_DEPRECATED_WORDS = {
    "pip_packages": "@pypi(packages=...)",
    "pip_sources": "@pypi(extra_indices=...)",
    "sources": "extra_indices",
}
_DEPRECATED_NAMES = ("name", "pathspec", "fetch_at_exec")
_RESOLVER = "leave METAFLOW_CONDA_PYPI_DEPENDENCY_RESOLVER and METAFLOW_CONDA_MIXED_DEPENDENCY_RESOLVER unset"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step. ``request`` is what to resolve; without one, ``base`` is what it runs in, as it is.

    ``local`` says whether it runs on this machine in an environment of ours; ``fetched`` is the name, variables in it
    not yet filled in, of an environment that is chosen when the task starts.
    """

    name: str
    arch: str
    local: bool
    disabled: bool = False
    request: Request | None = None
    base: ResolvedEnvironment | None = None
    fetched: str = ""
    named: str = ""

    @property
    def remote(self) -> bool:
        """Whether it runs on another machine, in an environment of ours."""
        return not self.local and not self.disabled


def read(question: Mapping[str, Any], bench: Workbench, *, arch: str | None = None) -> dict[str, Step]:
    """Return the steps of `flow.question` by name, in its order; *arch* takes the place of the steps' own platforms.

    Raises InputError with the step in it, also where a named environment is not known.
    """
    with at("the flow"):
        flow = Ask()
        for words in question["flow"]:
            flow = override(flow, combine(_asks(words, question["folder"], bench)))
    settings = bench.settings
    around = surroundings(settings, python=question["python"], needs=question["needs"])
    found = {}
    for name, facts in question["steps"].items():
        with at(f"step {name}"):
            ask = override(flow, combine(_asks(facts["words"], question["folder"], bench)))
            target = _target(facts, settings)
            check_kind(ask, settings)
            step = Step(
                name=name,
                arch=arch or target or bench.wiring.machine.arch(),
                local=target is None and not ask.disabled,
                disabled=bool(ask.disabled),
            )
            if ask.fetch_at_exec and not ask.disabled:
                found[name] = replace(step, fetched=_fetched(ask, flow))
            elif not ask.disabled:
                found[name] = _decided(step, ask, around, bench, gpu=facts["gpu"])
            else:
                found[name] = step
    return found


def named(steps: Sequence[str]) -> str:
    """Return steps as messages name them."""
    return f"step{'s' if len(steps) > 1 else ''} {', '.join(steps)}"


def asking(found: Iterable[Step]) -> dict[Request, str]:
    """Return what is to be resolved, each once, with the steps that ask for it as messages name them."""
    names: dict[Request, list[str]] = {}
    for step in found:
        if step.request is not None:
            names.setdefault(step.request, []).append(step.name)
    return {request: named(steps) for request, steps in names.items()}


def _decided(step: Step, ask: Ask, around: Surroundings, bench: Workbench, *, gpu: bool) -> Step:
    if not ask.name and not ask.pathspec:
        around = with_indexes(around, bench) if ask.pypi else around
        return replace(step, request=request_for(ask, around, arch=step.arch, gpu=gpu))
    text = fill(_text(ask), _launch_variables(step.name))
    base = find(text, step.arch, bench)
    request = extend(base, ask, with_indexes(around, bench), pypi_names(), gpu=gpu)
    return replace(step, base=base, named=text, request=request)


def find(text: str, arch: str, bench: Workbench) -> ResolvedEnvironment:
    """Return the environment that *text* means to a step that runs on *arch*; raise InputError."""
    found = bench.lookup.find(text, arch)
    if found.env_id.arch != arch:
        raise InputError(
            f"'{text}' ran on {found.env_id.arch}, and this step runs on {arch}",
            f"resolve it for {arch} as well: metaflow environment resolve --from {':'.join(found.env_id)} "
            f"--arch {arch} --alias NAME, and name that",
        )
    return found


def _launch_variables(step: str) -> dict[str, str]:
    """Return what may stand in the names of a step before its tasks start: the process's variables, the step's name.

    Those that tell of a run or a task are not this one's: a task that launches this flow has them.
    """
    return {**{name: value for name, value in os.environ.items() if not of_a_task(name)}, "METAFLOW_STEP_NAME": step}


def _text(ask: Ask) -> str:
    """Return the name of the environment to begin with, as `engine.lookup.Lookup` reads names."""
    return step_name(ask.pathspec) if ask.pathspec else str(ask.name)


def _fetched(ask: Ask, flow: Ask) -> str:
    """Return the name of an environment that is chosen when the task starts; nothing may be asked beside it."""
    if not ask.name and not ask.pathspec:
        raise InputError(
            "fetch_at_exec is set, and no environment is named", "write @named_env(name='...', fetch_at_exec=True)"
        )
    if ask.requirements:
        of_flow = set(flow.requirements)
        said = [f"{item} (of the flow)" if item in of_flow else item for item in ask.requirements]
        raise InputError(
            f"with fetch_at_exec the environment is chosen when the task starts, and yet there is {', '.join(said)}",
            "leave those out, extend the environment beforehand (metaflow environment resolve --using), or leave out "
            "fetch_at_exec; what the flow says for all steps can be said by each of the others",
        )
    text = _text(ask)
    if not variables_in(text):
        check_name(text)
    return text


def _asks(words: Sequence[Sequence[Any]], folder: str, bench: Workbench) -> list[Ask]:
    """Read the words of decorators; paths in them are taken from the *folder* of the flow."""
    found = []
    for name, attributes in words:
        _tell_deprecated(name, attributes, bench)
        ask = bench.wiring.settled(ask_of(name, attributes), folder)
        bench.wiring.remember(ask.urls)
        found.append(replace(ask, channels=tuple(channel_name(channel) for channel in ask.channels)))
    return found


def _tell_deprecated(name: str, attributes: Mapping[str, Any], bench: Workbench) -> None:
    if name in _DEPRECATED:
        bench.echo(f"    @{name} is deprecated: use {_DEPRECATED[name]}", bold=False)
    for word in attributes:
        instead = _DEPRECATED_WORDS.get(word)
        if word in _DEPRECATED_NAMES and not name.startswith("named_env"):
            instead = f"@named_env({word}=...)"
        if instead:
            bench.echo(f"    {word} of @{name} is deprecated: use {instead}", bold=False)


def surroundings(settings: Settings, *, python: str = launcher.PYTHON, needs: Mapping[str, str]) -> Surroundings:
    """Return what holds for everything that is resolved here; *python* is the minor version where none is asked for."""
    return Surroundings(
        python=f"{python}.*",
        channels=settings.channels,
        index=settings.index,
        needs=needs,
        virtual=settings.virtual,
        gpu_virtual=settings.gpu_virtual,
        interpreter=settings.interpreter,
    )


def with_indexes(around: Surroundings, bench: Workbench) -> Surroundings:
    """Return *around* with what settings say of indexes, which only who asks for PyPI packages need read."""
    found = bench.wiring.indexes
    return replace(
        around,
        index=DEFAULT_INDEX if not found.index or is_public_index(found.index) else found.index,
        indexes=found.indexes,
        options=found.options,
        named=found.named,
    )


def _target(facts: Mapping[str, Any], settings: Settings) -> str | None:
    """Return the arch that the step's compute decorator gives it; None for a step that runs here."""
    compute = facts["compute"]
    named = [name for name in facts["names"] if name in compute or name in settings.remote_commands]
    return str(compute.get(named[0], "linux-64")) if named else None


def check_kind(ask: Ask, settings: Settings) -> None:
    """Raise InputError where PyPI packages are asked for and the settings have no resolver for them."""
    if ask.pypi and settings.pypi == "none":
        raise InputError("PyPI packages are asked for, and no PyPI resolver is configured", _RESOLVER)
    if ask.pypi and ask.conda and settings.mixed == "none":
        raise InputError("conda and PyPI packages are mixed, and no resolver for that is configured", _RESOLVER)
