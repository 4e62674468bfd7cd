"""Package files that a store keeps, copied to this machine and checked.

<folder>/<digest>/<file>   a package; kept, so that another environment with it needs no store
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from ..engine.errors import PackageError
from ..engine.fetch import shown_key
from ..engine.layout import check_key
from ..engine.package import CondaPackage, PypiPackage
from ..engine.ports import Store

_BLOCK = 1 << 20
_HINT = (
    "nothing was installed from it. The file in the store is not the one that was put there: remove it, if it is yours "
    "to remove, and the package is fetched from where it comes from"
)


class StoreArchives:
    """Files below *folder*, which is made when the first of them is, from *stores*, nearest first."""

    def __init__(self, folder: Path, stores: Sequence[Store]) -> None:
        self._folder = folder
        self._stores = stores

    def local(self, package: CondaPackage | PypiPackage, key: str) -> Path | None:
        """Return the file of *package*, which a store has under *key*; None where none has it.

        Raises PackageError where the bytes are not those that were resolved, OSError where *folder* cannot hold them.
        """
        algorithm, expected = _hash_of(package)
        if not expected:
            raise PackageError(
                f"'{package.filename}' has no hash, so that its bytes cannot be checked", "resolve the environment anew"
            )
        path = self._folder / check_key(f"{algorithm}-{expected}/{package.filename}")
        if path.is_file() and _digest(path, algorithm) == expected:
            return path
        for store in self._stores:
            aside = path.with_name(f".{secrets.token_hex(8)}")
            aside.parent.mkdir(parents=True, exist_ok=True)
            try:
                if store.copy(key, aside):
                    found = _digest(aside, algorithm)
                    if found != expected:
                        raise PackageError(
                            f"{store.where(shown_key(key))} is not the package that was resolved: expected {algorithm} "
                            f"{expected}, found {found}",
                            _HINT,
                        )
                    os.replace(aside, path)
                    return path
            finally:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(aside)
        with contextlib.suppress(OSError):
            path.parent.rmdir()
        return None


def _hash_of(package: CondaPackage | PypiPackage) -> tuple[str, str]:
    if isinstance(package, CondaPackage) and not package.sha256:
        return "md5", package.md5
    return "sha256", package.sha256


def _digest(path: Path, algorithm: str) -> str:
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
