"""Stand-ins for what lies behind the ports: canned answers, and a record of what was asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from metaflow_extensions.netflix_ext.engine.create import Creator
from metaflow_extensions.netflix_ext.engine.errors import PackageError, ResolveError
from metaflow_extensions.netflix_ext.engine.events import Reporter
from metaflow_extensions.netflix_ext.engine.layout import check_key
from metaflow_extensions.netflix_ext.engine.package import AnyPackage, CondaPackage, Interpreter, PypiPackage
from metaflow_extensions.netflix_ext.engine.platform import VirtualPackage
from metaflow_extensions.netflix_ext.engine.ports import Builds, CondaRequest, Prefixes, PypiRequest
from metaflow_extensions.netflix_ext.engine.resolved import ResolvedEnvironment


def conda_package(name: str, version: str = "1.0", **facts: object) -> CondaPackage:
    """Return a package whose hash follows from its name and version."""
    filename = f"{name}-{version}-0.conda"
    values: dict[str, object] = {
        "build": "0",
        "build_number": 0,
        "subdir": "linux-64",
        "channel": "https://example.org/channel",
        "filename": filename,
        "url": f"https://example.org/channel/linux-64/{filename}",
        "sha256": filename.encode().hex()[:64].ljust(64, "0"),
        "size": len(filename),
    }
    return CondaPackage(name=name, version=version, **{**values, **facts})  # type: ignore[arg-type]


def wheel(name: str, version: str = "1.0", tag: str = "py3-none-any") -> PypiPackage:
    """Return a wheel whose hash follows from its name and version."""
    filename = f"{name}-{version}-{tag}.whl"
    return PypiPackage(
        name=name,
        version=version,
        filename=filename,
        url=f"https://example.org/{filename}",
        sha256=filename.encode().hex()[:64].ljust(64, "1"),
        size=len(filename),
        index="default",
    )


PYTHON = conda_package("python", "3.11.7")


def resolved(
    *conda: CondaPackage,
    pypi: Sequence[PypiPackage] = (),
    arch: str = "linux-64",
    req_id: str = "a" * 40,
    interpreter: Interpreter | None = None,
) -> ResolvedEnvironment:
    """Return an environment of Python, which is *interpreter* where that is given, and the given packages."""
    return ResolvedEnvironment.make(
        req_id=req_id,
        arch=arch,
        spec={"python": "3.11.*"},
        virtual=("__unix=0=0",),
        conda=(PYTHON, *conda) if interpreter is None else conda,
        interpreter=interpreter,
        pypi=tuple(pypi),
        provenance={"by": "someone", "on": "2024-01-01T00:00:00+00:00"},
    )


@dataclass
class FakeCondaSolver:
    """Picks the packages of `index` that are asked for, in any version; says no to the others."""

    index: Mapping[str, CondaPackage] = field(default_factory=lambda: {"python": PYTHON})
    asked: list[CondaRequest] = field(default_factory=list)
    error: Exception | None = None

    def solve(self, request: CondaRequest) -> tuple[CondaPackage, ...]:
        self.asked.append(request)
        if self.error is not None:
            raise self.error
        missing = [item.name for item in request.requirements if item.name not in self.index]
        if missing:
            raise ResolveError(f"nothing provides {', '.join(missing)}", "ask for something else")
        return tuple(self.index[item.name] for item in request.requirements)

    def versions(self) -> Mapping[str, str]:
        return {"fake-conda": "1"}


@dataclass
class FakePypiSolver:
    """Picks a pure wheel for whatever is asked and not provided."""

    asked: list[PypiRequest] = field(default_factory=list)
    error: Exception | None = None

    def solve(self, request: PypiRequest, builds: Builds | None = None) -> tuple[PypiPackage, ...]:
        self.asked.append(request)
        if self.error is not None:
            raise self.error
        provided = {name for name, _ in request.provided}
        return tuple(wheel(item.name) for item in request.requirements if item.name not in provided)

    def versions(self) -> Mapping[str, str]:
        return {"fake-pypi": "2"}


@dataclass
class FakeArchives:
    """Has the files of `files` by key, as a store would, and those of `at_hand` by file name.

    Where `web` is a folder, everything can be fetched: into it, with the name as its content.
    """

    files: Mapping[str, Path] = field(default_factory=dict)
    at_hand: Mapping[str, Path] = field(default_factory=dict)
    web: Path | None = None
    error: Exception | None = None
    fetches: list[str] = field(default_factory=list)

    def here(self, package: AnyPackage) -> Path | None:
        return self.at_hand.get(package.filename)

    def copied(self, package: AnyPackage, keys: Sequence[str]) -> Path | None:
        if self.error is not None:
            raise self.error
        return next((self.files[key] for key in keys if key in self.files), None)

    def fetched(self, package: AnyPackage, *, trusted: Sequence[str] = ()) -> Path:
        self.fetches.append(package.filename)
        if self.web is None:
            raise PackageError(f"{package.url} cannot be fetched", "look")
        path = self.web / package.filename
        path.write_text(package.filename)
        return path


@dataclass
class FakeInstaller:
    """Writes a file for each package; raises `error` once it has written them."""

    error: BaseException | None = None
    calls: int = 0
    trusted: Sequence[str] = ()
    known: Sequence[str] = ()

    def unpacked(self, package: CondaPackage) -> bool:
        return package.filename in self.known

    def install(
        self,
        packages: Sequence[AnyPackage],
        stage: Path,
        final: Path,
        report: Reporter,
        *,
        trusted: Sequence[str] = (),
    ) -> None:
        self.calls += 1
        self.trusted = trusted
        for package in packages:
            (stage / package.filename).write_text(str(final))
        if self.error is not None:
            raise self.error


@dataclass
class FakePythons:
    """Knows one interpreter, and puts a file in its place."""

    found: Interpreter | None = None
    asked: list[tuple[str, str, bool]] = field(default_factory=list)

    def picked(self, constraint: str, arch: str, *, managed: bool) -> Interpreter:
        self.asked.append((constraint, arch, managed))
        assert self.found is not None
        return self.found

    def install(self, interpreter: Interpreter, stage: Path, final: Path) -> None:
        (stage / interpreter.filename).write_text(interpreter.url)


def interpreter(version: str = "3.11.9", *, installed: bool = False) -> Interpreter:
    """Return an interpreter from uv whose hash follows from its version."""
    filename = f"cpython-{version}" if installed else f"cpython-{version}-install_only.tar.gz"
    url = f"file:///opt/{filename}" if installed else f"https://example.org/{filename}"
    return Interpreter(
        name="python", version=version, filename=filename, url=url, sha256=version.encode().hex().ljust(64, "2"), size=9
    )


class NoByteCode:
    """Knows no byte code."""

    def link(self, stage: Path, packages: object) -> int:
        """Put nothing."""
        return 0


@dataclass
class FakeActivator:
    """Says that activating sets one variable."""

    error: Exception | None = None

    def variables(self, stage: Path, final: Path) -> Mapping[str, str]:
        if self.error is not None:
            raise self.error
        return {"HELLO": str(final)}


@dataclass
class FakeMachine:
    """A machine of your choice."""

    name: str = "linux-64"
    glibc: str = "2.28"

    def arch(self) -> str:
        return self.name

    def virtual(self) -> tuple[VirtualPackage, ...]:
        return (VirtualPackage("__glibc", self.glibc),) if self.glibc else ()


def creator(prefixes: Prefixes, **parts: object) -> Creator:
    """Return what creating needs, with fakes for all that is not given."""
    values: dict[str, object] = {
        "archives": FakeArchives(),
        "conda": FakeInstaller(),
        "wheels": FakeInstaller(),
        "pythons": FakePythons(),
        "activator": FakeActivator(),
        "byte_code": NoByteCode(),
        "machine": FakeMachine(),
    }
    return Creator(prefixes=prefixes, **{**values, **parts})  # type: ignore[arg-type]


class Recorder(Reporter):
    """Remembers what was reported."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.tasks: list[tuple[str, str]] = []

    def finished(self, task: str, summary: str = "") -> None:
        self.tasks.append((task, summary))

    def note(self, message: str) -> None:
        self.notes.append(message)


class MemoryStore:
    """A `Store`: keys and bytes in a dictionary."""

    def __init__(self) -> None:
        self._items: dict[str, bytes] = {}

    def get(self, key: str) -> bytes | None:
        """Return the bytes under *key*, or None."""
        return self._items.get(check_key(key))

    def copy(self, key: str, path: Path) -> bool:
        """Write the bytes under *key* to the file *path*; tell whether there are any."""
        data = self.get(key)
        if data is not None:
            path.write_bytes(data)
        return data is not None

    def put(self, key: str, data: bytes, *, overwrite: bool = False) -> None:
        """Store *data*; without *overwrite* what is there stays."""
        if overwrite:
            self._items[check_key(key)] = bytes(data)
        else:
            self._items.setdefault(check_key(key), bytes(data))

    def put_file(self, key: str, path: Path) -> None:
        """Store the bytes of the file *path*; what is there stays."""
        self.put(key, path.read_bytes())

    def present(self, keys: Iterable[str]) -> set[str]:
        """Return those of *keys* that have bytes."""
        return {key for key in keys if check_key(key) in self._items}

    def signed(self, key: str) -> None:
        """Return None: see `ports.Store.signed`."""

    def where(self, key: str) -> str:
        """Return how messages name the place of *key*."""
        return f"memory:{key}"

    def list(self, prefix: str) -> Iterator[str]:
        """Yield the keys below the folder *prefix*, one level: sub-folders end in ``/``."""
        head = f"{check_key(prefix.rstrip('/'))}/" if prefix else ""
        found = set()
        for key in self._items:
            if key.startswith(head):
                name, slash, _ = key[len(head) :].partition("/")
                found.add(f"{head}{name}{slash}")
        yield from sorted(found)
