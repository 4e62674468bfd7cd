"""A user's folder, in which commands are run as a user runs them."""

from __future__ import annotations

import atexit
import functools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.channel import Server, ensure
from tests.servers import StoreServer

Serving = Callable[[str], StoreServer]
FLOWS = Path(__file__).parent / "integration" / "flows"


@dataclass(frozen=True)
class Finished:
    """How a command ended; `output` is both streams."""

    returncode: int
    stdout: str
    stderr: str

    @property
    def output(self) -> str:
        return self.stdout + self.stderr


@dataclass
class Project:
    """A user's folder: its own local datastore, catalog and prefixes."""

    root: Path
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def envs(self) -> Path:
        return Path(self.variables["METAFLOW_CONDA_ENVS_ROOT"])

    @property
    def catalog(self) -> Path:
        return self.root / ".metaflow" / "conda_v2"

    @property
    def path(self) -> str:
        """A `PATH` whose `python` is this interpreter."""
        return f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        return {**os.environ, **self.variables, **(extra or {})}

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def command(self, *words: str, variables: Mapping[str, str] | None = None, timeout: float = 300) -> Finished:
        """Run this interpreter."""
        return self._run([sys.executable, *words], variables, timeout)

    def metaflow(self, *words: str, variables: Mapping[str, str] | None = None, timeout: float = 300) -> Finished:
        """Run `metaflow`."""
        return self._run([str(Path(sys.executable).with_name("metaflow")), *words], variables, timeout)

    def program(self, command: list[str], variables: Mapping[str, str] | None = None) -> Finished:
        """Run a program of the user's."""
        return self._run(command, variables, 300)

    def _run(self, command: list[str], variables: Mapping[str, str] | None, timeout: float) -> Finished:
        done = subprocess.run(
            command,
            cwd=self.root,
            env=self.environment(variables),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    def flow(self, script: Path | str, *words: str, variables: Mapping[str, str] | None = None) -> Finished:
        """Run a flow's command with --environment=conda."""
        return self.command(str(script), "--environment=conda", *words, variables=variables)

    def run(self, script: Path | str, *words: str, variables: Mapping[str, str] | None = None) -> Finished:
        """Run a flow, which must succeed."""
        done = self.flow(script, "run", *words, variables=variables)
        assert done.returncode == 0, done.output
        return done

    def latest(self, flow: str, expression: str) -> object:
        """Evaluate *expression*, with `run` the latest run of *flow*, in a process with Metaflow's client."""
        program = (
            "import json, sys; from metaflow import Flow, namespace; namespace(None); "
            f"run = Flow({flow!r}).latest_run; print('ANSWER' + json.dumps({expression}))"
        )
        done = self.command("-c", program)
        assert done.returncode == 0, done.output
        return json.loads(done.stdout.rpartition("ANSWER")[2])


def project_at(root: Path, server: Server, envs: Path, *, own_code: bool = False) -> Project:
    """Return a user's folder whose channel and index are *server*'s.

    Unless it shall have its *own_code*, tasks in its prefixes read Metaflow from a copy that is there already.
    """
    if not own_code and not (envs / ".code").exists():
        envs.mkdir(parents=True, exist_ok=True)
        (envs / ".code").symlink_to(_code(), target_is_directory=True)
    return Project(
        root,
        {
            "METAFLOW_CONDA_CHANNELS": server.channel,
            "METAFLOW_CONDA_CHANNEL_SETTINGS": "none",  # a .condarc of whoever runs the tests is nothing to them
            "METAFLOW_CONDA_DEFAULT_PYPI_SOURCE": server.simple,
            "METAFLOW_CONDA_ENVS_ROOT": str(envs),
            "METAFLOW_DATASTORE_SYSROOT_LOCAL": str(root),
            "METAFLOW_DEFAULT_DATASTORE": "local",
            "METAFLOW_DEFAULT_METADATA": "local",
            "METAFLOW_HOME": str(root / "home"),
            "METAFLOW_USER": "tester",
            "NO_PROXY": "127.0.0.1",
        },
    )


@functools.cache
def _code() -> Path:
    """Make a folder for copies of Metaflow: this process has each written, and compiled by each Python, once."""
    folder = tempfile.mkdtemp(prefix="metaflow-code-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def store_python() -> str:
    """Return the newest version of Python, major and minor, in the channel of the set `stores`."""
    names = (path.name for path in (ensure("stores") / "conda").glob("*/python-[0-9]*"))
    found = [match.group(1) for name in names if (match := re.match(r"python-(3\.\d+)\.", name))]
    return max(found, key=lambda version: int(version.partition(".")[2]))


def somebody(root: Path, channel: Server, server: StoreServer) -> Project:
    """Return the folder of another user, with nothing in it, whose datastores are on *server*."""
    root.mkdir()
    project = project_at(root, channel, root / ".envs")
    sysroot = {"s3": "S3", "azure": "AZURE", "gs": "GS"}[server.kind]
    project.variables.update(server.variables)
    project.variables[f"METAFLOW_DATASTORE_SYSROOT_{sysroot}"] = f"{server.root}/{root.parent.name}"
    project.variables["RATTLER_CACHE_DIR"] = str(root / ".rattler")
    project.variables["UV_CACHE_DIR"] = str(root / ".uv")
    return project
