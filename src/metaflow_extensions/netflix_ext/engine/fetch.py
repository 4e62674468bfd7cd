"""Package files from a store to this machine, before they are installed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from .errors import PackageError
from .events import Reporter
from .package import CondaPackage, PypiPackage
from .ports import Archives
from .resolved import ResolvedEnvironment

TASK = "fetch packages from the store"
_WORKERS = 8
_SHOWN = 5

P = TypeVar("P", CondaPackage, PypiPackage)


def at_hand(
    environment: ResolvedEnvironment, archives: Archives, report: Reporter, note: Callable[[str], None]
) -> tuple[tuple[CondaPackage, ...], tuple[PypiPackage, ...]]:
    """Return the packages of *environment*; what a store keeps has the URL of a file on this machine.

    What a store should have and has not is left to be fetched from its source, and told by *note*. Raises PackageError
    where that has no source, or where bytes are not those that were resolved; then nothing was fetched from a source.
    """
    _check_wheels(environment)
    packages: list[CondaPackage | PypiPackage] = [*environment.conda, *environment.pypi]
    wanted = [package for package in packages if package.filename in environment.stored]
    files = _files(wanted, environment.stored, archives, report) if wanted else {}
    gone = [package for package in packages if package.filename not in files and not package.fetchable]
    if gone:
        places = [f"  {item.filename}: {shown_key(environment.stored.get(item.filename, 'no key'))}" for item in gone]
        raise PackageError(
            "\n".join(["these packages are in no store that was asked, and nowhere else:", *places]),
            "name the store they were kept in by --datastore and --conda-root, or by METAFLOW_CONDA_*ROOT; else "
            "resolve anew: "
            f"metaflow environment resolve --from {':'.join(environment.env_id[:2])}",
        )
    missing = [package.filename for package in wanted if package.filename not in files]
    if missing:
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        note(f"Not in the store, and fetched from where they come from: {', '.join(missing[:_SHOWN])}{more}")
    return _located(environment.conda, files), tuple(
        replace(wheel, index="") if wheel.filename in files else wheel for wheel in _located(environment.pypi, files)
    )


def _files(
    wanted: list[CondaPackage | PypiPackage], stored: Mapping[str, str], archives: Archives, report: Reporter
) -> dict[str, Path]:
    """Return the file of each package that a store has."""
    report.started(TASK, len(wanted))
    found = {}
    try:
        with ThreadPoolExecutor(max_workers=_WORKERS) as pool:
            paths = pool.map(lambda package: archives.local(package, stored[package.filename]), wanted)
            for number, (package, path) in enumerate(zip(wanted, paths, strict=True), 1):
                report.advanced(TASK, number)
                if path is not None:
                    found[package.filename] = path
    finally:
        report.finished(TASK, f"{len(found)} packages")
    return found


def _located(packages: Iterable[P], files: Mapping[str, Path]) -> tuple[P, ...]:
    return tuple(
        replace(package, url=files[package.filename].absolute().as_uri()) if package.filename in files else package
        for package in packages
    )


def _check_wheels(environment: ResolvedEnvironment) -> None:
    """Raise PackageError where 1.x has left a source archive to be built by whoever creates the environment."""
    sources = [package.filename for package in environment.pypi if not package.filename.endswith(".whl")]
    if sources:
        raise PackageError(
            f"only wheels are installed, and the environment has {', '.join(sources)}",
            f"resolve it anew: metaflow environment resolve --from {':'.join(environment.env_id[:2])}",
        )


def shown_key(key: str) -> str:
    """Return *key* as messages may show it: 1.x kept the credentials of a source in it."""
    return "/".join(part.rpartition("@")[2] if number in (2, 3) else part for number, part in enumerate(key.split("/")))
