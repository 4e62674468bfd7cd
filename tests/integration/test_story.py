"""The story of a named environment: resolved by one; used, extended, fetched, chosen and opened by another."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.channel import Server
from tests.project import Project, project_at

pytestmark = [pytest.mark.slow, pytest.mark.network]

USES = """\
import sys
from metaflow import FlowSpec, Parameter, named_env, pypi, step


class UsesFlow(FlowSpec):
    which = Parameter("which", default="v1")

    @named_env(name="team/model:v1")
    @step
    def start(self):
        import itsdangerous

        self.plain = [itsdangerous.__version__, sys.prefix]
        self.next(self.more)

    @named_env(name="team/model:v1")
    @pypi(packages={"click": ""})
    @step
    def more(self):
        import click
        import itsdangerous

        self.extended = [itsdangerous.__version__, sys.prefix, bool(click)]
        self.next(self.chosen)

    @named_env(name="team/model:@{METAFLOW_INIT_WHICH}", fetch_at_exec=True)
    @step
    def chosen(self):
        import itsdangerous

        self.picked = [itsdangerous.__version__, sys.prefix]
        self.next(self.end)

    @named_env(name="team/model:v1")
    @step
    def end(self):
        pass


if __name__ == "__main__":
    UsesFlow()
"""
CELL = "import itsdangerous, sys; print('CELL', itsdangerous.__version__, sys.prefix)"


@pytest.fixture(name="people")
def _people(tmp_path: Path, server: Server) -> tuple[Project, Project]:
    """Two users with nothing in common but a folder store."""
    found = []
    for name in ("ada", "grace"):
        root = tmp_path / name
        root.mkdir()
        project = project_at(root, server, tmp_path / f"{name}-envs")
        project.variables.update(METAFLOW_CONDA_LOCALROOT=str(tmp_path / "shared"), METAFLOW_USER=name)
        found.append(project)
    return found[0], found[1]


def environment(project: Project, *words: str) -> str:
    done = project.metaflow("environment", *words)
    assert done.returncode == 0, done.output
    return done.stdout


def test_the_story(people: tuple[Project, Project]) -> None:
    """Ada names an environment; Grace, on another machine, runs, extends, inspects, chooses and opens it."""
    ada, grace = people
    ada.write("requirements.txt", "python==3.11\nitsdangerous==2.1.2\n")
    first = json.loads(environment(ada, "resolve", "--json", "-r", "requirements.txt", "--alias", "team/model:v1"))
    ada.write("requirements.txt", "python==3.11\nitsdangerous==2.2.0\n")
    environment(ada, "resolve", "-r", "requirements.txt", "--alias", "team/model:v2", "--alias", "team/model")
    base = first["environments"][0]["environment"]

    shown = json.loads(environment(grace, "show", "--json", "team/model:v1"))
    assert shown["environments"][0]["environment"]["full_id"] == base["full_id"]
    assert "team/model:v2" in environment(grace, "list")

    script = grace.write("uses.py", USES)
    grace.run(script, "--which", "v2")
    plain, extended, picked, ids = grace.latest(
        "UsesFlow",
        "[run['start'].task['plain'].data, run['more'].task['extended'].data, run['chosen'].task['picked'].data,"
        " [run[name].task.metadata_dict['conda_env_id'] for name in ('start', 'more', 'chosen')]]",
    )
    assert [plain[0], extended[0], picked[0]] == ["2.1.2", "2.1.2", "2.2.0"]
    assert json.loads(ids[0])[1] == base["full_id"]
    assert len(set(ids)) == 3

    run = grace.latest("UsesFlow", "run.pathspec")
    past = json.loads(environment(grace, "show", "--json", "--pathspec", f"{run}/more"))
    kept = {(item["filename"], item["sha256"]) for item in past["environments"][0]["environment"]["packages"]}
    assert {(item["filename"], item["sha256"]) for item in base["packages"]} < kept
    environment(grace, "alias", "--pathspec", f"{run}/more", "team/model:more")
    environment(ada, "get", "team/model:more")


def test_a_notebook_opens_in_it(people: tuple[Project, Project], tmp_path: Path) -> None:
    """Grace makes a kernel of Ada's environment: a cell runs in it, and the environment's packages are as they were."""
    ada, grace = people
    grace.variables["JUPYTER_DATA_DIR"] = str(tmp_path / "jupyter")
    del grace.variables["METAFLOW_CONDA_DEFAULT_PYPI_SOURCE"]  # ipykernel comes from the default index
    ada.write("requirements.txt", "python==3.11\nitsdangerous==2.1.2\n")
    environment(ada, "resolve", "-r", "requirements.txt", "--alias", "team/model:v1")

    made = json.loads(environment(grace, "create", "--json", "--name", "opened", "--install-notebook", "team/model:v1"))

    done = grace.command(
        "-c",
        "import sys\n"
        "from jupyter_client.manager import start_new_kernel\n"
        f"manager, client = start_new_kernel(kernel_name={made['kernel']!r})\n"
        f"client.execute_interactive({CELL!r}, timeout=120)\n"
        "client.stop_channels()\n"
        "manager.shutdown_kernel(now=True)\n",
    )
    assert done.returncode == 0, done.output
    assert f"CELL 2.1.2 {made['path']}" in done.stdout, done.output
