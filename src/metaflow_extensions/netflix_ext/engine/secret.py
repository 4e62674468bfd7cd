"""URLs of sources, and the credentials in them: found, taken off, masked. Imports on Python 3.7 (step side)."""

from __future__ import annotations

import base64
import hashlib
import re
from urllib.parse import unquote

# The SHA-256 of its URL, without the slash that may follow: no source of ours names a registry.
_PUBLIC_INDEX = "5a06749b2297be54ac5699f6f2761716adc5001a2d5f8b915ab2172922dd5706"
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
    return _URL.sub(_stripped, url, count=1)


def strip_all_credentials(text: str) -> str:
    """Return *text* with every URL in it as `strip_credentials` returns one."""
    return _URL.sub(_stripped, text)


def _stripped(match: re.Match[str]) -> str:
    user = match.group("user") or ""
    kept = f"{user[:-1].partition(':')[0]}@" if user and _is_ssh(match) else ""
    return match.group("scheme") + kept + match.group("host")


# In the place of a user, it says that the password is a token which servers take as it is (RFC 6750).
BEARER = "bearer-token"


def authorization(userinfo: str) -> str:
    """Return the header that stands for ``user:password`` as a URL has them."""
    user, _, password = userinfo.partition(":")
    if user == BEARER:
        return f"Bearer {unquote(password)}"
    # A token alone is a user without a password.
    return f"Basic {base64.b64encode(f'{unquote(user)}:{unquote(password)}'.encode()).decode('ascii')}"


def is_public_index(url: str) -> bool:
    """Tell whether *url* is that of the index that tools take where nothing is said."""
    return hashlib.sha256(url.rstrip("/").encode("utf-8")).hexdigest() == _PUBLIC_INDEX


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
