"""Any class of Metaflow's for a datastore, by the methods that all of them have. Imports on Python 3.7."""

from __future__ import annotations

import os
import shutil
from io import BytesIO
from typing import Any, Iterator

from .bucket import BLOCK, DENIED, OTHER, Bucket, Fault

_SIDECAR = "_meta"


class PlainBucket(Bucket):
    """Objects below the root of *storage*."""

    lists = False

    def __init__(self, storage: Any) -> None:
        self._storage = storage

    def read(self, name: str) -> bytes | None:
        """See `Bucket.read`."""
        with self._storage.load_bytes([name]) as found:
            for _, path, _ in found:
                if path is not None and os.path.isfile(path):
                    with open(path, "rb") as file:
                        return file.read()
        return None

    def download(self, name: str, path: str) -> bool:
        """See `Bucket.download`."""
        with self._storage.load_bytes([name]) as found:
            for _, source, _ in found:
                # It may be the store's own file: it is copied, never moved.
                if source is not None and os.path.isfile(source):
                    with open(source, "rb") as file, open(path, "wb") as target:
                        shutil.copyfileobj(file, target, BLOCK)
                    return True
        return False

    def write(self, name: str, data: bytes, overwrite: bool) -> None:
        """See `Bucket.write`."""
        self._storage.save_bytes([(name, BytesIO(data))], overwrite=overwrite, len_hint=1)

    def upload(self, name: str, path: str) -> None:
        """See `Bucket.upload`."""
        with open(path, "rb") as file:
            self._storage.save_bytes([(name, file)], overwrite=False, len_hint=1)

    def exists(self, name: str) -> bool:
        """See `Bucket.exists`."""
        return bool(self._storage.is_file([name])[0])

    def entries(self, folder: str) -> Iterator[str]:
        """See `Bucket.entries`."""
        try:
            found = {item.path.strip("/"): item.is_file for item in self._storage.list_content([folder.rstrip("/")])}
        except NotADirectoryError:
            return
        for name, is_file in found.items():
            sidecar = name.endswith(_SIDECAR) and name[: -len(_SIDECAR)] in found
            if not sidecar:
                yield name if is_file else name + "/"

    @staticmethod
    def fault(error: Exception) -> Fault:
        """See `Bucket.fault`."""
        if isinstance(error, OSError):
            return Fault(DENIED if isinstance(error, PermissionError) else OTHER, error.strerror or error)
        return Fault(OTHER, error)
