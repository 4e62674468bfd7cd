"""Tar archives that nobody vouches for, unpacked so that nothing is written outside of the folder."""

from __future__ import annotations

import lzma
import os
import posixpath
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path


class UnsafeError(Exception):
    """A member would leave the folder, or is no plain file, folder or link; the text is its name."""


def unpack(archive: Path, folder: Path) -> None:
    """Unpack *archive*, compressed or not, into *folder*; what comes out is ours, and can be written to.

    Raises UnsafeError before anything is written, TarError where it cannot be read, OSError.
    """
    try:
        with tarfile.open(archive, "r:*") as packed:
            members = list(_checked(packed))
            trusted = {"filter": "fully_trusted"} if hasattr(tarfile, "fully_trusted_filter") else {}
            packed.extractall(folder, members=members, **trusted)  # type: ignore[arg-type]  # noqa: S202 - all checked
    except (EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
        raise tarfile.ReadError(str(error)) from error


def leaves(name: str) -> bool:
    """Tell whether the path *name* leads out of the folder that it begins in."""
    normal = posixpath.normpath(name)
    return normal.startswith(("/", "../")) or normal == ".."


def _checked(packed: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Yield the members of *packed*; raise UnsafeError where one would be written outside, or is no plain file."""
    links: set[str] = set()
    for member in packed:
        name = posixpath.normpath(member.name)
        above = {posixpath.join(*name.split("/")[:count]) for count in range(1, name.count("/") + 1)}
        bad = (
            not (member.isfile() or member.isdir() or member.issym() or member.islnk())
            or leaves(name)
            or above & links
            or (member.islnk() and (leaves(member.linkname) or member.linkname in links))
            or (member.issym() and _strays(name, member.linkname))
        )
        if bad:
            raise UnsafeError(member.name)
        if member.issym():
            links.add(name)
        member.mode = (member.mode & 0o777) | (0o700 if member.isdir() else 0o600)
        member.uid, member.gid, member.uname, member.gname = os.getuid(), os.getgid(), "", ""
        yield member


def _strays(name: str, target: str) -> bool:
    """Tell whether a link at *name* may lead outside: `..` behind a name could follow another link first."""
    parts = target.split("/")
    steps = [part for part in parts if part not in ("", ".")]
    depth = sum(1 for part in steps if part == "..")
    return target.startswith("/") or ".." in steps[depth:] or leaves(posixpath.join(posixpath.dirname(name), target))
