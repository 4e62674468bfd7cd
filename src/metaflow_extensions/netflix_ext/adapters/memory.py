"""A store in memory: for tests, ours and others'."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from ..engine.layout import check_key


class MemoryStore:
    """Keys and bytes in a dictionary."""

    def __init__(self) -> None:
        self._items: dict[str, bytes] = {}

    def get(self, key: str) -> bytes | None:
        """Return the bytes under *key*, or None."""
        return self._items.get(check_key(key))

    def copy(self, key: str, path: Path) -> bool:
        """Write the bytes under *key* to the file *path*; tell whether there are any."""
        data = self.get(key)
        if data is not None:
            path.write_bytes(data)
        return data is not None

    def put(self, key: str, data: bytes, *, overwrite: bool = False) -> None:
        """Store *data*; without *overwrite* what is there stays."""
        if overwrite:
            self._items[check_key(key)] = bytes(data)
        else:
            self._items.setdefault(check_key(key), bytes(data))

    def put_file(self, key: str, path: Path) -> None:
        """Store the bytes of the file *path*; what is there stays."""
        self.put(key, path.read_bytes())

    def present(self, keys: Iterable[str]) -> set[str]:
        """Return those of *keys* that have bytes."""
        return {key for key in keys if check_key(key) in self._items}

    def signed(self, key: str) -> None:
        """Return None: see `ports.Store.signed`."""

    def where(self, key: str) -> str:
        """Return how messages name the place of *key*."""
        return f"memory:{key}"

    def list(self, prefix: str) -> Iterator[str]:
        """Yield the keys below the folder *prefix*, one level: sub-folders end in ``/``."""
        head = f"{check_key(prefix.rstrip('/'))}/" if prefix else ""
        found = set()
        for key in self._items:
            if key.startswith(head):
                name, slash, _ = key[len(head) :].partition("/")
                found.add(f"{head}{name}{slash}")
        yield from sorted(found)
