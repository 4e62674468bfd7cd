"""Google Storage, by the clients that Metaflow's class makes. Imports on Python 3.7.

Metaflow's own methods read every object into memory and copy it once more on the disk, ask whether an object is there
before they write it, which two may do at once, and try for two minutes where nothing answers.
"""

from __future__ import annotations

from typing import Any, Iterator

from .bucket import DENIED, NO_BUCKET, NO_CLIENT, OTHER, UNKNOWN_USER, UNREACHABLE, Bucket, Fault, chain

_ONCE: dict[str, Any] = {"retry": None, "timeout": (20, 300)}


class GSBucket(Bucket):
    """Objects below ``gs://bucket/prefix``."""

    seeks = True

    def __init__(self, storage: Any) -> None:
        self._root = storage.root_client
        self._head = str(self._root.get_blob_full_path("x"))[:-1]

    def read(self, name: str) -> bytes | None:
        """See `Bucket.read`."""
        from google.api_core.exceptions import NotFound

        try:
            return bytes(self._root.get_blob_client(name).download_as_bytes(**_ONCE))
        except NotFound as error:
            if _no_bucket(error):
                raise
            return None

    def download(self, name: str, path: str) -> bool:
        """See `Bucket.download`."""
        from google.api_core.exceptions import NotFound

        try:
            self._root.get_blob_client(name).download_to_filename(path, **_ONCE)
        except NotFound as error:
            if _no_bucket(error):
                raise
            return False
        return True

    def write(self, name: str, data: bytes, overwrite: bool) -> None:
        """See `Bucket.write`."""
        from google.api_core.exceptions import PreconditionFailed

        words = {} if overwrite else {"if_generation_match": 0}
        try:
            self._root.get_blob_client(name).upload_from_string(
                bytes(data), content_type="application/octet-stream", **words, **_ONCE
            )
        except PreconditionFailed:
            if overwrite:
                raise

    def upload(self, name: str, path: str) -> None:
        """See `Bucket.upload`."""
        from google.api_core.exceptions import PreconditionFailed

        try:
            self._root.get_blob_client(name).upload_from_filename(
                path, content_type="application/octet-stream", if_generation_match=0, **_ONCE
            )
        except PreconditionFailed:
            return

    def exists(self, name: str) -> bool:
        """See `Bucket.exists`."""
        return bool(self._root.get_blob_client(name).exists(**_ONCE))

    def entries(self, folder: str) -> Iterator[str]:
        """See `Bucket.entries`."""
        found = self._listed(folder, delimiter="/")
        for item in found:
            yield item.name[len(self._head) :]
        for name in found.prefixes:
            yield name[len(self._head) :]

    def pages(self, folder: str, first: str) -> Iterator[list[str]]:
        """See `Bucket.pages`."""
        for page in self._listed(folder, start_offset=self._head + first).pages:
            yield [item.name[len(self._head) :] for item in page]

    @staticmethod
    def fault(error: Exception) -> Fault:
        """See `Bucket.fault`."""
        try:
            from google.api_core import exceptions
            from google.auth import exceptions as identity
            from requests import exceptions as transport
        except ImportError:
            return Fault(NO_CLIENT, error)
        for found in chain(error):
            if isinstance(found, exceptions.GoogleAPICallError):
                return _refusal(found)
            if isinstance(found, identity.TransportError):
                return Fault(UNREACHABLE, found, passing=True)
            if isinstance(found, identity.GoogleAuthError):
                return Fault(UNKNOWN_USER, found)
            if isinstance(found, transport.RequestException):
                return Fault(UNREACHABLE, found, passing=not isinstance(found, transport.SSLError))
        return Fault(OTHER, error, passing=type(error).__name__ == "DataCorruption")

    def _listed(self, folder: str, **words: Any) -> Any:
        bucket = self._root.get_bucket_client()
        return bucket.client.list_blobs(bucket, prefix=self._head + folder, **words, **_ONCE)


def _no_bucket(error: Any) -> bool:
    return "bucket does not exist" in str(error)


def _refusal(error: Any) -> Fault:
    status = int(error.code or 0)
    words = f"{status} {error.message}"
    if status == 401:
        return Fault(UNKNOWN_USER, words)
    if status == 403:
        return Fault(DENIED, words)
    if status == 404:
        return Fault(NO_BUCKET, words)
    return Fault(OTHER, words, passing=status >= 500 or status in (408, 429))
