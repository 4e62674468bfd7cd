"""Folders of sources: what state they are in, a copy to build in, and archives unpacked without trust."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from ..engine.errors import InputError, PackageError
from . import tars
from .digest import file_digest

# What tools leave in a project, and no part of it.
_LEFT = {
    ".git",
    ".hg",
    ".svn",
    ".venv",
    "__pycache__",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    ".tox",
    ".nox",
    ".metaflow",
    "node_modules",
}
_LEFT_ENDS = (".pyc", ".egg-info")
_PROJECT = ("pyproject.toml", "setup.py", "setup.cfg")


def state(path: Path) -> str:
    """Return the SHA-256 of a file, or of all that a folder holds (names, contents, who may run it).

    Raises InputError where there is nothing that can be read.
    """
    try:
        if path.is_file():
            return file_digest(path)
        digest = hashlib.sha256()
        for name, item in _items(path):
            kind = "link" if item.is_symlink() else "x" if item.stat().st_mode & stat.S_IXUSR else "-"
            content = os.readlink(item) if item.is_symlink() else file_digest(item)
            digest.update(f"{kind}\0{name}\0{content}\n".encode("utf-8", "surrogateescape"))
    except OSError as error:
        raise InputError(
            f"'{error.filename or path}' cannot be read: {error.strerror}", "check the path, and who may read it"
        ) from None
    return digest.hexdigest()


def _items(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the files and links in *folder* by their names below it, in order."""
    for parent, folders, files in os.walk(folder, onerror=_raise):
        links = [name for name in folders if Path(parent, name).is_symlink()]
        folders[:] = sorted(name for name in folders if name not in links and not _is_left(name))
        for name in sorted([*files, *links]):
            path = Path(parent, name)
            if not _is_left(name) and (path.is_symlink() or path.is_file()):
                yield path.relative_to(folder).as_posix(), path


def _raise(error: OSError) -> None:
    raise error


def _is_left(name: str) -> bool:
    return name in _LEFT or name.endswith(_LEFT_ENDS)


def copied(folder: Path, target: Path) -> None:
    """Copy *folder* to *target*, with its history, from which versions are made, and without what tools left."""
    shutil.copytree(
        folder,
        target,
        symlinks=True,
        ignore=lambda _, names: [name for name in names if name != ".git" and _is_left(name)],
    )


def check_project(folder: Path, who: str) -> None:
    """Raise InputError where *folder* holds no project; *who* names it."""
    if not folder.is_dir():
        raise InputError(f"{who} has no folder '{folder.name}'", "check the subdirectory")
    if not any((folder / name).is_file() for name in _PROJECT):
        raise InputError(
            f"{who} holds no project: neither {', '.join(_PROJECT[:-1])} nor {_PROJECT[-1]}",
            "name the folder that has one of them; of a repository or an archive by '#subdirectory=...'",
        )


def unpacked(archive: Path, target: Path) -> Path:
    """Unpack *archive* into *target* and return the folder of the project: the one that it holds, if it is one.

    Raises PackageError where it is no archive, or would write or link outside of *target*.
    """
    target.mkdir()
    try:
        if zipfile.is_zipfile(archive):
            _unzip(archive, target)
        else:
            tars.unpack(archive, target)
    except tars.UnsafeError as error:
        raise PackageError(
            f"'{archive.name}' is refused: '{error}' in it leads out of the folder that it is unpacked in",
            "nothing was built from it. Ask those who made it for a sound archive",
        ) from error
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, ValueError, OSError) as error:
        raise PackageError(f"'{archive.name}' cannot be unpacked: {error}", "check the file at its source") from error
    inside = list(target.iterdir())
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else target


def _unzip(archive: Path, target: Path) -> None:
    with zipfile.ZipFile(archive) as file:
        for item in file.infolist():
            if tars.leaves(item.filename) or "\\" in item.filename or stat.S_ISLNK(item.external_attr >> 16):
                raise tars.UnsafeError(item.filename)
        for item in file.infolist():
            path = Path(file.extract(item, target))
            if not item.is_dir() and (item.external_attr >> 16) & stat.S_IXUSR:
                path.chmod(path.stat().st_mode | stat.S_IXUSR)
