"""The packages of one environment, on their way into a container. Imports on Python 3.7 (step side).

Conda packages need not come as files: where the store signs requests, what links them reads them from there itself, and
unpacks them as they come.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Iterable, Mapping, TypeVar

from ...adapters.rattler_cache import is_unpacked
from ...engine.errors import PackageError, StoreError
from ...engine.layout import byte_code_key, package_keys
from ...engine.package import AnyPackage, CondaPackage, Interpreter, PypiPackage

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

    from ...engine.compiled import Listing
    from ...engine.ports import Store
    from .arrivals import Arrivals
    from .travelled import TravelledByteCode


T = TypeVar("T")


class Delivery:
    """Packages from *store*.

    Args:
        store: what has them.
        arrivals: what fetches from it.
        stored: keys that are not where they would be, by file name.
        forms: packages in the format that is preferred, by digest (see `engine.formats`).
        cache: the folder of unpacked packages; what lies there is not fetched. None: all of them are needed as files.
        say: tells the log.
    """

    def __init__(
        self,
        store: Store,
        arrivals: Arrivals,
        *,
        stored: Mapping[str, str],
        forms: Mapping[str, Mapping[str, str]],
        cache: str | None,
        say: Callable[[str], None],
    ) -> None:
        self.headers: dict[str, dict[str, str]] = {}
        self._store = store
        self._arrivals = arrivals
        self._stored = stored
        self._forms = forms
        self._cache = cache
        self._say = say

    def unpacked(self, package: CondaPackage) -> CondaPackage | None:
        """Return *package* as it lies unpacked on this machine, in the format it came in; None where it does not."""
        if self._cache is None:
            return None
        form = self._forms.get(package.digest)
        known = (package,) if form is None else (package, _packed(package, package.url, form))
        return next((one for one in known if is_unpacked(one, Path(self._cache))), None)

    def conda(self, package: CondaPackage) -> CondaPackage:
        """Return *package* as a file of this machine; as it is where it is unpacked, or is left to its source.

        Raises PackageError, StoreError.
        """
        there = self.unpacked(package)
        if there is not None:
            return there
        form = self._forms.get(package.digest)
        if form is not None:
            path = self._arrivals.fetch(form["key"], form["sha256"], form["file"])
            if path is not None:
                return _packed(package, _url(path), form)
        path = self._file(package)
        return package if path is None else replace(package, url=_url(path))

    def wheel(self, package: PypiPackage) -> PypiPackage:
        """Return *package* as a file of this machine; see `conda`."""
        path = self._file(package)
        return package if path is None else replace(package, url=_url(path), index="")

    def python(self, package: Interpreter | None) -> Interpreter | None:
        """Return *package* as a file of this machine; see `conda`. One that is installed somewhere stays as it is."""
        path = self._file(package) if package is not None and not package.installed else None
        return package if package is None or path is None else replace(package, url=_url(path))

    def _file(self, package: AnyPackage) -> str | None:
        keys = package_keys(package, self._stored)
        for key in keys:
            path = self._arrivals.fetch(key, package.digest, package.filename)
            if path is not None:
                return path
        place = self._store.where(keys[-1])
        if not package.fetchable:
            raise StoreError(f"'{place}' is not there any more", "restore it, or resolve the environment anew")
        self._say(f"Warning: '{place}' is not there any more; it is fetched from where it came from")
        return None

    def signed(self, packages: Iterable[CondaPackage]) -> tuple[CondaPackage, ...] | None:
        """Return *packages* with URLs of the store, which `headers` open; None where it signs nothing.

        Whether they are there shows when they are read, and their bytes are checked then.
        """
        found = []
        for package in packages:
            form = self._forms.get(package.digest)
            key = form["key"] if form is not None else package_keys(package, self._stored)[0]
            # py-rattler checks what it reads by its SHA-256 alone.
            request = self._store.signed(key) if package.sha256 or form is not None else None
            if request is None:
                return None
            url, self.headers[url] = request
            found.append(replace(package, url=url) if form is None else _packed(package, url, form))
        return tuple(found)

    def byte_code(self, listing: Listing, tag: str, target: TravelledByteCode, pool: Executor) -> list[Future[None]]:
        """Let *pool* fetch and unpack what *listing* names; without it, the task compiles what it imports."""

        def one(digest: str, sha256: str) -> None:
            try:
                path = self._arrivals.fetch(byte_code_key(tag, digest, f"{sha256}.zip"), sha256, "bytecode.zip")
                if path is not None:
                    target.unpack(path, digest.replace(":", "-"))
            except (PackageError, StoreError) as error:
                self._say(f"Warning: {error.message}")

        return [pool.submit(one, digest, sha256) for digest, sha256 in listing.items()]


class Additions:
    """What a prefix is given after its conda packages; ``asked`` tells whether it has come that far.

    Args:
        uv: what puts wheels in place, on its way.
        wheels: what is put there.
        codes: byte code, on its way to *target*.
        target: what links it.
    """

    def __init__(
        self,
        uv: Iterable[Future[Any]],
        wheels: Iterable[Future[PypiPackage]],
        codes: Iterable[Future[Any]],
        target: TravelledByteCode,
    ) -> None:
        self.asked = False
        self._uv = list(uv)
        self._wheels = list(wheels)
        self._codes = list(codes)
        self._target = target

    def settle(self) -> None:
        """Wait for all of it."""
        settled([*self._uv, *self._wheels, *self._codes])

    def wheels(self) -> tuple[PypiPackage, ...]:
        """Return the wheels, when they and uv are there."""
        self.asked = True
        settled(self._uv)
        return tuple(settled(self._wheels))

    def link(self, stage: Path, packages: Iterable[AnyPackage]) -> int:
        """Link byte code, when it is there: see `ports.LinkedByteCode`."""
        self.asked = True
        settled(self._codes)
        return self._target.link(stage, packages)


def promised(wheels: Iterable[PypiPackage]) -> tuple[PypiPackage, ...]:
    """Return *wheels* as files of this machine, which `Additions` bring, wherever they came from before."""
    return tuple(replace(wheel, url=f"file:///{wheel.filename}", origin="") for wheel in wheels)


def settled(futures: Iterable[Future[T]]) -> list[T]:
    """Return what *futures* have come to, when all have."""
    return [future.result() for future in futures]


def _packed(package: CondaPackage, url: str, form: Mapping[str, str]) -> CondaPackage:
    return replace(package, url=url, filename=form["file"], sha256=form["sha256"], md5="", size=0)


def _url(path: str) -> str:
    return Path(path).absolute().as_uri()
