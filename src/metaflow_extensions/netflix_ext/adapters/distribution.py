"""A conda distribution that an organisation keeps in its store: a tar archive, unpacked once on each machine.

<path>/.metaflow-local-env     says that it is complete, from where it came and with which hash
<path>.metaflow-dist           the hash that the archive had when it first came; another is refused from then on
"""

from __future__ import annotations

import contextlib
import json
import os
import posixpath
import secrets
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

from ..engine.errors import CreateError, PackageError, StoreError
from ..engine.ports import Store
from . import disk
from .digest import file_digest

MARKER = ".metaflow-local-env"
_HINT = "whoever keeps the store has to make it anew: an archive of plain files, folders and links within it"


def ensure(path: Path, key: str, store: Store) -> None:
    """See to it that the distribution under *key* of *store* lies at *path*, whole; several processes may ask for it.

    Raises StoreError where there is no such archive, PackageError where it is another one than before, or would write
    elsewhere, CreateError where *path* is not ours or cannot be written.
    """
    if _source(path) == store.where(key):
        return
    try:
        with disk.locked(path.with_name(f".{path.name}.lock")):
            if _source(path) == store.where(key):
                return
            if path.exists() and _source(path) is None and any(path.iterdir()):
                raise CreateError(
                    f"'{path}' exists and holds no {MARKER}: it is not ours to replace",
                    "let METAFLOW_CONDA_LOCAL_PATH name another folder, or take METAFLOW_CONDA_LOCAL_DIST away to use "
                    "what is there",
                )
            _install(path, key, store)
    except OSError as error:
        raise CreateError(
            f"'{path}' cannot hold a distribution: {error.strerror or error}",
            "let METAFLOW_CONDA_LOCAL_PATH name a folder that you may write to, on a disk with room",
        ) from error


def _source(path: Path) -> str | None:
    try:
        return str(json.loads((path / MARKER).read_bytes())["src"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _install(path: Path, key: str, store: Store) -> None:
    aside = path.with_name(f".{path.name}.partial-{secrets.token_hex(4)}")
    archive = aside.with_name(f"{aside.name}.tar")
    for left in path.parent.glob(f".{path.name}.partial-*"):  # of one that was killed: the lock is ours
        shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink()
    try:
        if not store.copy(key, archive):
            raise StoreError(
                f"{store.where(key)} is not there: METAFLOW_CONDA_LOCAL_DIST names it",
                "put the archive of a conda distribution there, or take the variable away",
            )
        digest = file_digest(archive)
        _check_recorded(path, store.where(key), digest)
        aside.mkdir()
        _unpack(archive, aside, store.where(key))
        (aside / MARKER).write_text(json.dumps({"src": store.where(key), "sha256": digest}, sort_keys=True))
        if path.exists():
            shutil.rmtree(path)
        aside.rename(path)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        with contextlib.suppress(FileNotFoundError):
            archive.unlink()


def _check_recorded(path: Path, source: str, digest: str) -> None:
    """Raise PackageError where the archive is not the one that came from *source* before; record the first."""
    record = path.with_name(f"{path.name}.metaflow-dist")
    try:
        known: dict[str, str] = dict(json.loads(record.read_bytes()))
    except (OSError, ValueError, TypeError):
        known = {}
    expected = known.get(source, digest)
    if expected != digest:
        raise PackageError(
            f"{source} is not the archive that it was: expected sha256 {expected}, found {digest}",
            f"nothing of it was unpacked. If it was replaced on purpose, give it another name, or remove '{record}'",
        )
    disk.write(record, json.dumps({**known, source: digest}, sort_keys=True).encode())


def _unpack(archive: Path, folder: Path, where: str) -> None:
    try:
        with tarfile.open(archive, "r:*") as packed:
            members = list(_checked(packed, where))
            trusted = {"filter": "fully_trusted"} if hasattr(tarfile, "fully_trusted_filter") else {}
            packed.extractall(folder, members=members, **trusted)  # type: ignore[arg-type]  # noqa: S202 - all checked
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise PackageError(f"{where} is no tar archive that can be read: {error}", _HINT) from error
    if not (folder / "bin").is_dir():
        raise PackageError(f"{where} has no folder 'bin' at its top, and is no distribution of conda", _HINT)


def _checked(packed: tarfile.TarFile, where: str) -> Iterator[tarfile.TarInfo]:
    """Yield the members of *packed*; raise PackageError where one would be written outside, or is no plain file."""
    links: set[str] = set()
    for member in packed:
        name = posixpath.normpath(member.name)
        above = {posixpath.join(*name.split("/")[:count]) for count in range(1, name.count("/") + 1)}
        bad = (
            not (member.isfile() or member.isdir() or member.issym() or member.islnk())
            or _leaves(name)
            or above & links
            or (member.islnk() and (_leaves(posixpath.normpath(member.linkname)) or member.linkname in links))
            or (member.issym() and _strays(name, member.linkname))
        )
        if bad:
            raise PackageError(f"{where}: '{member.name}' would leave the folder, or is no plain file", _HINT)
        if member.issym():
            links.add(name)
        member.mode = (member.mode & 0o777) | 0o200
        member.uid, member.gid, member.uname, member.gname = os.getuid(), os.getgid(), "", ""
        yield member


def _leaves(name: str) -> bool:
    return name.startswith(("/", "../")) or name == ".."


def _strays(name: str, target: str) -> bool:
    """Tell whether a link at *name* may lead outside: `..` behind a name could follow another link first."""
    parts = target.split("/")
    steps = [part for part in parts if part not in ("", ".")]
    depth = sum(1 for part in steps if part == "..")
    return (
        target.startswith("/")
        or ".." in steps[depth:]
        or _leaves(posixpath.normpath(posixpath.join(posixpath.dirname(name), target)))
    )
