"""Link conda packages into a folder with py-rattler; every package is what its hash says."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..engine.errors import CreateError, ExtensionError, PackageError
from ..engine.events import Reporter
from ..engine.package import CondaPackage, package_to_dict
from .rattler_cache import default_packages, is_unpacked
from .worker import Worker, WorkerError

DOWNLOAD = "download conda packages"
LINK = "link conda packages"

_PATIENCE = 120.0
# An installation that has failed goes on fetching, and puts what comes in the place of what lies in the cache by then:
# who unpacks or links the same package meets its folder, or finds it gone.
_RACE = re.compile(
    r"failed to rename temp directory[\s\S]*Directory not empty|"
    r"failed to (?:remove existing cache directory|link )[\s\S]*No such file or directory"
)
_AGAIN = 2
_PAUSE = 0.5
_DISK = re.compile(
    r"No space left|Read-only file system|Permission denied|Disk quota|Not a directory|Too many open files|"
    r"Directory not empty|File name too long|Input/output error|Operation not permitted"
)
_MISMATCH = re.compile(r"hash mismatch when extracting (?P<url>\S+) to .*: expected (?P<want>\w+), got (?P<got>\w+)")
_FETCH = re.compile(r"failed to fetch (?P<file>\S+)")
_DAMAGED = re.compile(r"numeric field|frame descriptor|Data corruption|checksum|invalid Zip|failed to unpack")
_HASH_HINT = (
    "nothing was installed from it. Either the file was replaced at its source since the environment was resolved, and "
    "resolving again with --force-rebuild-environments takes the new one, or somebody tampers with it on the way"
)


class RattlerInstaller:
    """Links in *worker*, from rattler's package cache; scripts of packages are not run.

    An archive is hashed whenever it comes from a channel (a folder too), before anything of it enters the cache.
    Where a file of what was unpacked before is missing, has another size or was written since, such as through another
    prefix (they are hard links), that package is hashed and fetched again. Looking takes 0.04 s for 6,800 files.

    Args:
        worker: Where py-rattler runs.
        secrets: URLs without credentials to the same with credentials; looked up when a request is made.
        packages: The package cache; the one that pixi and all of rattler share if None.
        looked_at: Whether cached packages are looked at so.
        patience: Seconds in which a download must bring a byte.
        checked: Whether archives on this machine have been hashed before they get here.
        headers: What to send, by URL; looked up when a request is made, and written nowhere.
        mirrors: URLs to where they are read in their place.
    """

    def __init__(
        self,
        worker: Worker,
        *,
        secrets: Mapping[str, str] | None = None,
        packages: Path | None = None,
        looked_at: bool = True,
        patience: float = _PATIENCE,
        checked: bool = False,
        headers: Mapping[str, Mapping[str, str]] | None = None,
        mirrors: Mapping[str, str] | None = None,
    ) -> None:
        self._worker = worker
        self._secrets = secrets if secrets is not None else {}
        self._packages = packages
        self._looked_at = looked_at
        self._patience = patience
        self._checked = checked
        self._headers = headers if headers is not None else {}
        self._mirrors = mirrors or {}

    def install(self, packages: tuple[CondaPackage, ...], stage: Path, final: Path, report: Reporter) -> None:
        """Fill the empty folder *stage* with *packages*, with *final* as the path that files name.

        Raises PackageError where a package cannot be fetched or its bytes are not those resolved, CreateError where
        this machine cannot hold it.
        """
        for package in packages:
            if not (package.sha256 or package.md5):
                raise PackageError(
                    f"{package.filename} has no hash in {package.channel}, so that its bytes cannot be checked",
                    "ask the owner of the channel to index it again",
                )
        progress = _Progress(report, packages)
        asked = {
            "records": [package_to_dict(package) for package in packages],
            "target": str(stage),
            "final": str(final),
            "packages": str(self._packages.absolute()) if self._packages else "",
            "secrets": dict(self._secrets),
            "looked_at": self._looked_at,
            "patience": self._patience,
            "checked": self._checked,
            "mirrors": dict(self._mirrors),
            "headers": {url: dict(items) for url, items in self._headers.items()},
        }
        try:
            self._request(asked, stage, progress)
        except WorkerError as error:
            raise _explained(error, packages, stage) from error
        finally:
            progress.end()

    def unpacked(self, package: CondaPackage) -> bool:
        """Tell whether *package* is in the package cache, so that its archive is not needed."""
        return is_unpacked(package, self._packages or default_packages())

    def _request(self, asked: Mapping[str, object], stage: Path, progress: _Progress) -> None:
        for again in range(_AGAIN, -1, -1):
            try:
                self._worker.request("install", asked, on_event=progress.event, before_retry=lambda: _empty(stage))
            except WorkerError as error:
                if not (again and _RACE.search(error.message)):
                    raise
                # What two unpack at once is in the cache when the first of them has done it.
                time.sleep(_PAUSE)
                _empty(stage)
            else:
                return


class _Progress:
    """Turns the worker's counts into two tasks; that of downloads begins when there is something to download."""

    def __init__(self, report: Reporter, packages: tuple[CondaPackage, ...]) -> None:
        self._report = report
        self._downloading = False
        self._linked = 0
        report.started(LINK, len(packages))

    def event(self, counts: Mapping[str, Any]) -> None:
        if counts["downloaded"]:
            if not self._downloading:
                self._downloading = True
                self._report.started(DOWNLOAD)
            self._report.advanced(DOWNLOAD, counts["downloaded"])
        self._linked = counts["linked"]
        self._report.advanced(LINK, self._linked)

    def end(self) -> None:
        if self._downloading:
            self._report.finished(DOWNLOAD)
        self._report.finished(LINK, f"{self._linked} packages")


def _explained(error: WorkerError, packages: tuple[CondaPackage, ...], stage: Path) -> ExtensionError:
    text = error.message.strip()
    mismatch = _MISMATCH.search(text)
    if mismatch:
        want, got = mismatch["want"], mismatch["got"]
        return PackageError(
            f"{_file(text, packages)} is not the package that was resolved: "
            f"expected {_algorithm(want)} {want}, got {got}, from {mismatch['url']}",
            _HASH_HINT,
        )
    if _DAMAGED.search(text) and not _DISK.search(text):
        return PackageError(
            f"{_file(text, packages)} is not the package that was resolved, and cannot be unpacked: {_flat(text)}",
            _HASH_HINT,
        )
    if error.kind not in ("InstallerError", "Stalled"):
        return error.translated(f"'{stage}': ")
    cache = error.details.get("packages", "")
    if _DISK.search(text) or not (_FETCH.search(text) or error.kind == "Stalled"):
        where = (
            f"'{cache}' (the package cache)" if _FETCH.search(text) or "cache" in text.splitlines()[0] else f"'{stage}'"
        )
        return CreateError(
            f"packages cannot be written to {where}: {_flat(text)}",
            "check that there is room, and that the folder may be written to",
        )
    return PackageError(
        f"{_file(text, packages)} cannot be fetched: {_flat(text)}",
        "check the network, the credentials, and that the source still has it; run again to go on where this stopped",
    )


def _file(text: str, packages: tuple[CondaPackage, ...]) -> str:
    """Return the URL of the package that *text* is about, or its file name, or a word for all of them."""
    fetch = _FETCH.search(text)
    if not fetch:
        return "a package"
    return next((package.filename for package in packages if package.filename == fetch["file"]), fetch["file"])


def _flat(text: str) -> str:
    lines = [line.removeprefix("Caused by: ").strip() for line in text.splitlines()]
    return ": ".join(dict.fromkeys(line for line in lines if not _FETCH.match(line)))


def _algorithm(digest: str) -> str:
    return "md5" if len(digest) == 32 else "sha256"


def _empty(folder: Path) -> None:
    for entry in os.scandir(folder) if folder.is_dir() else ():
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)
