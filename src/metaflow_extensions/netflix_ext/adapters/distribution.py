"""A conda distribution that an organisation keeps in its store: a tar archive, unpacked once on each machine.

<path>/.metaflow-local-env     says that it is complete, from where it came and with which hash
<path>.metaflow-dist           the hash that the archive had when it first came; another is refused from then on
"""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import tarfile
from pathlib import Path

from ..engine.errors import CreateError, PackageError, StoreError
from ..engine.ports import Store
from . import disk, tars
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
        tars.unpack(archive, folder)
    except tars.UnsafeError as error:
        raise PackageError(f"{where}: '{error}' would leave the folder, or is no plain file", _HINT) from error
    except tarfile.TarError as error:
        raise PackageError(f"{where} is no tar archive that can be read: {error}", _HINT) from error
    if not (folder / "bin").is_dir():
        raise PackageError(f"{where} has no folder 'bin' at its top, and is no distribution of conda", _HINT)
