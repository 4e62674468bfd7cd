"""`METAFLOW_CONDA_USE_REMOTE_LATEST`: what others have resolved, taken instead of resolving."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.channel import Server
from tests.project import FLOWS, Finished, Project, project_at

pytestmark = pytest.mark.slow


def user(name: str, tmp_path: Path, server: Server, trust: str = "") -> Project:
    """Return a user's folder whose environments are shared through one folder."""
    root = tmp_path / name
    root.mkdir(exist_ok=True)
    project = project_at(root, server, tmp_path / "envs")
    project.variables.update(METAFLOW_CONDA_LOCALROOT=str(tmp_path / "shared"), METAFLOW_USER=name)
    if trust:
        project.variables["METAFLOW_CONDA_USE_REMOTE_LATEST"] = trust
    project.write("requirements.txt", "python==3.11\nclick\n")
    return project


def resolve(project: Project, *words: str) -> dict[str, Any]:
    done = project.metaflow("environment", "resolve", "--json", "-r", "requirements.txt", *words)
    assert done.returncode == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)["environments"][0]
    return found


@pytest.mark.parametrize(
    ("trust", "new"),
    [("", True), (":none:", True), (":any:", False), ("ada,linus", False), ("linus", True), (":username:", True)],
)
def test_whose_are_taken(tmp_path: Path, server: Server, trust: str, new: bool) -> None:
    """Only those that the setting names are trusted; what is taken is kept, and known the next time."""
    first = resolve(user("ada", tmp_path, server))
    grace = user("grace", tmp_path, server, trust)
    found = resolve(grace)

    assert found["new"] == new
    assert (found["environment"]["resolved"]["by"] == "ada") != new
    assert found["environment"]["full_id"] == first["environment"]["full_id"]
    assert resolve(grace)["new"] is False


def test_ones_own_from_another_machine(tmp_path: Path, server: Server) -> None:
    """`:username:` takes what the same user has resolved elsewhere."""
    resolve(user("ada", tmp_path, server))
    elsewhere = project_at(tmp_path / "ada2", server, tmp_path / "envs")
    elsewhere.root.mkdir()
    elsewhere.variables.update(
        METAFLOW_CONDA_LOCALROOT=str(tmp_path / "shared"),
        METAFLOW_USER="ada",
        METAFLOW_CONDA_USE_REMOTE_LATEST=":username:",
    )
    elsewhere.write("requirements.txt", "python==3.11\nclick\n")

    assert resolve(elsewhere)["new"] is False


def test_force_and_local_only_take_nothing(tmp_path: Path, server: Server) -> None:
    """With --force it is resolved anew, and with --local-only the shared store is not asked."""
    resolve(user("ada", tmp_path, server))

    assert resolve(user("grace", tmp_path, server, ":any:"), "--force")["new"] is True
    assert resolve(user("linus", tmp_path, server, ":any:"), "--local-only")["new"] is True


def test_a_flow_takes_them(tmp_path: Path, server: Server) -> None:
    """A flow on another machine runs in what a colleague's run has resolved, and resolves nothing."""
    ada, grace = user("ada", tmp_path, server), user("grace", tmp_path, server, ":any:")
    ada.run(FLOWS / "three.py")
    done: Finished = grace.run(FLOWS / "three.py")

    assert "Resolving" not in done.output
