"""Byte code that travels with the environments of containers, and a Python on this machine to make it with."""

from __future__ import annotations

import platform
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from ...engine import compiled
from ...engine import obtain as obtaining
from ...engine.ask import Ask
from ...engine.catalog import Catalog
from ...engine.errors import ExtensionError
from ...engine.request import request_for
from ...engine.resolved import ResolvedEnvironment
from .. import launcher
from ..steps import surroundings
from ..workbench import Workbench

if TYPE_CHECKING:
    from ...engine.compiled import Listing


def byte_code(environment: ResolvedEnvironment, bench: Workbench) -> Listing:
    """Return the byte code for *environment*, which the shared store has from now on.

    Tasks work without: where it cannot be made, that is told, and nothing is raised.
    """
    store = bench.wiring.catalog.shared
    if store is None or not environment.cache_tag or environment.cache_tag.endswith("t"):
        return {}
    try:
        found = compiled.known(environment, bench.wiring.catalog.store, store)
        if found is not None:
            return found
        compiler = bench.wiring.compiler(store, _Interpreters(bench).find)
        title = f"Compiling packages for Python {environment.python_version}"
        with bench.background.interruptible(), bench.report.live():
            return compiled.publish(environment, compiler, bench.report, title=title)
    except (ExtensionError, OSError) as error:
        bench.report.note(f"Tasks compile what they import: {str(error).splitlines()[0]}")
        return {}


class _Interpreters:
    """Pythons of this machine, by minor; several threads may ask."""

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench
        self._known: dict[str, Path] = {}
        self._lock = threading.Lock()

    def find(self, minor: str) -> Path:
        """Return a CPython *minor* (``3.11``): this one, that of a prefix of ours, else one created for this.

        Raises the errors of resolving and creating.
        """
        with self._lock:
            if minor not in self._known:
                self._known[minor] = self._this(minor) or self._prefix(minor) or self._created(minor)
            return self._known[minor]

    @staticmethod
    def _this(minor: str) -> Path | None:
        return (
            Path(sys.executable) if minor == launcher.PYTHON and platform.python_implementation() == "CPython" else None
        )

    def _prefix(self, minor: str) -> Path | None:
        prefixes, wiring = self._bench.wiring.prefixes, self._bench.wiring
        for name in prefixes.names():
            python = prefixes.path(name) / "bin" / "python"
            if prefixes.marker(name) is not None and wiring.minor_of(python) == minor:
                return python
        return None

    def _created(self, minor: str) -> Path:
        bench = self._bench
        around = surroundings(bench.settings, python=minor, needs={})
        request = request_for(Ask(), around, arch=bench.wiring.machine.arch())
        obtained = bench.obtain({request: f"Python {minor} for this machine"}, {})
        obtaining.keep(obtained, Catalog(bench.wiring.catalog.store))
        return bench.create(obtained[request].environment, title=f"Creating an environment of Python {minor}").python
