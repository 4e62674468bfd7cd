"""The URLs of sources with what is known to open them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from .secret import strip_credentials


def with_credentials(url: str, secrets: Mapping[str, str]) -> str:
    """Return *url* with the credentials known for it: for itself, or for the nearest folder above it, by *secrets*.

    *secrets* maps a clean URL to the same with credentials. Where no folder above is known, those for the same
    host serve.
    """
    if "://" not in url:
        return url
    parts = urlsplit(url)
    plain = {clean.rstrip("/"): secret for clean, secret in secrets.items()}
    above = [clean for clean in plain if f"{url.rstrip('/')}/".startswith(f"{clean}/")]
    # What is known of a whole host counts last: that is said of no source.
    for clean in sorted(above, key=len, reverse=True):
        if urlsplit(clean).path:
            return plain[clean].rstrip("/") + url[len(clean) :]
    for clean in sorted(plain):
        known = urlsplit(plain[clean])
        same = (known.scheme, known.netloc.rpartition("@")[2]) == (parts.scheme, parts.netloc)
        if same and "@" in known.netloc and urlsplit(clean).path:
            return parts._replace(netloc=known.netloc).geturl()
    return plain[above[0]].rstrip("/") + url[len(above[0]) :] if above else url


def secrets_for(urls: Sequence[str], secrets: Mapping[str, str]) -> tuple[str, ...]:
    """Return the URLs of *secrets* that share a host with one of *urls*, a whole host's where there are no others."""
    hosts = {urlsplit(strip_credentials(url)).netloc for url in urls}
    found = {clean: secret for clean, secret in secrets.items() if urlsplit(clean).netloc in hosts}
    own = {urlsplit(clean).netloc for clean in found if urlsplit(clean).path.strip("/")}
    kept = (
        secret
        for clean, secret in found.items()
        if urlsplit(clean).path.strip("/") or urlsplit(clean).netloc not in own
    )
    return tuple(sorted(set(kept)))
