"""What this machine is: its platform, and its virtual packages (CEP 30)."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping

from ..engine.platform import VirtualPackage, arch_of

_OVERRIDES = {"CONDA_OVERRIDE_GLIBC": "__glibc", "CONDA_OVERRIDE_CUDA": "__cuda", "CONDA_OVERRIDE_OSX": "__osx"}


class LocalMachine:
    """The machine we run on; *environ* may override what is found, as for conda."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def arch(self) -> str:
        """Return its platform name."""
        return arch_of(platform.system(), platform.machine())

    def virtual(self) -> tuple[VirtualPackage, ...]:
        """Return its virtual packages; an override that is empty removes one."""
        found = {"__unix": "0", **_system()}
        cuda = _cuda()
        if cuda:
            found["__cuda"] = cuda
        for variable, name in _OVERRIDES.items():
            if variable in self._environ:
                found[name] = self._environ[variable]
        return tuple(VirtualPackage.from_pair(name, version) for name, version in sorted(found.items()) if version)


def _system() -> dict[str, str]:
    if platform.system() == "Darwin":
        return {"__osx": platform.mac_ver()[0]}
    kernel = re.match(r"\d+(?:\.\d+)*", platform.release())
    found = {"__linux": kernel.group() if kernel else "0"}
    with_name = os.confstr("CS_GNU_LIBC_VERSION") if "CS_GNU_LIBC_VERSION" in os.confstr_names else None
    if with_name and with_name.startswith("glibc "):
        found["__glibc"] = with_name.removeprefix("glibc ")
    return found


def _cuda() -> str:
    """Return the CUDA version that the driver supports, from the driver's own library, or an empty text."""
    import ctypes

    try:
        driver = ctypes.CDLL("libcuda.so.1")
        version = ctypes.c_int()
        if driver.cuInit(0) != 0 or driver.cuDriverGetVersion(ctypes.byref(version)) != 0:
            return ""
    except (OSError, AttributeError):
        return ""
    return f"{version.value // 1000}.{version.value % 1000 // 10}"
