"""From what is asked for to what is resolved: sources, Python, Metaflow's own needs, virtual packages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from .ask import Ask
from .errors import InputError
from .options import PypiOptions
from .platform import VirtualPackage
from .requirement import CondaRequirement, PypiRequirement
from .resolved import ResolvedEnvironment
from .secret import is_url
from .spec import EnvSpec

DEFAULT_INDEX = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What holds for every step: the settings and the launcher.

    ``python`` is the constraint for steps that name none; ``needs`` are Metaflow's own packages; ``virtual`` and
    ``gpu_virtual`` are virtual packages by arch that replace the documented defaults. ``indexes`` are asked before
    ``index``, ``options`` hold for every PyPI package, and ``named`` are the indexes that have a name. ``interpreter``
    says where Python comes from for those that ask for nothing from a channel: see `spec.EnvSpec`.
    """

    python: str
    channels: tuple[str, ...]
    index: str = DEFAULT_INDEX
    indexes: tuple[str, ...] = ()
    options: PypiOptions = field(default_factory=PypiOptions)
    named: Mapping[str, str] = field(default_factory=dict)
    needs: Mapping[str, str] = field(default_factory=dict)
    virtual: Mapping[str, tuple[VirtualPackage, ...]] = field(default_factory=dict)
    gpu_virtual: Mapping[str, tuple[VirtualPackage, ...]] = field(default_factory=dict)
    interpreter: str = ""


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
    interpreter = "" if ask.conda or ask.conda_only else surroundings.interpreter
    pypi_only = bool(ask.pypi or interpreter) and not ask.conda
    needs = surroundings.needs.items()
    conda = ask.conda + (() if pypi_only else tuple(CondaRequirement.from_pair(*need) for need in needs))
    pypi = ask.pypi + (tuple(PypiRequirement.from_pair(*need) for need in needs) if pypi_only else ())
    channels, indexes = sources(ask, surroundings)
    spec = EnvSpec.make(
        python=ask.python or surroundings.python,
        conda=conda,
        pypi=pypi,
        channels=() if interpreter else channels,
        indexes=indexes if pypi else (),
        virtual=virtual_for(ask, surroundings, arch=arch, gpu=gpu),
        conda_only=ask.conda_only,
        options=options_for(ask, surroundings),
        interpreter=interpreter,
    )
    return Request(spec=spec, arch=arch)


def options_for(ask: Ask, surroundings: Surroundings) -> PypiOptions:
    """Return how PyPI packages are picked; raise InputError for an index whose name is not known."""
    # Who asks for an index is not stopped by settings that allow none.
    no_index = surroundings.options.no_index and not ask.indexes
    options = ask.options.joined(replace(surroundings.options, no_index=no_index))
    for name, index in options.package_indexes:
        if not is_url(index) and index not in surroundings.named:
            known = f"; known are {', '.join(sorted(surroundings.named))}" if surroundings.named else ""
            raise InputError(
                f"'{name}' is to come from the index '{index}', and no index of that name is known{known}",
                "write its URL, or give the name a URL in uv's settings: [[index]] in uv.toml, or UV_INDEX=name=URL",
            )
    named = tuple((name, surroundings.named.get(index, index)) for name, index in options.package_indexes)
    return replace(options, package_indexes=named)


def sources(ask: Ask, surroundings: Surroundings) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return channels and indexes in order of priority."""
    configured = () if surroundings.options.no_index else (*surroundings.indexes, surroundings.index)
    indexes = () if ask.options.no_index else (*ask.indexes, *configured)
    return (*ask.channels, *surroundings.channels), indexes


def virtual_for(ask: Ask, surroundings: Surroundings, *, arch: str, gpu: bool) -> tuple[VirtualPackage, ...]:
    """Return the virtual packages that are asked for or configured, which replace the defaults of *arch*."""
    found = {package.name: package for package in surroundings.virtual.get(arch, ())}
    if gpu:
        found.update({package.name: package for package in surroundings.gpu_virtual.get(arch, ())})
    found.update({package.name: package for package in ask.virtual})
    return tuple(found.values())
