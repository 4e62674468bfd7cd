"""The start of a task on a container's older Python: what it can do, and what it is told. Each Python is a real one."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import metaflow
import pytest

import metaflow_extensions.netflix_ext.host as own
from metaflow_extensions.netflix_ext.engine.identity import EnvID
from metaflow_extensions.netflix_ext.host import compat
from metaflow_extensions.netflix_ext.host.containers import provisions
from metaflow_extensions.netflix_ext.host.workbench import Workbench
from tests.channel import Server
from tests.channel.cache import folder
from tests.channel.interpreters import find
from tests.fakes import resolved, wheel
from tests.project import Finished, project_at

pytestmark = pytest.mark.slow

# `requests` is what an image brings for Metaflow's plug-ins; nothing here talks HTTP.
_PROGRAM = """
import sys
from unittest.mock import MagicMock
sys.modules["requests"] = MagicMock()
import metaflow
from metaflow_extensions.netflix_ext.host import compat
from metaflow_extensions.netflix_ext.host.containers import container
compat.package_member = lambda name: sys.argv[1]
sys.exit(container.main(sys.argv[2:]))
"""
Begin = Callable[[str, dict[str, Any], Path, EnvID], Finished]


@pytest.fixture(name="begin")
def _begin(tmp_path: Path) -> Begin:
    """Begin a task in a folder of its own, on a Python of a minor; skip the test where there is none."""
    task = tmp_path / "task"
    task.mkdir()
    (task / "lib").mkdir()
    (task / "lib" / "metaflow").symlink_to(Path(metaflow.__file__).parent)

    def found(minor: str, document: dict[str, Any], store: Path, env_id: EnvID) -> Finished:
        interpreter = find(folder()).get(minor)
        if interpreter is None:
            pytest.skip(f"there is no Python {minor} on this machine")
        (task / "document").write_text(json.dumps(document))
        source = next(path for path in Path(own.__file__).parents if path.name == "metaflow_extensions").parent
        words = ["start", "local", str(store), env_id.arch, f"id={':'.join(env_id)}"]
        done = subprocess.run(
            [interpreter.executable, "-c", _PROGRAM, str(task / "document"), *words],
            cwd=task,
            env={
                "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
                "PYTHONPATH": f"{source}:{task / 'lib'}",
                "METAFLOW_USER": "tester",
                "METAFLOW_HOME": str(task),
                "HOME": str(task),
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    return found


@pytest.mark.parametrize("minor", ["3.7", "3.8", "3.9"])
def test_the_tools_need_a_newer_python(minor: str, begin: Begin, tmp_path: Path) -> None:
    """It is told which one the container has, which the tools need, and what else would do."""
    environment = resolved(pypi=[wheel("idna")])
    document = {"environments": [environment.to_dict()], "tools": {"linux-64": []}}

    done = begin(minor, document, tmp_path / "store", environment.env_id)

    assert done.returncode == 1
    assert f"the Python of this container is {minor}, and the tools that create environments need 3.10" in done.stderr
    assert "METAFLOW_CONDA_REMOTE_INSTALLER" in done.stderr
    assert "Traceback" not in done.output


def test_another_installer_needs_none(
    begin: Begin, store_channel: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program of the user's makes the prefix, and uv adds the wheels, on the oldest Python that there may be."""
    ada = project_at(tmp_path, store_channel, tmp_path / "envs")
    ada.write("needs.yml", "dependencies: [python=3.11, click, {pip: [itsdangerous]}]\n")
    store = tmp_path / "store"
    (store / "installers").mkdir(parents=True)
    (store / "installers" / "mamba").write_bytes((Path(__file__).parent / "installer.py").read_bytes())
    settings = {
        "CONDA_LOCALROOT": str(store),
        "CONDA_PREFERRED_FORMAT": ".tar.bz2",
        "CONDA_REMOTE_INSTALLER": "mamba",
        "CONDA_REMOTE_INSTALLER_DIRNAME": "installers",
        "CONDA_ENVS_ROOT": str(tmp_path / "envs"),
    }
    words = ("environment", "--datastore", "local", "resolve", "-f", "needs.yml", "--skip-metaflow-deps", "--json")
    done = ada.metaflow(*words, variables={f"METAFLOW_{name}": value for name, value in settings.items()})
    assert done.returncode == 0, done.output
    told = json.loads(done.stdout)["environments"][0]["environment"]
    monkeypatch.chdir(tmp_path)
    bench = Workbench(compat.silence, values=settings)
    environment = bench.environment(EnvID(told["req_id"], told["full_id"], told["arch"]))
    given = provisions.prepare([environment], [told["arch"]], bench)

    done = begin("3.7", {"environments": [environment.to_dict()], **given}, store, environment.env_id)

    assert done.returncode == 0, done.output
    assert "Environment bootstrapped" in done.stdout
    python = tmp_path / "task" / ".mf_conda" / "envs" / environment.env_id.prefix_name / "bin" / "python"
    program = "import click, itsdangerous, os; print(os.path.exists(itsdangerous.__cached__))"
    assert subprocess.run([python, "-c", program], capture_output=True, text=True, check=True).stdout == "True\n"
    shutil.rmtree(tmp_path / "task" / ".mf_conda")
    (store / "installers" / "mamba").write_bytes(b"another")
    done = begin("3.7", {"environments": [environment.to_dict()], **given}, store, environment.env_id)
    assert done.returncode == 1
    assert "installers/mamba' is not the file that was resolved" in done.stderr
