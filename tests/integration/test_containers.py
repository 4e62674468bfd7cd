"""Flows whose steps run in containers: Metaflow's own commands, unchanged, in clean roots with the store alone in reach."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.channel import Server
from tests.project import FLOWS, Project, somebody, store_python
from tests.remote import Container
from tests.remote.fixtures import remote_root, s3_container, s3_only
from tests.remote.reading import read
from tests.remote.replay import Played, deploy, replay
from tests.servers import StoreServer

__all__ = ["remote_root", "s3_container", "s3_only"]
pytestmark = pytest.mark.slow

CONTAINED = FLOWS / "contained.py"
BOOTSTRAPPED = re.compile(r"\[ *(\d+\.\d) s\] Environment bootstrapped")


@pytest.fixture(name="ada")
def _ada(tmp_path: Path, store_channel: Server, s3_server: StoreServer) -> Project:
    """Somebody whose flows are deployed from a machine with channel and index."""
    found = somebody(tmp_path / "ada", store_channel, s3_server)
    found.variables["NEWEST"] = store_python()
    return found


def resolve(project: Project, alias: str, python: str) -> list[str]:
    """Resolve an environment of *python* under *alias*, with what Metaflow needs on S3; return its id."""
    words = ("--python", python, "--alias", alias, "--json")
    done = project.metaflow("environment", "--datastore", "s3", "resolve", *words)
    assert done.returncode == 0, done.output
    found = json.loads(done.stdout)["environments"][0]["environment"]
    return [found["req_id"], found["full_id"], found["arch"]]


def last_artifacts(project: Project, played: Played, *names: str) -> dict[str, Any]:
    """Return what the task of step end has under *names*."""
    found = read(project, played, f"{{name: run['end'].task[name].data for name in {names!r}}}")
    assert isinstance(found, dict)
    return found


def test_a_workflow_in_clean_roots(ada: Project, s3_server: StoreServer, s3_container: Container) -> None:
    """Conda alone, conda with PyPI on another Python than the container's, disabled, chosen at execution, and plain."""
    chosen = resolve(ada, "team/special:chosen", "3.11")
    workflow = deploy(ada, CONTAINED, "--environment=conda")

    played = replay(workflow, s3_container, parameters={"word": "special"})

    assert played.succeeded, played.output
    found = last_artifacts(ada, played, "start_saw", "each_saw", "join_saw", "chosen_saw", "end_saw")
    assert (found["start_saw"]["python"], found["start_saw"]["inside"], found["start_saw"]["click"]) == (
        "3.11",
        True,
        "click",
    )
    assert [one["double"] for one in found["each_saw"]] == [2, 4]
    assert {(one["python"], one["inside"], one["wheel"]) for one in found["each_saw"]} == {
        (store_python(), True, "itsdangerous")
    }
    assert found["join_saw"] == {"python": "3.11", "inside": False, "id": None}
    assert (found["chosen_saw"]["id"], found["chosen_saw"]["inside"]) == (chosen, True)
    assert found["end_saw"]["inside"]
    assert [bool(BOOTSTRAPPED.search(task.output)) for task in played.tasks] == [
        task.step != "join" for task in played.tasks
    ]
