"""A store whose uppermost folders have other names than elsewhere. Imports on Python 3.7 (step side)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from .ports import Store


def renamed(store: Store, folders: Mapping[str, str]) -> Store:
    """Return *store* with *folders*, by their usual names, called otherwise in it, where any is."""
    names = {usual: name for usual, name in folders.items() if name != usual}
    return RenamedStore(store, names) if names else store


class RenamedStore:
    """The store *store*, with *names* of its own for some of the folders at its root; keys have the usual ones."""

    def __init__(self, store: Store, names: Mapping[str, str]) -> None:
        self._store = store
        self._names = dict(names)
        self._usual = {own: usual for usual, own in names.items()}

    def get(self, key: str) -> bytes | None:
        """Return the bytes under *key*, or None."""
        return self._store.get(self._own(key))

    def copy(self, key: str, path: Path) -> bool:
        """Write the bytes under *key* to the file *path*; tell whether there are any."""
        return self._store.copy(self._own(key), path)

    def signed(self, key: str) -> tuple[str, dict[str, str]] | None:
        """Return the URL of *key* and the headers to get it with, or None."""
        return self._store.signed(self._own(key))

    def put(self, key: str, data: bytes, *, overwrite: bool = False) -> None:
        """Store *data*, whole or not at all; without *overwrite* what is there stays."""
        self._store.put(self._own(key), data, overwrite=overwrite)

    def put_file(self, key: str, path: Path) -> None:
        """Store the bytes of the file *path*, whole or not at all; what is there stays."""
        self._store.put_file(self._own(key), path)

    def present(self, keys: Iterable[str]) -> set[str]:
        """Return those of *keys* that have bytes."""
        asked = {self._own(key): key for key in keys}
        return {asked[key] for key in self._store.present(asked)}

    def list(self, prefix: str) -> Iterator[str]:
        """Yield the keys below the folder *prefix*, one level: sub-folders end in ``/``."""
        found = self._store.list(self._own(prefix))
        yield from sorted(_renamed(key, self._usual) for key in found)

    def where(self, key: str) -> str:
        """Return how messages name the place of *key*."""
        return self._store.where(self._own(key))

    def _own(self, key: str) -> str:
        return _renamed(key, self._names)


def _renamed(key: str, names: Mapping[str, str]) -> str:
    first, slash, rest = key.partition("/")
    return names.get(first, first) + slash + rest
