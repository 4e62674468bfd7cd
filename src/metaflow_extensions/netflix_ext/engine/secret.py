"""URLs of sources, and the credentials in them: found, taken off, masked. Imports on Python 3.7 (step side)."""

from __future__ import annotations

import re

# What comes before the last @ of the authority; then conda's token, which is the first part of the path.
_PARTS = r"(?P<scheme>[a-z][a-z0-9+.\-]{0,30}://)(?P<user>[^\s/?#]*@)?(?P<host>[^\s/?#]*)(?P<token>/t/[^\s/?#]+(?=[\s/?#]|$))?"
_URL = re.compile(_PARTS, re.IGNORECASE)
_SOURCE = re.compile(
    r"(?:file://\S|https?://(?:[^\s/?#]*@)?(?:[^\s/?#@:\[\]]+|\[[^\s\]]+\])(?::(?P<port>\d*))?(?:[/?#]\S*)?$)",
    re.IGNORECASE,
)


def strip_credentials(url: str) -> str:
    """Return *url* without ``user:password@`` and without conda's ``/t/<token>`` path part.

    Over ssh the user is part of the address: it stays, its password goes.
    """

    def strip(match: re.Match[str]) -> str:
        user = match.group("user") or ""
        kept = f"{user[:-1].partition(':')[0]}@" if user and _is_ssh(match) else ""
        return match.group("scheme") + kept + match.group("host")

    return _URL.sub(strip, url, count=1)


def is_url(text: str) -> bool:
    """Tell whether *text* is the URL of a source: of a server with a sound port, or of a folder."""
    parts = _SOURCE.match(text)
    return parts is not None and int(parts.group("port") or 0) < 65536


def has_credentials(url: str) -> bool:
    """Tell whether *url* carries a user, a password or a token."""
    return strip_credentials(url) != url


def redact(text: str) -> str:
    """Return *text* with the credentials of every URL in it masked."""

    def mask(match: re.Match[str]) -> str:
        user = match.group("user") or ""
        if user and not (_is_ssh(match) and ":" not in user):
            user = "****@"
        return match.group("scheme") + user + match.group("host") + ("/t/****" if match.group("token") else "")

    return _URL.sub(mask, text)


def _is_ssh(match: re.Match[str]) -> bool:
    return match.group("scheme").lower().endswith("ssh://")
