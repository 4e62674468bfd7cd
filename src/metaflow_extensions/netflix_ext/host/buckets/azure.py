"""Azure Blob Storage, by the clients that Metaflow's class makes. Imports on Python 3.7.

Metaflow's own methods read every object into memory and copy it once more on the disk; and what Azure's client does by
itself where nothing answers takes more than a minute.
"""

from __future__ import annotations

from typing import Any, Iterator

from .bucket import DENIED, NO_BUCKET, NO_CLIENT, OTHER, UNKNOWN_USER, UNREACHABLE, Bucket, Fault, chain

_ONCE = {"retry_total": 0, "connection_timeout": 20}
_AT_ONCE = 4
_TAKEN = ("BlobAlreadyExists", "ConditionNotMet", "UnauthorizedBlobOverwrite")


class AzureBucket(Bucket):
    """Blobs below ``container/prefix``."""

    def __init__(self, storage: Any) -> None:
        self._root = storage.root_client
        self._head = str(self._root.get_blob_full_path("x"))[:-1]

    def read(self, name: str) -> bytes | None:
        """See `Bucket.read`."""
        found = self._open(name)
        return None if found is None else bytes(found.readall())

    def download(self, name: str, path: str) -> bool:
        """See `Bucket.download`."""
        found = self._open(name)
        if found is None:
            return False
        with open(path, "wb") as file:
            found.readinto(file)
        return True

    def write(self, name: str, data: bytes, overwrite: bool) -> None:
        """See `Bucket.write`."""
        self._put(name, bytes(data), overwrite)

    def upload(self, name: str, path: str) -> None:
        """See `Bucket.upload`."""
        with open(path, "rb") as file:
            self._put(name, file, False)

    def exists(self, name: str) -> bool:
        """See `Bucket.exists`."""
        return bool(self._root.get_blob_client(name).exists(**_ONCE))

    def entries(self, folder: str) -> Iterator[str]:
        """See `Bucket.entries`."""
        for item in self._container().walk_blobs(name_starts_with=self._head + folder, **_ONCE):
            yield item.name[len(self._head) :]

    def pages(self, folder: str, first: str) -> Iterator[list[str]]:  # noqa: ARG002 - it cannot begin in the middle
        """See `Bucket.pages`."""
        found = self._container().list_blobs(name_starts_with=self._head + folder, **_ONCE)
        for page in found.by_page():
            yield [item.name[len(self._head) :] for item in page]

    @staticmethod
    def fault(error: Exception) -> Fault:
        """See `Bucket.fault`."""
        try:
            from azure.core import exceptions
        except ImportError:
            return Fault(NO_CLIENT, error)
        for found in chain(error):
            if isinstance(found, (exceptions.ServiceRequestError, exceptions.ServiceResponseError)):
                return Fault(UNREACHABLE, found, passing="CERTIFICATE_VERIFY_FAILED" not in str(found))
            if type(found).__name__ == "MetaflowAzureAuthenticationError":
                return Fault(UNKNOWN_USER, found)
            if isinstance(found, exceptions.HttpResponseError):
                return _refusal(found)
            if isinstance(found, exceptions.ClientAuthenticationError):
                return Fault(UNKNOWN_USER, found)
        return Fault(OTHER, error, passing=isinstance(error, exceptions.AzureError))

    def _container(self) -> Any:
        return self._root.get_blob_container_client()

    def _open(self, name: str) -> Any:
        from azure.core.exceptions import ResourceNotFoundError

        try:
            return self._root.get_blob_client(name).download_blob(max_concurrency=_AT_ONCE, **_ONCE)
        except ResourceNotFoundError as error:
            if _code(error) == "ContainerNotFound":
                raise
            return None

    def _put(self, name: str, data: Any, overwrite: bool) -> None:
        from azure.core.exceptions import ResourceExistsError, ResourceModifiedError

        try:
            # Without overwrite, Azure itself refuses: of several writers one wins.
            self._root.get_blob_client(name).upload_blob(data, overwrite=overwrite, max_concurrency=_AT_ONCE, **_ONCE)
        except (ResourceExistsError, ResourceModifiedError) as error:
            if overwrite or _code(error) not in _TAKEN:
                raise


def _code(error: Any) -> str:
    return str(getattr(error, "error_code", "") or "")


def _refusal(error: Any) -> Fault:
    code, status = _code(error), error.status_code or 0
    words = "{} {}".format(getattr(code, "value", code), error.reason or "").strip()
    if code == "ContainerNotFound":
        return Fault(NO_BUCKET, words)
    if status == 401 or code in ("AuthenticationFailed", "InvalidAuthenticationInfo", "NoAuthenticationInformation"):
        return Fault(UNKNOWN_USER, words)
    if status == 403:
        return Fault(DENIED, words)
    return Fault(OTHER, words or error, passing=status >= 500 or status in (408, 429))
