"""Which wheels fit a target, and which of them fits best (PEP 425, 600; macOS as CPython names it).

The target is described, not detected: the answer is the same on every machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType

from packaging.tags import Tag, compatible_tags, cpython_tags, mac_platforms
from packaging.utils import BuildTag, InvalidWheelFilename, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from .errors import InputError
from .platform import LEGACY_MANYLINUX, VirtualPackage, check_arch, version_of
from .requirement import FREE_THREADED

_MACHINES = {"linux-64": "x86_64", "linux-aarch64": "aarch64", "osx-64": "x86_64", "osx-arm64": "arm64"}
_OLDEST_GLIBC = {"x86_64": 5, "aarch64": 17}
_LEGACY = {minor: name for name, minor in LEGACY_MANYLINUX.items()}


def target_tags(python: str, arch: str, virtual: Iterable[VirtualPackage]) -> Mapping[Tag, int]:
    """Return the tags that fit *python* (``3.11.7``, without a global lock ``3.13.2t``) on *arch*, by rank: 0 is best.

    ``__glibc`` and ``__osx`` in *virtual* bound the platform tags. Raises InputError for what is no target.
    """
    return _target_tags(python, arch, tuple(virtual))


@lru_cache
def _target_tags(python: str, arch: str, virtual: tuple[VirtualPackage, ...]) -> Mapping[Tag, int]:
    version = python_version(python)
    digits = f"{version[0]}{version[1]}"
    abi = f"cp{digits}m" if version < (3, 8) else f"cp{digits}"
    if python.endswith(FREE_THREADED):
        abi += FREE_THREADED
    platforms = _platforms(arch, virtual)
    exact = cpython_tags(python_version=version, abis=[abi], platforms=platforms)
    best_first = dict.fromkeys([*exact, *compatible_tags(version, f"cp{digits}", platforms)])
    return MappingProxyType({tag: rank for rank, tag in enumerate(best_first)})


def marker_environment(python: str, arch: str) -> dict[str, str]:
    """Return what markers (PEP 508) are evaluated with for *python* (``3.11.7``) on *arch*."""
    mac = check_arch(arch).startswith("osx")
    return {
        "implementation_name": "cpython",
        "implementation_version": plain_version(python),
        "os_name": "posix",
        "platform_machine": _MACHINES[arch],
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Darwin" if mac else "Linux",
        "platform_version": "",
        "python_full_version": plain_version(python),
        "python_version": ".".join(str(part) for part in python_version(python)),
        "sys_platform": "darwin" if mac else "linux",
        "extra": "",
    }


def plain_version(python: str) -> str:
    """Return a version of Python without the ``t`` of a build without a global lock."""
    return python.removesuffix(FREE_THREADED)


def python_version(python: str) -> tuple[int, int]:
    """Return the major and the minor of a Python version. Raises InputError where it is none."""
    try:
        release = Version(plain_version(python)).release
        return release[0], release[1]
    except (InvalidVersion, IndexError):
        raise InputError(f"'{python}' is no exact version of Python", "give at least two numbers: '3.11'") from None


def number_pair(packages: Iterable[VirtualPackage], name: str) -> tuple[int, int]:
    """Return the first two numbers of the virtual package *name*. Raises InputError where it has none."""
    text = version_of(packages, name)
    parts = text.split(".")
    try:
        return int(parts[0]), int(parts[1]) if len(parts) > 1 else 0
    except ValueError:
        raise InputError(
            f"the target has no usable {name} ('{text}')", f"give {name} a version such as '2.28' in sys_packages"
        ) from None


def best_wheel(filenames: Iterable[str], tags: Mapping[Tag, int]) -> str | None:
    """Return the file that fits *tags* best, or None where none fits; names that are no wheel's are passed over."""
    best: tuple[int, BuildTag, str] | None = None
    for filename in filenames:
        try:
            _, _, build, own = parse_wheel_filename(filename)
        except (InvalidWheelFilename, InvalidVersion):
            continue
        rank = max((-tags[tag] for tag in own if tag in tags), default=None)
        if rank is not None and (best is None or (rank, build, filename) > best):
            best = (rank, build, filename)
    return best[2] if best else None


def _platforms(arch: str, virtual: tuple[VirtualPackage, ...]) -> list[str]:
    machine = _MACHINES[check_arch(arch)]
    if arch.startswith("osx"):
        return list(mac_platforms(number_pair(virtual, "__osx"), machine))
    return list(_linux_platforms(number_pair(virtual, "__glibc"), machine))


def _linux_platforms(glibc: tuple[int, int], machine: str) -> Iterator[str]:
    newest = glibc[1] if glibc[0] == 2 else -1
    for minor in range(newest, _OLDEST_GLIBC[machine] - 1, -1):
        yield f"manylinux_2_{minor}_{machine}"
        if minor in _LEGACY:
            yield f"{_LEGACY[minor]}_{machine}"
    yield f"linux_{machine}"
