"""S3, by the client that Metaflow's class makes. Imports on Python 3.7.

Metaflow's own methods list, and get or put more than ten objects, by starting a program with many processes, copy every
object once more on the disk, and try for hours where nothing answers. Its client does all of that here.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from typing import Any, Callable, Iterator

from .bucket import (
    BIG,
    BLOCK,
    CLOCK,
    DENIED,
    NO_BUCKET,
    NO_CLIENT,
    OTHER,
    UNKNOWN_USER,
    UNREACHABLE,
    Bucket,
    Fault,
    below,
    chain,
)

_CONNECTIONS = 32
_RACES = 6
_TAKEN = ("PreconditionFailed", "412")
_RACING = ("ConditionalRequestConflict", "409")
_UNABLE = ("NotImplemented", "501")
# What a client of HTTP says for itself; all else may be signed.
_OWN_HEADERS = ("host", "user-agent", "accept-encoding", "content-length", "expect")
_CREDENTIALS = (
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "InvalidToken",
    "TokenRefreshRequired",
    "AuthorizationHeaderMalformed",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
)


class _SignedError(Exception):
    """A request that is ready to be sent."""

    def __init__(self, request: Any) -> None:
        super().__init__()
        self.request = request


class S3Bucket(Bucket):
    """Objects below ``s3://bucket/prefix``."""

    seeks = True

    def __init__(self, storage: Any) -> None:
        self._bucket, _, prefix = storage.datastore_root[len("s3://") :].partition("/")
        self._prefix = below(prefix)
        self._client = _client()
        self._extra = _encryption()
        self._local = threading.local()
        self._client.meta.events.register("before-send.s3.GetObject", self._catch)

    def read(self, name: str) -> bytes | None:
        """See `Bucket.read`."""
        found = self._get(name)
        if found is None:
            return None
        with contextlib.closing(found["Body"]) as body:
            return bytes(body.read())

    def download(self, name: str, path: str) -> bool:
        """See `Bucket.download`."""
        found = self._get(name)
        if found is None:
            return False
        with contextlib.closing(found["Body"]) as body:
            if found["ContentLength"] <= BIG:
                with open(path, "wb") as file:
                    for block in body.iter_chunks(BLOCK):
                        file.write(block)
                return True
        self._client.download_file(self._bucket, self._prefix + name, path, Config=_parts())
        return True

    def signed(self, name: str) -> tuple[str, dict[str, str]] | None:
        """See `Bucket.signed`."""
        self._local.signing = True
        try:
            self._client.get_object(**self._where(name))
        except _SignedError as caught:
            url, _, query = caught.request.url.partition("?")
            return None if query else (url, _texts(caught.request.headers))
        finally:
            self._local.signing = False
        return None

    def _catch(self, request: Any, **_words: Any) -> None:
        """Keep the client from sending what is only to be signed."""
        if getattr(self._local, "signing", False):
            raise _SignedError(request)

    def write(self, name: str, data: bytes, overwrite: bool) -> None:
        """See `Bucket.write`."""
        if overwrite:
            self._client.put_object(**self._where(name), **self._extra, Body=data)
        else:
            self._put_new(name, lambda: bytes(data))

    def upload(self, name: str, path: str) -> None:
        """See `Bucket.upload`."""
        if os.path.getsize(path) <= BIG:
            with open(path, "rb") as file:

                def body() -> Any:
                    file.seek(0)
                    return file

                self._put_new(name, body)
        elif not self.exists(name):
            extra = self._extra or None
            self._client.upload_file(path, self._bucket, self._prefix + name, ExtraArgs=extra, Config=_parts())

    def exists(self, name: str) -> bool:
        """See `Bucket.exists`."""
        try:
            self._client.head_object(**self._where(name))
        except self._client.exceptions.ClientError as error:
            if _code(error) in ("404", "NoSuchKey", "NotFound"):
                return False
            if _code(error) not in ("403", "Forbidden"):
                raise
            # An answer without a body does not say what is refused, and why.
            found = self._get(name)
            if found is not None:
                found["Body"].close()
            return found is not None
        return True

    def entries(self, folder: str) -> Iterator[str]:
        """See `Bucket.entries`."""
        start = len(self._prefix)
        for page in self._listed(Prefix=self._prefix + folder, Delimiter="/"):
            for item in page.get("Contents", ()):
                yield item["Key"][start:]
            for item in page.get("CommonPrefixes", ()):
                yield item["Prefix"][start:]

    def pages(self, folder: str, first: str) -> Iterator[list[str]]:
        """See `Bucket.pages`."""
        # What S3 is told to start after is left out itself.
        for page in self._listed(Prefix=self._prefix + folder, StartAfter=(self._prefix + first)[:-1]):
            yield [item["Key"][len(self._prefix) :] for item in page.get("Contents", ())]

    @staticmethod
    def fault(error: Exception) -> Fault:
        """See `Bucket.fault`."""
        try:
            from botocore import exceptions
        except ImportError:
            return Fault(NO_CLIENT, error)
        for found in chain(error):
            if isinstance(found, exceptions.ClientError):
                return _refusal(found)
            if isinstance(found, _classes(exceptions, "HTTPClientError", "ConnectionError", "IncompleteReadError")):
                # The client has tried again where there was no answer, and cannot where one broke off.
                return Fault(UNREACHABLE, found, passing=isinstance(found, _broken(exceptions)))
            if isinstance(found, _without_credentials(exceptions)):
                return Fault(UNKNOWN_USER, found)
        return Fault(OTHER, error)

    def _where(self, name: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + name}

    def _get(self, name: str) -> Any:
        try:
            return self._client.get_object(**self._where(name))
        except self._client.exceptions.ClientError as error:
            if _code(error) == "NoSuchKey":
                return None
            raise

    def _put_new(self, name: str, body: Callable[[], Any]) -> None:
        from botocore.exceptions import ParamValidationError

        for turn in range(_RACES):
            try:
                self._client.put_object(**self._where(name), **self._extra, Body=body(), IfNoneMatch="*")
            except ParamValidationError:  # a client from before S3 had conditions
                break
            except self._client.exceptions.ClientError as error:
                code = _code(error)
                if code in _TAKEN:
                    return
                if code in _UNABLE:
                    break
                if code not in _RACING or turn == _RACES - 1:
                    raise
                time.sleep(0.05 * 2**turn)
            else:
                return
        if not self.exists(name):
            self._client.put_object(**self._where(name), **self._extra, Body=body())

    def _listed(self, **words: Any) -> Iterator[dict[str, Any]]:
        yield from self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, **words)


def _client() -> Any:
    from botocore.config import Config
    from metaflow.metaflow_config import DATATOOLS_CLIENT_PARAMS
    from metaflow.plugins.datatools.s3.s3 import S3Client

    words = dict(DATATOOLS_CLIENT_PARAMS or {})
    given = words.get("config")
    config = Config(
        retries={"total_max_attempts": 4, "mode": "standard"},
        connect_timeout=10,
        max_pool_connections=_CONNECTIONS,
    )
    if given:
        config = config.merge(given if isinstance(given, Config) else Config(**given))
    # What is read is hashed by whoever knows what it should be.
    with contextlib.suppress(TypeError):  # a client from before it checked by itself
        config = config.merge(Config(response_checksum_validation="when_required"))
    words["config"] = config
    return S3Client(s3_client_params=words).client


def _encryption() -> dict[str, str]:
    from metaflow.metaflow_config import S3_SERVER_SIDE_ENCRYPTION

    return {"ServerSideEncryption": S3_SERVER_SIDE_ENCRYPTION} if S3_SERVER_SIDE_ENCRYPTION else {}


def _parts() -> Any:
    from boto3.s3.transfer import TransferConfig

    return TransferConfig(multipart_threshold=BIG, multipart_chunksize=BIG // 4, max_concurrency=4)


def _texts(headers: Any) -> dict[str, str]:
    """Return the headers that have to be sent as they are."""
    found = ((str(name), value) for name, value in headers.items())
    return {
        name: value.decode("latin-1") if isinstance(value, bytes) else str(value)
        for name, value in found
        if name.lower() not in _OWN_HEADERS
    }


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _refusal(error: Any) -> Fault:
    code = _code(error)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    words = "{} {}".format(code, error.response.get("Error", {}).get("Message", "")).strip()
    if code == "NoSuchBucket":
        return Fault(NO_BUCKET, words)
    if code in _CREDENTIALS:
        return Fault(UNKNOWN_USER, words)
    if code == "RequestTimeTooSkewed":
        return Fault(CLOCK, words)
    if status in (401, 403):
        return Fault(DENIED, words)
    return Fault(OTHER, words)


def _classes(module: Any, *names: str) -> tuple[Any, ...]:
    """Return those classes of errors that this version of the client has."""
    return tuple(getattr(module, name) for name in names if hasattr(module, name))


def _broken(exceptions: Any) -> tuple[Any, ...]:
    return _classes(exceptions, "IncompleteReadError", "ResponseStreamingError", "ReadTimeoutError")


def _without_credentials(exceptions: Any) -> tuple[Any, ...]:
    return _classes(
        exceptions,
        "NoCredentialsError",
        "PartialCredentialsError",
        "CredentialRetrievalError",
        "ProfileNotFound",
        "TokenRetrievalError",
        "SSOError",
    )
