"""Datastores: packages on their way into S3, and runs on S3 of what is known; SeaweedFS on loopback (tests/servers)."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.channel import serve
from tests.servers import StoreServer, s3
from tests.servers.relay import relayed
from tests.servers.s3 import serve_s3

from .bench import Figure, Place, flow, timed
from .engine import PROJECT
from .flows import settle

_COUNT, _SIZE = 100, 1 << 20
_SECONDS = re.compile(r"SECONDS (\d+\.\d+)")


@contextmanager
def server(place: Place) -> Iterator[StoreServer]:
    """Yield an S3 server of its own, with nothing in it."""
    folder = place.root / "s3"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    with serve_s3(folder) as found:
        yield found


def caching(place: Place, repetitions: int) -> Iterator[Figure]:
    """Cache 100 new packages of 1 MB, over a parallel copy without any check; from the web, and from this machine."""
    places = {"from the web": ("bare", "ours"), "from this machine": ("put", "here")}
    found: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in places}
    with server(place) as store:
        for number in range(repetitions + 1):
            for name, (baseline, subject) in places.items():
                seconds = _copied(place, store, baseline, number), _copied(place, store, subject, number)
                if number:  # the first warms up the server
                    found[name][1].append(seconds[0])
                    found[name][0].append(seconds[1])
    for name, (subjects, baselines) in found.items():
        yield Figure(
            f"cache 100 packages of 1 MB {name}, over a bare copy", round(1 / 0.7, 2), "x", subjects, baselines
        )


def _copied(place: Place, store: StoreServer, what: str, number: int) -> float:
    """Return the seconds that one of `copying`'s ways takes for new packages."""
    folder = place.root / "packages"
    for name in ("files", "kept"):
        shutil.rmtree(folder / name, ignore_errors=True)
    (folder / "files").mkdir(parents=True)
    packages = [_package(folder, f"{what}-{number}-{item}", here=what in ("here", "put")) for item in range(_COUNT)]
    with serve(folder) as web:
        question: dict[str, Any] = {
            "root": f"{store.root}/{what}-{number}",
            "endpoint": store.variables["METAFLOW_S3_ENDPOINT_URL"],
            "folder": str(folder / "kept"),
            "packages": [{**package, "url": f"{web.url}/files/{package['file']}"} for package in packages],
        }
        path = folder / "question.json"
        path.write_text(json.dumps(question))
        command = [sys.executable, "-m", "benchmarks.copying", what, str(path)]
        done = timed(command, {**place.environment(), **store.variables}, PROJECT)
    match = _SECONDS.search(done.output)
    assert match is not None, done.output
    return float(match.group(1))


def _package(folder: Path, name: str, *, here: bool) -> dict[str, Any]:
    """Return a new package of random bytes, which the web has, and this machine too where it is *here*."""
    data = os.urandom(_SIZE)
    sha256 = hashlib.sha256(data).hexdigest()
    file = f"{name}-1.0-py3-none-any.whl"
    path = folder / "files" / file
    path.write_bytes(data)
    if here:
        path = folder / "kept" / f"sha256-{sha256}" / file
        path.parent.mkdir(parents=True)
        path.write_bytes(data)
    return {"name": name, "file": file, "sha256": sha256, "size": _SIZE, "path": str(path)}


def second_run(place: Place, repetitions: int) -> Iterator[Figure]:
    """Run what is known and stored on S3, over the same flow on S3 without environments; then count its requests."""
    with server(place) as store:
        place.extra = {
            **place.extra,
            **store.variables,
            "METAFLOW_DATASTORE_SYSROOT_S3": f"{store.root}/bench",
            "METAFLOW_DEFAULT_DATASTORE": "s3",
        }
        settle(place, "three.py")
        flow(place, "plain.py", environment=False)
        subject, baseline = [], []
        for _ in range(repetitions):
            baseline.append(flow(place, "plain.py", environment=False).whole)
            subject.append(flow(place, "three.py", environment=True).whole)
        yield Figure("second run on S3, over the same without environments", 1.2, "x", subject, baseline)
        with relayed(store.variables["METAFLOW_S3_ENDPOINT_URL"]) as relay:
            place.extra = {**place.extra, **s3.at(relay.url).variables}
            counted = []
            for name, environment in (("plain.py", False), ("three.py", True)):
                relay.clear()
                flow(place, name, environment=environment)
                counted.append(float(len(relay.requests)))
        name = "requests of a second run on S3, over those without environments"
        yield Figure(name, 3, "requests", counted[1:], counted[:1])
