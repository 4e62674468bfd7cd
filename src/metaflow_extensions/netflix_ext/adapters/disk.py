"""Files: written whole or not at all, and locks that die with their holder."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path

_POLL_SECONDS = 0.05
_PATIENCE_SECONDS = 2.0
_LONGEST = 200  # names of files have at most 255 bytes


def write(path: Path, data: bytes, *, overwrite: bool = True) -> None:
    """Write *data* aside and rename it into place; without *overwrite* an existing file stays.

    Raises OSError; then nothing of the new content is left behind.
    """
    with aside(path, overwrite=overwrite) as written:
        # Not forced to the disk: after a power cut a damaged document is resolved again, a damaged prefix made
        # again, and an fsync behind thousands of new links takes as long as making them.
        written.write_bytes(data)


@contextlib.contextmanager
def aside(path: Path, *, overwrite: bool = True) -> Iterator[Path]:
    """Yield an empty file beside *path*; rename it into place when the block is left in peace, else remove it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written = path.with_name(f".{path.name[:_LONGEST]}.{secrets.token_hex(8)}")
    os.close(os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
    try:
        yield written
        if overwrite:
            os.replace(written, path)
        else:
            _put_there(written, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(written)


def _put_there(written: Path, path: Path) -> None:
    try:
        os.link(written, path)
    except FileExistsError:
        return
    except OSError:  # some file systems have no hard links
        if not path.exists():
            os.replace(written, path)


@contextlib.contextmanager
def locked(path: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold an exclusive ``flock`` on the file *path*; call *waiting* once where another holds it for long."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        _acquire(handle, waiting)
        yield
    finally:
        os.close(handle)


def _acquire(handle: int, waiting: Callable[[], None]) -> None:
    since, told = time.monotonic(), False
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not told and time.monotonic() - since > _PATIENCE_SECONDS:
                waiting()
                told = True
            time.sleep(_POLL_SECONDS)
        else:
            return
