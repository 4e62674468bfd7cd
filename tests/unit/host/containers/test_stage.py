"""The second stage in a container."""

from __future__ import annotations

import json
import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from metaflow_extensions.netflix_ext.adapters import disk
from metaflow_extensions.netflix_ext.adapters.prefixes import PrefixFolder
from metaflow_extensions.netflix_ext.adapters.worker import Worker
from metaflow_extensions.netflix_ext.host.containers.delivery import Additions
from metaflow_extensions.netflix_ext.host.containers.stage import Stage
from metaflow_extensions.netflix_ext.host.containers.travelled import TravelledByteCode
from tests.fakes import resolved

ENVIRONMENT = resolved()


def _create(root: Path, held: object, go: object) -> None:
    prefixes, name = PrefixFolder(root), ENVIRONMENT.env_id.prefix_name
    with disk.locked(root / ".locks" / name):
        held.set()  # type: ignore[attr-defined]
        go.wait(10)  # type: ignore[attr-defined]
        marker = json.dumps({"id": list(ENVIRONMENT.env_id), "variables": {"BY": "another"}})
        prefixes.commit(name, prefixes.stage(name), marker)


def test_another_task_is_waited_for_and_that_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a volume, a task that finds another one at work says so, and takes what that has made."""
    monkeypatch.setattr(disk, "_PATIENCE_SECONDS", 0.0)
    context = multiprocessing.get_context("spawn")
    held, go, said = context.Event(), context.Event(), list[str]()
    other = context.Process(target=_create, args=(tmp_path, held, go))
    other.start()
    assert held.wait(10)
    words = (str(tmp_path / "tools"), str(tmp_path), str(tmp_path / "packages"))
    stage = Stage(Worker(), *words, {}, lambda line: (said.append(line), go.set())[0])

    with ThreadPoolExecutor(1) as pool:
        additions = Additions([], [], [], TravelledByteCode(str(tmp_path / "code")))
        found = pool.submit(stage.create, ENVIRONMENT, additions).result(20)

    other.join(10)
    assert found == {"BY": "another"}
    assert said == [f"Waiting for another process to create {tmp_path / ENVIRONMENT.env_id.prefix_name}"]
