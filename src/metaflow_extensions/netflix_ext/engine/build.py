"""Wheels of origins: each is built once, and what was built is taken from then on, here and by everybody who shares.

packages/pypi/<host>/<path>/<file>/<sha256>/<file>   the wheel, as any other
built/<origin>/<cache tag>/<arch>                    which wheel that is; ``any`` for one without a platform
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from packaging.utils import canonicalize_name, parse_wheel_filename

from .create import Creator, create
from .errors import ResolveError, StoreError
from .events import Reporter, working
from .layout import built_key, package_keys
from .origin import Link, Origin
from .package import PypiPackage, package_from_dict, package_to_dict
from .ports import Archives, Origins, Prefix, Store
from .resolved import ResolvedEnvironment

_ANY = "any"
_WORKERS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Builder:
    """What builds for all environments need: *stores* are those that may have a wheel, the first keeps what is built.

    ``arch`` is that of this machine, ``creator`` gives what makes the prefixes that builds run in.
    """

    origins: Origins
    files: Archives
    stores: Sequence[Store]
    creator: Callable[[], Creator]
    arch: str
    locks: defaultdict[str, threading.Lock] = field(default_factory=lambda: defaultdict(threading.Lock))


class Builds:
    """The builds for one environment.

    Args:
        builder: what all builds need.
        environment: the conda packages of the environment, Python among them.
        here: the same for this machine, where the environment is for another platform.
        report: who is told.
    """

    def __init__(
        self,
        builder: Builder,
        environment: ResolvedEnvironment,
        here: Callable[[], ResolvedEnvironment],
        report: Reporter,
    ) -> None:
        self._builder = builder
        self._environment = environment
        self._here = here
        self._report = report
        self._lock = threading.Lock()
        self._prefix: Prefix | None = None

    def pinned(self, name: str, link: Link) -> Origin:
        """Return the state that *link* of the requirement *name* leads to now; raise SourceError, InputError."""
        return self._builder.origins.pinned(name, link)

    def prefix(self) -> Prefix:
        """Return where builds run: the environment's own Python and conda packages; raise CreateError, PackageError."""
        with self._lock:
            if self._prefix is None:
                environment = self._environment
                if environment.env_id.arch != self._builder.arch:
                    environment = self._here()
                self._prefix = create(
                    environment,
                    self._builder.creator(),
                    self._report,
                    title=f"Creating the prefix to build in, with Python {environment.python_version}",
                    name=f"metaflow_builder_{environment.env_id.full_id}",
                    replace=True,
                )
            return self._prefix

    def wheels(
        self, origins: Mapping[str, Origin], variables: Mapping[str, str]
    ) -> dict[str, tuple[PypiPackage, Path]]:
        """Return the wheel of each origin, by the name of the distribution, built now where no store has it.

        *variables* are for the build, over those of its prefix. Raises ResolveError, SourceError, PackageError.
        """
        with ThreadPoolExecutor(max_workers=_WORKERS) as pool:
            found = pool.map(lambda item: self._wheel(item[0], item[1], variables), sorted(origins.items()))
            return dict(zip(sorted(origins), found, strict=True))

    def keep(self, package: PypiPackage, path: Path) -> None:
        """Keep the file *path* of *package*, which is on this machine alone, where what was built is kept."""
        self._builder.stores[0].put_file(package_keys(package, {})[-1], path)

    def _wheel(self, name: str, origin: Origin, variables: Mapping[str, str]) -> tuple[PypiPackage, Path]:
        with self._builder.locks[origin.digest + self._environment.cache_tag]:
            known = self._known(origin)
            if known is None:
                return self._built(name, origin, variables)
        _check_name(name, known[0])
        return known

    def _known(self, origin: Origin) -> tuple[PypiPackage, Path] | None:
        """Return what a store has, where its wheel is there too."""
        for store in self._builder.stores:
            for arch in (self._environment.env_id.arch, _ANY):
                key = built_key(origin.digest, self._environment.cache_tag, arch)
                data = store.get(key)
                package = read(data, store.where(key)) if data is not None else None
                path = self._file(package) if package is not None else None
                if package is not None and path is not None:
                    return package, path
        return None

    def _file(self, package: PypiPackage) -> Path | None:
        return self._builder.files.here(package) or self._builder.files.copied(package, package_keys(package, {}))

    def _built(self, name: str, origin: Origin, variables: Mapping[str, str]) -> tuple[PypiPackage, Path]:
        prefix = self.prefix()
        task = f"Building {name} from {origin}"
        with (
            working(self._report, task) as work,
            self._builder.origins.built(name, origin, prefix, variables) as path,
        ):
            package = packaged(path, origin)
            self._check(name, package)
            self.keep(package, path)
            self._builder.stores[0].put(*record(package, self._environment))
            work.summary = package.filename
        found = self._file(package)
        assert found is not None, "the first store has it"
        return package, found

    def _check(self, name: str, package: PypiPackage) -> None:
        _check_name(name, package)
        arch = self._environment.env_id.arch
        if arch != self._builder.arch and _place(package, arch) != _ANY:
            raise ResolveError(
                f"'{name}' is built here to {package.filename}, which does not run on {arch}: only a wheel without "
                "compiled parts can be built for another platform",
                f"resolve it on {arch}, take a version that has a wheel for {arch}, or leave it out",
            )


def _check_name(name: str, package: PypiPackage) -> None:
    if canonicalize_name(package.name) != name:
        raise ResolveError(
            f"'{name} @ {package.origin}' is the project '{package.name}', by its own metadata",
            f"write {package.name} @ ..., or another link",
        )


def packaged(path: Path, origin: Origin) -> PypiPackage:
    """Return the wheel *path* as a package that was built from *origin*."""
    name, version, _, _ = parse_wheel_filename(path.name)
    data = path.read_bytes()
    return PypiPackage(
        name=str(name),
        version=str(version),
        filename=path.name,
        url=origin.url,
        sha256=hashlib.sha256(data).hexdigest(),
        size=len(data),
        origin=str(origin),
    )


def record(package: PypiPackage, environment: ResolvedEnvironment) -> tuple[str, bytes]:
    """Return key and bytes of what tells that *package* was built from its origin, for such Pythons."""
    place = _place(package, environment.env_id.arch)
    key = built_key(Origin.parse(package.origin).digest, environment.cache_tag, place)
    return key, (json.dumps(package_to_dict(package), sort_keys=True) + "\n").encode("utf-8")


def publish(environments: Iterable[ResolvedEnvironment], store: Store) -> None:
    """Tell those who share *store*, which has all packages by now, what was built of which origin."""
    records = dict(
        record(package, environment) for environment in environments for package in environment.pypi if package.origin
    )
    for key in sorted(records.keys() - store.present(records)):
        store.put(key, records[key])


def read(data: bytes, where: str) -> PypiPackage:
    """Read what `record` wrote; raise StoreError with *where* in it."""
    try:
        values = json.loads(data.decode("utf-8"))
    except ValueError as error:
        raise StoreError(f"{where}: not a record of a build ({error})", "remove it: it is written anew") from None
    return package_from_dict(PypiPackage, values, where)


def _place(package: PypiPackage, arch: str) -> str:
    tags = parse_wheel_filename(package.filename)[3]
    return _ANY if all(tag.platform == "any" for tag in tags) else arch
