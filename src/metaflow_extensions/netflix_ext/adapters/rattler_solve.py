"""Solving in the worker (see `rattler_worker`), and looking up why that failed; all values are JSON."""

from __future__ import annotations

import asyncio
import difflib
import json

import rattler
from rattler.exceptions import GatewayError, SolverError

from .rattler_network import Arguments, Network, Networks, RefusedError, Send
from .rattler_record import record_of


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
    """Return the records of a solution, linkable in their order; those ``pinned`` are among them as they are."""
    by_name, channels = _channels(asked)
    network = networks.get(asked)

    async def attempt() -> list[Arguments]:
        if asked["priority"] != "disabled":
            specs = await _prior(asked, network, by_name, channels)
            try:
                return await _with_pip(asked, network, channels, specs, rattler.ChannelPriority.Strict)
            except SolverError:
                if asked["priority"] == "strict":
                    raise
        specs = [_spec(spec, by_name) for spec in asked["specs"]]
        return await _with_pip(asked, network, channels, specs, rattler.ChannelPriority.Disabled)

    async def work() -> list[Arguments]:
        try:
            return await attempt()
        except GatewayError as error:
            # "Not modified" and no header, as Python's own http.server answers: rattler takes that for a fault.
            if "(304 " not in str(error):
                raise
            network.forget_cache()
            return await attempt()

    try:
        return await asyncio.wait_for(work(), asked["timeout"])
    except asyncio.TimeoutError:
        raise RefusedError("Stalled", f"no answer within {asked['timeout']:.0f} s") from None
    except Exception as error:
        urls = [[name, channel.base_url] for name, channel in by_name.items()]
        raise RefusedError(type(error).__name__, str(error), channels=urls) from error


async def _prior(
    asked: Arguments, network: Network, by_name: dict[str, rattler.Channel], channels: list[rattler.Channel]
) -> list[rattler.MatchSpec]:
    """Return the specs, each with the first channel that has a package of its name.

    rattler's strict priority does not hold for what is asked for: it never sees those packages of the first channel
    that do not match, and would take a match from any other. What is pinned needs no channel.
    """
    specs, pinned = asked["specs"], {fields["name"] for fields in asked["pinned"]}
    free = [spec["name"] for spec in specs if not spec["channel"] and spec["name"] not in pinned]
    if len(channels) < 2 or not free:
        return [_spec(spec, by_name) for spec in specs]
    found = await _records(network.gateway, channels, [asked["arch"], "noarch"], free)
    having = {name: {record.channel for record in records} for name, records in found.items()}
    by_url = {**by_name, **{channel.base_url: channel for channel in channels}}

    def first(name: str) -> str:
        return next((channel.base_url for channel in channels if channel.base_url in having.get(name, ())), "")

    return [_spec({**spec, "channel": spec["channel"] or first(spec["name"])}, by_url) for spec in specs]


async def _with_pip(
    asked: Arguments,
    network: Network,
    channels: list[rattler.Channel],
    specs: list[rattler.MatchSpec],
    priority: rattler.ChannelPriority,
) -> list[Arguments]:
    async def attempt(pip: bool) -> list[rattler.RepoDataRecord]:
        return await rattler.solve(
            sources=channels,
            specs=specs,
            gateway=network.gateway,
            platforms=[asked["arch"], "noarch"],
            pinned_packages=[record_of(fields) for fields in asked["pinned"]],
            virtual_packages=[_virtual(*package) for package in asked["virtual"]],
            channel_priority=priority,
            add_pip_as_python_dependency=pip,
        )

    if asked["pinned"]:  # a Python that is kept has its pip, or has to live without
        return _linkable(await attempt(pip=False))
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
    gateway = networks.get(asked).gateway
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


async def find(asked: Arguments, networks: Networks, _send: Send) -> list[Arguments]:
    """Return what the channels say of ``files``: of each (name, version, build, subdir), the first that one has.

    They are linkable in their order.
    """
    try:
        return await asyncio.wait_for(_found(asked, networks), asked["timeout"])
    except asyncio.TimeoutError:
        raise RefusedError("Stalled", f"no answer within {asked['timeout']:.0f} s") from None


async def _found(asked: Arguments, networks: Networks) -> list[Arguments]:
    _, channels = _channels(asked)
    wanted = {tuple(entry) for entry in asked["files"]}
    gateway = networks.get(asked).gateway
    names = sorted({entry[0] for entry in wanted})
    found: dict[tuple[str, ...], rattler.RepoDataRecord] = {}
    order = [channel.base_url for channel in channels]
    for records in (await _records(gateway, channels, [asked["arch"], "noarch"], names)).values():
        for record in sorted(records, key=lambda record: order.index(record.channel or "")):
            found.setdefault((record.name.normalized, str(record.version), str(record.build), record.subdir), record)
    return _linkable([record for key, record in found.items() if key in wanted])


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
