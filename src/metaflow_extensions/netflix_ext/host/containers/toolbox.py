"""What a bare container needs to create environments, and to launch flows: wheels of the tools, kept in the store.

tools/<arch>/<digest>                which files those are, for these versions of the tools
tools/<name>/<sha256>/<file>         one of them
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from importlib import metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ...engine.errors import StoreError, ToolError
from ...engine.events import Reporter, working
from ...engine.identity import digest
from ...engine.layout import tool_key, tools_key
from ...engine.platform import virtual_packages
from ...engine.ports import Archives, PypiRequest, PypiSolver, Store
from ...engine.requirement import PypiRequirement
from .remote import CREATION_TOOLS

# What flows need that are launched in a container; what these need comes with them. Metaflow itself brings requests.
_LAUNCHING = ("rich", "ruamel.yaml")
_OLDEST_PYTHON = "3.10.0"
Installed = Callable[[str], tuple[str, bytes] | None]


class Toolbox:
    """Publishes the tools in the versions that are installed here.

    Args:
        store: the store that containers read.
        index: where wheels for another platform than this one come from.
        here: the platform of this machine.
        installed: gives file name and bytes of a wheel made of what is installed here, or None.
    """

    def __init__(self, store: Store, *, index: str, here: str, installed: Installed) -> None:
        self._store = store
        self._index = index
        self._here = here
        self._installed = installed

    def publish(
        self, arch: str, solver: Callable[[], PypiSolver], archives: Archives, report: Reporter
    ) -> list[dict[str, str]]:
        """Return name, file name and SHA-256 of each tool for *arch*, which the store has from now on.

        Where anybody has published them before, that costs a look at each.
        Raises ToolError, SourceError, PackageError, StoreError.
        """
        versions = {name: _version(name) for name in tools_needed()}
        key = tools_key(arch, digest(versions))
        known = self._store.get(key)
        if known is not None:
            there = _read(known, self._store.where(key))
            keys = {tool_key(tool["name"], tool["sha256"], tool["file"]) for tool in there}
            if self._store.present(keys) == keys:
                return there
        title = f"Publishing the tools that containers for {arch} need"
        tools = []
        with working(report, title):
            for name, version in versions.items():
                file, data = self._file(name, version, arch, solver, archives)
                sha256 = hashlib.sha256(data).hexdigest()
                self._store.put(tool_key(name, sha256, file), data)
                tools.append({"name": name, "file": file, "sha256": sha256})
            self._store.put(key, json.dumps(tools, sort_keys=True).encode("utf-8"), overwrite=known is not None)
        # Of two who publish at once, one is first; both have put what they name.
        return _read(self._store.get(key) or b"", self._store.where(key))

    def _file(
        self, name: str, version: str, arch: str, solver: Callable[[], PypiSolver], archives: Archives
    ) -> tuple[str, bytes]:
        own = self._installed(name) if arch == self._here else None
        if own is not None:
            return own
        wanted = canonicalize_name(name)
        wheels = solver().solve(
            PypiRequest(
                requirements=(PypiRequirement(wanted, specifier=f"=={version}"),),
                provided=(),
                indexes=(self._index,),
                python=_OLDEST_PYTHON,
                arch=arch,
                virtual=virtual_packages(arch),
            )
        )
        wheel = next(wheel for wheel in wheels if wheel.name == wanted)
        path = archives.here(wheel) or archives.fetched(wheel)
        return wheel.filename, path.read_bytes()


def tools_needed() -> list[str]:
    """Return the names of all tools; raise ToolError where one is not installed."""
    found = list(CREATION_TOOLS)
    left = list(_LAUNCHING)
    while left:
        name = left.pop(0)
        found.append(name)
        _version(name)
        needed = [Requirement(text) for text in metadata.requires(name) or ()]
        left += [
            item.name
            for item in needed
            if item.name not in found + left and (item.marker is None or item.marker.evaluate({"extra": ""}))
        ]
    return found


def _read(data: bytes, where: str) -> list[dict[str, str]]:
    try:
        return [{word: str(tool[word]) for word in ("name", "file", "sha256")} for tool in json.loads(data)]
    except (ValueError, KeyError, TypeError):
        raise StoreError(f"{where}: not a list of tools", "remove it: it is written anew") from None


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        raise ToolError(
            f"'{name}' is not installed, and containers need it", f"install it: pip install {name}"
        ) from None
