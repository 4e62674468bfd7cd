"""What settings say of channels: what their names mean, how they are reached, which of them goes first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

CHANNELS_LIE_AT = "https://conda.anaconda.org"
PRIORITIES = ("strict", "flexible", "disabled")
DEFAULTS = "defaults"
# What conda means by `defaults` where nobody says otherwise.
DEFAULT_CHANNELS = ("https://repo.anaconda.com/pkgs/main", "https://repo.anaconda.com/pkgs/r")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelSettings:
    """``alias`` is where channels of bare names lie (None: conda's own place), ``named`` has those that lie elsewhere.

    ``mirrors`` has for the URL of a channel, or the beginning of one, where it is read in its place. ``priority`` is
    one of `PRIORITIES`. ``proxies`` are by scheme, ``certificates`` is a file of those to trust; the environment's own
    variables go over both.
    """

    alias: str | None = None
    named: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    mirrors: Mapping[str, str] = field(default_factory=dict)
    priority: str = "strict"
    proxies: Mapping[str, str] = field(default_factory=dict)
    certificates: str = ""

    def places(self, channel: str) -> tuple[str, ...]:
        """Return the channels that *channel* stands for: itself, unless its name or the beginning of it is known."""
        if channel in self.named:
            return tuple(place for one in self.named[channel] for place in self.places(one) if one != channel)
        head, slash, rest = channel.partition("/")
        if "://" not in channel and slash and head in self.named:
            return tuple(f"{place.rstrip('/')}/{rest}" for place in self.places(head))
        return (channel,)

    def variables(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Return the environment variables by which programs are told of proxies and certificates."""
        found = {
            f"{scheme}_proxy".upper(): url
            for scheme, url in self.proxies.items()
            if not {f"{scheme}_proxy".upper(), f"{scheme}_proxy", "ALL_PROXY", "all_proxy"} & environ.keys()
        }
        if self.certificates and not {"SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"} & environ.keys():
            found["SSL_CERT_FILE"] = self.certificates
        return found


NOTHING_SAID = ChannelSettings()


def mirrored(url: str, mirrors: Mapping[str, str]) -> str:
    """Return where *url* is read: the mirror of the longest beginning of it that has one, else itself."""
    for clean in sorted(mirrors, key=len, reverse=True):
        if url == clean or url.startswith(f"{clean}/"):
            return mirrors[clean] + url[len(clean) :]
    return url
