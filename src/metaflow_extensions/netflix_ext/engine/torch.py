"""Which builds of PyTorch an environment takes, as uv names them: ``cpu``, ``cu128``, ``rocm6.4``; or ``auto``."""

from __future__ import annotations

import re
from collections.abc import Iterable

from .errors import InputError
from .platform import VirtualPackage, version_of

_AUTO = "auto"
# The versions of CUDA that uv knows builds for.
CUDA = (
    *((8, 0), (9, 0), (9, 1), (9, 2), (10, 0), (10, 1), (10, 2)),
    *((11, minor) for minor in range(9)),
    *((12, 0), (12, 1), (12, 2), (12, 3), (12, 4), (12, 5), (12, 6), (12, 8), (12, 9)),
    *((13, 0), (13, 2)),
)


def check_backend(text: str) -> str:
    """Return *text* where it can name builds; raise InputError."""
    if not re.fullmatch(r"auto|cpu|xpu|cu\d{2,3}|rocm\d+(\.\d+)*", text):
        raise InputError(
            f"torch_backend: '{text}' names no builds of PyTorch",
            "write 'cpu', a CUDA such as 'cu128', 'rocm6.4', 'xpu', or 'auto' for what __cuda of the target allows",
        )
    return text


def backend_for(text: str, arch: str, virtual: Iterable[VirtualPackage]) -> str:
    """Return the builds that *text* means for a target; ``auto`` is decided by its ``__cuda``, never by this machine.

    Without one it is ``cpu``, and with one the newest CUDA that a driver of that version runs.
    """
    if text != _AUTO:
        return text
    cuda = version_of(virtual, "__cuda")
    if arch.startswith("osx") or not cuda:
        return "cpu"
    parts = [int(part) for part in re.findall(r"\d+", cuda)]
    have = (parts[0], parts[1] if len(parts) > 1 else 0)
    reached = [version for version in CUDA if version <= have]
    return f"cu{reached[-1][0]}{reached[-1][1]}" if reached else "cpu"
