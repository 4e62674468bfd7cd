"""Package files to this machine before they are installed: from here, from a store, else left to their source."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from .errors import PackageError, StoreError
from .events import Reporter
from .layout import package_keys
from .package import AnyPackage, CondaPackage, Interpreter, PypiPackage
from .ports import PackageFiles
from .resolved import ResolvedEnvironment

_TASK = "fetch packages from the store"
_WORKERS = 8
_SHOWN = 5

P = TypeVar("P", CondaPackage, PypiPackage, Interpreter)


def at_hand(
    environment: ResolvedEnvironment,
    archives: PackageFiles,
    unpacked: Callable[[CondaPackage], bool],
    report: Reporter,
    note: Callable[[str], None],
) -> tuple[tuple[CondaPackage, ...], tuple[PypiPackage, ...], Interpreter | None]:
    """Return the packages of *environment* and its Python, where that comes from uv.

    Those whose file is here, or in a store, have its URL on this machine.

    What is *unpacked* needs no file. What a store should have and has not is left to be fetched from its source, and
    told by *note*. Raises PackageError where that has no source, or where bytes are not those that were resolved; then
    nothing was fetched from a source.
    """
    _check_wheels(environment)
    wanted = [item for item in environment.packages if not isinstance(item, CondaPackage) or not unpacked(item)]
    files = _Files(environment.stored, archives)
    files.find(wanted, report)
    found = files.paths
    gone = [package for package in wanted if package.filename not in found and not package.fetchable]
    if gone:
        keys = {item.filename: package_keys(item, environment.stored)[0] for item in gone}
        places = [f"  {name}: {shown_key(key)}" for name, key in keys.items()]
        raise PackageError(
            "\n".join(["these packages are in no store that was asked, and nowhere else:", *places]),
            "name the store they were kept in by --datastore and --conda-root, or by METAFLOW_CONDA_*ROOT; else "
            "resolve anew: "
            f"metaflow environment resolve --from {':'.join(environment.env_id[:2])}",
        )
    _tell(wanted, files, note)
    wheels = tuple(
        replace(wheel, index="") if wheel.filename in found else wheel for wheel in _located(environment.pypi, found)
    )
    pythons = _located((environment.interpreter,), found) if environment.interpreter is not None else ()
    return _located(environment.conda, found), wheels, next(iter(pythons), None)


def _tell(wanted: Iterable[AnyPackage], files: _Files, note: Callable[[str], None]) -> None:
    """Say what a store should have had: what the document says of it, and all of an environment that has some there."""
    missing = [
        package.filename
        for package in wanted
        if package.filename not in files.paths and (files.is_cached or package.filename in files.stored)
    ]
    if files.fault is not None:
        note(f"{files.fault.message}. Packages are fetched from where they come from")
    elif missing:
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        note(f"Not in the store, and fetched from where they come from: {', '.join(missing[:_SHOWN])}{more}")


class _Files:
    """Files of packages, by file name, as they are found.

    ``is_cached`` says whether a store had one where its URL tells, ``fault`` why a store was not asked any more.
    """

    def __init__(self, stored: Mapping[str, str], archives: PackageFiles) -> None:
        self.stored = stored
        self.paths: dict[str, Path] = {}
        self.copied = 0
        self.is_cached = False
        self.fault: StoreError | None = None
        self._archives = archives
        self._lock = threading.Lock()

    def find(self, packages: list[AnyPackage], report: Reporter) -> None:
        """Look for the file of each of *packages*, here and in the stores."""
        if not packages:
            return
        report.started(_TASK, len(packages))
        try:
            with ThreadPoolExecutor(max_workers=_WORKERS) as pool:
                for number, _ in enumerate(pool.map(self._one, packages), 1):
                    report.advanced(_TASK, number)
        finally:
            report.finished(_TASK, f"{self.copied} packages")

    def _one(self, package: AnyPackage) -> None:
        path = self._archives.here(package)
        copied = path is None and not (self.fault and package.fetchable)
        if copied:
            try:
                path = self._archives.copied(package, package_keys(package, self.stored))
            except StoreError as error:
                if not package.fetchable:
                    raise
                self.fault = error
        with self._lock:
            if path is not None:
                self.paths[package.filename] = path
                self.copied += copied
                self.is_cached = self.is_cached or (copied and package.filename not in self.stored)


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


def nowhere(package: AnyPackage) -> PackageError:
    """Return the error for a package that neither this machine, nor a store, nor its source has."""
    return PackageError(
        f"'{package.filename}' is in no store that was asked, and nowhere else",
        "resolve its environment anew, or name the store that has it",
    )


def shown_key(key: str) -> str:
    """Return *key* as messages may show it: 1.x kept the credentials of a source in it."""
    return "/".join(part.rpartition("@")[2] if number in (2, 3) else part for number, part in enumerate(key.split("/")))
