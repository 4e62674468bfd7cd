"""What a store needs of a datastore, and what can go wrong with one. Imports on Python 3.7."""

from __future__ import annotations

import re
from typing import Any, Iterator

UNREACHABLE = "it cannot be reached"
UNKNOWN_USER = "the credentials are missing, or are not accepted"
DENIED = "access is denied"
CLOCK = "the clock of this machine is wrong"
NO_BUCKET = "there is no such bucket or container"
NO_CLIENT = "a package that talks to it is missing"
OTHER = "it failed"

BLOCK = 1 << 20
BIG = 64 << 20  # above that, one object is sent and received in parts, several at once

_QUERY = re.compile(r"\?\S+")
_MOST = 300


class Fault:
    """What an error of a provider amounts to.

    Args:
        kind: one of the sentences above.
        words: what the provider says.
        passing: whether it may be gone in a moment.
    """

    def __init__(self, kind: str, words: object, *, passing: bool = False) -> None:
        lines = str(words).strip().splitlines()
        # Signed URLs carry what signs them in their query.
        self.words = _QUERY.sub("", lines[0] if lines else "")[:_MOST]
        self.kind = kind
        self.passing = passing


class Bucket:
    """Objects below one root, which several threads may use; names are relative to it. Errors are the provider's own.

    Constructing one may talk to the provider, to get credentials. *storage* is what Metaflow's class has made.
    """

    # Whether there is `pages`, and whether it can begin in the middle.
    lists = True
    seeks = False

    def __init__(self, storage: Any) -> None:
        raise NotImplementedError

    def read(self, name: str) -> bytes | None:
        """Return the bytes of an object, or None."""
        raise NotImplementedError

    def download(self, name: str, path: str) -> bool:
        """Write the bytes of an object to *path*; tell whether there is one."""
        raise NotImplementedError

    def signed(self, name: str) -> tuple[str, dict[str, str]] | None:  # noqa: ARG002 - of those that have such a thing
        """Return the URL of an object and the headers to get it with; None where the provider has no such thing.

        Nothing is asked of the provider. The URL holds no secret, the headers do, and they are good for minutes.
        """
        return None

    def write(self, name: str, data: bytes, overwrite: bool) -> None:
        """Store *data*; without *overwrite* what is there stays."""
        raise NotImplementedError

    def upload(self, name: str, path: str) -> None:
        """Store the bytes of the file *path*; what is there stays."""
        raise NotImplementedError

    def exists(self, name: str) -> bool:
        """Tell whether there is an object of that name."""
        raise NotImplementedError

    def entries(self, folder: str) -> Iterator[str]:
        """Yield the names below *folder* (empty, or ending in ``/``), one level: sub-folders end in ``/``."""
        raise NotImplementedError

    def pages(self, folder: str, first: str) -> Iterator[list[str]]:
        """Yield all names below *folder*, sorted, a request a page; those before *first* may be left out."""
        raise NotImplementedError

    @staticmethod
    def fault(error: Exception) -> Fault:
        """Tell what *error*, raised by one of the others, amounts to."""
        raise NotImplementedError


def below(prefix: str) -> str:
    """Return *prefix* so that a name can follow."""
    return prefix.strip("/") + "/" if prefix.strip("/") else ""


def chain(error: BaseException) -> Iterator[BaseException]:
    """Yield *error*, and those that it was raised from or while handling."""
    found: BaseException | None = error
    seen: list[Any] = []
    while found is not None and found not in seen:
        seen.append(found)
        yield found
        found = found.__cause__ or found.__context__
