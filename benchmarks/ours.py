"""The engine without a flow, in a process of its own: `python ours.py resolve|wheels|create|known FOLDER [COUNT]`.

Settings come from the environment; documents of resolved environments lie in FOLDER. The seconds in which Metaflow was
loaded are printed.
"""

from __future__ import annotations

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

_begun = time.perf_counter()
import metaflow  # noqa: F401 - ahead of what imports it, to be measured

_METAFLOW = time.perf_counter() - _begun

from benchmarks.cases import ARCH, CASES, many, surroundings, wheels
from metaflow_extensions.netflix_ext.engine.ask import ask_of
from metaflow_extensions.netflix_ext.engine.create import create
from metaflow_extensions.netflix_ext.engine.events import Reporter
from metaflow_extensions.netflix_ext.engine.request import request_for
from metaflow_extensions.netflix_ext.engine.resolve import resolve
from metaflow_extensions.netflix_ext.engine.resolved import ResolvedEnvironment
from metaflow_extensions.netflix_ext.host.settings import NAMES, read
from metaflow_extensions.netflix_ext.host.wiring import Wiring


def wiring(folder: Path) -> Wiring:
    """Return the parts for the settings in the environment."""
    values = {name: os.environ.get(f"METAFLOW_{name}") for name in NAMES}
    return Wiring(read(values, os.environ), folder / "catalog", None)


def do_resolve(folder: Path) -> None:
    """Resolve all cases and keep what came out."""
    parts = wiring(folder)
    requests = {case.request(parts.settings): name for name, case in CASES.items()}
    for environment in resolve(requests, parts.resolver, Reporter()).values():
        parts.catalog.add(environment)
        (folder / f"{environment.env_id.req_id}.json").write_bytes(environment.to_bytes())


def do_wheels(folder: Path) -> None:
    """Resolve as many environments of PyPI packages alone as the last argument says, and print the seconds it took."""
    parts = wiring(folder)
    around = surroundings(parts.settings)
    asks = [ask_of("pypi", {"packages": packages}) for packages in wheels(int(sys.argv[3]))]
    requests = {request_for(ask, around, arch=ARCH): str(number) for number, ask in enumerate(asks)}
    begun = time.perf_counter()
    resolve(requests, parts.resolver, Reporter())
    print(f"RESOLVED {time.perf_counter() - begun:.4f}")


def do_create(folder: Path) -> None:
    """Create what was resolved, all at once."""
    parts = wiring(folder)
    creator = parts.creator
    found = [ResolvedEnvironment.from_bytes(path.read_bytes(), path.name) for path in folder.glob("*.json")]
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda environment: create(environment, creator, Reporter()), found))


def do_known(folder: Path) -> None:
    """Decide that fifty known environments need nothing, and print how long that took, imports apart."""
    parts = wiring(folder)
    found = [ResolvedEnvironment.from_bytes(path.read_bytes(), path.name) for path in folder.glob("*.json")]
    requests = many(parts.settings)
    for request, environment in zip(requests, found * len(requests), strict=False):
        parts.catalog.add(
            ResolvedEnvironment.make(
                req_id=request.spec.req_id,
                arch=request.arch,
                spec=request.spec.to_dict(),
                virtual=environment.virtual,
                conda=environment.conda,
                pypi=environment.pypi,
                provenance=environment.provenance,
            )
        )
    catalog = wiring(folder).catalog
    begun = time.perf_counter()
    missing = [request for request in requests if catalog.default(request.spec.req_id, request.arch) is None]
    print(f"KNOWN {len(requests)} {len(missing)} {time.perf_counter() - begun:.4f}")


if __name__ == "__main__":
    print(f"METAFLOW {_METAFLOW:.4f}")
    commands = {"resolve": do_resolve, "wheels": do_wheels, "create": do_create, "known": do_known}
    commands[sys.argv[1]](Path(sys.argv[2]))
