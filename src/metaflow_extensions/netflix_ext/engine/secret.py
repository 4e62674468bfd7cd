"""Credentials in URLs: found, taken off, masked."""

from __future__ import annotations

import re
from urllib.parse import urlsplit, urlunsplit

_TOKEN_PATH = re.compile(r"^/t/[^/]+(?=/|$)")
_URL = re.compile(r"[a-z][a-z0-9+.-]*://[^\s'\"<>]+", re.IGNORECASE)


def strip_credentials(url: str) -> str:
    """Return *url* without ``user:password@`` and without conda's ``/t/<token>`` path part."""
    if "://" not in url:
        return url
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=host, path=_TOKEN_PATH.sub("", parts.path)))


def has_credentials(url: str) -> bool:
    """Tell whether *url* carries a user, a password or a token."""
    return strip_credentials(url) != url


def redact(text: str) -> str:
    """Return *text* with the credentials of every URL in it masked."""

    def mask(match: re.Match[str]) -> str:
        parts = urlsplit(match.group())
        userinfo, at, host = parts.netloc.rpartition("@")
        netloc = f"****@{host}" if at and userinfo else parts.netloc
        return urlunsplit(parts._replace(netloc=netloc, path=_TOKEN_PATH.sub("/t/****", parts.path)))

    return _URL.sub(mask, text)
