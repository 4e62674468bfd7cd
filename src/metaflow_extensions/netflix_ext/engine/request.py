"""From what a step asks for to a spec: sources, Python, Metaflow's own needs, virtual packages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from .ask import Ask
from .platform import VirtualPackage
from .requirement import CondaRequirement, PypiRequirement
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
class Request:
    """A spec to be resolved for one platform."""

    spec: EnvSpec
    arch: str


def request_for(ask: Ask, surroundings: Surroundings, *, arch: str, gpu: bool = False) -> Request:
    """Complete what a step asks for; its channels and indexes come before the configured ones."""
    pypi_only = bool(ask.pypi) and not ask.conda
    needs = surroundings.needs.items()
    conda = ask.conda + (() if pypi_only else tuple(CondaRequirement.from_pair(*need) for need in needs))
    pypi = ask.pypi + (tuple(PypiRequirement.from_pair(*need) for need in needs) if pypi_only else ())
    spec = EnvSpec.make(
        python=ask.python or surroundings.python,
        conda=tuple(replace(item, channel=strip_credentials(item.channel)) for item in conda),
        pypi=tuple(replace(item, url=strip_credentials(item.url)) for item in pypi),
        channels=tuple(strip_credentials(channel) for channel in (*ask.channels, *surroundings.channels)),
        indexes=tuple(strip_credentials(index) for index in (*ask.indexes, surroundings.index)) if pypi else (),
        virtual=_virtual(ask, surroundings, arch, gpu),
    )
    return Request(spec=spec, arch=arch)


def _virtual(ask: Ask, surroundings: Surroundings, arch: str, gpu: bool) -> tuple[VirtualPackage, ...]:
    found = {package.name: package for package in surroundings.virtual.get(arch, ())}
    if gpu:
        found.update({package.name: package for package in surroundings.gpu_virtual.get(arch, ())})
    found.update({package.name: package for package in ask.virtual})
    return tuple(found.values())
