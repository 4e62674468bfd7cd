"""Files from the web and from folders, each hashed on its way to the disk."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import IO
from urllib.parse import unquote, urlsplit

import requests

from ..engine.channel_settings import NOTHING_SAID, ChannelSettings, mirrored
from ..engine.credentials import with_credentials
from ..engine.errors import PackageError
from ..engine.secret import authorization, redact
from . import disk
from .digest import new_hash, parts_of

_BLOCK = 1 << 20
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_LONGEST_PAUSE = 30.0


class _AgainError(Exception):
    """What may go better the next time; *pause* is what the server asks for, in seconds."""

    def __init__(self, message: str, pause: float = 0.0) -> None:
        super().__init__(message)
        self.pause = pause


class HttpFetcher:
    """Fetches over https, http and from ``file://``; may be used by any number of threads.

    Proxies, certificates and ``.netrc`` are those of the user's environment, as the library requests reads them.

    Args:
        secrets: for each clean URL that needs them, the same URL with its credentials.
        tries: how often a transfer is begun before it counts as failed.
        pause: seconds before the second try, doubled before each later one.
        timeout: seconds in which a connection, and then each block of bytes, must come.
        settings: what is said of channels, where it is to fetch from them.
    """

    def __init__(
        self,
        secrets: Mapping[str, str] = MappingProxyType({}),
        *,
        tries: int = 4,
        pause: float = 0.5,
        timeout: float = 30.0,
        settings: ChannelSettings = NOTHING_SAID,
    ) -> None:
        self._secrets = secrets
        self._tries = tries
        self._pause = pause
        self._timeout = timeout
        self._settings = settings
        self._local = threading.local()

    def fetch(self, url: str, digest: str, path: Path, *, trusted: Sequence[str] = ()) -> None:
        """Put the bytes of *url* into *path*, whole or not at all.

        *digest* is a SHA-256 in hexadecimal digits, or ``md5:`` and digits; the certificates of the *trusted* hosts are
        not checked. Raises PackageError where the file cannot be had, or is not the one that *digest* says; OSError
        where it cannot be written.
        """
        self._transfer(url, digest, path, trusted)

    def pinned(self, url: str, path: Path) -> str:
        """Put the bytes of *url*, whatever they are, into *path*, and return their SHA-256; raise as `fetch` does."""
        return self._transfer(url, "", path, ())

    def _transfer(self, url: str, digest: str, path: Path, trusted: Sequence[str]) -> str:
        pause = self._pause
        for attempt in range(1, self._tries + 1):
            try:
                return self._attempt(url, digest, path, trusted)
            except _AgainError as error:
                if attempt == self._tries:
                    raise PackageError(
                        f"{redact(url)} cannot be fetched, tried {attempt} times: {redact(str(error))}",
                        "check the network and the source; run again to go on where this stopped",
                    ) from error
                time.sleep(min(max(pause, error.pause), _LONGEST_PAUSE))
                pause *= 2
        raise AssertionError("the last attempt returns or raises")

    def hash_of(self, url: str) -> tuple[str, int]:
        """Return the SHA-256 and the size of what is at *url*, which is read and not kept. Raises PackageError."""
        digests, size = self.digests_of(url, ("sha256",))
        return digests["sha256"], size

    def digests_of(self, url: str, kinds: Sequence[str], *, trusted: Sequence[str] = ()) -> tuple[dict[str, str], int]:
        """Return the hashes of those *kinds* and the size of what is at *url*; see `hash_of`, for *trusted* `fetch`."""
        hashed, size = {kind: new_hash(kind) for kind in kinds}, 0
        try:
            with self._blocks(url, trusted) as blocks:
                for block in blocks:
                    for one in hashed.values():
                        one.update(block)
                    size += len(block)
        except _AgainError as error:
            raise PackageError(f"{redact(url)} cannot be fetched: {redact(str(error))}", "run it again") from error
        return {kind: one.hexdigest() for kind, one in hashed.items()}, size

    def status_of(self, url: str) -> int:
        """Return the HTTP status of *url*, or 0 where there is no answer to speak of."""
        try:
            with self._answer(url, ()) as answer:
                return answer.status_code
        except (requests.RequestException, ValueError):
            return 0

    def _attempt(self, url: str, digest: str, path: Path, trusted: Sequence[str]) -> str:
        algorithm, expected = parts_of(digest)
        hashed = new_hash(algorithm)
        with disk.aside(path) as written:
            with written.open("wb") as file, self._blocks(url, trusted) as blocks:
                for block in blocks:
                    file.write(block)
                    hashed.update(block)
            if digest:
                _check_digest(url, algorithm, expected, hashed.hexdigest())
        return str(hashed.hexdigest())

    @contextmanager
    def _blocks(self, url: str, trusted: Sequence[str]) -> Iterator[Iterator[bytes]]:
        parts = urlsplit(url)
        if parts.scheme == "file":
            with _opened(Path(unquote(parts.path)), url) as file:
                yield iter(lambda: file.read(_BLOCK), b"")
            return
        try:
            with self._answer(url, trusted) as answer:
                _check(answer, url)
                length = int(answer.headers.get("Content-Length") or 0)
                yield _counted(answer.iter_content(_BLOCK), length)
        except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
            raise _AgainError(_cause(error)) from error
        except requests.RequestException as error:
            raise PackageError(f"{redact(url)} cannot be fetched: {redact(str(error))}", "check the URL") from error

    def _answer(self, url: str, trusted: Sequence[str]) -> requests.Response:
        full = urlsplit(with_credentials(mirrored(url, self._settings.mirrors), self._secrets))
        user, _, host = full.netloc.rpartition("@")
        # As it is stored: a server that marks an archive as compressed must not get it unpacked on the way.
        headers = {"Accept-Encoding": "identity"}
        # A host, or a host with its port, as pip takes them; None leaves it to the user's environment.
        verify = False if {host, full.hostname} & set(trusted) else None
        return self._session().get(
            full._replace(netloc=host).geturl(),
            headers=headers,
            # Without this argument, .netrc would take the place of what is known of the source.
            auth=_Known(user) if user else None,
            stream=True,
            timeout=self._timeout,
            verify=verify,
        )

    def _session(self) -> requests.Session:
        if not hasattr(self._local, "session"):
            session = self._local.session = requests.Session()
            # The environment's variables go over both.
            session.proxies.update(self._settings.proxies)
            session.verify = self._settings.certificates or True
        found: requests.Session = self._local.session
        return found


class _Known(requests.auth.AuthBase):
    """Sends the credentials that a source has; requests takes them off where it is sent on to another host."""

    def __init__(self, userinfo: str) -> None:
        self._userinfo = userinfo

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = authorization(self._userinfo)
        return request


@contextmanager
def _opened(path: Path, url: str) -> Iterator[IO[bytes]]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise PackageError(
            f"{url} cannot be read: {error.strerror}", "check that the folder is there, and who may read it"
        ) from error
    with file:
        yield file


def _counted(blocks: Iterator[bytes], length: int) -> Iterator[bytes]:
    """Yield *blocks*; raise where fewer bytes come than were promised."""
    seen = 0
    for block in blocks:
        seen += len(block)
        yield block
    if length and seen < length:
        raise _AgainError(f"the connection ended after {seen} of {length} bytes")


def _check(answer: requests.Response, url: str) -> None:
    status = answer.status_code
    if status == 200:
        return
    if status in _AGAIN:
        after = answer.headers.get("Retry-After", "")
        raise _AgainError(f"the server answers {status} {answer.reason}", float(after) if after.isdigit() else 0.0)
    hint = "the source has it no more: resolve again with --force, or restore it there"
    if status in (401, 403, 407):
        hint = "check the source's credentials: in its URL, METAFLOW_CONDA_SRCS_AUTH_INFO, .netrc or keyring"
    raise PackageError(f"{redact(url)} cannot be fetched: the server answers {status} {answer.reason}", hint)


def _check_digest(url: str, algorithm: str, expected: str, found: str) -> None:
    if found != expected:
        raise PackageError(
            f"{redact(url)} is not the file that was resolved: expected {algorithm} {expected}, got {found}",
            "nothing was kept of it. Either it was replaced at its source since: resolving again with --force takes "
            "the new one. Or somebody tampers with it on the way",
        )


def _cause(error: BaseException) -> str:
    while error.__cause__ is not None or error.__context__ is not None:
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    return str(error) or type(error).__name__
