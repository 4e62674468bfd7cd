"""Environments without any channel: `METAFLOW_CONDA_PYPI_PYTHON` lets Python come from uv."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.channel import Server
from tests.project import Finished, Project, somebody
from tests.projects import project as source
from tests.pythons import Mirror, mirror
from tests.refusal import check_refusal
from tests.remote import Container
from tests.remote.fixtures import remote_root, s3_container, s3_only
from tests.remote.reading import read
from tests.remote.replay import deploy, replay
from tests.servers import StoreServer

__all__ = ["remote_root", "s3_container", "s3_only"]
pytestmark = pytest.mark.slow

FLOW = """\
import sys

from metaflow import FlowSpec, pypi, step


class AloneFlow(FlowSpec):
    @pypi(packages={"itsdangerous": "2.1.2"}, python="3.11")
    @step
    def start(self):
        import itsdangerous

        self.version = itsdangerous.__version__
        self.prefix = sys.prefix
        self.next(self.end)

    @step
    def end(self):
        self.prefix = sys.prefix


if __name__ == "__main__":
    AloneFlow()
"""


@pytest.fixture
def alone(fresh: Project) -> Project:
    """A machine that reaches an index, and no channel."""
    fresh.variables["METAFLOW_CONDA_CHANNELS"] = "http://127.0.0.1:1/no-channel"
    fresh.variables["METAFLOW_CONDA_PYPI_PYTHON"] = "uv"
    fresh.variables["UV_PYTHON_INSTALL_DIR"] = str(fresh.root / "managed")
    return fresh


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mirror]:
    """One build of uv's, with the version 3.11.99, for this platform, and one for macOS."""
    with mirror(tmp_path_factory.mktemp("mirror") / "builds") as served:
        served.add("3.11.99")
        served.add("3.11.98", arch="aarch64", os="darwin", data=b"another platform")
        yield served


def resolve(project: Project, *words: str, **variables: str) -> Finished:
    return project.metaflow("environment", "resolve", "--json", *words, variables=variables)


def resolved(project: Project, *words: str, **variables: str) -> dict[str, Any]:
    done = resolve(project, *words, **variables)
    assert done.returncode == 0, done.output
    (found,) = (item["environment"] for item in json.loads(done.stdout)["environments"])
    return dict(found)


def python_of(environment: dict[str, Any]) -> dict[str, Any]:
    (found,) = (package for package in environment["packages"] if package["kind"] == "python")
    return dict(found)


def run_in(prefix: Path, code: str) -> str:
    command = [str(prefix / "bin" / "python"), "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_a_flow_on_an_installed_python(alone: Project) -> None:
    """Steps run in virtual environments of it; the second run resolves nothing; the document says where it is."""
    alone.write("flow.py", FLOW)
    alone.run("flow.py")
    found = alone.latest(
        "AloneFlow", "[run[s].task.data.prefix for s in ('start', 'end')] + [run['start'].task.data.version]"
    )
    assert isinstance(found, list)
    assert [Path(prefix).parent for prefix in found[:2]] == [alone.envs, alone.envs]
    assert found[2] == "2.1.2"

    again = alone.run("flow.py")
    assert "Resolving" not in again.output
    shown = alone.flow("flow.py", "environment", "show")
    assert "on this machine alone" in shown.output
    prefix = Path(found[0])
    shutil.copytree(prefix, alone.root / "elsewhere", symlinks=True)
    assert run_in(alone.root / "elsewhere", "import itsdangerous; print(itsdangerous.__version__)") == "2.1.2"


def test_a_managed_build_is_pinned_and_kept(alone: Project, builds: Mirror) -> None:
    """It is fetched once, recorded by URL and SHA-256, unpacked once, and does not need uv's list any more."""
    variables = {"METAFLOW_CONDA_PYPI_PYTHON": "uv-managed", **builds.variables}
    before = len(builds.asked)
    environment = resolved(alone, "--python", "3.11", "--alias", "m:v1", **variables)
    python = python_of(environment)
    assert (environment["python"], environment["kind"]) == ("3.11.99", "pypi-only")
    assert python["url"].startswith(builds.url)
    assert python["sha256"] == str(builds.known["cpython-3.11.99-linux-x86_64-gnu"]["sha256"])  # type: ignore[index]

    alone.write("requirements.txt", "python==3.11\nclick\n")
    other = resolved(alone, "-r", "requirements.txt", "--alias", "n:v1", **variables)
    assert python_of(other) == python
    assert len(builds.asked) == before + 1
    for name in ("m", "n"):
        done = alone.metaflow("environment", "create", f"{name}:v1", "--name", name)
        assert done.returncode == 0, done.output
    assert len(builds.asked) == before + 1
    prefix = alone.envs / "n"
    assert run_in(prefix, "import sys, click; print(sys.prefix)") == str(prefix)
    assert run_in(prefix, "import sysconfig; print(sysconfig.get_config_var('prefix'))") == str(prefix)
    standard = "lib/python3.11/os.py"
    assert (prefix / standard).stat().st_ino == (alone.envs / "m" / standard).stat().st_ino


def test_another_platform(alone: Project, builds: Mirror) -> None:
    """The build for it is taken, though Python is installed here; what was resolved is not created here."""
    source(alone.root / "made", "made")
    source(alone.root / "r", "requests", "2.99")
    alone.write("requirements.txt", "--no-index\npython==3.11\nmade @ ./made\nrequests @ ./r\n")

    environment = resolved(
        alone, "-r", "requirements.txt", "--arch", "osx-arm64", "--alias", "mac:v1", **builds.variables
    )

    assert python_of(environment)["version"] == "3.11.98"
    assert {package["name"] for package in environment["packages"]} == {"python", "made", "requests"}
    done = alone.metaflow("environment", "create", "mac:v1", "--name", "x", "--arch", "osx-arm64")
    assert done.returncode != 0


def test_sources_are_built_with_it(alone: Project) -> None:
    """Builds run in a virtual environment of the same Python."""
    source(alone.root / "made", "made", value="built")
    alone.write("requirements.txt", "python==3.11\nmade @ ./made\n")
    resolved(alone, "-r", "requirements.txt", "--alias", "it:v1")
    assert alone.metaflow("environment", "create", "it:v1", "--name", "it").returncode == 0
    assert run_in(alone.envs / "it", "import made; print(made.value)") == "built"


def test_it_is_extended_from_the_index_alone(alone: Project, server: Server) -> None:
    """Packages from an index go on top; one from a channel is refused by name."""
    resolved(alone, "--python", "3.11", "--alias", "base:v1")
    alone.write("requirements.txt", "click\n")
    found = resolved(alone, "--using", "base:v1", "-r", "requirements.txt")
    assert "click" in {package["name"] for package in found["packages"]}
    alone.write("environment.yml", "dependencies:\n  - hello-tool\n")
    done = resolve(alone, "--using", "base:v1", "-f", "environment.yml", METAFLOW_CONDA_CHANNELS=server.channel)
    check_refusal(done, "hello-tool is asked for from a channel", "its Python from uv")


def test_a_step_elsewhere_refuses_an_installed_python(
    tmp_path: Path, store_channel: Server, s3_server: StoreServer
) -> None:
    """The step, the interpreter and the remedy are told, and nothing is stored."""
    user = somebody(tmp_path / "user", store_channel, s3_server)
    user.variables["METAFLOW_CONDA_PYPI_PYTHON"] = "uv"
    text = FLOW.replace("    @pypi", "    @kubernetes\n    @pypi").replace(
        "import FlowSpec", "import FlowSpec, kubernetes"
    )
    user.write("flow.py", text.replace("2.1.2", ""))
    done = user.command("flow.py", "--environment=conda", "--datastore=s3", "run")
    told = "step start: it runs on another machine, and its Python, file:///"
    check_refusal(done, told, "METAFLOW_CONDA_PYPI_PYTHON=uv-managed")
    assert not list(user.catalog.rglob("env"))


def test_a_managed_build_in_a_container(
    tmp_path: Path, store_channel: Server, builds: Mirror, s3_server: StoreServer, s3_container: Container
) -> None:
    """It comes out of the store, as wheels do, built ones too; neither py-rattler nor any channel is needed."""
    user = somebody(tmp_path / "user", store_channel, s3_server)
    user.variables.update({"METAFLOW_CONDA_PYPI_PYTHON": "uv-managed", **builds.variables})
    user.variables["METAFLOW_CONDA_CHANNELS"] = "http://127.0.0.1:1/no-channel"
    source(user.root / "made", "made")
    text = FLOW.replace('"2.1.2"', '"", "made": "@ ./made"').replace("import itsdangerous", "import itsdangerous, made")
    workflow = deploy(user, user.write("flow.py", text), "--environment=conda")

    played = replay(workflow, s3_container)

    assert played.succeeded, played.output
    found = read(user, played, "[run[s].task.data.prefix for s in ('start', 'end')]")
    assert isinstance(found, list)
    assert [Path(prefix).name[:9] for prefix in found] == ["metaflow_", "metaflow_"]


def test_a_python_that_is_gone_or_another(alone: Project, builds: Mirror) -> None:
    """Creating says which, and what to do; a build that was replaced at its place is not installed."""
    variables = {"METAFLOW_CONDA_PYPI_PYTHON": "uv-managed", **builds.variables}
    document = resolved(alone, "--python", "3.11", "--alias", "gone:v1")
    path = next(alone.catalog.rglob("env"))
    executable = python_of(document)["url"]
    path.write_text(path.read_text().replace(executable, "file:///no/such/python3.11"))
    done = alone.metaflow("environment", "create", "gone:v1", "--name", "gone")
    check_refusal(done, "/no/such/python3.11", "is not on this machine", "METAFLOW_CONDA_PYPI_PYTHON=uv-managed")

    resolved(alone, "--python", "3.11", "--alias", "m:v1", **variables)
    shutil.rmtree(alone.envs / ".fetched")
    build = next(builds.folder.glob("*3.11.99*"))
    sound = build.read_bytes()
    try:
        build.write_bytes(sound[:-1] + b"x")
        done = alone.metaflow("environment", "create", "m:v1", "--name", "m")
        check_refusal(done, "is not the file that was resolved")
    finally:
        build.write_bytes(sound)
    assert not (alone.envs / "m").exists()


def test_no_such_python(alone: Project, builds: Mirror) -> None:
    """Neither installed nor built; a place of builds that does not answer."""
    done = resolve(alone, "--python", "3.5", **builds.variables)
    check_refusal(done, "uv knows no CPython 3.5.* for linux-64", "uv python list")
    (alone.root / "downloads.json").write_text(json.dumps(builds.known).replace(builds.url, "http://127.0.0.1:1"))
    variables = {"UV_PYTHON_DOWNLOADS_JSON_URL": "downloads.json", "METAFLOW_CONDA_PYPI_PYTHON": "uv-managed"}
    done = resolve(alone, "--python", "3.11", **variables)
    check_refusal(done, "uv's build of CPython 3.11.99 cannot be had", "UV_PYTHON_INSTALL_MIRROR")
