"""One requirement of either world: parsed once, normalised, printed for its solver."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .conda_version import comparison
from .errors import InputError
from .secret import strip_credentials

if TYPE_CHECKING:
    from packaging.specifiers import Specifier, SpecifierSet

# `packaging` is imported where a requirement is read: it takes a fifth of what showing an environment may take.

_CONDA_NAME = re.compile(r"[a-z0-9_][a-z0-9_.\-]*")
_CONDA_BUILD = re.compile(r"(.*[^\s=<>!~,|])(?:\s*=\s*|\s+)([^\s=<>!~,|]+)")
_PYTHON_PART = re.compile(r"(?P<operator>[<>]=?|[=!]=|~=)?(?P<version>\d+(?:\.\d+)*(?:(?:a|b|rc)\d+)?)(?P<star>\.\*)?")


@dataclass(frozen=True, slots=True, order=True)
class CondaRequirement:
    """A conda package by name, with a version constraint, a build and a channel (all may be empty)."""

    name: str
    constraint: str = ""
    build: str = ""
    channel: str = ""

    def __str__(self) -> str:
        head = f"{self.channel}::{self.name}" if self.channel else self.name
        return " ".join(part for part in (head, self.constraint or ("*" if self.build else ""), self.build) if part)

    @classmethod
    def from_pair(cls, name: str, version: object) -> CondaRequirement:
        """Read a decorator's ``name: version`` pair; the name may be ``channel::package``."""
        _check_text(name, version, "conda")
        channel, colons, bare = name.rpartition("::")
        channel, bare = channel.strip(), bare.strip().lower()
        if not _CONDA_NAME.fullmatch(bare) or bool(colons) != bool(channel) or "::" in channel:
            raise InputError(
                f"'{name}' is not the name of a conda package",
                "write 'package' or 'channel::package', and the version apart from it",
            )
        constraint, build = _conda_version(name, str(version).strip())
        return cls(bare, constraint, build, channel)

    @classmethod
    def parse(cls, text: str) -> CondaRequirement:
        """Read ``name``, ``name=1.2``, ``name >=1,<2``, ``channel::name=1.2=build``."""
        match = re.fullmatch(r"\s*((?:[^\s=<>!~]+::)?[^\s=<>!~]+)\s*(.*?)\s*", text)
        if not match:
            raise InputError(f"'{text}' is not a conda requirement", "write for example 'numpy >=1.26,<2'")
        return cls.from_pair(match.group(1), match.group(2))

    def clean(self) -> CondaRequirement:
        """Return the same without credentials."""
        return replace(self, channel=strip_credentials(self.channel))


def _conda_version(name: str, text: str) -> tuple[str, str]:
    """Split ``1.2``, ``=1.2=build``, ``>=1,<2 build`` into a normal constraint and a build."""
    tight = re.sub(r"\s*([,|])\s*", r"\1", re.sub(r"([<>=!~])\s+", r"\1", text))
    with_build = _CONDA_BUILD.fullmatch(tight)
    constraint, build = with_build.groups() if with_build else (tight or "*", "")
    try:
        groups = [{comparison(part) for part in group.split(",")} for group in constraint.split("|")]
    except ValueError:
        raise InputError(
            f"'{name}': '{text}' is not a version or a constraint that conda knows",
            "write for example '1.26', '1.26.*', '>=1.26,<2', or an empty string for any version",
        ) from None
    normal = "" if {"*"} in groups else "|".join(",".join(sorted(group - {"*"})) for group in groups)
    return normal, "" if build == "*" else build


@dataclass(frozen=True, slots=True, order=True)
class PypiRequirement:
    """A Python distribution (PEP 508): canonical name, extras, specifier or URL, marker."""

    name: str
    extras: tuple[str, ...] = ()
    specifier: str = ""
    url: str = ""
    marker: str = ""

    def __str__(self) -> str:
        extras = f"[{','.join(self.extras)}]" if self.extras else ""
        target = f" @ {self.url}" if self.url else self.specifier
        marker = f" ; {self.marker}" if self.marker else ""
        return f"{self.name}{extras}{target}{marker}"

    @classmethod
    def parse(cls, text: str) -> PypiRequirement:
        """Read one PEP 508 requirement."""
        from packaging.markers import InvalidMarker
        from packaging.requirements import InvalidRequirement, Requirement
        from packaging.utils import canonicalize_name

        try:
            parsed = Requirement(text)
        except (InvalidRequirement, InvalidMarker) as error:
            raise InputError(
                f"'{text}' is not a requirement: {str(error).splitlines()[0]}",
                "write for example 'requests>=2.21', 'pkg[extra]==1.0', or 'pkg @ https://...'",
            ) from None
        return cls(
            str(canonicalize_name(parsed.name)),
            tuple(sorted(str(canonicalize_name(extra)) for extra in parsed.extras)),
            _specifier(parsed.specifier),
            parsed.url or "",
            str(parsed.marker) if parsed.marker else "",
        )

    @classmethod
    def from_pair(cls, name: str, version: object) -> PypiRequirement:
        """Read a decorator's ``name: version`` pair.

        The name may carry extras, a URL (``pkg @ url``) and a marker; the version may be empty, a plain version
        (meaning ``==``), PEP 440 constraints, or ``@ url``.
        """
        _check_text(name, version, "PyPI")
        text, marker = str(version).strip(), ""
        if not text.startswith("@") and ";" in text:
            text, _, marker = (part.strip() for part in text.partition(";"))
        if text.startswith("@"):
            return cls.parse(f"{name} {text}")
        head = cls.parse(f"{name} ; {marker}" if marker else name)
        if not text or text == "*":
            return head
        if head.url or head.specifier:
            raise InputError(
                f"'{name}' already says which version, and '{text}' says it again",
                "give the version once, as the value",
            )
        return replace(head, specifier=_pypi_version(name, text))

    def clean(self) -> PypiRequirement:
        """Return the same without credentials."""
        return replace(self, url=strip_credentials(self.url))


def _pypi_version(name: str, text: str) -> str:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet
    from packaging.version import InvalidVersion

    if re.match(r"=(?!=)", text):
        text = f"={text}"
    parts = [part.strip() for part in text.split(",") if part.strip()]
    plain = [f"=={part}" if part[0] not in "<>=!~" else part for part in parts]
    try:
        return _specifier(SpecifierSet(",".join(plain)))
    except (InvalidSpecifier, InvalidVersion):
        raise InputError(
            f"'{name}': '{text}' is not a version or a constraint that PyPI knows (PEP 440)",
            "write for example '2.21', '>=2.21,<3', '~=2.21', or an empty string for any version",
        ) from None


def _specifier(specifiers: SpecifierSet) -> str:
    return ",".join(sorted({_spelled(specifier) for specifier in specifiers}))


def _spelled(specifier: Specifier) -> str:
    """Return *specifier* with its version as PEP 440 spells it: ``v1.0-RC1`` is ``1.0rc1``."""
    from packaging.version import Version

    if specifier.operator == "===" or specifier.version.endswith(".*"):
        return str(specifier)
    return f"{specifier.operator}{Version(specifier.version)}"


def _check_text(name: object, version: object, world: str) -> None:
    if not isinstance(name, str) or not name.strip():
        raise InputError(f"{name!r} is not the name of a {world} package", "names are text")
    if isinstance(version, bool) or not isinstance(version, (str, int, float)):
        raise InputError(f"'{name}': {version!r} is not a version", "versions are text, such as '1.26'")
    if not isinstance(version, str):
        raise InputError(
            f"'{name}': the version {version!r} is not text",
            f"put it in quotes, such as '{version}'; a number loses its trailing zeros",
        )


FREE_THREADED = "t"


def python_requirement(constraint: str) -> CondaRequirement:
    """Return the conda package that *constraint*, in the form of `python_constraint`, asks for.

    Builds without a global lock are told by the ABI in their name, as conda-forge and others have it.
    """
    if not constraint.endswith(FREE_THREADED):
        return CondaRequirement("python", constraint)
    version = constraint[: -len(FREE_THREADED)]
    minor = "".join(re.findall(r"\d+", version)[:2])
    return CondaRequirement("python", version, f"*_cp{minor}{FREE_THREADED}")


def python_fits(version: str, constraint: str) -> bool:
    """Tell whether *version* of Python meets *constraint*, in the form of `python_constraint`."""
    from packaging.specifiers import SpecifierSet

    if constraint.endswith(FREE_THREADED):
        return version.endswith(FREE_THREADED) and python_fits(version[:-1], constraint[:-1])
    version = version.removesuffix(FREE_THREADED)
    groups = [
        [part if part[0] in "<>=!~" else f"=={part}" for part in text.split(",")] for text in constraint.split("|")
    ]
    return any(SpecifierSet(",".join(parts)).contains(version, prereleases=True) for parts in groups)


def python_constraint(value: object) -> str:
    """Read ``python=``: ``3.10`` means any 3.10, three parts mean exactly that, constraints stay.

    A ``t`` after a version asks for the build without a global lock (PEP 703): ``3.13t``.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        raise InputError(
            f"python={value!r} is a number, and a number cannot tell 3.1 from 3.10",
            f"put it in quotes: python='{value}{'0' if value == 3.1 else ''}'",
        )
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"python={value!r} is not a version", "write for example python='3.11'")
    threaded = re.fullmatch(r"=*\s*(\d+\.\d+(?:\.\d+)?)(\.\*)?t", value.strip())
    if threaded:
        return f"{_python_part(f'=={threaded[1]}{threaded[2] or str()}')}{FREE_THREADED}"
    constraint, build = _conda_version("python", value.strip())
    if build:
        raise InputError(f"python='{value}' names a build", "write a version or constraints alone")
    groups = [group.split(",") for group in constraint.split("|")] if constraint else []
    try:
        return "|".join(",".join(sorted(map(_python_part, group))) for group in groups)
    except ValueError:
        raise InputError(
            f"python='{value}' is not a version of Python", "write for example '3.11', '3.11.7' or '>=3.10,<3.12'"
        ) from None


def _python_part(part: str) -> str:
    match = _PYTHON_PART.fullmatch(part)
    if match is None:
        raise ValueError(part)
    short = match["operator"] == "==" and re.fullmatch(r"\d+(?:\.\d+)?", match["version"])
    return f"{match['version']}.*" if short else part
