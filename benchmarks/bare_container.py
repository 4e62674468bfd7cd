"""In a container: copy objects with the client of S3 alone, link them with py-rattler; print the seconds of all.

`python -c "$(cat bare_container.py)" JSON`, where JSON is {"endpoint", "bucket", "tools": [key], "environments":
[[record, with its "key"]]}. Nothing is checked, nothing is activated, there is no byte code.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3


def prepare(asked: dict, records: list[dict], folder: Path) -> None:
    """Copy tools and packages, sixteen at a time, and link."""
    folder.mkdir(parents=True)
    client = boto3.client("s3", endpoint_url=asked["endpoint"])

    def copied(key: str) -> Path:
        path = folder / key.rpartition("/")[2]
        path.write_bytes(client.get_object(Bucket=asked["bucket"], Key=key)["Body"].read())
        return path

    with ThreadPoolExecutor(16) as pool:
        tools = pool.map(copied, asked["tools"])
        paths = list(pool.map(copied, [record["key"] for record in records]))
        for tool in tools:
            zipfile.ZipFile(tool).extractall(folder / "tools")
    sys.path.insert(0, str(folder / "tools"))
    asyncio.run(link(records, paths, folder))
    sys.path.pop(0)


async def link(records: list[dict], paths: list[Path], folder: Path) -> None:
    """Let py-rattler unpack and link."""
    import rattler

    found = []
    for fields, path in zip(records, paths, strict=True):
        record = rattler.PackageRecord(
            fields["name"],
            fields["version"],
            rattler.BuildString.new_unchecked(fields["build"]),
            fields["build_number"],
            fields["subdir"],
            noarch=fields["noarch"] or None,
            depends=fields["depends"],
            sha256=bytes.fromhex(fields["sha256"]),
        )
        found.append(rattler.RepoDataRecord(record, fields["filename"], path.as_uri(), fields["channel"]))
    await rattler.install(found, folder / "prefix", cache_dir=folder / "cache", show_progress=False)


def main() -> None:
    """Do it for each environment, one after the other."""
    asked = json.loads(sys.argv[1])
    begun = time.perf_counter()
    for number, records in enumerate(asked["environments"]):
        prepare(asked, records, Path(f"/tmp/{number}"))
    print(time.perf_counter() - begun)


main()
