"""A store in a folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..engine.errors import StoreError
from ..engine.layout import check_key
from . import disk

_BLOCK = 1 << 20


class FolderStore:
    """Keys are paths below *root*, which is made by the first `put`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def get(self, key: str) -> bytes | None:
        """Return the bytes under *key*, or None."""
        try:
            return (self._root / check_key(key)).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        except OSError as error:
            raise StoreError(f"'{self._root / key}' cannot be read: {error.strerror}", _ACCESS) from error

    def copy(self, key: str, path: Path) -> bool:
        """Write the bytes under *key* to the file *path*; tell whether there are any."""
        try:
            source = (self._root / check_key(key)).open("rb")
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return False
        except OSError as error:
            raise StoreError(f"'{self._root / key}' cannot be read: {error.strerror}", _ACCESS) from error
        with source, disk.aside(path) as written, written.open("wb") as target:
            shutil.copyfileobj(source, target, _BLOCK)
        return True

    def put(self, key: str, data: bytes, *, overwrite: bool = False) -> None:
        """Store *data*, whole or not at all; without *overwrite* what is there stays."""
        path = self._root / check_key(key)
        if not overwrite and path.exists():
            return
        try:
            disk.write(path, data, overwrite=overwrite)
        except OSError as error:
            raise StoreError(f"'{path}' cannot be written: {error.strerror}", _ACCESS) from error

    def put_file(self, key: str, path: Path) -> None:
        """Store the bytes of the file *path*, whole or not at all; what is there stays."""
        target = self._root / check_key(key)
        if target.exists():
            return
        with path.open("rb") as source:
            try:
                with disk.aside(target, overwrite=False) as written, written.open("wb") as file:
                    shutil.copyfileobj(source, file, _BLOCK)
            except OSError as error:
                raise StoreError(f"'{target}' cannot be written: {error.strerror}", _ACCESS) from error

    def present(self, keys: Iterable[str]) -> set[str]:
        """Return those of *keys* that have bytes."""
        return {key for key in keys if (self._root / check_key(key)).is_file()}

    def list(self, prefix: str) -> Iterator[str]:
        """Yield the keys below the folder *prefix*, one level: sub-folders end in ``/``."""
        head = f"{check_key(prefix.rstrip('/'))}/" if prefix else ""
        try:
            with os.scandir(self._root / head) as entries:
                found = sorted(f"{entry.name}{'/' if entry.is_dir() else ''}" for entry in entries)
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise StoreError(f"'{self._root / head}' cannot be read: {error.strerror}", _ACCESS) from error
        yield from (f"{head}{name}" for name in found if not name.startswith("."))

    def signed(self, key: str) -> None:
        """Return None: see `ports.Store.signed`."""

    def where(self, key: str) -> str:
        """Return the path of the file of *key*."""
        return str(self._root / key)


_ACCESS = "check that the folder exists, that you may write there, and that the disk is not full"
