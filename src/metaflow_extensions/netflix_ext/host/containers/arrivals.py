"""What arrives in a container from the store, checked by its hash. Imports on Python 3.7 (step side)."""

from __future__ import annotations

import os
import threading
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Mapping

from ...adapters.digest import file_digest, parts_of
from ...engine.errors import PackageError, StoreError
from ...engine.layout import FOLDER_NAMES, tool_key
from ...engine.renamed import renamed
from .. import compat
from ..store import MetaflowStore

if TYPE_CHECKING:
    from ...engine.ports import Store


def store_at(datastore: str, root: str) -> Store:
    """Return the store at *root* of a datastore, its folders named as they are configured."""
    names = compat.configured(tuple(FOLDER_NAMES.values()))
    return renamed(
        MetaflowStore(datastore, root), {usual: names[name] or usual for usual, name in FOLDER_NAMES.items()}
    )


class Arrivals:
    """Files of *store*, below *folder*; several threads may fetch. ``bytes`` counts what has come."""

    def __init__(self, store: Store, folder: str) -> None:
        self.bytes = 0
        self._store = store
        self._folder = folder
        self._lock = threading.Lock()

    def fetch(self, key: str, digest: str, name: str) -> str | None:
        """Return the path of a file called *name* with what the store has under *key*, None where it has nothing.

        Raises PackageError where that does not hash to *digest*.
        """
        path = Path(self._folder, digest.replace(":", "-"), name)
        path.parent.mkdir(parents=True, exist_ok=True)
        if not self._store.copy(key, path):
            return None
        algorithm, expected = parts_of(digest)
        found = file_digest(path, algorithm)
        if found != expected:
            path.unlink()
            raise PackageError(
                f"'{self._store.where(key)}' is not the file that was resolved: expected {expected}, got {found}",
                "nothing was installed of it. Remove it from the datastore and deploy the flow again",
            )
        with self._lock:
            self.bytes += path.stat().st_size
        return str(path)

    def unpack(self, tool: Mapping[str, str], target: str) -> None:
        """Unpack the wheel of *tool* into *target*, its programs into ``bin``; raise StoreError where it is gone."""
        key = tool_key(tool["name"], tool["sha256"], tool["file"])
        path = self.fetch(key, tool["sha256"], tool["file"])
        if path is None:
            raise StoreError(
                f"'{self._store.where(key)}' is not there any more", "deploy the flow again: it puts it back"
            )
        with zipfile.ZipFile(path) as wheel:
            for member in wheel.infolist():
                parts = member.filename.split("/")
                if len(parts) > 2 and parts[0].endswith(".data") and parts[1] == "scripts":
                    member.filename = "/".join(["bin", *parts[2:]])
                    os.chmod(wheel.extract(member, target), 0o755)  # noqa: S103 - a program that is run
                else:
                    wheel.extract(member, target)
