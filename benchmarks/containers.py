"""Steps in bare containers: clean Linux roots (tests/remote) with Python and the client of S3, and S3 over loopback."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from metaflow_extensions.netflix_ext.engine.layout import package_keys, tool_key
from metaflow_extensions.netflix_ext.engine.resolved import ResolvedEnvironment
from tests.project import Project
from tests.remote.container import Container, run
from tests.remote.network import Network
from tests.remote.replay import Played, Workflow, deploy, replay
from tests.remote.roots import root
from tests.servers.s3 import serve_s3

from .bench import FLOWS, Figure, Place
from .cases import ARCH

BARE = Path(__file__).parent / "bare_container.py"
_IMPORTED = re.compile(r"^IMPORTED (\d+\.\d+) (\d+\.\d+)$", re.MULTILINE)
_DONE = re.compile(r"^\[ *(\d+\.\d+) s\] Environment bootstrapped$")


class _Open(Network):
    """The network of this machine: what stands between in tests would be measured too."""

    @property
    def enter(self) -> list[str]:
        return []


@dataclass
class Deployment:
    """A flow that is deployed on S3, and what its tasks run in."""

    project: Project
    container: Container
    workflow: Workflow


@contextmanager
def deployed(place: Place, name: str) -> Iterator[Deployment]:
    """Yield one of the flows, deployed on a server of its own."""
    folder = place.root / "s3"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    with serve_s3(folder) as server:
        variables = {**server.variables, "METAFLOW_DATASTORE_SYSROOT_S3": f"{server.root}/bench"}
        project = Project(place.root, {**place.environment(), **variables})
        workflow = deploy(project, FLOWS / name, "--environment=conda")
        container = Container(root=root("bookworm"), variables=dict(server.variables), network=_Open(handle=-1))
        yield Deployment(project, container, workflow)


def bootstraps(played: Played) -> float:
    """Return the seconds that all tasks of a run have taken to prepare their environments."""
    if not played.succeeded:
        raise SystemExit(played.output)
    seconds = [
        float(found.group(1)) for task in played.tasks for line in task.ended.lines if (found := _DONE.match(line.text))
    ]
    assert len(seconds) == len(played.tasks), played.output
    return sum(seconds)


def bootstrapping(place: Place, repetitions: int) -> Iterator[Figure]:
    """Prepare three environments in bare containers, in all; over the same objects copied and linked directly."""
    with deployed(place, "three.py") as given:
        question = json.dumps(_bare_question(given))
        subject, baseline = [], []
        for number in range(repetitions + 1):
            bare = run(given.container, ["python", "-c", BARE.read_text(), question])
            assert bare.status == 0, bare.output
            played = replay(given.workflow, given.container, name=f"bare{number}")
            if number:  # the first finds the disk cold
                subject.append(bootstraps(played))
                baseline.append(float(bare.lines[-1].text))
    yield Figure("bootstrap of three steps in bare containers", 4.0, "s", subject, [0.0])
    yield Figure("the same, over the client of S3 and py-rattler directly", 1.3, "x", subject, baseline)


def on_a_volume(place: Place, repetitions: int) -> Iterator[Figure]:
    """Prepare three environments where a volume has the prefixes, and where it has unpacked packages alone."""
    with deployed(place, "three.py") as given:
        volume = place.root / "volume"
        volume.mkdir()
        # The configuration of who deploys reaches the container: the volume is mounted where that says.
        mounted = replace(given.container, folders={str(place.root / "envs"): volume})
        replay(given.workflow, mounted, name="fills")
        prefixes, packages = [], []
        for number in range(repetitions):
            prefixes.append(bootstraps(replay(given.workflow, mounted, name=f"prefix{number}")))
            for prefix in volume.glob("metaflow_*"):
                shutil.rmtree(prefix)
            os.sync()
            packages.append(bootstraps(replay(given.workflow, mounted, name=f"packages{number}")))
    yield Figure("bootstrap of three steps, prefixes on a volume", 0.5, "s", prefixes, [0.0])
    yield Figure("bootstrap of three steps, unpacked packages on a volume", 0.5, "s", packages, [0.0])


def importing(place: Place, repetitions: int) -> Iterator[Figure]:
    """Import pandas and scikit-learn for the first time in a container's step, over the second time there."""
    seconds: tuple[list[float], list[float]] = ([], [])
    processor: tuple[list[float], list[float]] = ([], [])
    with deployed(place, "imports.py") as given:
        for number in range(repetitions):
            os.sync()
            played = replay(given.workflow, given.container, name=f"import{number}")
            found = [tuple(map(float, line)) for line in _IMPORTED.findall(played.output)]
            if not played.succeeded or len(found) != 4:
                raise SystemExit(played.output)
            for turn in range(2):  # of each step, the first and the second
                seconds[turn].append(sum(one[0] for one in found[turn::2]))
                processor[turn].append(sum(one[1] for one in found[turn::2]))
    name = "first import of pandas and scikit-learn in a container, over the second"
    yield Figure(name, 1.2, "x", *seconds)
    yield Figure(f"{name}: processor time", 1.2, "x", *processor)


def _bare_question(given: Deployment) -> dict[str, Any]:
    """Return what `bare_container` copies and links: the tools, and the packages of each environment of the flow."""
    path = max(given.project.catalog.glob("code/*/conda_v2.cnd"), key=lambda found: found.stat().st_mtime_ns)
    told = json.loads(path.read_text())
    root = given.project.variables["METAFLOW_DATASTORE_SYSROOT_S3"].removeprefix("s3://") + "/conda_env/"
    bucket, _, prefix = root.partition("/")
    environments = [ResolvedEnvironment.from_dict(one, str(path)) for one in told["environments"]]
    return {
        "endpoint": given.project.variables["METAFLOW_S3_ENDPOINT_URL"],
        "bucket": bucket,
        "tools": [
            prefix + tool_key(tool["name"], tool["sha256"], tool["file"])
            for tool in told["tools"][ARCH]
            if tool["name"] == "py-rattler"
        ],
        "environments": [
            [{**asdict(package), "key": prefix + package_keys(package, {})[0]} for package in one.conda]
            for one in environments
        ],
    }
