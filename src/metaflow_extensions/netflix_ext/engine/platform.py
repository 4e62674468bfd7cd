"""Platforms by conda's names, and the virtual packages that stand for a machine's abilities.

Virtual packages follow CEP 30. Defaults are those of the platforms that today's packages are built
for, so that one spec resolves to one answer on every machine.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .errors import InputError

ARCHES = ("linux-64", "linux-aarch64", "osx-64", "osx-arm64")

_PLATFORM = re.compile(r"(?:linux|osx|win|emscripten|wasi|zos|freebsd)-\w+")
_MACHINES = {
    ("Linux", "x86_64"): "linux-64",
    ("Linux", "aarch64"): "linux-aarch64",
    ("Linux", "arm64"): "linux-aarch64",
    ("Darwin", "x86_64"): "osx-64",
    ("Darwin", "arm64"): "osx-arm64",
}

# What wheels for Linux are called that do not name the glibc they need (PEP 600), and its minor.
LEGACY_MANYLINUX: Mapping[str, int] = {"manylinux2014": 17, "manylinux2010": 12, "manylinux1": 5}


def arch_of(system: str, machine: str) -> str:
    """Return conda's platform name for ``platform.system()`` and ``platform.machine()``."""
    try:
        return _MACHINES[system, machine]
    except KeyError:
        raise InputError(
            f"environments are not supported on {system} {machine}",
            f"use one of {', '.join(ARCHES)}",
        ) from None


def is_platform(name: str) -> bool:
    """Tell whether *name* is how conda names a platform, be it one we resolve for or not."""
    return _PLATFORM.fullmatch(name) is not None


def check_arch(arch: str) -> str:
    """Return *arch*, or raise InputError where it is no platform we resolve for."""
    if arch not in ARCHES:
        raise InputError(f"unknown architecture '{arch}'", f"use one of {', '.join(ARCHES)}")
    return arch


@dataclass(frozen=True, slots=True, order=True)
class VirtualPackage:
    """One virtual package: ``__glibc=2.28=0``."""

    name: str
    version: str
    build: str = "0"

    def __str__(self) -> str:
        return f"{self.name}={self.version}={self.build}"

    @classmethod
    def parse(cls, text: str) -> VirtualPackage:
        """Read ``name=version`` or ``name=version=build``."""
        name, _, version = text.partition("=")
        return cls.from_pair(name, version)

    @classmethod
    def from_pair(cls, name: str, version: object) -> VirtualPackage:
        """Read the *version* given for *name*: ``2.28``, ``==2.28`` or ``2.28=0``."""
        if not isinstance(version, str):
            raise InputError(
                f"'{name}': the version {version!r} is not text",
                f"put it in quotes, such as '{version}'; a number loses its trailing zeros",
            )
        match = re.fullmatch(r"={0,2}\s*(\d[\w.]*)(?:=(\w+))?", version.strip())
        if not re.fullmatch(r"__[a-z0-9_]+", name) or not match:
            raise InputError(
                f"'{name}: {version}' is no virtual package with an exact version",
                "write a name such as __glibc or __cuda and one version such as '2.28'",
            )
        return cls(name, match.group(1), match.group(2) or "0")


_UNIX = VirtualPackage("__unix", "0")
_LINUX = (_UNIX, VirtualPackage("__linux", "4.18"), VirtualPackage("__glibc", "2.28"))
_OSX = (_UNIX, VirtualPackage("__osx", "13.0"))
DEFAULTS: Mapping[str, tuple[VirtualPackage, ...]] = {
    "linux-64": (*_LINUX, VirtualPackage("__archspec", "1", "x86_64")),
    "linux-aarch64": (*_LINUX, VirtualPackage("__archspec", "1", "aarch64")),
    "osx-64": (*_OSX, VirtualPackage("__archspec", "1", "x86_64")),
    "osx-arm64": (*_OSX, VirtualPackage("__archspec", "1", "m1")),
}


def virtual_packages(arch: str, asked: Iterable[VirtualPackage] = ()) -> tuple[VirtualPackage, ...]:
    """Return the virtual packages to resolve for *arch*: its defaults, *asked* in their place."""
    found = {package.name: package for package in DEFAULTS[check_arch(arch)]}
    found.update({package.name: package for package in asked})
    return tuple(sorted(found.values()))


def version_of(packages: Iterable[VirtualPackage], name: str) -> str:
    """Return the version of the virtual package *name*, or an empty string."""
    return next((package.version for package in packages if package.name == name), "")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


def satisfies(version: str, constraint: str) -> bool:
    """Tell whether a dotted-number *version* meets a conda *constraint* such as ``>=2.17,<3.0.a0``.

    Only what virtual packages use is read (``>= > < <= == != =``, comma, bar); any other form counts as met,
    since the solver has already judged it for the target.
    """
    return any(all(_meets(version, part) for part in group.split(",")) for group in constraint.split("|"))


def _meets(version: str, part: str) -> bool:
    match = re.fullmatch(r"\s*(>=|<=|==|!=|>|<|=)?\s*v?(\d[\d.]*)\S*\s*", part)
    if not match:
        return True
    operator, bound = match.group(1) or "==", _numbers(match.group(2))
    width = max(len(bound), len(_numbers(version)))
    have = _numbers(version) + (0,) * (width - len(_numbers(version)))
    want = bound + (0,) * (width - len(bound))
    if operator == "=" or (operator in ("==", "!=") and part.strip().endswith("*")):
        return (have[: len(bound)] == bound) != (operator == "!=")
    return {
        ">=": have >= want,
        "<=": have <= want,
        "==": have == want,
        "!=": have != want,
        ">": have > want,
        "<": have < want,
    }[operator]
