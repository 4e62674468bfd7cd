"""CPython from uv: what is installed on this machine, and the builds that uv manages.

<folder>/<sha256>/   a build, unpacked, from which prefixes are linked
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import secrets
import shutil
import sys
import sysconfig
import tempfile
import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from packaging.version import Version

from ..engine.errors import CreateError, PackageError, ResolveError, SourceError, ToolError
from ..engine.layout import interpreter_key
from ..engine.origin import filename_of
from ..engine.package import Interpreter, package_from_dict, package_to_dict
from ..engine.ports import Fetcher, Store
from ..engine.requirement import FREE_THREADED, python_fits
from . import trees
from .archives import KeptArchives
from .process import run
from .uv_complaints import complaint
from .uv_program import find_uv, run_uv

_TARGETS = {
    "linux-64": ("linux", "x86_64", "gnu"),
    "linux-aarch64": ("linux", "aarch64", "gnu"),
    "osx-64": ("macos", "x86_64", "none"),
    "osx-arm64": ("macos", "aarch64", "none"),
}
# Where builds are unpacked, below the folder of prefixes.
PYTHONS = ".pythons"
# Where builds that uv manages were installed when they were made.
_MADE_AT = b"/install"
_BASE = "import json, os, sys; print(json.dumps(os.path.realpath(getattr(sys, '_base_executable', sys.executable))))"


def own_version() -> str | None:
    """Return the version of the Python that runs this; None where it is no release of CPython, of the usual kind."""
    usual = sys.implementation.name == "cpython" and not sysconfig.get_config_var("Py_GIL_DISABLED")
    return platform.python_version() if usual and sys.version_info.releaselevel == "final" else None


class UvPythons:
    """Finds interpreters: the one that runs this, and those that ``uv python list`` knows. Threads may share it.

    Args:
        arch: the platform of this machine.
        archives: what fetches builds, to learn their hashes.
        store: the local one, which remembers them.
        program: the path of uv; else the one of the package ``uv``.
        own: the version of the Python that runs this, to be taken where it fits; None: it does not count.
    """

    def __init__(
        self,
        arch: str,
        archives: KeptArchives,
        store: Store,
        *,
        program: str | None = None,
        own: str | None = own_version(),
    ) -> None:
        self._arch = arch
        self._archives = archives
        self._store = store
        self._program = program
        self._own = own
        self._lists: dict[str, list[dict[str, Any]]] = {}
        self._lock = threading.Lock()

    def picked(self, constraint: str, arch: str, *, managed: bool) -> Interpreter:
        """Return a CPython that meets *constraint* for *arch*.

        Where not *managed* that is the one that runs this, or the newest that is installed; else uv's newest build.
        Raises ResolveError where there is none, SourceError where a build cannot be fetched, ToolError.
        """
        if constraint.endswith(FREE_THREADED):
            raise ResolveError(
                f"Python {constraint} without a global lock is taken from a channel alone",
                "set METAFLOW_CONDA_PYPI_PYTHON=conda",
            )
        if not managed and arch == self._arch and self._own and python_fits(self._own, constraint):
            return self._running
        known = [item for item in self._listed(arch) if python_fits(item["version"], constraint)]
        installed = [item for item in known if item["path"] and not managed and arch == self._arch]
        builds = [item for item in known if item["url"] and os.environ.get("UV_PYTHON_DOWNLOADS") != "never"]
        if installed:
            found = _newest(installed)
            return _installed(found["version"], _base(found["path"]), found["key"])
        if builds:
            return self._build(_newest(builds))
        only = "" if not managed and arch == self._arch else " that it manages"
        raise ResolveError(
            f"uv knows no CPython {constraint}{only} for {arch}",
            "ask for another version of Python (`uv python list` shows them), or take it from a channel: "
            "METAFLOW_CONDA_PYPI_PYTHON=conda",
        )

    @cached_property
    def _running(self) -> Interpreter:
        name = "-".join(["cpython", str(self._own), *_TARGETS[self._arch]])
        return _installed(str(self._own), Path(getattr(sys, "_base_executable", sys.executable)).resolve(), name)

    def _listed(self, arch: str) -> list[dict[str, Any]]:
        with self._lock:  # uv runs every Python on PATH, which takes seconds where those are shims
            if arch not in self._lists:
                self._lists[arch] = self._list(arch)
            return self._lists[arch]

    def _list(self, arch: str) -> list[dict[str, Any]]:
        arguments = ["python", "list", "--all-versions", "--output-format", "json"]
        if arch != self._arch:
            arguments += ["--all-platforms", "--all-arches", "--only-downloads"]
        # Nothing is fetched by listing; where fetching is ruled out, builds are not listed.
        done = run_uv(self._program or find_uv(), arguments, environment={"UV_PYTHON_DOWNLOADS": ""})
        try:
            found = json.loads(done.stdout)
            return [
                item
                for item in found
                if (item["os"], item["arch"], item["libc"]) == _TARGETS[arch]
                and (item["implementation"], item["variant"]) == ("cpython", "default")
                and not Version(item["version"]).is_prerelease
            ]
        except (ValueError, KeyError, TypeError):
            raise ToolError(
                f"uv does not say which Pythons there are: {complaint(done.stderr).text}", "check `uv python list`"
            ) from None

    def _build(self, item: dict[str, Any]) -> Interpreter:
        url, filename = item["url"], filename_of(item["url"])
        key = interpreter_key(url)
        data = self._store.get(key)
        if data is not None:
            return package_from_dict(Interpreter, json.loads(data), self._store.where(key))
        try:
            sha256, size = self._archives.pinned(url, filename)
        except PackageError as error:
            raise SourceError(
                f"uv's build of CPython {item['version']} cannot be had: {error.message}",
                "UV_PYTHON_INSTALL_MIRROR names another place for them; METAFLOW_CONDA_PYPI_PYTHON=uv takes a Python "
                "that is installed here, METAFLOW_CONDA_PYPI_PYTHON=conda one of a channel",
            ) from error
        found = Interpreter(
            name="python", version=item["version"], filename=filename, url=url, sha256=sha256, size=size
        )
        self._store.put(key, json.dumps(package_to_dict(found), sort_keys=True).encode())
        return found


def _newest(items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the first with the highest version: uv lists what it prefers first."""
    best = max(Version(item["version"]) for item in items)
    return next(item for item in items if Version(item["version"]) == best)


def _base(path: str) -> Path:
    """Return the executable of the Python that *path* runs, which may be a script or of a virtual environment."""
    done = run([path, "-I", "-c", _BASE])
    try:
        return Path(json.loads(done.stdout))
    except (ValueError, TypeError):
        raise ToolError(f"'{path}' does not run: {done.stderr.strip()}", "repair or remove it") from None


def _installed(version: str, executable: Path, name: str) -> Interpreter:
    sha256 = trees.state(executable)
    return Interpreter(name="python", version=version, filename=name, url=executable.as_uri(), sha256=sha256)


class UvPythonInstaller:
    """Puts interpreters into prefixes: a build is linked, of an installed one a virtual environment is made.

    Args:
        folder: where builds are unpacked.
        fetcher: what fetches a build that is not on this machine.
        program: the path of uv; else the one of the package ``uv``.
    """

    def __init__(self, folder: Path, fetcher: Fetcher, *, program: str | None = None) -> None:
        self._folder = folder
        self._fetcher = fetcher
        self._program = program

    def install(self, interpreter: Interpreter, stage: Path, final: Path) -> None:
        """Make *stage* a prefix of *interpreter*, with *final* as the path that files name; see `ports`."""
        if interpreter.installed:
            self._virtual(interpreter, stage)
            return
        shutil.copytree(self._unpacked(interpreter), stage, symlinks=True, dirs_exist_ok=True, copy_function=_linked)
        places = (*stage.glob("lib/python3*/_sysconfigdata*.py"), *stage.glob("lib/pkgconfig/*.pc"))
        for path in places:
            content = path.read_bytes()
            path.unlink()  # it is a link to what others use too
            path.write_bytes(content.replace(_MADE_AT, os.fsencode(final.absolute())))

    def _virtual(self, interpreter: Interpreter, stage: Path) -> None:
        executable = Path(unquote(urlsplit(interpreter.url).path))
        if not executable.is_file() or trees.state(executable) != interpreter.sha256:
            was = "is not the one any more that was resolved" if executable.is_file() else "is not on this machine"
            raise CreateError(
                f"the Python of the environment, {executable} ({interpreter.version}), {was}: it was taken as it was "
                "installed where the environment was resolved",
                "resolve it anew; with METAFLOW_CONDA_PYPI_PYTHON=uv-managed its Python goes wherever it goes",
            )
        arguments = [
            "venv",
            "--quiet",
            "--relocatable",
            "--no-project",
            "--allow-existing",
            "--python",
            str(executable),
        ]
        done = run_uv(self._program or find_uv(), [*arguments, str(stage)], folder=stage)
        if done.returncode != 0:
            raise CreateError(
                f"uv cannot make a virtual environment of {executable}: {complaint(done.stderr).text}",
                "check that this Python runs, or take another one: METAFLOW_CONDA_PYPI_PYTHON=uv-managed, or =conda",
            )

    def _unpacked(self, interpreter: Interpreter) -> Path:
        """Return the folder of a build, unpacked now if need be."""
        found = self._folder / interpreter.sha256
        if found.is_dir():
            return found
        self._folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._folder, prefix=f".{secrets.token_hex(4)}-") as scratch:
            archive = Path(scratch, interpreter.filename)
            if interpreter.url.startswith("file:"):
                archive = Path(unquote(urlsplit(interpreter.url).path))
            else:
                self._fetcher.fetch(interpreter.url, interpreter.digest, archive)
            inside = trees.unpacked(archive, Path(scratch, "unpacked"))
            if not (inside / "bin" / "python3").exists():
                raise PackageError(f"'{interpreter.filename}' holds no Python", "report it to those who make it")
            python = inside / "bin" / "python"
            if not python.exists():
                python.symlink_to("python3")
            with contextlib.suppress(OSError):  # another process was faster
                inside.rename(found)
        return found


def _linked(source: str, target: str) -> str:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:  # another file system, or more links than it allows
        shutil.copy2(source, target, follow_symlinks=False)
    return target
