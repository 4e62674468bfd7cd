"""The tools called directly, each in a process of its own: `python bare.py resolve|create < JSON`.

`resolve`: {"channel", "index", "environments": [{"specs", "pypi", "python"}]}. `create`: {"environments": [{"records",
"pylock", "prefix"}]}. What is printed does not matter; what counts is the time it takes.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import rattler
import uv

VIRTUAL = {"__unix": "0", "__linux": "4.18", "__glibc": "2.28", "__archspec": "1"}


def virtual() -> list[rattler.GenericVirtualPackage]:
    """Return what environments are resolved for."""
    return [
        rattler.GenericVirtualPackage(rattler.PackageName(name), rattler.Version(version), rattler.BuildString("0"))
        for name, version in VIRTUAL.items()
    ]


async def resolve(asked: dict) -> None:
    """Solve all environments at once with one gateway, then compile their PyPI parts at once."""
    gateway = rattler.Gateway()
    solutions = await asyncio.gather(
        *(
            rattler.solve(
                [rattler.Channel(asked["channel"])],
                one["specs"],
                gateway=gateway,
                platforms=[asked["arch"], "noarch"],
                virtual_packages=virtual(),
                add_pip_as_python_dependency=True,
            )
            for one in asked["environments"]
        )
    )
    running = []
    for one, records in zip(asked["environments"], solutions, strict=True):
        python = next(str(record.version) for record in records if record.name.normalized == "python")
        if one["pypi"]:
            running.append(compile_wheels(one["pypi"], python, asked["index"]))
    await asyncio.gather(*running)


async def compile_wheels(requirements: list[str], python: str, index: str) -> None:
    """Run `uv pip compile`."""
    process = await asyncio.create_subprocess_exec(
        uv.find_uv_bin(), "pip", "compile", "-", "--format", "pylock.toml", "--python-version", python,
        "--python-platform", "x86_64-manylinux_2_28", "--no-build", "--default-index", index, "-q",
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    await process.communicate("\n".join(requirements).encode())
    assert process.returncode == 0


async def create(asked: dict) -> None:
    """Install the records of every prefix, and its wheels when they are in place; all prefixes at once."""
    offline = ["--offline"] if asked.get("offline", True) else []
    await asyncio.gather(*(create_one(one, offline) for one in asked["environments"]))


async def create_one(one: dict, offline: list[str]) -> None:
    """Install one prefix."""
    with tempfile.TemporaryDirectory() as folder:
        records = [record_of(fields) for fields in one["records"]]
        await rattler.install(records, one["prefix"], show_progress=False)
        if one["pylock"]:
            lock = Path(folder, "pylock.toml")
            lock.write_text(one["pylock"])
            process = await asyncio.create_subprocess_exec(
                uv.find_uv_bin(), "pip", "install", "-q", *offline, "--break-system-packages", "--no-deps",
                "--python", f"{one['prefix']}/bin/python", "-r", str(lock),
            )  # fmt: skip
            assert await process.wait() == 0


def record_of(fields: dict) -> rattler.RepoDataRecord:
    """Rebuild a record."""
    record = rattler.PackageRecord(
        fields["name"],
        fields["version"],
        rattler.BuildString.new_unchecked(fields["build"]),
        fields["build_number"],
        fields["subdir"],
        noarch=fields.get("noarch"),
        depends=fields.get("depends"),
        sha256=bytes.fromhex(fields["sha256"]),
        size=fields.get("size"),
    )
    return rattler.RepoDataRecord(record, fields["filename"], fields["url"], fields["channel"])


if __name__ == "__main__":
    asyncio.run({"resolve": resolve, "create": create}[sys.argv[1]](json.load(sys.stdin)))
    sys.stdout.flush()
    os._exit(0)
