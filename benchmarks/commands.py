"""`metaflow environment show` and `list`, over `metaflow --help`."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from metaflow_extensions.netflix_ext.adapters.folder import FolderStore
from metaflow_extensions.netflix_ext.adapters.machine import LocalMachine
from metaflow_extensions.netflix_ext.engine.alias import Alias
from metaflow_extensions.netflix_ext.engine.catalog import Catalog, Pointer
from metaflow_extensions.netflix_ext.engine.package import CondaPackage
from metaflow_extensions.netflix_ext.engine.resolved import ResolvedEnvironment

from .bench import Figure, Place, pairs, timed

_METAFLOW = str(Path(sys.executable).with_name("metaflow"))
_MANY = 500
_NAMES = tuple(f"package{item}" for item in range(59))


def commands(place: Place, repetitions: int) -> Iterator[Figure]:
    """Keep many environments, one of them with a name; time what shows them in turn with what shows nothing."""
    catalog = Catalog(FolderStore(place.root / ".metaflow" / "conda_v2"))
    for number in range(_MANY):
        catalog.add(_environment(number))
    catalog.publish(Alias("team/bench", "v1"), Pointer(env_id=_environment(0).env_id))

    def one(*words: str) -> float:
        return timed([_METAFLOW, *words], place.environment(), place.root).whole

    one("environment", "list")
    for name, budget, words in (
        ("show of a known environment, over metaflow --help", 150, ("show", "team/bench:v1")),
        (f"list of {_MANY} environments, over metaflow --help", 1000, ("list",)),
    ):
        subject, baseline = pairs(partial(one, "environment", *words), partial(one, "--help"), repetitions * 3)
        yield Figure(name, budget, "ms", subject, baseline)
    place.forget(".metaflow")


def _environment(number: int) -> ResolvedEnvironment:
    arch = LocalMachine({}).arch()
    return ResolvedEnvironment.make(
        req_id=hashlib.sha256(b"%d" % number).hexdigest()[:40],
        arch=arch,
        spec={"python": "3.11.*", "conda": ["requests >=2.21"], "channels": ["conda-forge"]},
        virtual=("__glibc=2.28=0",),
        conda=tuple(_package(name, number, arch) for name in ("python", *_NAMES)),
        pypi=(),
        provenance={"by": "bench", "on": f"2026-01-01T00:{number // 60:02}:{number % 60:02}+00:00"},
    )


def _package(name: str, number: int, arch: str) -> CondaPackage:
    filename = f"{name}-3.11.{number}-h0_0.conda"
    return CondaPackage(
        name=name,
        version=f"3.11.{number}",
        build="h0_0",
        build_number=0,
        subdir=arch,
        channel="https://channel.example/main",
        filename=filename,
        url=f"https://channel.example/main/{arch}/{filename}",
        sha256=hashlib.sha256(filename.encode()).hexdigest(),
        size=1000,
        depends=tuple(f"{name} >=3.11" for name in _NAMES[:6]),
    )
