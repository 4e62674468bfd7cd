"""A resolved environment to a prefix on this machine: made aside, marked, renamed into place."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .errors import CreateError, unwritable
from .events import Reporter, working
from .fetch import at_hand
from .identity import EnvID, parse_env_id
from .platform import LEGACY_MANYLINUX, VirtualPackage, satisfies
from .ports import (
    Activator,
    CondaInstaller,
    LinkedByteCode,
    Machine,
    PackageFiles,
    Prefix,
    Prefixes,
    PythonInstaller,
    WheelInstaller,
)
from .resolved import ResolvedEnvironment

_MANYLINUX = re.compile(r"manylinux_2_(\d+)_")


@dataclass(frozen=True, slots=True, kw_only=True)
class Creator:
    """What creating needs."""

    prefixes: Prefixes
    archives: PackageFiles
    conda: CondaInstaller
    wheels: WheelInstaller
    pythons: PythonInstaller
    activator: Activator
    byte_code: LinkedByteCode
    machine: Machine


def find(environment: ResolvedEnvironment, prefixes: Prefixes, *, name: str = "") -> Prefix | None:
    """Return the prefix of *environment*, under its own *name* if that is given, where it is complete."""
    name = name or environment.env_id.prefix_name
    found = marked(prefixes, name)
    if found is None or found[0] != environment.env_id:
        return None
    return Prefix(path=prefixes.path(name), variables=found[1])


def marked(prefixes: Prefixes, name: str) -> tuple[EnvID, Mapping[str, str]] | None:
    """Return the environment's id in the prefix *name*, and its variables; None where it is not complete."""
    text = prefixes.marker(name)
    if text is None:
        return None
    try:
        marker: dict[str, Any] = json.loads(text)
        variables: dict[Any, Any] = dict(marker["variables"])
        if not all(isinstance(value, str) for value in variables.values()):
            return None
        return parse_env_id(marker["id"]), variables
    except (ValueError, KeyError, TypeError):
        return None


def create(
    environment: ResolvedEnvironment,
    creator: Creator,
    report: Reporter,
    *,
    title: str = "Creating",
    name: str = "",
    replace: bool = False,
) -> Prefix:
    """Return the prefix of *environment*, made now if need be; of several creators one works, the others wait.

    *title* names the work for *report*; *name* names the prefix, which without it is named by the environment's id.
    With *replace* it takes the place of another environment of ours that has that name.

    Raises CreateError where this machine cannot run it (said before anything is fetched) or has no room for it,
    PackageError where the bytes of a package are not those that were resolved.
    """
    name = name or environment.env_id.prefix_name
    found = find(environment, creator.prefixes, name=name)
    if found is not None:
        return found
    check_machine(environment, creator.machine)
    with creator.prefixes.lock(name, report):
        found = find(environment, creator.prefixes, name=name)
        if found is not None:
            return found
        other = marked(creator.prefixes, name)
        if other is not None and not replace and name != environment.env_id.prefix_name:
            raise CreateError(
                f"'{creator.prefixes.path(name)}' holds another environment, {':'.join(other[0][:2])}",
                "choose another name, or replace it by --force",
            )
        with working(report, title) as work:
            work.summary = f"{len(environment.packages)} packages"
            return _build(environment, name, creator, report.within(title), report.note)


def _build(
    environment: ResolvedEnvironment, name: str, creator: Creator, report: Reporter, note: Callable[[str], None]
) -> Prefix:
    replacing = name != environment.env_id.prefix_name and marked(creator.prefixes, name) is not None
    stage, final = creator.prefixes.stage(name, replacing=replacing), creator.prefixes.path(name)
    try:
        conda, wheels, python = at_hand(environment, creator.archives, creator.conda.unpacked, report, note)
        if python is not None:
            creator.pythons.install(python, stage, final)
        else:
            creator.conda.install(conda, stage, final, report)
        if wheels:
            trusted = environment.spec.get("options", {}).get("trusted_hosts", ())
            creator.wheels.install(wheels, stage, final, report, trusted=trusted)
        creator.byte_code.link(stage, environment.packages)
        variables = creator.activator.variables(stage, final)
        marker = {"id": list(environment.env_id), "variables": dict(variables)}
        creator.prefixes.commit(name, stage, json.dumps(marker, sort_keys=True))
    except OSError as error:
        creator.prefixes.discard(stage)
        raise unwritable("", error) from error
    except BaseException:
        creator.prefixes.discard(stage)
        raise
    return Prefix(path=final, variables=variables)


def check_machine(environment: ResolvedEnvironment, machine: Machine) -> None:
    """Raise CreateError where *environment* is for another platform, or needs more than this machine has."""
    arch = machine.arch()
    if environment.env_id.arch != arch:
        raise CreateError(
            f"the environment is for {environment.env_id.arch}, and this machine is {arch}",
            f"resolve it for {arch} as well",
        )
    have = {package.name: package for package in machine.virtual()}
    for who, name, constraint in _demands(environment):
        package = have.get(name)
        if package is None or not satisfies(package.version, constraint):
            raise CreateError(
                f"{who} needs {' '.join((name, constraint)).strip()}, and this machine has {_shown(package)}",
                f"run it on a machine that has it, ask for another {name} by @sys_packages so that another build is "
                f"picked, or, where the machine is wrongly judged, set CONDA_OVERRIDE_{name[2:].upper()}",
            )


def _shown(package: VirtualPackage | None) -> str:
    return "none" if package is None else package.version


def _demands(environment: ResolvedEnvironment) -> list[tuple[str, str, str]]:
    """Return (package, virtual package, constraint) for all that depends on the machine's abilities."""
    found = []
    for package in environment.conda:
        for depend in package.depends:
            name, _, constraint = depend.partition(" ")
            if name in ("__glibc", "__osx", "__linux", "__cuda"):
                found.append((package.filename, name, constraint.split(" ")[0]))
    for wheel in environment.pypi:
        tags = wheel.filename.rpartition("-")[2]
        minors = [int(minor) for minor in _MANYLINUX.findall(tags)]
        minors += [minor for name, minor in LEGACY_MANYLINUX.items() if f"{name}_" in tags]
        if minors:
            found.append((wheel.filename, "__glibc", f">=2.{min(minors)}"))
    return found
