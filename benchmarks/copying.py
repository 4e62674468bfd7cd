"""Packages into S3, in a process of its own: `python -m benchmarks.copying bare|ours|here|put QUESTION`.

QUESTION is a JSON file with the root of the store, the endpoint, a folder, and name, URL, SHA-256 and size of each
package. `bare` gets and puts with sixteen threads and checks nothing; `ours` caches them as environments are. `put` and
`here` do the same with files that lie on this machine. The seconds are printed, imports apart.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import requests

from metaflow_extensions.netflix_ext.adapters.archives import KeptArchives
from metaflow_extensions.netflix_ext.adapters.http import HttpFetcher
from metaflow_extensions.netflix_ext.engine.cache import cache
from metaflow_extensions.netflix_ext.engine.events import Reporter
from metaflow_extensions.netflix_ext.engine.package import PypiPackage
from metaflow_extensions.netflix_ext.engine.resolved import ResolvedEnvironment
from metaflow_extensions.netflix_ext.host.store import MetaflowStore

_THREADS = 16


def bare(asked: dict[str, Any], body: Callable[[dict[str, Any]], bytes]) -> None:
    """Put what *body* gives, several at a time, with one client."""
    from botocore.config import Config

    client = boto3.client("s3", endpoint_url=asked["endpoint"], config=Config(max_pool_connections=_THREADS))
    bucket, _, prefix = asked["root"].removeprefix("s3://").partition("/")

    def one(package: dict[str, Any]) -> None:
        client.put_object(Bucket=bucket, Key=f"{prefix}/bare/{package['name']}", Body=body(package))

    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(one, asked["packages"]))


def fetched() -> Callable[[dict[str, Any]], bytes]:
    """Return what gets a package from the web, with a connection for each thread."""
    local = threading.local()

    def get(package: dict[str, Any]) -> bytes:
        if not hasattr(local, "session"):
            local.session = requests.Session()
        answer = local.session.get(package["url"], timeout=60)
        answer.raise_for_status()
        return bytes(answer.content)

    return get


def ours(asked: dict[str, Any]) -> None:
    """Cache the packages of one environment."""
    store = MetaflowStore("s3", f"{asked['root']}/ours")
    packages = [
        PypiPackage(one["name"], "1.0", one["file"], one["url"], one["sha256"], size=one["size"], index="default")
        for one in asked["packages"]
    ]
    environment = ResolvedEnvironment.make(
        req_id="a" * 40, arch="linux-64", spec={}, virtual=(), conda=(), pypi=tuple(packages), provenance={}
    )
    archives = KeptArchives(Path(asked["folder"]), [store], HttpFetcher())
    cache([environment], store, archives, Reporter(), title="Caching")


def main(what: str, question: str) -> None:
    """Do it and print how long it took."""
    asked = json.loads(Path(question).read_text())
    begun = time.perf_counter()
    if what == "bare":
        bare(asked, fetched())
    elif what == "put":
        bare(asked, lambda package: Path(package["path"]).read_bytes())
    else:
        ours(asked)
    print(f"SECONDS {time.perf_counter() - begun:.4f} CPU {time.process_time():.2f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
