"""The conda name of this machine's platform."""

from __future__ import annotations

import platform
import sys

from .errors import ChannelError

_SYSTEMS = {"linux": "linux", "darwin": "osx"}
_MACHINES = {
    ("linux", "x86_64"): "64",
    ("linux", "aarch64"): "aarch64",
    ("linux", "ppc64le"): "ppc64le",
    ("darwin", "x86_64"): "64",
    ("darwin", "arm64"): "arm64",
}


def host() -> str:
    """Return the conda subdir of this machine, such as linux-64."""
    machine = _MACHINES.get((sys.platform, platform.machine()))
    if machine is None:
        raise ChannelError(f"no conda platform for {sys.platform} on {platform.machine()}")
    return f"{_SYSTEMS[sys.platform]}-{machine}"
