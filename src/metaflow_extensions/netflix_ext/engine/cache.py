"""The packages of environments into the shared store, before anything there points at them."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from .events import Reporter, working
from .fetch import nowhere
from .layout import environment_key, package_keys
from .package import AnyPackage
from .ports import Archives, Store
from .resolved import ResolvedEnvironment

_WORKERS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """A package that the store lacks: whose it is, the keys it may have, the hosts whose certificates are not checked.

    The file goes under the last of the keys.
    """

    package: AnyPackage
    keys: tuple[str, ...]
    trusted: tuple[str, ...]


def lacking(environments: Iterable[ResolvedEnvironment], store: Store) -> list[ResolvedEnvironment]:
    """Return those that *store* has no document of: it has all packages of the others, as those came before."""
    keys = {environment_key(environment.env_id): environment for environment in environments}
    there = store.present(keys)
    return [environment for key, environment in keys.items() if key not in there]


def cache(
    environments: Sequence[ResolvedEnvironment], store: Store, archives: Archives, report: Reporter, *, title: str
) -> None:
    """Put what *store* lacks of the packages of *environments* there, each once, several at a time.

    *title* names the work for *report*, in bytes. What was stored before an error stays, and is not stored again.
    Raises PackageError where a package cannot be had or is another one than was resolved, StoreError, and OSError where
    this machine cannot hold it.
    """
    wanted = _missing(environments, store)
    if not wanted:
        return
    total = sum(item.package.size for item in wanted)
    with working(report, title, total, unit="bytes") as work:
        size = _Transfer(store, archives, report, title).run(wanted)
        work.summary = f"{len(wanted)} packages, {size / 1e6:.1f} MB"


def _missing(environments: Iterable[ResolvedEnvironment], store: Store) -> list[_Wanted]:
    """Return what *store* lacks, the largest first: those take longest."""
    found: dict[str, _Wanted] = {}
    for environment in environments:
        trusted = tuple(environment.spec.get("options", {}).get("trusted_hosts", ()))
        for package in environment.packages:
            keys = package_keys(package, environment.stored)
            found.setdefault(keys[-1], _Wanted(package=package, keys=keys, trusted=trusted))
    there = store.present(key for item in found.values() for key in item.keys)
    missing = [item for item in found.values() if there.isdisjoint(item.keys)]
    return sorted(missing, key=lambda item: -item.package.size)


class _Transfer:
    """Packages on their way from where they are to a store."""

    def __init__(self, store: Store, archives: Archives, report: Reporter, title: str) -> None:
        self._store = store
        self._archives = archives
        self._report = report
        self._title = title
        self._done = 0
        self._stop = threading.Event()
        self._lock = threading.Lock()

    def run(self, wanted: Iterable[_Wanted]) -> int:
        """Store all of *wanted* and return how many bytes that were; with the first error no other is begun."""
        with ThreadPoolExecutor(max_workers=_WORKERS) as pool:
            futures: Mapping[Future[int], _Wanted] = {pool.submit(self._one, item): item for item in wanted}
            try:
                done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            finally:
                self._stop.set()
                for future in futures:
                    future.cancel()
        for future in done:
            future.result()
        return sum(future.result() for future in futures)

    def _one(self, item: _Wanted) -> int:
        if self._stop.is_set():
            return 0
        path = self._archives.here(item.package) or self._elsewhere(item)
        size = path.stat().st_size
        self._store.put_file(item.keys[-1], path)
        with self._lock:
            self._done += item.package.size
            self._report.advanced(self._title, self._done)
        return size

    def _elsewhere(self, item: _Wanted) -> Path:
        if item.package.fetchable:
            return self._archives.fetched(item.package, trusted=item.trusted)
        found = self._archives.copied(item.package, item.keys)
        if found is None:
            raise nowhere(item.package)
        return found
