"""A look at a URL: what it answers, what its bytes hash to."""

from __future__ import annotations

import hashlib
import os
import ssl
from collections.abc import Sequence
from contextlib import closing
from netrc import NetrcParseError, netrc
from typing import IO
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit
from urllib.request import Request, urlopen

from ..engine.errors import SourceError
from ..engine.secret import authorization, redact

_BLOCK = 1 << 20


def digests_of(url: str, kinds: Sequence[str], trusted: Sequence[str] = ()) -> tuple[dict[str, str], int]:
    """Return the hashes of those *kinds* and the size of the file at *url* (credentials allowed). Raises SourceError.

    The certificates of the *trusted* hosts are not checked.
    """
    digests, size = {kind: hashlib.new(kind) for kind in kinds}, 0
    try:
        with closing(_opened(url, timeout=30, trusted=trusted)) as response:
            while block := response.read(_BLOCK):
                for digest in digests.values():
                    digest.update(block)
                size += len(block)
    except (OSError, ValueError) as error:
        raise SourceError(
            f"the {' and '.join(kinds)} of {redact(url)} must be computed from its bytes, and it cannot be "
            f"fetched: {error}",
            "check that the file can be downloaded, or use an index that gives hashes, and SHA-256 in what you ask for",
        ) from error
    return {kind: digest.hexdigest() for kind, digest in digests.items()}, size


def status_of(url: str) -> int:
    """Return the HTTP status of *url* (credentials allowed), or 0 where there is no answer to speak of."""
    try:
        with closing(_opened(url, timeout=5)):
            return 200
    except HTTPError as error:
        error.close()
        return error.code
    except (OSError, ValueError):
        return 0


def _opened(url: str, timeout: float, trusted: Sequence[str] = ()) -> IO[bytes]:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https", "file"):
        raise ValueError(f"'{parts.scheme}' is no scheme that is read")
    userinfo, _, host = parts.netloc.rpartition("@")
    request = Request(parts._replace(netloc=host).geturl())  # noqa: S310 - the scheme is checked above
    if not userinfo and parts.scheme != "file":
        userinfo = _of_netrc(parts.hostname or "")
    if userinfo:
        request.add_unredirected_header("Authorization", authorization(userinfo))
    context = None
    if parts.scheme == "https" and {parts.hostname, host} & set(trusted):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    response: IO[bytes] = urlopen(request, timeout=timeout, context=context)  # noqa: S310
    return response


def _of_netrc(host: str) -> str:
    """Return ``user:password`` as a URL has them, from the user's .netrc; empty where it has none or is not read."""
    try:
        found = netrc(os.environ.get("NETRC") or None).authenticators(host)
    except (OSError, NetrcParseError):
        return ""
    return f"{quote(found[0], safe='')}:{quote(found[2] or '', safe='')}" if found else ""
