"""From an environment to another: extended (its packages stay), or cloned (its requirements are resolved anew)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from .ask import Ask
from .errors import InputError
from .package import CondaPackage
from .platform import VirtualPackage, satisfies
from .provided import distributions
from .request import Extension, Request, Surroundings, options_for, sources, virtual_for
from .requirement import CondaRequirement, PypiRequirement, python_fits
from .resolve import python_of
from .resolved import ResolvedEnvironment
from .spec import PYPI_ONLY, EnvSpec

_SIMPLE = re.compile(r"(?:(?:>=|<=|==|!=|>|<)\d+(?:\.\d+)*|(?:==|!=)?\d+(?:\.\d+)*\.\*)(?:[,|](?!$)|$)")
_NUMBERS = re.compile(r"\d+(?:\.\d+)*")


def extend(
    base: ResolvedEnvironment, ask: Ask, surroundings: Surroundings, names: Mapping[str, str], *, gpu: bool = False
) -> Request | None:
    """Return what to resolve so that *base* also meets *ask* and Metaflow's needs; None where it plainly does.

    *names* are PyPI's names of conda packages. A request is made where only a solver can tell, too: where that adds
    nothing, `resolve` answers with *base* itself. Raises InputError where *ask* wants another Python.
    """
    _check_python(base, ask.python)
    ask = _clean(ask)
    have = _distributions(base, names)
    needs = [pair for pair in surroundings.needs.items() if not _meets_need(base, have, pair)]
    conda = [item for item in (*ask.conda, *ask.conda_only) if not _has(base.conda, item)]
    asked = set(base.spec.get("pypi", ()))
    pypi = [item for item in ask.pypi if str(item) not in asked and not _brings(have, item)]
    virtual = _new_virtual(base, ask)
    if not (needs or conda or pypi or virtual or ask.options.hashed or ask.options.constraints):
        return None
    spec = EnvSpec.from_dict(base.spec, ":".join(base.env_id[:2]))
    if base.interpreter is not None and conda:
        raise InputError(
            f"{', '.join(map(str, conda))} is asked for from a channel, and the environment to extend has its Python "
            "from uv, beside which nothing from a channel can stand",
            "ask for it by @pypi, or resolve an environment of its own with METAFLOW_CONDA_PYPI_PYTHON=conda",
        )
    if spec.kind == PYPI_ONLY and set(conda) <= set(ask.conda_only):
        pypi += [PypiRequirement.from_pair(*pair) for pair in needs]
    else:
        conda += [CondaRequirement.from_pair(*pair) for pair in needs]
    return _request(base, spec, Extension(base=base, conda=tuple(conda), pypi=tuple(pypi)), ask, surroundings, gpu)


def _clean(ask: Ask) -> Ask:
    """Return *ask*, its requirements without credentials: so they are compared to what is there, and resolved."""
    return replace(
        ask,
        conda=tuple(item.clean() for item in ask.conda),
        conda_only=tuple(item.clean() for item in ask.conda_only),
        pypi=tuple(item.clean() for item in ask.pypi),
    )


def _request(
    base: ResolvedEnvironment, spec: EnvSpec, extension: Extension, ask: Ask, surroundings: Surroundings, gpu: bool
) -> Request:
    channels, indexes = sources(ask, surroundings)
    given = virtual_for(ask, replace(surroundings, virtual={}), arch=base.env_id.arch, gpu=gpu)
    virtual = {package.name: package for package in (*_virtual(base), *given)}
    whole = EnvSpec.make(
        python=spec.python,
        conda=(*spec.conda, *(item for item in extension.conda if item not in ask.conda_only)),
        pypi=(*spec.pypi, *extension.pypi),
        # What the base came from goes before what is merely configured here.
        channels=(*ask.channels, *spec.channels, *channels),
        indexes=(*indexes[: len(ask.indexes)], *spec.indexes, *indexes) if spec.pypi or extension.pypi else (),
        virtual=tuple(virtual.values()),
        conda_only=(*spec.conda_only, *ask.conda_only),
        options=spec.options.joined(options_for(ask, surroundings)),
        base=base.env_id.full_id,
        interpreter=spec.interpreter,
    )
    return Request(spec=whole, arch=base.env_id.arch, extension=extension)


def clone(base: ResolvedEnvironment, *, arch: str) -> Request:
    """Return what *base* was resolved from, as a request for *arch*; of an extension, as if all was asked at once."""
    spec = EnvSpec.from_dict(base.spec, ":".join(base.env_id[:2]))
    foreign = ("__glibc", "__linux") if arch.startswith("osx") else ("__osx",)
    virtual = tuple(package for package in spec.virtual if package.name not in foreign)
    if arch != base.env_id.arch:
        virtual = tuple(package for package in virtual if package.name != "__archspec")
    return Request(spec=replace(spec, virtual=virtual, base=""), arch=arch)


def _new_virtual(base: ResolvedEnvironment, ask: Ask) -> tuple[VirtualPackage, ...]:
    """Return what *ask* says of the machine beyond what *base* was resolved for; raise InputError where it is less."""
    there = {package.name: package for package in _virtual(base)}
    new = tuple(package for package in ask.virtual if package != there.get(package.name))
    for package in new:
        known = there.get(package.name)
        if known is not None and not satisfies(package.version, f">={known.version}"):
            raise InputError(
                f"{package.name} {package.version} is asked for, and the environment to extend was resolved for "
                f"{known.version}: its packages may need that",
                "leave it out, or resolve the requirements of that environment anew, in one of their own",
            )
    return new


def _virtual(base: ResolvedEnvironment) -> tuple[VirtualPackage, ...]:
    return tuple(VirtualPackage.parse(text) for text in base.virtual)


def _check_python(base: ResolvedEnvironment, python: str | None) -> None:
    if python is not None and not python_fits(python_of(base), python):
        raise InputError(
            f"Python {python} is asked for, and the environment to extend has {base.python_version}",
            "leave the version of Python out, or resolve an environment of its own",
        )


def _meets_need(base: ResolvedEnvironment, have: Mapping[str, tuple[str, str]], need: tuple[str, str]) -> bool:
    """Tell whether *base* has what Metaflow needs: as a distribution, or where that cannot be told, as a package."""
    return _brings(have, PypiRequirement.from_pair(*need)) or _has(base.conda, CondaRequirement.from_pair(*need))


def _distributions(base: ResolvedEnvironment, names: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Return the Python distributions in *base*, by canonical name: version, and the URL of a wheel."""
    found = {name: (version, "") for package in base.conda for name, version in distributions(package, names)}
    found.update({str(canonicalize_name(wheel.name)): (wheel.version, wheel.url) for wheel in base.pypi})
    return found


def _brings(have: Mapping[str, tuple[str, str]], requirement: PypiRequirement) -> bool:
    """Tell whether a distribution meets *requirement*; what an extra brings, or a marker means, is not known here."""
    if requirement.name not in have or requirement.extras or requirement.marker:
        return False
    version, url = have[requirement.name]
    if requirement.url:
        return requirement.url.partition("#")[0] == url
    try:
        return SpecifierSet(requirement.specifier).contains(Version(version), prereleases=True)
    except InvalidVersion:  # a conda package may have one that PyPI cannot
        return not requirement.specifier


def _has(packages: Iterable[CondaPackage], requirement: CondaRequirement) -> bool:
    return any(
        package.name == requirement.name
        and not requirement.build
        and (not requirement.channel or requirement.channel.rstrip("/") in (package.channel, _last(package.channel)))
        and _surely(package.version, requirement.constraint)
        for package in packages
    )


def _last(channel: str) -> str:
    return channel.rstrip("/").rpartition("/")[2]


def _surely(version: str, constraint: str) -> bool:
    """Tell whether *version* meets conda's *constraint*, no where only conda's own rules could tell."""
    if not constraint:
        return True
    simple = _NUMBERS.fullmatch(version) is not None and all(
        _SIMPLE.fullmatch(part) for part in re.split(r"[,|]", constraint)
    )
    return simple and satisfies(version, constraint)
