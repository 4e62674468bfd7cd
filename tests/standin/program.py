"""The program: ``program.py NAME VERSION FAULT CALLS ...``, and then what the tool of that name would be given.

Options that the tool does not know are refused as it does. What is solved and linked is solved and linked by
py-rattler; only the words are the tool's.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

import rattler
from rattler.exceptions import GatewayError, SolverError

from . import dialects
from .link import link

FAULTS = (
    "garbage",  # no JSON at all, and status 0
    "noise",  # warnings before the JSON, and words after it
    "slow",  # never ends, and has a child
    "fails",  # status 1 and words on the error stream, a URL with a password among them
    "killed",  # ends by a signal
    "elsewhere",  # solves for another platform
    "unhashed",  # packages without a hash
    "linked",  # all packages are in its cache: nothing to fetch
    "nothing",  # says that there is nothing to do
)


def main(words: list[str]) -> int:
    """Answer one command line."""
    name, version, fault, noted, *rest = words
    with Path(noted).open("a") as file:
        file.write("\0".join(rest) + "\n")
    tool = dialects.Tool(name, version)
    if rest == ["--version"]:
        print(tool.version_text)
        return 0
    if rest[:1] == ["info"]:
        print(json.dumps({"pkgs_dirs": [_packages()], "package cache": [_packages()]}))
        return 0
    if rest[:1] != ["create"]:
        return tool.unknown(rest[:1])
    asked, unknown = _parser(tool).parse_known_args(rest[1:])
    unknown = [word for word in unknown if word.startswith("-")]
    if unknown:
        return tool.unknown(unknown)
    _misbehave(fault)
    if asked.dry_run:
        return _solve(tool, asked, fault)
    assert asked.file
    return link(tool, asked)


def _parser(tool: dialects.Tool) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for flag in ("--yes", "--json", "--quiet", "--dry-run", "--override-channels", "--strict-channel-priority"):
        parser.add_argument(flag, action="store_true")
    for flag in ("--offline", "--no-deps", "--no-pin", "--no-channel-priority"):
        parser.add_argument(flag, action="store_true")
    for flag in ("--no-pyc", "--no-rc", "--no-env") if tool.libmamba else ("--no-default-packages",):
        parser.add_argument(flag, action="store_true")
    for flag in ("--root-prefix", "--platform") if tool.libmamba else ():
        parser.add_argument(flag)
    parser.add_argument("--prefix", required=True)
    parser.add_argument("--file")
    parser.add_argument("--channel", "-c", action="append", default=[])
    parser.add_argument("specs", nargs="*")
    return parser


def _packages() -> str:
    return os.environ.get("CONDA_PKGS_DIRS", "").partition(",")[0] or str(Path.home() / "pkgs")


def _misbehave(fault: str) -> None:
    if fault == "garbage":
        print("Segmentation fault, or so")
        sys.exit(0)
    if fault == "fails":
        print("first words", *("more" for _ in range(9)), sep="\n", file=sys.stderr)
        print("cannot go on with https://user:s3cr3t@channels.example/x", file=sys.stderr)
        sys.exit(3)
    if fault == "slow":
        subprocess.Popen(["sleep", "600"])
        time.sleep(600)
    if fault == "killed":
        os.kill(os.getpid(), 9)
    if fault == "nothing":
        print(json.dumps({"message": "All requested packages already installed.", "success": True}))
        sys.exit(0)


def _solve(tool: dialects.Tool, asked: argparse.Namespace, fault: str) -> int:
    arch = os.environ.get("CONDA_SUBDIR", "linux-64")
    if fault == "noise":
        print("warning: something is deprecated {really}\n")
    channels = list(
        {_channel(name).base_url: _channel(name) for name in [*asked.channel, *_named(asked.specs)]}.values()
    )
    gateway = rattler.Gateway(Path(_packages()) / "cache")
    priority = "strict" if asked.strict_channel_priority else "flexible"
    try:
        records = asyncio.run(
            _records(gateway, channels, asked.specs, arch, "disabled" if asked.no_channel_priority else priority)
        )
    except SolverError as error:
        return tool.unsatisfiable(str(error), _missing(gateway, channels, asked.specs, arch), asked.channel)
    except GatewayError as error:
        return tool.unreachable(str(error), asked.channel)
    found = [json.loads(record.to_json()) for record in records]
    for record in found:
        if fault == "unhashed":
            record.pop("sha256", None), record.pop("md5", None)
        if fault == "elsewhere":
            record["subdir"] = "linux-s390x"
            record["url"] = record["url"].replace("/noarch/", "/linux-s390x/").replace(f"/{arch}/", "/linux-s390x/")
    tool.solved(found, asked.prefix, fetched=fault != "linked")
    if fault == "noise":
        print("\nDryRunExit: Dry run. Exiting.\n")
    return 0


async def _records(
    gateway: rattler.Gateway, channels: list[rattler.Channel], specs: list[str], arch: str, priority: str
) -> list[rattler.RepoDataRecord]:
    async def attempt(
        wanted: list[rattler.MatchSpec], priority: rattler.ChannelPriority
    ) -> list[rattler.RepoDataRecord]:
        records = await rattler.solve(
            sources=channels,
            specs=wanted,
            gateway=gateway,
            platforms=[arch, "noarch"],  # type: ignore[list-item]
            virtual_packages=_virtual(arch),
            channel_priority=priority,
            add_pip_as_python_dependency="CONDA_ADD_PIP_AS_PYTHON_DEPENDENCY" not in os.environ,
        )
        return list(rattler.PackageRecord.sort_topologically(records))  # type: ignore[arg-type]

    if priority != "disabled":
        first = await _prior(gateway, channels, specs, arch, strict=priority == "strict")
        try:
            return await attempt(first, rattler.ChannelPriority.Strict)
        except SolverError:
            if priority == "strict":
                raise
    return await attempt([rattler.MatchSpec(_bracketed(text)) for text in specs], rattler.ChannelPriority.Disabled)


def _bracketed(text: str) -> str:
    named, _, bare = text.rpartition("::")
    name, _, constraint = bare.partition(" ")
    return f'{name} {constraint or "*"}[channel="{_channel(named).base_url}"]' if named else bare


async def _prior(
    gateway: rattler.Gateway, channels: list[rattler.Channel], specs: list[str], arch: str, *, strict: bool
) -> list[rattler.MatchSpec]:
    """Of a package, the first channel that has its name counts; where priority is not strict, the one that is named."""
    wanted = []
    for text in specs:
        named, _, bare = text.rpartition("::")
        name, _, constraint = bare.partition(" ")
        places = [_channel(named).base_url] if named and not strict else [item.base_url for item in channels]
        for place in places:
            found = await gateway.query([rattler.Channel(place)], _subdirs(arch), [name], recursive=False)
            if any(found):
                wanted.append(rattler.MatchSpec(f'{name} {constraint or "*"}[channel="{place}"]'))
                break
        else:
            wanted.append(rattler.MatchSpec(bare))
    return wanted


def _subdirs(arch: str) -> list[rattler.Subdir]:
    return [rattler.Subdir(arch), rattler.Subdir("noarch")]  # type: ignore[arg-type]


def _virtual(arch: str) -> list[rattler.GenericVirtualPackage]:
    found = {"__unix": "0"}
    names = ("linux", "glibc", "cuda", "archspec") if arch.startswith("linux") else ("osx", "cuda", "archspec")
    for name in names:
        version = os.environ.get(f"CONDA_OVERRIDE_{name.upper()}")
        if version:
            found[f"__{name}"] = version
    return [
        rattler.GenericVirtualPackage(
            rattler.PackageName(name),
            rattler.Version("1" if name == "__archspec" else version),
            rattler.BuildString.new_unchecked(version if name == "__archspec" else "0"),
        )
        for name, version in found.items()
    ]


def _channel(name: str) -> rattler.Channel:
    return rattler.Channel(name)


def _named(specs: list[str]) -> list[str]:
    return [text.rpartition("::")[0] for text in specs if "::" in text]


def _missing(gateway: rattler.Gateway, channels: list[rattler.Channel], specs: list[str], arch: str) -> list[str]:
    names = [text.rpartition("::")[2].split(" ")[0] for text in specs]
    there = {
        record.name.normalized
        for found in asyncio.run(gateway.query(channels, _subdirs(arch), names, recursive=False))
        for record in found
    }
    return [name for name in names if name not in there]


def _leave(status: int) -> NoReturn:
    # py-rattler's threads race with an ordinary exit of the interpreter.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _run(words: list[str]) -> Any:
    try:
        return main(words)
    except SystemExit as end:
        return end.code or 0


if __name__ == "__main__":
    _leave(_run(sys.argv[1:]))
