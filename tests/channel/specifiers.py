"""Turn Python requirements into conda match specs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from packaging.markers import default_environment
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, Specifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from .errors import ChannelError


def constraint(specifiers: SpecifierSet | str) -> str:
    """Return the conda version constraint that means the same as PEP 440 specifiers."""
    if isinstance(specifiers, str):
        try:
            specifiers = SpecifierSet(specifiers)
        except InvalidSpecifier as error:
            raise ChannelError(f"not a version specifier: {specifiers!r}") from error
    parts: list[str] = []
    for one in sorted(specifiers, key=str):
        parts.extend(part for part in _convert(one) if part not in parts)
    return ",".join(parts)


def _convert(specifier: Specifier) -> list[str]:
    operator, text = specifier.operator, specifier.version
    if operator == "===":
        return [f"=={text}"]
    if text.endswith(".*"):
        prefix = text if operator == "==" else f"!={text}"
        return [prefix]
    try:
        version = Version(text)
    except InvalidVersion as error:
        raise ChannelError(f"not a version: {text!r}") from error
    if operator == "~=":
        return [f">={version}", f"{_series(version)}.*"]
    if operator == "<":
        return [_below(version)]
    return [f"{operator}{version}"]


def _series(version: Version) -> str:
    epoch = f"{version.epoch}!" if version.epoch else ""
    return epoch + ".".join(str(number) for number in version.release[:-1])


def _below(version: Version) -> str:
    # PEP 440 keeps 2.0rc1 out of "<2.0"; conda orders it below 2.0, so the bound moves down.
    if version.is_prerelease or version.is_postrelease:
        return f"<{version}"
    return f"<{version.public}a0"


def environment(version: str) -> dict[str, str]:
    """Return the marker environment of this host for a Python version such as 3.8.18."""
    values: dict[str, str] = {key: str(value) for key, value in default_environment().items()}
    values.update(
        python_version=".".join(version.split(".")[:2]),
        python_full_version=version,
        implementation_version=version,
        implementation_name="cpython",
        platform_python_implementation="CPython",
        extra="",
    )
    return values


def requirement(text: str) -> Requirement:
    """Parse one requirement line."""
    try:
        return Requirement(text)
    except InvalidRequirement as error:
        raise ChannelError(f"not a requirement: {text!r} ({error})") from error


def applies(wanted: Requirement, markers: Mapping[str, str], extras: Iterable[str] = ()) -> bool:
    """Tell whether a requirement holds in an environment with some extras asked for."""
    if wanted.marker is None:
        return True
    names = ["", *extras]
    return any(wanted.marker.evaluate({**markers, "extra": name}) for name in names)


def depends(
    requires: Iterable[str], markers: Mapping[str, str], *, extras: Iterable[str] = (), own: str
) -> tuple[str, ...]:
    """Return the conda ``depends`` of a distribution called ``own``, without Python itself."""
    asked = tuple(extras)
    specs = set()
    for line in requires:
        wanted = requirement(line)
        name = canonicalize_name(wanted.name)
        if name != own and wanted.url is None and applies(wanted, markers, asked):
            specs.add(f"{name} {constraint(wanted.specifier)}".strip())
    return tuple(sorted(specs))
