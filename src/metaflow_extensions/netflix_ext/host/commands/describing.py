"""What `metaflow environment resolve` is asked for: a file, a version of Python, a base to extend or to clone."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ...engine.alias import names_step
from ...engine.ask import Ask, combine
from ...engine.asked_file import AskedFile, FileContext
from ...engine.errors import InputError
from ...engine.extend import clone, extend
from ...engine.platform import ARCHES, check_arch
from ...engine.request import Request, Surroundings, request_for
from ...engine.requirement import python_constraint
from ...engine.resolved import ResolvedEnvironment
from ..settings import channel_name
from ..steps import check_kind, surroundings, with_indexes
from ..wiring import pypi_names
from ..workbench import Workbench, at

REQUIREMENTS, ENVIRONMENT, PYPROJECT = "requirements.txt", "environment.yml", "pyproject.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What is asked for. ``file`` is of the ``kind`` that one of the constants above names.

    ``using`` and ``cloned`` name the environment to extend and the one whose requirements to take, as
    `engine.lookup.Lookup` reads names; ``needs`` are Metaflow's own packages.
    """

    file: str
    kind: str
    extras: tuple[str, ...]
    groups: tuple[str, ...]
    python: str
    using: str
    cloned: str
    arches: tuple[str, ...]
    needs: Mapping[str, str]

    @property
    def who(self) -> str:
        """How messages name it."""
        if self.cloned:
            return f"the requirements of {self.cloned}"
        what = self.file or f"python {self.python}"
        return f"{self.using} with {what}" if self.using else what


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One platform's part: what to resolve, or an environment that is what is asked for already."""

    arch: str
    request: Request | None = None
    environment: ResolvedEnvironment | None = None


def wanted(described: Description, bench: Workbench) -> list[Wanted]:
    """Return what is to be had, a platform each; raise InputError."""
    arches = described.arches or _platforms(described, bench)
    return [_wanted(described, arch, bench) for arch in dict.fromkeys(map(check_arch, arches))]


def _wanted(described: Description, arch: str, bench: Workbench) -> Wanted:
    if described.cloned:
        return Wanted(arch=arch, request=clone(_anywhere(described.cloned, arch, bench), arch=arch))
    file = _read(described, arch)
    bench.wiring.remember(file.urls)
    ask, around = _completed(described, file, bench)
    with at(described.who):
        check_kind(ask, bench.settings)
        ask = bench.wiring.settled(ask, os.getcwd())
    if not described.using:
        return Wanted(arch=arch, request=request_for(ask, around, arch=arch))
    base = bench.lookup.find(described.using, arch)
    if base.env_id.arch != arch:
        raise InputError(
            f"'{described.using}' ran on {base.env_id.arch}, and {arch} is asked for",
            f"write --arch {base.env_id.arch}, or resolve its requirements for {arch} by --from-pathspec",
        )
    request = extend(base, ask, around, pypi_names())
    return Wanted(arch=arch, request=request, environment=base if request is None else None)


def _platforms(described: Description, bench: Workbench) -> tuple[str, ...]:
    """Return the platforms where none is named: those of the file, else this machine's, for a past task its own."""
    here = bench.wiring.machine.arch()
    if described.file:
        named = _read(described, here).platforms
        known = tuple(arch for arch in named if arch in ARCHES)
        if named and not known:
            raise InputError(
                f"'{described.file}' is for {', '.join(named)}, and none of them is supported",
                f"name one of {', '.join(ARCHES)} by --arch",
            )
        if len(known) < len(named):
            others = ", ".join(arch for arch in named if arch not in known)
            bench.echo(f"    '{described.file}' is also for {others}, which is left out: it is not supported")
        if known:
            return known
    if names_step(described.using):
        return (bench.lookup.find(described.using, here).env_id.arch,)
    return (here,)


def _read(described: Description, arch: str) -> AskedFile:
    if not described.file:
        return AskedFile()
    context = FileContext(read=lambda name: Path(name).read_bytes(), folder=os.getcwd(), variables=os.environ)
    if described.kind == REQUIREMENTS:
        from ...engine.requirements_txt import load_requirements

        return load_requirements(described.file, context)
    if described.kind == ENVIRONMENT:
        from ...engine.environment_yml import load_environment

        return load_environment(described.file, arch=arch, context=context)
    from ...engine.pyproject_toml import Wanted as Parts
    from ...engine.pyproject_toml import load_pyproject

    return load_pyproject(
        described.file, wanted=Parts(extras=described.extras, groups=described.groups), context=context
    )


def _completed(described: Description, file: AskedFile, bench: Workbench) -> tuple[Ask, Surroundings]:
    ask = file.ask
    if described.python:
        with at("--python"):
            ask = combine([ask, Ask(python=python_constraint(described.python))])
    folder = os.path.dirname(os.path.abspath(described.file)) if described.file else os.getcwd()
    ask = replace(ask, channels=tuple(_channel(channel, folder) for channel in ask.channels))
    around = surroundings(bench.settings, needs=described.needs)
    if ask.pypi or described.using:
        around = with_indexes(around, bench)
    if file.index:
        options = replace(around.options, no_index=False)
        around = replace(around, index=file.index.rstrip("/"), options=options)
    if file.no_default_channels:
        around = replace(around, channels=())
    return ask, around


def _channel(channel: str, folder: str) -> str:
    """Return a channel as specs hold it; a folder is taken from where the file lies."""
    if channel.startswith(("./", "../")):
        return channel_name(os.path.normpath(os.path.join(folder, channel)))
    return channel_name(channel)


def _anywhere(name: str, arch: str, bench: Workbench) -> ResolvedEnvironment:
    """Return the environment of that name for *arch*, else for any other platform."""
    failed: list[InputError] = []
    for each in _first(arch):
        try:
            return bench.lookup.find(name, each)
        except InputError as error:
            failed.append(error)
    raise failed[0]


def _first(arch: str) -> Iterator[str]:
    yield arch
    yield from (other for other in ARCHES if other != arch)
