"""Package files on this machine: copied from a store or fetched from their source, and checked.

<folder>/<digest>/<file>   a package; kept, so that another environment with it needs neither
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from ..engine.errors import PackageError
from ..engine.fetch import shown_key
from ..engine.layout import check_key
from ..engine.package import AnyPackage, CondaPackage
from ..engine.ports import Fetcher, Store
from .conda_packages import CondaPackages
from .digest import file_digest, parts_of

_KEPT_SECONDS = 30 * 24 * 3600
_SWEPT = ".swept"
_SWEEP_SECONDS = 24 * 3600
_HINT = (
    "nothing was installed from it. The file in the store is not the one that was put there: remove it, if it is yours "
    "to remove, and the package is fetched from where it comes from"
)


class KeptArchives:
    """Files below *folder*, which is made when the first of them is; what nobody uses for 30 days is removed.

    Args:
        folder: where they lie.
        stores: where they are copied from, nearest first.
        fetcher: what fetches them from where they come from.
        channels: the same for conda packages, where another is to do it.
        conda: packages that the user's conda has on this machine.
    """

    def __init__(
        self,
        folder: Path,
        stores: Sequence[Store],
        fetcher: Fetcher,
        channels: Fetcher | None = None,
        conda: CondaPackages | None = None,
    ) -> None:
        self._folder = folder
        self._stores = stores
        self._fetcher = fetcher
        self._channels = channels or fetcher
        self._conda = conda

    def here(self, package: AnyPackage) -> Path | None:
        """Return the file of *package*, or None where there is none; one that is damaged is none."""
        path, algorithm, expected = self._place(package)
        try:
            if file_digest(path, algorithm) == expected:
                os.utime(path)
                return path
        except OSError:
            pass
        return self._conda.archive(package) if self._conda is not None and isinstance(package, CondaPackage) else None

    def copied(self, package: AnyPackage, keys: Sequence[str]) -> Path | None:
        """Return the file of *package*, copied from a store that has it under one of *keys*; None where none has it.

        Raises PackageError where the bytes are not those that were resolved, OSError where *folder* cannot hold them.
        """
        path, algorithm, expected = self._place(package)
        for key, store in ((check_key(key), store) for store in self._stores for key in keys):
            # Its own folder is made when there is something to put into it.
            aside = self._folder / f".{secrets.token_hex(8)}"
            self._folder.mkdir(parents=True, exist_ok=True)
            try:
                if store.copy(key, aside):
                    found = file_digest(aside, algorithm)
                    if found != expected:
                        raise PackageError(
                            f"{store.where(shown_key(key))} is not the package that was resolved: expected {algorithm} "
                            f"{expected}, found {found}",
                            _HINT,
                        )
                    path.parent.mkdir(exist_ok=True)
                    os.replace(aside, path)
                    return path
            finally:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(aside)
        return None

    def fetched(self, package: AnyPackage, *, trusted: Sequence[str] = ()) -> Path:
        """Return the file of *package*, fetched from where it comes from; see `Fetcher.fetch`."""
        path, _, _ = self._place(package)
        self._sweep()
        fetcher = self._channels if isinstance(package, CondaPackage) else self._fetcher
        fetcher.fetch(package.url, package.digest, path, trusted=trusted)
        return path

    def pinned(self, url: str, filename: str) -> tuple[str, int]:
        """Fetch the file *filename* from *url*, whatever it is, keep it, and return its SHA-256 and its size.

        Raises PackageError.
        """
        self._sweep()
        self._folder.mkdir(parents=True, exist_ok=True)
        aside = self._folder / f".{secrets.token_hex(8)}"
        try:
            sha256, size = self._fetcher.pinned(url, aside), aside.stat().st_size
            path = self._folder / check_key(f"sha256-{sha256}/{filename}")
            path.parent.mkdir(exist_ok=True)
            os.replace(aside, path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(aside)
        return sha256, size

    def _place(self, package: AnyPackage) -> tuple[Path, str, str]:
        """Return where the file of *package* lies, the algorithm of its hash, and the hash."""
        algorithm, expected = parts_of(package.digest)
        if not expected:
            raise PackageError(
                f"'{package.filename}' has no hash, so that its bytes cannot be checked", "resolve the environment anew"
            )
        return self._folder / check_key(f"{algorithm}-{expected}/{package.filename}"), algorithm, expected

    def _sweep(self) -> None:
        """Remove what was not used for long; look for that once a day."""
        now, mark = time.time(), self._folder / _SWEPT
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            if mark.exists() and now - mark.stat().st_mtime < _SWEEP_SECONDS:
                return
            mark.touch()
            for folder in self._folder.iterdir():
                # The folder's own time too: one that is still empty was made a moment ago, for a file that is coming.
                if (
                    folder.is_dir()
                    and not folder.name.startswith(".")
                    and all(now - path.stat().st_mtime > _KEPT_SECONDS for path in (folder, *folder.iterdir()))
                ):
                    shutil.rmtree(folder, ignore_errors=True)
