"""Linking in the worker (see `rattler_worker`); all values are JSON."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote, urlsplit

import rattler

from .digest import file_digest
from .rattler_cache import default_packages
from .rattler_network import Arguments, Networks, RefusedError, Send
from .rattler_record import record_of

# How often progress is told, and how long what is still being linked is waited for when an installation fails.
_EVENT_INTERVAL = 0.1
_SETTLE = 1.0


class Progress:
    """Counts what py-rattler reports from its threads, and passes it on at most ten times a second."""

    def __init__(self, send: Send, total: int) -> None:
        self._send = send
        self._total = total
        self._lock = threading.Lock()
        self._sent = 0.0
        self._bytes: list[int] = []
        self._linked = 0
        self.changed = time.monotonic()
        self.downloading: set[int] = set()
        self.linking: set[int] = set()

    def tell(self) -> None:
        """Send what is known now."""
        self._send({"downloaded": sum(self._bytes), "linked": self._linked, "total": self._total})

    def _touch(self) -> None:
        self.changed = time.monotonic()
        if self.changed - self._sent >= _EVENT_INTERVAL:
            self._sent = self.changed
            self.tell()

    def on_download_start(self, cache_entry: int) -> int:  # noqa: ARG002 - py-rattler's signature
        """Count a download."""
        with self._lock:
            self._bytes.append(0)
            token = len(self._bytes) - 1
            self.downloading.add(token)
            self._touch()
        return token

    def on_download_progress(self, download_idx: int, progress: int, total: int | None) -> None:  # noqa: ARG002
        """Count bytes."""
        with self._lock:
            self._bytes[download_idx] = progress
            self._touch()

    def on_download_completed(self, download_idx: int) -> None:
        """Count it as done."""
        with self._lock:
            self.downloading.discard(download_idx)
            self._touch()

    def on_link_start(self, operation: int, package_name: str) -> int:  # noqa: ARG002
        """Remember that files are being written."""
        with self._lock:
            self.linking.add(operation)
        return operation

    def on_transaction_operation_complete(self, operation: int) -> None:
        """Count a package as linked."""
        with self._lock:
            self.linking.discard(operation)
            self._linked += 1
            self._touch()


async def install(asked: Arguments, networks: Networks, send: Send) -> str:
    """Link records into a folder; return the package cache that was used."""
    network = networks.get(asked)
    packages = Path(asked["packages"]) if asked["packages"] else default_packages()
    progress = Progress(send, len(asked["records"]))
    if not asked["checked"]:
        await asyncio.gather(*(asyncio.to_thread(_check_file, fields) for fields in asked["records"]))
    work = rattler.install(
        [record_of(fields) for fields in asked["records"]],
        target_prefix=asked["target"],
        alternative_target_prefix=asked["final"],
        package_cache=await asyncio.to_thread(_cache, packages, asked),
        installed_packages=[],
        execute_link_scripts=False,
        show_progress=False,
        client=network.client,
        reporter=cast(rattler.InstallerReporter, progress),
    )
    try:
        await _watched(work, progress, asked["patience"])
    except Exception as error:
        # What is being linked goes on when its neighbour fails; the caller is about to remove the folder.
        end = time.monotonic() + _SETTLE
        while progress.linking and time.monotonic() < end:
            await asyncio.sleep(0.02)
        kind = error.kind if isinstance(error, RefusedError) else type(error).__name__
        raise RefusedError(kind, str(error), packages=str(packages)) from error
    progress.tell()
    return str(packages)


def _cache(packages: Path, asked: Arguments) -> rattler.PackageCache:
    """Return the cache to link from; a package in it that was changed is hashed, and fetched again.

    rattler knows a cached package by name, version, build and SHA-256. Where a channel gives only an MD5 it would take
    any package of that name, so such a package gets a folder of its own, named by its hash.
    """
    skip, full = rattler.ValidationMode.skip(), rattler.ValidationMode.full()
    shared = rattler.PackageCacheLayer(packages).with_validation_mode(skip)
    own = []
    for fields in asked["records"]:
        folder = packages if fields.get("sha256") else packages.with_name(f"{packages.name}-md5") / fields["md5"]
        changed = asked["looked_at"] and _is_changed(folder, fields)
        if changed or folder != packages:
            spec = rattler.MatchSpec(fields["name"])
            layer = rattler.PackageCacheLayer(folder).with_validation_mode(full if changed else skip)
            own.append(layer.with_filter(spec))
            shared = shared.excluding(spec)
    return rattler.PackageCache.from_layers([*own, shared])


def _is_changed(packages: Path, fields: Arguments) -> bool:
    """Tell whether a file of a cached package is missing, has another size, or was written after it was unpacked.

    The lock file is written when a package is unpacked and not again; unpacked files bear the times of the archive.
    """
    folder = str(packages / f"{fields['name']}-{fields['version']}-{fields['build']}")
    if not os.path.isdir(folder):
        return False
    try:
        unpacked = os.stat(f"{folder}.lock").st_mtime_ns
        with open(f"{folder}/info/paths.json", "rb") as stream:
            paths = json.load(stream)["paths"]
        for path in paths:
            found = os.lstat(f"{folder}/{path['_path']}")
            if found.st_mtime_ns > unpacked:
                return True
            if path["path_type"] == "hardlink" and found.st_size != path["size_in_bytes"]:
                return True
    except (OSError, ValueError, KeyError, TypeError):
        return True
    return False


def _check_file(fields: Arguments) -> None:
    """Raise where a package lies on this machine and is not what was resolved: rattler unpacks those unseen."""
    parts = urlsplit(fields["url"])
    path = unquote(parts.path)
    if parts.scheme != "file" or not os.path.isfile(path):
        return
    algorithm = "sha256" if fields.get("sha256") else "md5"
    found = file_digest(Path(path), algorithm)
    if found != fields[algorithm]:
        raise RefusedError(
            "InstallerError",
            f"failed to fetch {fields['filename']}\nCaused by: hash mismatch when extracting {fields['url']} "
            f"to nowhere: expected {fields[algorithm]}, got {found}",
        )


async def _watched(work: Coroutine[Any, Any, None], progress: Progress, patience: float) -> None:
    # py-rattler has no read time-out: a server that falls silent would be waited for for ever.
    task = asyncio.ensure_future(work)
    while not (await asyncio.wait({task}, timeout=min(patience, 1.0)))[0]:
        if progress.downloading and time.monotonic() - progress.changed > patience:
            task.cancel()
            raise RefusedError("Stalled", f"no byte came for {patience:.0f} s")
    task.result()
