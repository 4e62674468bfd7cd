"""What metaflow-netflixext 1.x has left: names in the stores, and the manifest of this machine. Nothing here writes.

Imports on Python 3.7 (step side).
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from .alias import Alias, Pathspec
from .errors import AliasError, StoreError
from .identity import EnvID
from .manifest import VERSION, Manifest, pair
from .resolved import ResolvedEnvironment

if TYPE_CHECKING:
    from .ports import Store

MANIFEST = "conda_v2.cnd"
_GENERIC = "envs/aliases/generic/"


class ManifestFile:
    """The manifest in *folder*, read when first asked for; *where* names it.

    Without a folder there is none. One that cannot be read is as good as none, and ``fault`` says why.
    """

    def __init__(self, folder: Store | None = None, where: str = MANIFEST) -> None:
        self.fault: StoreError | None = None
        self._folder = folder
        self._where = where
        self._content = Manifest({"version": VERSION}, where)

    @property
    def content(self) -> Manifest:
        """What it says: nothing where there is none."""
        folder = self._folder
        if folder is not None:
            try:
                data = folder.get(MANIFEST)
                if data is not None:
                    self._content = Manifest.from_bytes(data, self._where)
            except StoreError as error:
                self.fault = error
            self._folder = None
        return self._content


class History:
    """Environments and names of 1.x, in *stores* (nearest first) and in *manifest*.

    Its names do not tell the platform: they have an environment for those that have one of the same ids. A name that
    may move means what the farthest store says, as in 1.x.
    """

    def __init__(self, stores: tuple[Store, ...], manifest: ManifestFile) -> None:
        self._stores = stores
        self._file = manifest

    @property
    def fault(self) -> StoreError | None:
        """Why the manifest could not be read, where it was asked and could not."""
        return self._file.fault

    def find(self, env_id: EnvID) -> ResolvedEnvironment | None:
        """Return the environment of that id in the manifest, or None; raise StoreError where it is damaged there."""
        return self._file.content.find(env_id)

    def ids(self, arch: str | None) -> Iterator[EnvID]:
        """Yield the ids in the manifest; what is in stores lies where ours does, and is listed with it."""
        return self._file.content.ids(arch)

    def ran(self, pathspec: Pathspec, arch: str) -> EnvID | None:
        """Return the environment that the manifest says a step ran in, or None."""
        found = self._file.content.ran(f"{pathspec.flow}/{pathspec.run}/{pathspec.step}")
        if found is None:
            return None
        arches = self._arches(*found)
        return EnvID(*found, arch if arch in arches or not arches else arches[0])

    def alias(self, alias: Alias, arch: str) -> EnvID | None:
        """Return what *alias* means on *arch*, or None; raise StoreError where its record is damaged."""
        found = self._pair(alias)
        if found is None:
            return None
        arches = self._arches(*found)
        return EnvID(*found, arch) if arch in arches or not arches else None

    def arches(self, alias: Alias) -> tuple[str, ...]:
        """Return the platforms that *alias* has an environment for."""
        found = self._pair(alias)
        return self._arches(*found) if found is not None else ()

    def aliases(self) -> Iterator[tuple[Alias, str]]:
        """Yield every alias with every platform; a damaged record has none."""
        every = [alias for store in self._stores for alias in _aliases(store, _GENERIC)]
        every += _written(self._file.content)
        for alias in dict.fromkeys(every):
            try:
                arches = self.arches(alias)
            except StoreError:
                continue
            yield from ((alias, arch) for arch in arches)

    def _pair(self, alias: Alias) -> tuple[str, str] | None:
        key = f"{_GENERIC}{alias.name}/{alias.tag}"
        for store in reversed(self._stores) if alias.moves else self._stores:
            data = store.get(key)
            if data is not None:
                return _read(data, store.where(key))
        return self._file.content.named(alias.name, alias.tag)

    def _arches(self, req_id: str, full_id: str) -> tuple[str, ...]:
        found = set()
        for store in self._stores:
            for folder in store.list("envs/"):
                if folder != "envs/aliases/" and any(store.list(f"{folder}{req_id}/{full_id}/")):
                    found.add(folder.split("/")[1])
        found.update(self._file.content.arches(req_id, full_id))
        return tuple(sorted(found))


def _written(manifest: Manifest) -> Iterator[Alias]:
    for name, tag in manifest.names():
        with contextlib.suppress(AliasError):
            yield Alias.parse(f"{name}:{tag}")


def _read(data: bytes, key: str) -> tuple[str, str]:
    try:
        found = pair(json.loads(data.decode("utf-8")))
    except ValueError:
        found = None
    if found is None:
        raise StoreError(f"{key}: not an alias of metaflow-netflixext 1.x", "give the name anew, or remove the file")
    return found


def _aliases(store: Store, folder: str) -> Iterator[Alias]:
    for key in store.list(folder):
        part = key.rstrip("/").rpartition("/")[2]
        if not key.endswith("/"):
            with contextlib.suppress(AliasError):  # else nobody could ask for it
                yield Alias.parse(f"{folder[len(_GENERIC) :].rstrip('/')}:{part}")
        elif not part.startswith("@"):
            yield from _aliases(store, key)
