"""The composition root of what works with conda packages: py-rattler, and the executables in its place.

Adapters are imported when they are first needed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ..adapters.conda_packages import CondaPackages
from ..engine.errors import SettingError, ToolError
from ..engine.ports import Archives, CondaInstaller, CondaSolver, MixedSolver, Store
from .settings import PROGRAMS, Settings

if TYPE_CHECKING:
    from ..adapters.conda_program import CondaProgram
    from ..adapters.credentials import Credentials
    from ..adapters.worker import Worker

# What executables keep for us, below the folder of prefixes.
_PROGRAMS = ".programs"


class CondaParts:
    """The engine's parts for conda packages, for one configuration.

    Args:
        settings: the configuration.
        arch: this machine's platform.
        worker: where py-rattler runs.
        credentials: those of sources.
        shared: the shared store, if there is one.
    """

    def __init__(
        self, settings: Settings, arch: str, worker: Worker, credentials: Credentials, shared: Store | None
    ) -> None:
        self._settings = settings
        self._arch = arch
        self._worker = worker
        self._credentials = credentials
        self._shared = shared
        self.packages = CondaPackages(settings.package_folders)

    @cached_property
    def solver(self) -> CondaSolver:
        """What picks conda packages."""
        channels = self._settings.channel_settings
        if self._settings.resolver == "rattler":
            from ..adapters.conda import RattlerSolver

            return RattlerSolver(self._worker, settings=channels, secrets=self._credentials.channels)
        from ..adapters.conda_solve import ProgramSolver
        from ..adapters.http import HttpFetcher

        return ProgramSolver(
            lambda: self._program(self._settings.resolver),
            self._worker,
            self._settings.envs_root / _PROGRAMS,
            hash_of=HttpFetcher(self._credentials.channels, settings=channels).hash_of,
            settings=channels,
            secrets=self._credentials.sources,
        )

    def mixed_solver(self, pypi_names: Callable[[], Mapping[str, str]]) -> MixedSolver | None:
        """Return what picks packages of both worlds together; None for the default pair. See `CondaLockSolver`."""
        if self._settings.mixed != "conda-lock":
            return None
        from ..adapters import conda_lock_program
        from ..adapters.conda_lock import CondaLockSolver
        from ..adapters.http import HttpFetcher

        folder = self._settings.envs_root / _PROGRAMS / "conda-lock"
        return CondaLockSolver(
            cache(lambda: conda_lock_program.find(os.environ, distribution=self._distribution, folder=folder)),
            cache(self._any_program),
            self._worker,
            hash_of=HttpFetcher(self._credentials.channels, settings=self._settings.channel_settings).hash_of,
            pypi_names=pypi_names,
            settings=self._settings.channel_settings,
            secrets=self._credentials.sources,
        )

    def _any_program(self) -> CondaProgram:
        """Return the executable that resolves, else the first that there is; raise ToolError where there is none."""
        names = (self._settings.resolver,) if self._settings.resolver in PROGRAMS else PROGRAMS
        errors = []
        for name in names:
            try:
                return self._program(name)
            except ToolError as error:
                errors.append(error.message)
        raise ToolError(
            f"conda-lock needs {' or '.join(names)}: {'; '.join(errors)}",
            "install one of them, or let METAFLOW_CONDA_MIXED_DEPENDENCY_RESOLVER be default",
        )

    def _program(self, name: str) -> CondaProgram:
        """Return the executable *name*; raise ToolError where there is none that serves."""
        from ..adapters import conda_program

        known = self._settings.envs_root / _PROGRAMS / "versions"
        return conda_program.find(name, os.environ, distribution=self._distribution, known=known)

    @cached_property
    def _distribution(self) -> Path | None:
        """Where executables are taken from alone, put there from the store if that is how it is set."""
        from ..adapters import distribution

        path, key = self._settings.distribution, self._settings.distribution_key
        if path is not None and key:
            if self._shared is None:
                raise SettingError(
                    "METAFLOW_CONDA_LOCAL_DIST names a distribution in the store, and there is no store",
                    "name one by --datastore and METAFLOW_CONDA_*ROOT, or leave METAFLOW_CONDA_LOCAL_DIST unset",
                )
            distribution.ensure(path, key.replace("{arch}", self._arch), self._shared)
        return path

    def installer(self, archives: Archives) -> CondaInstaller:
        """Return what links conda packages, which are among *archives*, or come there."""
        name = self._settings.conda_installer
        if name == "rattler":
            from ..adapters.conda_packages import Adopting
            from ..adapters.rattler_cache import default_packages
            from ..adapters.rattler_installer import RattlerInstaller

            mirrors = self._settings.channel_settings.mirrors
            linked = RattlerInstaller(self._worker, secrets=self._credentials.channels, mirrors=mirrors)
            return Adopting(linked, self.packages, default_packages()) if self._settings.package_folders else linked
        from ..adapters.conda_install import ProgramInstaller

        return ProgramInstaller(lambda: self._program(name), archives, self._settings.envs_root / _PROGRAMS)
