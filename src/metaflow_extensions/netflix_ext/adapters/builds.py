"""Wheels from repositories, source archives and folders, by ``uv build``: the project's own back-end does the work.

<folder>/<name>-<origin>.log   what building it said
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ..engine.errors import ExtensionError, InputError, PackageError, ResolveError, SourceError, ToolError
from ..engine.origin import ARCHIVE, FOLDER, GIT, Link, Origin, filename_of
from ..engine.package import PypiPackage
from ..engine.ports import Prefix
from ..engine.secret import redact
from . import trees
from .archives import KeptArchives
from .git import Git
from .process import run
from .uv_program import building, find_uv, surroundings
from .wheel_file import checked, labelled

_SHOWN = 15
_NEEDS = re.compile(r"Failed to (?:resolve|install) requirements from|Failed to resolve.*build-system")


class UvOrigins:
    """Builds wheels, each in a folder of its own.

    Args:
        folder: where logs are written; made when the first of them is.
        archives: the files of packages, source archives among them, on this machine.
        git: what reads repositories.
        seconds: how long one build may take.
        program: the path of uv; else the one of the package ``uv``.
    """

    def __init__(
        self, folder: Path, archives: KeptArchives, git: Git, *, seconds: float = 3600.0, program: str | None = None
    ) -> None:
        self._folder = folder
        self._archives = archives
        self._git = git
        self._seconds = seconds
        self._program = program

    def pinned(self, name: str, link: Link) -> Origin:
        """Return the state that *link* of the requirement *name* leads to now; raise SourceError, InputError."""
        if link.kind == GIT:
            return Origin.of(link, self._git.commit(link.url, link.reference))
        if link.sha256:
            return Origin.of(link, link.sha256)
        if link.path:
            return Origin.of(link, trees.state(Path(link.path)))
        try:
            return Origin.of(link, self._archives.pinned(link.url, filename_of(link.url))[0])
        except PackageError as error:
            raise SourceError(f"'{name}': {error.message}", error.hint) from error

    @contextmanager
    def built(self, name: str, origin: Origin, prefix: Prefix, variables: Mapping[str, str]) -> Iterator[Path]:
        """Fetch *origin*, check its pin, build it with the Python of *prefix*, and yield the wheel."""
        with tempfile.TemporaryDirectory(prefix="metaflow-build-") as scratch:
            around = {**building(prefix), **variables}
            tree = self._tree(name, origin, Path(scratch), around["PATH"])
            project = tree / origin.subdirectory if origin.subdirectory else tree
            trees.check_project(project, f"'{name} @ {origin}'")
            command = [self._program or find_uv(), "build", "--wheel", "--python", str(prefix.python)]
            out = Path(scratch, "wheels")
            self._run(name, origin, [*command, "--out-dir", str(out), str(project)], around)
            wheel = checked(next(iter(out.glob("*.whl"))))
            yield labelled(wheel, origin.label) if origin.moving else wheel

    def _tree(self, name: str, origin: Origin, scratch: Path, path: str) -> Path:
        """Return a folder with the files of *origin*; raise PackageError where they are in another state."""
        place, tree = origin.place or origin.url, scratch / "source"
        if origin.kind == GIT:
            self._git.checkout(place, origin.pin, tree, path)
            return tree
        if origin.kind == FOLDER:
            folder = Path(Link(FOLDER, place).path)
            if not folder.is_dir():
                raise InputError(f"'{name}': there is no folder '{folder}'", "check the path")
            trees.copied(folder, tree)
            _check_pin(name, origin, trees.state(tree))
            return tree
        return trees.unpacked(self._archive(name, origin, place), tree)

    def _archive(self, name: str, origin: Origin, place: str) -> Path:
        local = Link(ARCHIVE, place).path
        if local:
            _check_pin(name, origin, trees.state(Path(local)))
            return Path(local)
        package = PypiPackage(name=name, version="", filename=filename_of(place), url=place, sha256=origin.pin)
        return self._archives.here(package) or self._archives.fetched(package)

    def _run(self, name: str, origin: Origin, command: list[str], variables: Mapping[str, str]) -> None:
        """Run *command*, which builds; raise ResolveError with what it said last."""
        self._folder.mkdir(parents=True, exist_ok=True)
        log = self._folder / f"{name}-{origin.digest[:12]}.log"
        try:
            with log.open("w", encoding="utf-8") as file:
                done = run(command, environment=surroundings(variables), timeout=self._seconds, log=file)
        except ToolError as error:
            raise ResolveError(
                f"'{name} @ {origin}' cannot be built: {error.message}. What it said until then is in {log}",
                "METAFLOW_CONDA_BUILD_TIMEOUT gives it another number of seconds",
            ) from error
        finally:
            text = _settled(log)
        if done.returncode != 0:
            raise _failure(name, origin, text, log)


def _check_pin(name: str, origin: Origin, found: str) -> None:
    if found != origin.pin:
        raise PackageError(
            f"'{name} @ {origin}' is in another state now: its SHA-256 is {found}",
            "it was changed since: resolve again, or restore it",
        )


def _settled(log: Path) -> str:
    """Take credentials out of what a build has said, and return it."""
    text = redact(log.read_text("utf-8", errors="replace"))
    log.write_text(text, encoding="utf-8")
    return text


def _failure(name: str, origin: Origin, text: str, log: Path) -> ExtensionError:
    lines = [line for line in text.splitlines() if line.strip()]
    shown = "\n".join(f"  {line}" for line in lines[-_SHOWN:])
    hint = (
        "the project's own build failed. Where it lacks a program (a compiler, cmake, git-lfs), ask for that beside "
        "it: --conda-pkg in requirements.txt, conda_only of @pypi; else take a version that has a wheel"
    )
    if _NEEDS.search(text):
        hint = "what the project needs to be built cannot be had: check the indexes, and the Python of the environment"
    return ResolveError(f"'{name} @ {origin}' cannot be built:\n{shown}\nAll that was said is in {log}", hint)
