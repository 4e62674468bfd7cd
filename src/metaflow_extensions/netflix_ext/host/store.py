"""A store in a flow's datastore, through Metaflow's own class for it. Imports on Python 3.7 (step side)."""

from __future__ import annotations

import errno
import itertools
import os
import secrets
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Callable, Iterable, Iterator, TypeVar

from ..engine.errors import StoreError
from ..engine.layout import check_key
from . import compat
from .buckets import bucket as buckets
from .buckets.bucket import Bucket, Fault

if TYPE_CHECKING:
    from pathlib import Path

T = TypeVar("T")
# The settings that name the root of environments in a kind of datastore, without METAFLOW_.
ROOT_NAMES = {"s3": "CONDA_S3ROOT", "azure": "CONDA_AZUREROOT", "gs": "CONDA_GSROOT"}
_TITLES = {"s3": "S3", "azure": "Azure Blob Storage", "gs": "Google Storage", "local": "the local datastore"}
_CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
    "azure": "'az login', or AZURE_CLIENT_ID, AZURE_TENANT_ID and AZURE_CLIENT_SECRET",
    "gs": "'gcloud auth application-default login', or GOOGLE_APPLICATION_CREDENTIALS",
}
_ENDPOINTS = {
    "s3": "METAFLOW_S3_ENDPOINT_URL (where it is not Amazon's)",
    "azure": "METAFLOW_AZURE_STORAGE_BLOB_SERVICE_ENDPOINT",
    "gs": "the proxy and the certificates of this machine",
}
_RIGHTS = {
    "s3": "s3:GetObject, s3:PutObject and s3:ListBucket; without the last one, S3 says this of keys that are not there",
    "azure": "the role Storage Blob Data Contributor",
    "gs": "the role Storage Object User",
}
_PACKAGES = {
    "s3": "boto3",
    "azure": "azure-identity azure-storage-blob",
    "gs": "google-cloud-storage google-auth",
}
_TRIES = 4
_PAUSE_SECONDS = 0.5
_WORKERS = 16
# A listing of up to a thousand names costs, with each provider, about what ten looks at single keys do.
_LOOKS_A_PAGE = 10


class MetaflowStore:
    """The store below *root* of a datastore; several threads may use it.

    Constructing does nothing; the provider's package is imported, and credentials are got, when it is first used.

    Args:
        datastore: the kind, as Metaflow calls it: ``s3``, ``azure``, ``gs``, ``local``.
        root: what Metaflow's class takes: ``s3://bucket/prefix``, ``container/prefix``, ``gs://bucket/prefix``,
            a folder.
    """

    def __init__(self, datastore: str, root: str) -> None:
        self.datastore = datastore
        self.root = root
        self._lock = threading.Lock()
        self._opened: Bucket | None = None

    def get(self, key: str) -> bytes | None:
        """Return the bytes under *key*, or None."""
        check_key(key)
        return self._try("read", key, lambda bucket: bucket.read(key))

    def put(self, key: str, data: bytes, *, overwrite: bool = False) -> None:
        """Store *data*, whole or not at all; without *overwrite* what is there stays."""
        check_key(key)
        self._try("written", key, lambda bucket: bucket.write(key, bytes(data), overwrite))

    def list(self, prefix: str) -> Iterator[str]:
        """Yield the keys below the folder *prefix*, one level: sub-folders end in ``/``."""
        folder = check_key(prefix.rstrip("/")) + "/" if prefix else ""
        found = self._try("listed", folder, lambda bucket: sorted(set(bucket.entries(folder))))
        # Some providers' consoles leave an object that has the name of its folder.
        yield from (name for name in found if name != folder)

    def copy(self, key: str, path: Path) -> bool:
        """Write the bytes under *key*, however many, to the file *path*; tell whether there are any.

        Raises OSError where *path* cannot be written.
        """
        check_key(key)
        aside = f"{path}.{secrets.token_hex(4)}"
        try:
            with open(aside, "wb"):
                pass
            there = self._try("read", key, lambda bucket: bucket.download(key, aside), file=aside)
            if there:
                os.replace(aside, path)
            return there
        finally:
            if os.path.exists(aside):
                os.unlink(aside)

    def signed(self, key: str) -> tuple[str, dict[str, str]] | None:
        """Return the URL of *key* and the headers to get it with, for another program; see `Bucket.signed`."""
        check_key(key)
        return self._try("read", key, lambda bucket: bucket.signed(key))

    def put_file(self, key: str, path: Path) -> None:
        """Store the bytes of the file *path*, whole or not at all; what is there stays."""
        check_key(key)
        self._try("written", key, lambda bucket: bucket.upload(key, str(path)), file=str(path))

    def present(self, keys: Iterable[str]) -> set[str]:
        """Return those of *keys* that have bytes, with few requests where many of them have."""
        wanted = sorted({check_key(key) for key in keys})
        found: set[str] = set()
        left: list[str] = []
        for folder, group in _grouped(wanted):
            unsure = group
            if self._bucket(folder).lists and len(group) > 1:
                unsure = self._try("listed", folder, partial(_listed, folder=folder, wanted=group, found=found))
            left += unsure
        if left:
            with ThreadPoolExecutor(max_workers=min(_WORKERS, len(left))) as pool:
                there = list(pool.map(lambda key: self._try("read", key, lambda bucket: bucket.exists(key)), left))
            found.update(key for key, is_there in zip(left, there) if is_there)
        return found

    def where(self, key: str) -> str:
        """Return how messages name the place of *key*."""
        return "{}/{}".format(self.root.rstrip("/"), key)

    def _bucket(self, key: str) -> Bucket:
        with self._lock:
            if self._opened is None:
                kind = _kind(self.datastore)
                try:
                    self._opened = kind(compat.storage(self.datastore, self.root))
                except Exception as error:
                    fault = Fault(buckets.NO_CLIENT, "") if _without_client(error) else kind.fault(error)
                    raise self._told("used", key, fault) from error
            return self._opened

    def _try(self, what: str, key: str, work: Callable[[Bucket], T], *, file: str = "") -> T:
        """Do *work*, again where it may help; errors about *file*, on this machine, are raised as they are."""
        bucket = self._bucket(key)
        for turn in range(_TRIES):
            try:
                return work(bucket)
            except Exception as error:
                if _of_file(error, file):
                    raise
                fault = bucket.fault(error)
                if not fault.passing or turn == _TRIES - 1:
                    raise self._told(what, key, fault) from error
            time.sleep(_PAUSE_SECONDS * 2**turn)
        raise AssertionError

    def _told(self, what: str, key: str, fault: Fault) -> StoreError:
        place = self.where(key).rstrip("/")
        title = _TITLES.get(self.datastore, self.datastore)
        message = f"'{place}' in {title} cannot be {what}: {fault.kind}"
        return StoreError(f"{message} ({fault.words})" if fault.words else message, self._hint(fault.kind))

    def _hint(self, kind: str) -> str:
        general = f"run it again; if that does not help, look whether the datastore works: '{self.root}'"
        if self.datastore not in ROOT_NAMES:
            return general
        known = self.datastore
        return {
            buckets.NO_CLIENT: f"pip install {_PACKAGES[known]}",
            buckets.UNREACHABLE: f"check the network, and {_ENDPOINTS[known]}; what was begun is finished when it is "
            "run again",
            buckets.UNKNOWN_USER: f"log in, or check the credentials: {_CREDENTIALS[known]}",
            buckets.CLOCK: "set it: what is signed counts for 15 minutes before and after the time of the datastore",
            buckets.NO_BUCKET: f"make it, or name another one by METAFLOW_{ROOT_NAMES[known]}, which is '{self.root}'",
            buckets.DENIED: f"ask for the rights: {_RIGHTS[known]}",
        }.get(kind, general)


def _kind(datastore: str) -> type[Bucket]:
    """Return the class for a kind of datastore; the provider's package is not needed for that."""
    if datastore == "s3":
        from .buckets.s3 import S3Bucket

        return S3Bucket
    if datastore == "azure":
        from .buckets.azure import AzureBucket

        return AzureBucket
    if datastore == "gs":
        from .buckets.gs import GSBucket

        return GSBucket
    from .buckets.plain import PlainBucket

    return PlainBucket


def _without_client(error: Exception) -> bool:
    """Tell whether *error* is how Metaflow says that the provider's package is not installed."""
    return "Missing required packages" in getattr(error, "headline", "") or "You need to install" in str(error)


def _of_file(error: Exception, path: str) -> bool:
    """Tell whether *error* is about a file of this machine, *path*, and not about the datastore."""
    return (
        bool(path)
        and isinstance(error, OSError)
        and (error.filename == path or error.errno in (errno.ENOSPC, errno.EDQUOT))
    )


def _grouped(keys: list[str]) -> list[tuple[str, list[str]]]:
    """Return sorted *keys*, those together that begin with the same three names, with the deepest folder of all."""
    groups: dict[str, list[str]] = {}
    for key in keys:
        groups.setdefault("/".join(key.split("/")[:3]), []).append(key)
    return [(_folder(group[0], group[-1]), group) for group in groups.values()]


def _folder(first: str, last: str) -> str:
    """Return the deepest folder of *first*, of *last* and so of all keys between them: empty, or ending in ``/``."""
    both = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(first.split("/")[:-1], last.split("/")[:-1]))
    return "".join(f"{name}/" for name, _ in both)


def _listed(bucket: Bucket, folder: str, wanted: list[str], found: set[str]) -> list[str]:
    """Add to *found* what some listings find of *wanted*, sorted; return what they do not tell."""
    left = wanted
    pages = bucket.pages(folder, left[0])
    for _ in range(1 + len(wanted) // _LOOKS_A_PAGE):
        page = next(pages, None)
        if page is None:
            return []
        found.update(set(page).intersection(left))
        left = [key for key in left if page and key > page[-1]]
        if not left:
            return []
        if bucket.seeks:
            pages = bucket.pages(folder, left[0])
    return left
