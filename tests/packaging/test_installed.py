"""The wheel in environments that have nothing else: on each Python, with the newest of all it needs and the oldest."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from metaflow_extensions.netflix_ext.engine.toml import read_toml
from tests.channel import Server
from tests.packaging.conftest import ROOT, Environment, Release, make
from tests.project import Finished, Project, project_at

pytestmark = [pytest.mark.slow, pytest.mark.network]

PROJECT = read_toml((ROOT / "pyproject.toml").read_text())["project"]
MINORS = [
    line.rpartition(" ")[2] for line in PROJECT["classifiers"] if re.fullmatch(r"Programming .*Python :: 3\.\d+", line)
]
FLOW = """
import sys
from metaflow import FlowSpec, conda_base, pypi_base, step

@conda_base(libraries={"itsdangerous": "2.1.2"}, python="3.11")
@pypi_base(packages={"click": ">=8"})
class ThinFlow(FlowSpec):
    @step
    def start(self):
        import click, itsdangerous
        self.inside = [module.__file__.startswith(sys.prefix) for module in (click, itsdangerous)]
        self.next(self.end)

    @step
    def end(self):
        print("INSIDE", self.inside, "PYTHON", sys.version_info[:2])

if __name__ == "__main__":
    ThinFlow()
"""
# What works by way of the packages that have a floor; and which of it is left out, as it takes long.
TESTS = (
    "conda interpreters linked rattler_installer pypi uv_installer worker wheel_file condarc environment_yml "
    "pyproject_toml requirement requirements_txt wheel_tags progress settings sheets toolbox view wiring"
)
# What uv says of an index and of a wheel, and where it keeps wheels, was another thing before 0.12.
BY_UV = ("a_bad_index_is_named_within_seconds", "wheels_of_the_user_s_own_uv_are_used")
SHORT = "not depth and not whatever and not unpacked and not outlive"


@pytest.fixture(scope="module", name="user")
def _user(tmp_path_factory: pytest.TempPathFactory, served: Server) -> Project:
    """A user's folder, in which the environments stay that were resolved and created."""
    root = tmp_path_factory.mktemp("user")
    project = project_at(root, served, root / ".envs")
    project.write("thin.py", FLOW)
    return project


@pytest.fixture(scope="module", name="newest")
def _newest(tmp_path_factory: pytest.TempPathFactory, release: Release) -> Environment:
    """The newest Python with the newest of all."""
    return make(tmp_path_factory.mktemp("newest") / "venv", MINORS[-1], str(release.wheel))


def run(environment: Environment, user: Project) -> Finished:
    done = user.program([environment.python, "thin.py", "--environment=conda", "run"])
    assert done.returncode == 0, done.output
    assert "INSIDE [True, True] PYTHON (3, 11)" in done.output
    return done


def plugins(environment: Environment, user: Project, **variables: str) -> Finished:
    """Ask for the modules of the decorator and of the environment that Metaflow takes for "conda"."""
    program = (
        "from metaflow.plugins import ENVIRONMENTS, STEP_DECORATORS as found; "
        "print(*sorted({one.__module__ for one in found if one.name == 'conda'} "
        "| {one.__module__ for one in ENVIRONMENTS if one.TYPE == 'conda'}))"
    )
    return user.program([environment.python, "-c", program], variables)


def test_newest_python_runs_a_flow(newest: Environment, user: Project) -> None:
    """The decorators and the environment are ours, and a step imports what it has asked for."""
    found = plugins(newest, user).stdout.split()

    assert found == [f"metaflow_extensions.netflix_ext.plugins.conda.{name}" for name in ("decorators", "environment")]
    run(newest, user)


@pytest.mark.parametrize("minor", MINORS[1:-1])
def test_python_runs_a_flow(minor: str, tmp_path: Path, release: Release, user: Project) -> None:
    """So it is on the Pythons between the oldest and the newest."""
    run(make(tmp_path / "venv", minor, str(release.wheel)), user)


def test_floors_hold(tmp_path: Path, release: Release, served: Server) -> None:
    """On the oldest Python, each dependency is the oldest that we say is enough: a flow runs, and tests pass."""
    asked = [Requirement(line) for line in PROJECT["dependencies"]]
    tools = [line for line in PROJECT["optional-dependencies"]["test"] if line.startswith(("pytest>", "zstandard>"))]
    words = ("--resolution=lowest-direct", str(release.wheel), *PROJECT["dependencies"], *tools)
    oldest = make(tmp_path / "venv", MINORS[0], *words)
    frozen = oldest.uv("freeze")
    found = {one.name: one.specifier for one in map(Requirement, frozen.splitlines()) if not one.url}
    floors = {one.name.replace(".", "-"): one.specifier for one in asked}
    assert {name: Version(next(iter(found[name])).version) for name in floors} == {
        name: Version(next(iter(specifier)).version) for name, specifier in floors.items()
    }

    user = project_at(tmp_path, served, tmp_path / ".envs")
    user.write("thin.py", FLOW)
    run(oldest, user)
    tests = [str(next((ROOT / "tests" / "unit").rglob(f"test_{name}.py"))) for name in TESTS.split()]
    tests += [f"tests/integration/test_uv.py::test_{name}" for name in BY_UV]
    done = user.program(
        ["env", "-C", str(ROOT), oldest.python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", SHORT, *tests]
    )
    assert done.returncode == 0, done.output


def test_metaflow_is_as_before_when_it_is_uninstalled(newest: Environment, user: Project, release: Release) -> None:
    """Nothing of ours is left, and `@conda` is Metaflow's own."""
    newest.uv("uninstall", "metaflow-netflixext")
    try:
        found = plugins(newest, user).stdout.split()
        left = [path for path in newest.folder.rglob("*netflix*") if "__pycache__" not in path.parts]
    finally:
        newest.uv("install", str(release.wheel))

    assert found == ["metaflow.plugins.pypi.conda_decorator", "metaflow.plugins.pypi.conda_environment"]
    assert [path for path in left if path.is_file()] == []


@pytest.mark.parametrize("version", ["1.2.2", "1.3.17"])
def test_beside_1x_it_refuses(version: str, newest: Environment, user: Project, tmp_path: Path) -> None:
    """Where 1.x lies on the path as well, Metaflow does not start with a mixture, and the last line says why."""
    newest.uv("install", "--no-deps", f"--target={tmp_path}", f"metaflow-netflixext=={version}")
    path = newest.folder.glob("lib/python*/site-packages/")
    after = next(path) / "beside.pth"
    after.write_text(f"{tmp_path}\n")
    try:
        done = plugins(newest, user)
    finally:
        after.unlink()

    assert done.returncode == 1, done.output
    last = done.stderr.strip().splitlines()[-1]
    assert "metaflow_extensions.netflix_ext" in last if version < "1.3" else str(tmp_path) in last, done.stderr


def test_image_with_13_runs_our_code(newest: Environment, user: Project, tmp_path: Path) -> None:
    """In a container, code of ours from the code package goes over a 1.3 that the image has."""
    newest.uv("install", "--no-deps", f"--target={tmp_path}", "metaflow-netflixext==1.3.17")
    program = (
        f"import sys; sys.path.append({str(tmp_path)!r}); "
        "from metaflow_extensions.netflix_ext.engine import layout; print(layout.__name__)"
    )

    assert user.program([newest.python, "-c", program]).stdout == "metaflow_extensions.netflix_ext.engine.layout\n"
