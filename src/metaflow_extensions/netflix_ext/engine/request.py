"""From what is asked for to what is resolved: sources, Python, Metaflow's own needs, virtual packages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from .ask import Ask
from .platform import VirtualPackage
from .requirement import CondaRequirement, PypiRequirement
from .resolved import ResolvedEnvironment
from .secret import strip_credentials
from .spec import EnvSpec

DEFAULT_INDEX = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What holds for every step: the settings and the launcher.

    ``python`` is the constraint for steps that name none; ``needs`` are Metaflow's own packages; ``virtual`` and
    ``gpu_virtual`` are virtual packages by arch that replace the documented defaults.
    """

    python: str
    channels: tuple[str, ...]
    index: str = DEFAULT_INDEX
    needs: Mapping[str, str] = field(default_factory=dict)
    virtual: Mapping[str, tuple[VirtualPackage, ...]] = field(default_factory=dict)
    gpu_virtual: Mapping[str, tuple[VirtualPackage, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Extension:
    """An environment whose packages stay as they are, and what is asked for on top of it."""

    base: ResolvedEnvironment
    conda: tuple[CondaRequirement, ...] = ()
    pypi: tuple[PypiRequirement, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A spec to be resolved for one platform; ``extension`` says how, where the spec has a base."""

    spec: EnvSpec
    arch: str
    extension: Extension | None = field(default=None, compare=False)


def request_for(ask: Ask, surroundings: Surroundings, *, arch: str, gpu: bool = False) -> Request:
    """Complete what a step asks for; its channels and indexes come before the configured ones."""
    pypi_only = bool(ask.pypi) and not ask.conda
    needs = surroundings.needs.items()
    conda = ask.conda + (() if pypi_only else tuple(CondaRequirement.from_pair(*need) for need in needs))
    pypi = ask.pypi + (tuple(PypiRequirement.from_pair(*need) for need in needs) if pypi_only else ())
    channels, indexes = sources(ask, surroundings)
    spec = EnvSpec.make(
        python=ask.python or surroundings.python,
        conda=clean_conda(conda),
        pypi=clean_pypi(pypi),
        channels=channels,
        indexes=indexes if pypi else (),
        virtual=virtual_for(ask, surroundings, arch=arch, gpu=gpu),
        conda_only=clean_conda(ask.conda_only),
        options=ask.options,
    )
    return Request(spec=spec, arch=arch)


def sources(ask: Ask, surroundings: Surroundings) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return channels and indexes in order of priority, without credentials."""
    indexes = () if ask.options.no_index else (*ask.indexes, surroundings.index)
    return (
        tuple(strip_credentials(channel) for channel in (*ask.channels, *surroundings.channels)),
        tuple(strip_credentials(index) for index in indexes),
    )


def clean_conda(requirements: Iterable[CondaRequirement]) -> tuple[CondaRequirement, ...]:
    """Return *requirements* without credentials."""
    return tuple(replace(item, channel=strip_credentials(item.channel)) for item in requirements)


def clean_pypi(requirements: Iterable[PypiRequirement]) -> tuple[PypiRequirement, ...]:
    """Return *requirements* without credentials."""
    return tuple(replace(item, url=strip_credentials(item.url)) for item in requirements)


def virtual_for(ask: Ask, surroundings: Surroundings, *, arch: str, gpu: bool = False) -> tuple[VirtualPackage, ...]:
    """Return the virtual packages that are asked for or configured, which replace the defaults of *arch*."""
    found = {package.name: package for package in surroundings.virtual.get(arch, ())}
    if gpu:
        found.update({package.name: package for package in surroundings.gpu_virtual.get(arch, ())})
    found.update({package.name: package for package in ask.virtual})
    return tuple(found.values())
