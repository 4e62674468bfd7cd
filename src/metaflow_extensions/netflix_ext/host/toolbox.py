"""What a bare container needs to create environments: wheels of the tools, kept in the store that the flow uses."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

from ..engine.errors import ToolError
from ..engine.events import Reporter
from ..engine.identity import digest
from ..engine.layout import tool_key
from ..engine.platform import virtual_packages
from ..engine.ports import Fetcher, PypiRequest, PypiSolver, Store
from ..engine.requirement import PypiRequirement

TOOLS = ("py-rattler", "uv", "packaging", "platformdirs")
_OLDEST_PYTHON = "3.10.0"
Installed = Callable[[str], tuple[str, bytes] | None]


class Toolbox:
    """Publishes the tools in the versions that are installed here.

    Args:
        local: the store of what is known here.
        shared: the store that containers read.
        root: the name of *shared*, to remember by what it has.
        index: where wheels for another platform than this one come from.
        here: the platform of this machine.
        installed: gives file name and bytes of a wheel made of what is installed here, or None.
    """

    def __init__(self, local: Store, shared: Store, *, root: str, index: str, here: str, installed: Installed) -> None:
        self._local = local
        self._shared = shared
        self._root = root
        self._index = index
        self._here = here
        self._installed = installed

    def publish(self, arch: str, solver: PypiSolver, fetcher: Fetcher, report: Reporter) -> list[dict[str, Any]]:
        """Return name, file name and SHA-256 of each tool for *arch*, which the store has from now on.

        What was published before costs no request. Raises ToolError, SourceError, PackageError, StoreError.
        """
        versions = {name: _version(name) for name in TOOLS}
        record = f"tools/{arch}/{digest([versions, self._root])}"
        known = self._local.get(record)
        if known is not None:
            found = json.loads(known)
            assert isinstance(found, list)
            return found
        title = f"Publishing the tools that containers for {arch} need"
        report.started(title)
        files = [self._file(name, version, arch, solver, fetcher) for name, version in versions.items()]
        tools = []
        for name, file, data in files:
            sha256 = hashlib.sha256(data).hexdigest()
            self._shared.put(tool_key(name, sha256, file), data)
            tools.append({"name": name, "file": file, "sha256": sha256})
        self._local.put(record, json.dumps(tools).encode("utf-8"))
        report.finished(title)
        return tools

    def _file(self, name: str, version: str, arch: str, solver: PypiSolver, fetcher: Fetcher) -> tuple[str, str, bytes]:
        own = self._installed(name) if arch == self._here else None
        if own is not None:
            return name, *own
        wheels = solver.solve(
            PypiRequest(
                requirements=(PypiRequirement(name, specifier=f"=={version}"),),
                provided=(),
                indexes=(self._index,),
                python=_OLDEST_PYTHON,
                arch=arch,
                virtual=virtual_packages(arch),
            )
        )
        wheel = next(wheel for wheel in wheels if wheel.name == name)
        with tempfile.TemporaryDirectory(prefix="metaflow-tools-") as folder:
            path = Path(folder, wheel.filename)
            fetcher.fetch(wheel.url, wheel.sha256, path)
            return name, wheel.filename, path.read_bytes()


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        raise ToolError(
            f"'{name}' is not installed, and containers need it", f"install it: pip install {name}"
        ) from None
