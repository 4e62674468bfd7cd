"""What the worker does with py-rattler: solve, look, install. Requests and answers are JSON values.

Runs in the worker process alone (see `rattler_worker`), on an event loop.
"""

from __future__ import annotations

import asyncio
import base64
import datetime
import difflib
import json
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote, urlsplit, urlunsplit

import rattler
from rattler.exceptions import SolverError
from rattler.networking import (
    AddHeadersMiddleware,
    AuthenticationMiddleware,
    GCSMiddleware,
    MirrorMiddleware,
    OciMiddleware,
    RetryMiddleware,
    S3Middleware,
)

# Three retries with py-rattler's back-off give up on a refused connection after 2.6 s.
_RETRIES = 3
# How often progress is told, and how long what is still being linked is waited for when an installation fails.
_EVENT_INTERVAL = 0.1
_SETTLE = 1.0
_TOKEN = re.compile(r"^/t/[^/]+(?=/|$)")

Arguments = dict[str, Any]
Send = Callable[[Arguments], None]


class RefusedError(Exception):
    """An error of py-rattler with what is known of its circumstances."""

    def __init__(self, kind: str, message: str, **details: object) -> None:
        super().__init__(message)
        self.kind = kind
        self.details = details


class Network:
    """One client and one gateway, shared by every request with the same secrets: metadata is loaded once."""

    def __init__(self, secrets: dict[str, str]) -> None:
        # URLs with credentials never reach py-rattler: it would write them to its caches and into the prefix.
        mirrors: dict[str, list[str]] = {}
        self._headers: list[tuple[str, str, str]] = []
        for clean, secret in secrets.items():
            parts = urlsplit(secret)
            userinfo, _, host = parts.netloc.rpartition("@")
            if _TOKEN.match(parts.path):
                mirrors[clean.rstrip("/")] = [urlunsplit(parts._replace(netloc=host)).rstrip("/")]
            if userinfo:
                name, _, password = userinfo.partition(":")
                text = f"{unquote(name)}:{unquote(password)}".encode()
                basic = f"Basic {base64.b64encode(text).decode('ascii')}"
                path = _TOKEN.sub("", parts.path).rstrip("/")
                self._headers.append((urlsplit(clean).hostname or "", path, basic))
        self._headers.sort(key=lambda entry: len(entry[1]), reverse=True)
        self.client = rattler.Client(
            [
                RetryMiddleware(_RETRIES),
                AuthenticationMiddleware(),
                OciMiddleware(),
                GCSMiddleware(),
                S3Middleware(),
                *([MirrorMiddleware(mirrors)] if mirrors else []),
                *([AddHeadersMiddleware(self._authorization)] if self._headers else []),
            ]
        )
        self.gateway = rattler.Gateway(client=self.client)

    def _authorization(self, host: str, path: str) -> dict[str, str] | None:
        bare = _TOKEN.sub("", path)
        for known, prefix, value in self._headers:
            if known == host and (bare == prefix or bare.startswith(f"{prefix}/")):
                return {"Authorization": value}
        return None


class Networks:
    """The networks made so far, by their secrets."""

    def __init__(self) -> None:
        self._made: dict[tuple[tuple[str, str], ...], Network] = {}

    def get(self, secrets: dict[str, str]) -> Network:
        """Return the network for *secrets*."""
        key = tuple(sorted(secrets.items()))
        if key not in self._made:
            self._made[key] = Network(secrets)
        return self._made[key]


# --- solve


def _channels(asked: Arguments) -> tuple[dict[str, rattler.Channel], list[rattler.Channel]]:
    """Return every channel by the name it was given, and all of them once, in order of priority."""
    root = asked["root"]
    config = rattler.ChannelConfig(asked["alias"], root) if asked["alias"] else rattler.ChannelConfig(root_dir=root)
    named = [spec["channel"] for spec in asked["specs"] if spec["channel"]]
    by_name = {name: rattler.Channel(name, config) for name in [*asked["channels"], *named]}
    return by_name, list({channel.base_url: channel for channel in by_name.values()}.values())


def _spec(spec: dict[str, str], channels: dict[str, rattler.Channel]) -> rattler.MatchSpec:
    where = f'[channel="{channels[spec["channel"]].base_url}"]' if spec["channel"] else ""
    return rattler.MatchSpec(spec["text"] + where, strict=True)


def _virtual(name: str, version: str, build: str) -> rattler.GenericVirtualPackage:
    return rattler.GenericVirtualPackage(
        rattler.PackageName(name), rattler.Version(version), rattler.BuildString.new_unchecked(build)
    )


async def solve(asked: Arguments, networks: Networks, _send: Send) -> list[Arguments]:
    """Return the records of a solution, in an order in which they can be linked."""
    by_name, channels = _channels(asked)
    try:
        specs = [_spec(spec, by_name) for spec in asked["specs"]]
        work = _with_pip(asked, networks.get(asked["secrets"]), channels, specs)
        return await asyncio.wait_for(work, asked["timeout"])
    except asyncio.TimeoutError:
        raise RefusedError("Stalled", f"no answer within {asked['timeout']:.0f} s") from None
    except Exception as error:
        urls = [[name, channel.base_url] for name, channel in by_name.items()]
        raise RefusedError(type(error).__name__, str(error), channels=urls) from error


async def _with_pip(
    asked: Arguments, network: Network, channels: list[rattler.Channel], specs: list[rattler.MatchSpec]
) -> list[Arguments]:
    async def attempt(pip: bool) -> list[rattler.RepoDataRecord]:
        return await rattler.solve(
            sources=channels,
            specs=specs,
            gateway=network.gateway,
            platforms=[asked["arch"], "noarch"],
            virtual_packages=[_virtual(*package) for package in asked["virtual"]],
            channel_priority=rattler.ChannelPriority.Strict,
            add_pip_as_python_dependency=pip,
        )

    try:
        found = await attempt(pip=True)
    except SolverError:  # the channels may have no pip for this Python
        return _linkable(await attempt(pip=False))
    for record in found:
        # py-rattler has written its wish into the record; what we store is what the channel says.
        if record.name.normalized == "python" and record.depends[-1:] == ["pip"]:
            record.depends = record.depends[:-1]
    return _linkable(found)


def _linkable(records: list[rattler.RepoDataRecord]) -> list[Arguments]:
    order = rattler.PackageRecord.sort_topologically(list(records))
    rank = {record.name.normalized: number for number, record in enumerate(order)}
    records.sort(key=lambda record: rank[record.name.normalized])
    return [json.loads(record.to_json()) for record in records]


async def look(asked: Arguments, networks: Networks, _send: Send) -> list[Arguments]:
    """Return what the channels have of each spec: ``versions``, whether one of them is ``met``; else where it is.

    Asked only once a solve has failed, to explain it. Of a name that is not there for this platform, the ``platforms``
    that have it are looked up, and where there are none, ``similar`` names.
    """
    by_name, channels = _channels(asked)
    gateway = networks.get(asked["secrets"]).gateway
    specs = [_spec({**spec, "channel": ""}, by_name) for spec in asked["specs"]]
    names = [spec["name"] for spec in asked["specs"]]
    here = await _records(gateway, channels, [asked["arch"], "noarch"], names)
    unknown = [name for name in names if name not in here]
    others = [arch for arch in asked["arches"] if arch != asked["arch"]]
    elsewhere = await _records(gateway, channels, others, unknown) if unknown else {}
    every: list[str] = []
    if any(name not in elsewhere for name in unknown):
        every = [name.normalized for name in await gateway.names(channels, [asked["arch"], "noarch"])]
    return [
        {
            "name": name,
            "met": any(spec.matches(record) for record in here.get(name, ())),
            "versions": _versions(here.get(name, [])),
            "platforms": sorted({record.subdir for record in elsewhere.get(name, ())}),
            "similar": difflib.get_close_matches(name, every, n=3) if name in unknown and name not in elsewhere else [],
        }
        for name, spec in zip(names, specs, strict=True)
    ]


async def _records(
    gateway: rattler.Gateway, channels: list[rattler.Channel], platforms: list[str], names: list[str]
) -> dict[str, list[rattler.RepoDataRecord]]:
    found: dict[str, list[rattler.RepoDataRecord]] = {}
    subdirs = [rattler.Subdir(platform) for platform in platforms]
    for records in await gateway.query(channels, subdirs, names, recursive=False):
        for record in records:
            found.setdefault(record.name.normalized, []).append(record)
    return found


def _versions(records: list[rattler.RepoDataRecord]) -> list[str]:
    return [str(version) for version in sorted({record.version for record in records})]


# --- install


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
    network = networks.get(asked["secrets"])
    packages = Path(asked["packages"]) if asked["packages"] else _default_packages()
    progress = Progress(send, len(asked["records"]))
    work = rattler.install(
        [_record(fields) for fields in asked["records"]],
        target_prefix=asked["target"],
        alternative_target_prefix=asked["final"],
        package_cache=_cache(packages, asked),
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


def _default_packages() -> Path:
    """Return the package cache that every program built on rattler shares."""
    chosen = os.environ.get("RATTLER_CACHE_DIR")
    if chosen:
        return Path(chosen) / "pkgs"
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        named = os.environ.get("XDG_CACHE_HOME", "")
        base = Path(named) if Path(named).is_absolute() else Path.home() / ".cache"
    return base / "rattler" / "cache" / "pkgs"


def _cache(packages: Path, asked: Arguments) -> rattler.PackageCache:
    """Return the cache to link from.

    rattler knows a cached package by name, version, build and SHA-256. Where a channel gives only an MD5 it would take
    any package of that name, so such a package gets a folder of its own, named by its hash.
    """
    mode = getattr(rattler.ValidationMode, asked["validation"])()
    shared = rattler.PackageCacheLayer(packages).with_validation_mode(mode)
    layers = []
    for fields in asked["records"]:
        if not fields.get("sha256"):
            spec = rattler.MatchSpec(fields["name"])
            own = rattler.PackageCacheLayer(packages.with_name(f"{packages.name}-md5") / fields["md5"])
            layers.append(own.with_validation_mode(mode).with_filter(spec))
            shared = shared.excluding(spec)
    return rattler.PackageCache.from_layers([*layers, shared])


def _record(fields: Arguments) -> rattler.RepoDataRecord:
    record = rattler.PackageRecord(
        fields["name"],
        fields["version"],
        rattler.BuildString.new_unchecked(fields["build"]),
        fields["build_number"],
        fields["subdir"],
        noarch=fields.get("noarch"),
        depends=fields.get("depends"),
        constrains=fields.get("constrains"),
        sha256=bytes.fromhex(fields["sha256"]) if fields.get("sha256") else None,
        md5=bytes.fromhex(fields["md5"]) if fields.get("md5") else None,
        size=fields.get("size"),
        license=fields.get("license"),
        python_site_packages_path=fields.get("python_site_packages_path"),
    )
    if fields.get("timestamp"):
        record.timestamp = datetime.datetime.fromtimestamp(fields["timestamp"] / 1000, datetime.timezone.utc)
    return rattler.RepoDataRecord(record, fields["filename"], fields["url"], fields["channel"])


async def _watched(work: Coroutine[Any, Any, None], progress: Progress, patience: float) -> None:
    # py-rattler has no read time-out: a server that falls silent would be waited for for ever.
    task = asyncio.ensure_future(work)
    while not (await asyncio.wait({task}, timeout=min(patience, 1.0)))[0]:
        if progress.downloading and time.monotonic() - progress.changed > patience:
            task.cancel()
            raise RefusedError("Stalled", f"no byte came for {patience:.0f} s")
    task.result()
