"""Link conda packages with micromamba or conda: offline, from archives that were checked, by an explicit list."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ..engine.errors import CreateError, PackageError, ToolError
from ..engine.events import Reporter
from ..engine.package import CondaPackage
from ..engine.ports import Archives
from . import process
from .conda_program import CondaProgram
from .digest import file_digest
from .rattler_installer import DOWNLOAD, LINK
from .relocation import relocate

_WORKERS = 8
_TIMEOUT = 3600.0
_MISMATCH = re.compile(r"(md5|sha256|check)\s?sum|mismatch|corrupt", re.IGNORECASE)


class ProgramInstaller:
    """Links by an executable, which never sees the network and runs the scripts of packages as it always does.

    An archive is hashed before it is handed over; the executable hashes it again. Paths in files name the final place
    of the prefix: they are rewritten where the executable has written its own.

    Args:
        program: Returns the executable; called when it is first needed.
        archives: Has the files of packages, and fetches those that are missing.
        folder: Where the executable keeps unpacked packages, best on the file system of prefixes.
    """

    def __init__(self, program: Callable[[], CondaProgram], archives: Archives, folder: Path) -> None:
        self._program = program
        self._archives = archives
        self._folder = folder

    def unpacked(self, package: CondaPackage) -> bool:  # noqa: ARG002 - an archive is needed whatever is unpacked
        """Return False."""
        return False

    def install(self, packages: tuple[CondaPackage, ...], stage: Path, final: Path, report: Reporter) -> None:
        """Fill the empty folder *stage* with *packages*, with *final* as the path that files name.

        Raises PackageError where a package cannot be had or its bytes are not those resolved, ToolError where there is
        no executable that serves, CreateError else.
        """
        program = self._program()
        archives = self._fetched(packages, report)
        report.started(LINK, len(packages))
        try:
            self._link(program, archives, stage)
            _check(packages, stage, program)
            relocate(stage, final, _sign)
        finally:
            report.finished(LINK, f"{len(packages)} packages")

    def _fetched(self, packages: tuple[CondaPackage, ...], report: Reporter) -> list[Path]:
        found = {package: self._archives.here(package) for package in packages}
        missing = [package for package, path in found.items() if path is None]
        if missing:
            report.started(DOWNLOAD)
            try:
                with ThreadPoolExecutor(max_workers=_WORKERS) as pool:
                    found.update(zip(missing, pool.map(self._archives.fetched, missing), strict=True))
            finally:
                report.finished(DOWNLOAD)
        return [path for path in found.values() if path is not None]

    def _link(self, program: CondaProgram, archives: list[Path], stage: Path) -> None:
        kept = self._folder / program.name
        home = kept / "home"
        home.mkdir(parents=True, exist_ok=True)
        listed = kept / f"{stage.name}.txt"
        words = ["create", "--yes", "--quiet", "--json", "--offline", "--no-deps", "--prefix", str(stage)]
        if program.libmamba:
            words += ["--no-rc", "--no-pyc", "--root-prefix", str(kept / "root")]
        else:
            words += ["--no-default-packages"]
        words += ["--file", str(listed)]
        environment = {
            "CONDA_PKGS_DIRS": str(kept / "packages"),
            "CONDA_ENVS_DIRS": str(kept / "envs"),
            # Nothing of a user's is read, and no list of a user's environments gets an entry.
            "HOME": str(home),
            "CONDA_REGISTER_ENVS": "false",
            "MAMBA_REGISTER_ENVS": "false",
        }
        try:
            listed.write_text("\n".join(["@EXPLICIT", *map(_line, archives), ""]))
            stage.rmdir()  # they take a folder that is there for somebody's
            done = program.run(words, environment, timeout=_TIMEOUT, leashed=True)
        finally:
            with contextlib.suppress(FileNotFoundError):
                listed.unlink()
            stage.mkdir(exist_ok=True)
        if done.returncode != 0:
            failed = program.failed(words, done)
            kind = PackageError if _MISMATCH.search(done.stdout + done.stderr) else CreateError
            raise kind(failed.message, failed.hint)


def _line(archive: Path) -> str:
    """Return *archive* as explicit lists have it, with an MD5, which every version reads: we have seen the SHA-256."""
    return f"{archive.absolute().as_uri()}#{file_digest(archive, 'md5')}"


def _check(packages: tuple[CondaPackage, ...], stage: Path, program: CondaProgram) -> None:
    """Raise CreateError where a package is not in the prefix."""
    there = {path.stem for path in (stage / "conda-meta").glob("*.json")}
    lacking = [item.filename for item in packages if f"{item.name}-{item.version}-{item.build}" not in there]
    if lacking:
        raise CreateError(
            f"{program.name} {program.shown} has left out {', '.join(lacking[:5])}, and said that all went well",
            "METAFLOW_CONDA_INSTALLER=rattler does without it",
        )


def _sign(file: Path) -> None:
    """Sign a program anew: macOS runs none that was changed since."""
    if sys.platform == "darwin" and os.access(file, os.X_OK):
        done = process.run(["/usr/bin/codesign", "-s", "-", "-f", str(file)])
        if done.returncode != 0:
            raise ToolError(f"'{file}' cannot be signed: {done.stderr.strip()}", "install Xcode's command line tools")
