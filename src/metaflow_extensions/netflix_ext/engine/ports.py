"""What the engine needs of the world, each as a small protocol."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from .events import Reporter
from .options import PypiOptions
from .origin import Link, Origin
from .package import AnyPackage, CondaPackage, Interpreter, PypiPackage
from .platform import VirtualPackage
from .requirement import CondaRequirement, PypiRequirement


@dataclass(frozen=True, slots=True, kw_only=True)
class Prefix:
    """A complete environment on disk: where, and what activating it sets (PATH apart)."""

    path: Path
    variables: Mapping[str, str]

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.path / "bin" / "python"


@dataclass(frozen=True, slots=True, kw_only=True)
class CondaRequest:
    """What to solve from channels, for one platform; ``pip`` comes along where a channel has it.

    ``channels`` are names, URLs or folders, in order of priority. ``pinned`` are packages that are in the answer as
    they are, whether or not a channel still has them.
    """

    requirements: tuple[CondaRequirement, ...]
    channels: tuple[str, ...]
    arch: str
    virtual: tuple[VirtualPackage, ...]
    pinned: tuple[CondaPackage, ...] = ()


class CondaSolver(Protocol):
    """Picks conda packages. Raises ResolveError with the solver's explanation, SourceError for a bad channel."""

    def solve(self, request: CondaRequest) -> tuple[CondaPackage, ...]:
        """Return one package a name, in an order in which they can be linked."""
        ...

    def versions(self) -> Mapping[str, str]:
        """Return the names and versions of the tools that solve."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PypiRequest:
    """What to solve from indexes, for one platform and one exact Python.

    ``provided`` are distributions (name, version) that conda has put there: they satisfy requirements, are never
    replaced, and do not come back in the answer.
    """

    requirements: tuple[PypiRequirement, ...]
    provided: tuple[tuple[str, str], ...]
    indexes: tuple[str, ...]
    python: str
    arch: str
    virtual: tuple[VirtualPackage, ...]
    options: PypiOptions = field(default_factory=PypiOptions)


class PypiSolver(Protocol):
    """Picks wheels. Raises ResolveError with the solver's explanation, SourceError for a bad index."""

    def solve(self, request: PypiRequest, builds: Builds | None = None) -> tuple[PypiPackage, ...]:
        """Return exactly one wheel a distribution; without *builds* nothing is built."""
        ...

    def versions(self) -> Mapping[str, str]:
        """Return the names and versions of the tools that solve."""
        ...


class Builds(Protocol):
    """Wheels of what is not published as one, for one environment; see `engine.build.Builds`."""

    def pinned(self, name: str, link: Link) -> Origin:
        """Return the state that *link* of the requirement *name* leads to now."""
        ...

    def prefix(self) -> Prefix:
        """Return where builds run."""
        ...

    def wheels(
        self, origins: Mapping[str, Origin], variables: Mapping[str, str]
    ) -> dict[str, tuple[PypiPackage, Path]]:
        """Return the wheel of each origin, by the name of the distribution."""
        ...

    def keep(self, package: PypiPackage, path: Path) -> None:
        """Keep the file *path* of *package*, which is on this machine alone."""
        ...


class Origins(Protocol):
    """What wheels are built from; may be asked by several threads."""

    def pinned(self, name: str, link: Link) -> Origin:
        """Return the state that *link* of the requirement *name* leads to now; raise SourceError, InputError."""
        ...

    def built(
        self, name: str, origin: Origin, prefix: Prefix, variables: Mapping[str, str]
    ) -> AbstractContextManager[Path]:
        """Fetch *origin*, check its pin, and build it with the Python of *prefix*; the wheel is there in the block.

        The version of one that moves carries `Origin.label`. Raises SourceError where it cannot be fetched,
        PackageError where it is another one, ResolveError where it does not build.
        """
        ...


class MixedSolver(Protocol):
    """Picks conda packages and wheels together. Raises ResolveError with an explanation, SourceError."""

    def solve(
        self, conda: CondaRequest, requirements: Sequence[PypiRequirement], indexes: Sequence[str], options: PypiOptions
    ) -> tuple[tuple[CondaPackage, ...], tuple[PypiPackage, ...]]:
        """Return packages in an order in which they can be linked, and one wheel for what is not among them."""
        ...

    def versions(self) -> Mapping[str, str]:
        """Return the names and versions of the tools that solve."""
        ...


class CondaInstaller(Protocol):
    """Links conda packages. Raises PackageError where bytes are not those resolved, CreateError else."""

    def install(self, packages: tuple[CondaPackage, ...], stage: Path, final: Path, report: Reporter) -> None:
        """Fill *stage* with *packages*, with *final* as the path that files name."""
        ...

    def unpacked(self, package: CondaPackage) -> bool:
        """Tell whether *package* lies unpacked on this machine already, so that its archive is not needed."""
        ...


class WheelInstaller(Protocol):
    """Puts wheels in place. Raises PackageError where bytes are not those resolved, CreateError else."""

    def install(
        self,
        packages: tuple[PypiPackage, ...],
        stage: Path,
        final: Path,
        report: Reporter,
        *,
        trusted: Sequence[str] = (),
    ) -> None:
        """Add *packages* to the prefix *stage*, with *final* as the path that files name.

        The certificates of the *trusted* hosts are not checked; bytes are.
        """
        ...


class PythonSource(Protocol):
    """Finds interpreters that come from no channel."""

    def picked(self, constraint: str, arch: str, *, managed: bool) -> Interpreter:
        """Return the newest CPython that meets *constraint* (see `requirement.python_constraint`) for *arch*.

        Where *managed*, one that any machine of that platform can have. Raises ResolveError, SourceError, ToolError.
        """
        ...


class PythonInstaller(Protocol):
    """Puts interpreters that come from no channel in place."""

    def install(self, interpreter: Interpreter, stage: Path, final: Path) -> None:
        """Make *stage* a prefix of *interpreter*, with *final* as the path that files name.

        Raises CreateError where this machine does not have it, PackageError where it is another one.
        """
        ...


class Store(Protocol):
    """Key to bytes; keys are relative, ``/``-separated. Several threads may use it. Raises StoreError."""

    def get(self, key: str) -> bytes | None:
        """Return the bytes under *key*, or None."""
        ...

    def copy(self, key: str, path: Path) -> bool:
        """Write the bytes under *key*, however many, to the file *path*, whole or not at all; tell if there are any.

        Raises OSError where *path* cannot be written.
        """
        ...

    def signed(self, key: str) -> tuple[str, dict[str, str]] | None:
        """Return the URL of *key* and the headers to get it with, for another program; None where there are none.

        The URL holds no secret; the headers do, and they are good for minutes. The store is not asked.
        """
        ...

    def put(self, key: str, data: bytes, *, overwrite: bool = False) -> None:
        """Store *data*, whole or not at all; without *overwrite* what is there stays."""
        ...

    def put_file(self, key: str, path: Path) -> None:
        """Store the bytes of the file *path*, whole or not at all; what is there stays.

        Raises OSError where *path* cannot be read.
        """
        ...

    def present(self, keys: Iterable[str]) -> set[str]:
        """Return those of *keys* that have bytes, with few requests where many of them have."""
        ...

    def list(self, prefix: str) -> Iterator[str]:
        """Yield the keys below the folder *prefix*, one level: sub-folders end in ``/``."""
        ...

    def where(self, key: str) -> str:
        """Return how messages name the place of *key*."""
        ...


class Fetcher(Protocol):
    """Fetches files from where they come from; may be asked by several threads."""

    def fetch(self, url: str, digest: str, path: Path, *, trusted: Sequence[str] = ()) -> None:
        """Put the bytes of *url* into *path*, whole or not at all.

        *digest* is a SHA-256, or ``md5:`` and digits; the certificates of the *trusted* hosts are not checked. Raises
        PackageError where the file cannot be had, or is another.
        """
        ...

    def pinned(self, url: str, path: Path) -> str:
        """Put the bytes of *url*, whatever they are, into *path*, and return their SHA-256; raise PackageError."""
        ...


class PackageFiles(Protocol):
    """Package files on this machine, and in stores; may be asked by several threads.

    Each method raises PackageError where bytes are not those that were resolved.
    """

    def here(self, package: AnyPackage) -> Path | None:
        """Return the file of *package*, or None where this machine has none."""
        ...

    def copied(self, package: AnyPackage, keys: Sequence[str]) -> Path | None:
        """Return the file of *package*, copied from a store that has it under one of *keys*; None where none has it."""
        ...


class Archives(PackageFiles, Protocol):
    """Package files that can be fetched from where they come from, too."""

    def fetched(self, package: AnyPackage, *, trusted: Sequence[str] = ()) -> Path:
        """Return the file of *package*, fetched from where it comes from; see `Fetcher.fetch`."""
        ...


class Prefixes(Protocol):
    """The folder of prefixes on this machine."""

    def path(self, name: str) -> Path:
        """Return where the prefix *name* lies, or would lie."""
        ...

    def marker(self, name: str) -> str | None:
        """Return what `commit` wrote into the prefix *name*; None where there is no complete one of ours."""
        ...

    def names(self) -> Iterator[str]:
        """Yield the names of all prefixes, and of folders that might be taken for one."""
        ...

    def lock(self, name: str, report: Reporter) -> AbstractContextManager[None]:
        """Hold the one right to create *name*; a holder that dies gives it back."""
        ...

    def stage(self, name: str, *, replacing: bool = False) -> Path:
        """Return an empty folder beside the prefix, all left-overs of dead creators removed.

        When *replacing*, a complete prefix of ours stays where it is until `commit`.
        """
        ...

    def commit(self, name: str, stage: Path, marker: str) -> None:
        """Mark *stage* and rename it into place; a prefix that is there then is one to replace, and goes."""
        ...

    def discard(self, stage: Path) -> None:
        """Remove *stage*."""
        ...


class Activator(Protocol):
    """Runs the activation scripts of a prefix once."""

    def variables(self, stage: Path, final: Path) -> Mapping[str, str]:
        """Return what activating sets (PATH apart), with *final* for *stage* in the values."""
        ...


class Machine(Protocol):
    """What this machine is."""

    def arch(self) -> str:
        """Return its platform name."""
        ...

    def virtual(self) -> tuple[VirtualPackage, ...]:
        """Return its virtual packages (``CONDA_OVERRIDE_*`` obeyed)."""
        ...


class LinkedByteCode(Protocol):
    """Byte code of packages that is there already. It never raises: all works without it."""

    def link(self, stage: Path, packages: Iterable[AnyPackage]) -> int:
        """Put what is known of *packages* into *stage*, and return how many files."""
        ...


class ByteCodeArchives(Protocol):
    """Byte code of packages as files of their own, which travel with the packages; may be asked by several threads."""

    def expects(self, package: AnyPackage) -> bool:
        """Tell whether *package* may have sources that lack byte code."""
        ...

    def archive(self, package: AnyPackage, file: Path, minor: str) -> Path | None:
        """Return byte code of *package* for Python *minor* (``3.11``), as a zip file whose paths are below a prefix.

        *file* is the package itself. None where there is none to make. Raises ToolError, OSError.
        """
        ...


class Transmuter(Protocol):
    """Packs conda packages in another format; may be asked by several threads."""

    def transmute(self, archive: Path, extension: str, folder: Path) -> Path:
        """Return the file in *folder* with the content of *archive*, in the format that *extension* names.

        Raises ToolError, PackageError, OSError.
        """
        ...
