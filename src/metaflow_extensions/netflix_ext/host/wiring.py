"""The composition root: settings to adapters. Adapters are imported when they are first needed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ..adapters import bytecode, process
from ..adapters.bytecode import ByteCodeCache
from ..adapters.credentials import Credentials
from ..adapters.folder import FolderStore
from ..adapters.machine import LocalMachine
from ..adapters.prefixes import PrefixFolder
from ..engine.ask import Ask
from ..engine.build import Builder
from ..engine.catalog import Catalog
from ..engine.compiled import Compiler
from ..engine.create import Creator
from ..engine.errors import SettingError, ToolError
from ..engine.events import Reporter
from ..engine.formats import Formatter
from ..engine.history import MANIFEST, ManifestFile
from ..engine.index_settings import IndexSettings
from ..engine.options import PypiOptions
from ..engine.origin import settled
from ..engine.ports import PypiSolver, PythonSource, Store
from ..engine.renamed import renamed
from ..engine.request import DEFAULT_INDEX
from ..engine.resolve import Resolver
from ..engine.secret import strip_credentials
from . import compat
from .settings import Settings, user
from .store import ROOT_NAMES, MetaflowStore

if TYPE_CHECKING:
    from ..adapters.archives import KeptArchives
    from ..adapters.jupyter import Kernels
    from ..adapters.worker import Worker
    from .conda_parts import CondaParts


class Wiring:
    """The engine's parts for one configuration.

    Args:
        settings: the configuration.
        root: the folder of the local catalog.
        datastore: the kind of datastore with the shared store; None: there is no such store.
    """

    def __init__(self, settings: Settings, root: Path, datastore: str | None) -> None:
        self.settings = settings
        self.machine = LocalMachine(os.environ)
        self._root = root
        self._store = FolderStore(root)
        self.shared_root = shared_root(settings, datastore)
        shared = _shared_store(settings, *self.shared_root) if self.shared_root is not None else None
        self.catalog = Catalog(self._store, shared, ManifestFile(FolderStore(root.parent), str(root.parent / MANIFEST)))
        self.prefixes = PrefixFolder(settings.envs_root)
        self.byte_code = ByteCodeCache(settings.envs_root)
        own = IndexSettings(
            index=settings.index if settings.index != DEFAULT_INDEX else "",
            options=PypiOptions(torch_backend=settings.torch_backend),
        )
        self._credentials = Credentials(settings.secrets, own, os.environ if settings.index_settings else None)

    def remember(self, urls: Iterable[str]) -> None:
        """Keep the credentials in *urls* for talking to those sources, in memory only."""
        self._credentials.remember(urls)

    @property
    def indexes(self) -> IndexSettings:
        """What settings say of indexes: ours, then uv's, then pip's. Raises SettingError."""
        return self._credentials.indexes

    @property
    def told(self) -> Mapping[str, IndexSettings]:
        """The same apart, by whose they are. Raises SettingError."""
        return self._credentials.told

    def settled(self, ask: Ask, folder: str) -> Ask:
        """Return *ask* with the state of what it links to on this machine; paths are taken from *folder*."""
        if not any(item.url for item in ask.pypi):
            return ask
        from ..adapters.trees import state

        return replace(ask, pypi=tuple(settled(item, folder, lambda path: state(Path(path))) for item in ask.pypi))

    def keep(self, key: str, data: bytes) -> Path:
        """Put *data* into the local store and return the file it is in."""
        self._store.put(key, data)
        return self._root / key

    @cached_property
    def _worker(self) -> Worker:
        from ..adapters.worker import Worker

        return Worker(variables=self.settings.channel_settings.variables(os.environ))

    def end_programs(self) -> None:
        """End the programs that work for us."""
        process.end_running()
        worker = self.__dict__.get("_worker")
        if worker is not None:
            worker.kill()

    @cached_property
    def resolver(self) -> Resolver:
        """What `engine.resolve.resolve` needs."""
        if not self.settings.interpreter:
            self._worker.begin()  # it starts while the rest is imported
        self._credentials.unlock()
        return Resolver(
            conda=self._conda.solver,
            pypi=self.pypi_solver,
            author=user(),
            host={"metaflow": compat.version()},
            now=lambda: datetime.now(timezone.utc).isoformat(timespec="seconds"),
            pypi_names=pypi_names,
            mixed=self._conda.mixed_solver(pypi_names),
            builder=self.builder,
            pythons=self._pythons,
            alone=self._pip_solver,
        )

    @property
    def _pip_solver(self) -> PypiSolver | None:
        if self.settings.pypi != "pip":
            return None
        from ..adapters.pip import PipSolver

        found = self._credentials
        return PipSolver(self.machine.arch(), found.sources, default=found.readable_indexes.index)

    @cached_property
    def _pythons(self) -> PythonSource:
        from ..adapters.interpreters import UvPythons

        return UvPythons(self.machine.arch(), self.archives, self._store)

    @cached_property
    def builder(self) -> Builder:
        """What builds wheels from source."""
        from ..adapters.builds import UvOrigins
        from ..adapters.git import Git

        return Builder(
            origins=UvOrigins(
                self.settings.envs_root / ".builds",
                self.archives,
                Git(self._credentials.sources),
                seconds=self.settings.build_seconds,
            ),
            files=self.archives,
            stores=self.catalog.stores,
            creator=lambda: self.creator,
            arch=self.machine.arch(),
        )

    @cached_property
    def _conda(self) -> CondaParts:
        from .conda_parts import CondaParts

        return CondaParts(self.settings, self.machine.arch(), self._worker, self._credentials, self.catalog.shared)

    @cached_property
    def pypi_solver(self) -> PypiSolver:
        """What picks wheels."""
        from ..adapters.pypi import UvSolver

        self._credentials.unlock()
        return UvSolver(
            self._credentials.sources,
            settings=self._credentials.readable_indexes,
            isolated=not self.settings.index_settings,
            stubs=self.settings.envs_root / ".stubs",
        )

    @cached_property
    def archives(self) -> KeptArchives:
        """The files of packages on this machine."""
        from ..adapters.archives import KeptArchives
        from ..adapters.http import HttpFetcher

        self._credentials.unlock()
        channels = HttpFetcher(self._credentials.channels, settings=self.settings.channel_settings)
        wheels = HttpFetcher(self._credentials.sources)
        return KeptArchives(
            self.settings.envs_root / ".fetched", self.catalog.stores, wheels, channels, self._conda.packages
        )

    def tools(self, store: Store, arch: str, report: Reporter) -> list[dict[str, str]]:
        """Return what a container for *arch* needs, which *store* has from now on: see `toolbox.Toolbox.publish`."""
        from ..adapters.tool_wheels import installed
        from .containers.toolbox import Toolbox

        index = strip_credentials(self.indexes.index) or DEFAULT_INDEX
        box = Toolbox(store, index=index, here=self.machine.arch(), installed=installed)
        return box.publish(arch, lambda: self.pypi_solver, self.archives, report)

    @cached_property
    def formatter(self) -> Formatter | None:
        """What packs packages in the format that is preferred; None where none is, or nothing is shared."""
        from ..adapters.transmute import PackageHandling

        if not self.settings.preferred_format or self.catalog.shared is None:
            return None
        return Formatter(
            preferred=self.settings.preferred_format,
            local=self._store,
            shared=self.catalog.shared,
            files=self.archives,
            transmuter=PackageHandling(),
        )

    def compiler(self, store: Store, python: Callable[[str], Path | None]) -> Compiler:
        """Return what makes byte code that travels; *python* finds an interpreter for a Python minor."""
        from ..adapters.bytecode_archives import KeptByteCode

        maker = KeptByteCode(self.settings.envs_root, self._unpack, python)
        return Compiler(store=store, files=self.archives, maker=maker)

    def _unpack(self, archive: Path, target: Path) -> None:
        from ..adapters.worker import WorkerError

        try:
            self._worker.request("unpack", {"archive": str(archive), "target": str(target)})
        except WorkerError as error:
            raise ToolError(
                f"'{archive}' cannot be unpacked: {error.message}", "steps run without its byte code"
            ) from error

    def minor_of(self, python: Path) -> str | None:
        """Return ``3.11`` for an interpreter of that minor; None for one that is no CPython of the usual kind."""
        found = bytecode.minor_of(python)
        return f"3.{found}" if found is not None and found.isdigit() else None

    @cached_property
    def creator(self) -> Creator:
        """What `engine.create.create` needs."""
        if not self.settings.interpreter:
            self._worker.begin()
        from ..adapters.activation import ShellActivator
        from ..adapters.http import HttpFetcher
        from ..adapters.interpreters import PYTHONS, UvPythonInstaller
        from ..adapters.uv_installer import UvInstaller

        return Creator(
            prefixes=self.prefixes,
            archives=self.archives,
            conda=self._conda.installer(self.archives),
            wheels=UvInstaller(self._credentials.sources),
            pythons=UvPythonInstaller(self.settings.envs_root / PYTHONS, HttpFetcher(self._credentials.sources)),
            activator=ShellActivator(),
            byte_code=self.byte_code,
            machine=self.machine,
        )

    @cached_property
    def kernels(self) -> Kernels:
        """The user's Jupyter kernels."""
        from ..adapters.jupyter import Kernels

        return Kernels(self.settings.envs_root / ".locks")

    def talk_through(self, command: Sequence[str], variables: Mapping[str, str], say: Callable[[str], None]) -> int:
        """See `adapters.process.talk_through`."""
        return process.talk_through(command, variables, say)

    def notebook(self, cells: Sequence[tuple[str, str, str]], *, kernel: str, title: str, python: str) -> str:
        """See `adapters.notebook.write`."""
        from ..adapters.notebook import write

        return write(cells, kernel=kernel, title=title, python=python)

    def put_package(self, name: str, version: str, folder: Path) -> None:
        """Put one package of the default index into *folder*, without what it depends on; raise PackageError."""
        from ..adapters.uv_installer import put_alone

        put_alone(name, version, folder)


def shared_root(settings: Settings, datastore: str | None) -> tuple[str, str] | None:
    """Return the kind and the root of the shared store, or None where there is none.

    Raises SettingError where the root is not known. A kind of datastore that an extension brings has no such store.
    """
    if datastore in (None, "local", "spin"):
        found = settings.local_root
        return ("local", str(found)) if datastore is not None and found is not None else None
    assert datastore is not None
    if datastore not in ROOT_NAMES:
        return None
    if datastore not in settings.roots:
        raise SettingError(
            f"where environments are kept in {datastore} is not known: METAFLOW_{ROOT_NAMES[datastore]} is not set",
            f"set it, or METAFLOW_DATASTORE_SYSROOT_{datastore.upper()}, below which they are kept then",
        )
    return datastore, settings.roots[datastore]


def _shared_store(settings: Settings, datastore: str, root: str) -> Store:
    store: Store = FolderStore(Path(root)) if datastore == "local" else MetaflowStore(datastore, root)
    return renamed(store, settings.folders)


def pypi_names() -> Mapping[str, str]:
    """Return the names on PyPI of conda packages that are called otherwise there."""
    from metaflow_netflixext_names import PYPI_NAMES

    return PYPI_NAMES
