"""The composition root of a container: what creates prefixes there, from what is at hand. Adapters come when needed."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...adapters.machine import LocalMachine
from ...adapters.prefixes import PrefixFolder
from ...engine.create import Creator
from ...engine.events import Reporter
from ...engine.package import AnyPackage, PypiPackage
from ...engine.ports import WheelInstaller

if TYPE_CHECKING:
    from ...adapters.worker import Worker
    from .delivery import Additions


class ContainerParts:
    """What creates prefixes below *root* in a container, by *worker*, uv in *tools* and the cache *packages*.

    *headers* has, by URL, those that open it; it may still be filled when this is constructed.
    """

    def __init__(
        self, worker: Worker, tools: Path, root: Path, packages: Path, headers: Mapping[str, Mapping[str, str]]
    ) -> None:
        from ...adapters.activation import ShellActivator
        from ...adapters.http import HttpFetcher
        from ...adapters.interpreters import PYTHONS, UvPythonInstaller
        from ...adapters.rattler_installer import RattlerInstaller
        from ...adapters.uv_installer import UvInstaller

        self._wheels = UvInstaller(program=str(tools / "bin" / "uv"))
        self._conda = RattlerInstaller(worker, packages=packages, looked_at=False, checked=True, headers=headers)
        self._pythons = UvPythonInstaller(root / PYTHONS, HttpFetcher())
        self._prefixes = PrefixFolder(root)
        self._activator = ShellActivator()

    def creator(self, additions: Additions) -> Creator:
        """Return what creates a prefix that is given *additions* after its conda packages."""
        return Creator(
            prefixes=self._prefixes,
            conda=self._conda,
            wheels=_AddedWheels(self._wheels, additions),
            pythons=self._pythons,
            archives=_NoFiles(),
            activator=self._activator,
            byte_code=additions,
            machine=LocalMachine(os.environ),
        )


class _NoFiles:
    """No files of packages: what there are have URLs of this machine already."""

    def here(self, package: AnyPackage) -> None:
        """Return None."""

    def copied(self, package: AnyPackage, keys: Sequence[str]) -> None:
        """Return None."""


class _AddedWheels:
    """Puts the wheels of *additions* in place, when they are there, by *wheels*."""

    def __init__(self, wheels: WheelInstaller, additions: Additions) -> None:
        self._wheels = wheels
        self._additions = additions

    def install(
        self,
        packages: tuple[PypiPackage, ...],  # noqa: ARG002 - the same, not yet on this machine
        stage: Path,
        final: Path,
        report: Reporter,
        *,
        trusted: Sequence[str] = (),
    ) -> None:
        """See `ports.WheelInstaller.install`."""
        self._wheels.install(self._additions.wheels(), stage, final, report, trusted=trusted)
