"""What py-rattler talks through in the worker, and how its requests and errors look (see `rattler_worker`)."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import rattler
from rattler.networking import (
    AddHeadersMiddleware,
    AuthenticationMiddleware,
    GCSMiddleware,
    MirrorMiddleware,
    OciMiddleware,
    RetryMiddleware,
    S3Middleware,
)

from ..engine.secret import authorization

# Three retries with py-rattler's back-off give up on a refused connection after 2.6 s.
_RETRIES = 3
_TOKEN = re.compile(r"^/t/[^/]+(?=/|$)")

Arguments = dict[str, Any]
Send = Callable[[Arguments], None]


class RefusedError(Exception):
    """An error of py-rattler with what is known of its circumstances."""

    def __init__(self, kind: str, message: str, **details: object) -> None:
        super().__init__(message)
        self.kind = kind
        self.details = details


class Network:
    """One client and one gateway, shared by every request with the same secrets: metadata is loaded once.

    Args:
        secrets: URLs without credentials to the same with credentials.
        headers: What to send, by URL.
        mirrors: URLs to where they are read in their place.
    """

    def __init__(
        self, secrets: dict[str, str], headers: dict[str, dict[str, str]], mirrors: dict[str, str] | None = None
    ) -> None:
        self._opening = {(urlsplit(url).hostname or "", urlsplit(url).path): items for url, items in headers.items()}
        # URLs with credentials never reach py-rattler: it would write them to its caches and into the prefix.
        elsewhere = {clean: [mirror] for clean, mirror in (mirrors or {}).items()}
        self._headers: list[tuple[str, str, str]] = []
        for clean, secret in secrets.items():
            parts = urlsplit(secret)
            userinfo, _, host = parts.netloc.rpartition("@")
            if _TOKEN.match(parts.path):
                found = urlunsplit(parts._replace(netloc=host)).rstrip("/")
                for name in (clean.rstrip("/"), *(key for key, place in (mirrors or {}).items() if place == clean)):
                    elsewhere[name] = [found]
            if userinfo:
                path = _TOKEN.sub("", parts.path).rstrip("/")
                self._headers.append((urlsplit(clean).hostname or "", path, authorization(userinfo)))
        self._headers.sort(key=lambda entry: len(entry[1]), reverse=True)
        self.client = rattler.Client(
            [
                RetryMiddleware(_RETRIES),
                *([MirrorMiddleware(elsewhere)] if elsewhere else []),
                # Before what rattler finds in .netrc, which it adds where there is none yet.
                *([AddHeadersMiddleware(self._authorization)] if self._headers or headers else []),
                *(() if _overridden(secrets) else (AuthenticationMiddleware(),)),
                OciMiddleware(),
                GCSMiddleware(),
                S3Middleware(),
            ]
        )
        self.gateway = rattler.Gateway(_metadata_cache(), client=self.client)

    def forget_cache(self) -> None:
        """Read metadata anew from now on, and leave what is on disk alone."""
        config = rattler.SourceConfig(cache_action="no-cache")
        self.gateway = rattler.Gateway(_metadata_cache(), client=self.client, default_config=config)

    def _authorization(self, host: str, path: str) -> dict[str, str] | None:
        opening = self._opening.get((host, path))
        if opening is not None:
            return opening
        bare = _TOKEN.sub("", path)
        for known, prefix, value in self._headers:
            if known == host and (bare == prefix or bare.startswith(f"{prefix}/")):
                return {"Authorization": value}
        return None


def _overridden(secrets: dict[str, str]) -> bool:
    """Tell whether *secrets* has something for a server other than what rattler's store has, which rattler prefers.

    Then it may not look there at all: what is in the store is among *secrets*, too.
    """
    if not secrets:  # in a container, where what follows is not there
        return False
    from .channel_stores import stored

    kept = stored()
    hosts = {urlsplit(address).hostname for address in kept}
    return any(urlsplit(clean).hostname in hosts for clean, secret in secrets.items() if kept.get(clean) != secret)


def _metadata_cache() -> Path | None:
    # py-rattler's gateway, other than its package cache, does not look at the variable.
    folder = os.environ.get("RATTLER_CACHE_DIR")
    return Path(folder) / "repodata" if folder else None


class Networks:
    """The networks made so far, by their secrets."""

    def __init__(self) -> None:
        self._made: dict[tuple[tuple[tuple[str, str], ...], ...], Network] = {}

    def get(self, asked: Arguments) -> Network:
        """Return the network for a request's ``secrets`` and ``mirrors``; with ``headers`` it is one for it alone."""
        secrets, mirrors = asked["secrets"], asked.get("mirrors") or {}
        if asked.get("headers"):
            return Network(secrets, asked["headers"], mirrors)
        key = (tuple(sorted(secrets.items())), tuple(sorted(mirrors.items())))
        if key not in self._made:
            self._made[key] = Network(secrets, {}, mirrors)
        return self._made[key]
