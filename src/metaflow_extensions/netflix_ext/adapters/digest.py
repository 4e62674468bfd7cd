"""Hashes of files. Imports on Python 3.7 (step side)."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

_BLOCK = 1 << 20


def parts_of(digest: str) -> tuple[str, str]:
    """Return the algorithm and the digits of a package's *digest*: a SHA-256, or ``md5:`` and digits."""
    algorithm, _, digits = digest.rpartition(":")
    return algorithm or "sha256", digits


def new_hash(algorithm: str) -> Any:
    """Return an object of `hashlib`; where MD5 is ruled out for security it is had all the same."""
    said: Any = {"usedforsecurity": False} if sys.version_info >= (3, 9) else {}
    return hashlib.new(algorithm, **said)


def file_digest(path: Path, algorithm: str = "sha256") -> str:
    """Return the digest of what *path* holds, in hex, read in pieces; raise OSError where it cannot be read."""
    digest = new_hash(algorithm)
    with path.open("rb") as file:
        for block in iter(lambda: file.read(_BLOCK), b""):
            digest.update(block)
    return str(digest.hexdigest())
