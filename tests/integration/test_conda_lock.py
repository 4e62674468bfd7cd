"""conda-lock in the place of the default pair, for environments of conda and PyPI packages: the real one."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from metaflow_extensions.netflix_ext.adapters import conda_lock_program, conda_program
from metaflow_extensions.netflix_ext.adapters.conda_lock import CondaLockSolver
from metaflow_extensions.netflix_ext.adapters.http import HttpFetcher
from metaflow_extensions.netflix_ext.adapters.worker import Worker
from metaflow_extensions.netflix_ext.engine.errors import InputError, ResolveError, SourceError, ToolError
from metaflow_extensions.netflix_ext.engine.options import PypiOptions
from metaflow_extensions.netflix_ext.engine.platform import virtual_packages
from metaflow_extensions.netflix_ext.engine.ports import CondaRequest
from metaflow_extensions.netflix_ext.engine.requirement import CondaRequirement, PypiRequirement
from tests import standin
from tests.channel import Server
from tests.project import FLOWS, Project
from tests.refusal import refused

pytestmark = [pytest.mark.slow, pytest.mark.network]

MIXED = "[conda(packages={'click': ''}), pypi(packages={'itsdangerous': '<2.2'})]"


@pytest.fixture(scope="module", name="folder")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One conda-lock for all of these tests, in a virtual environment of its own."""
    return tmp_path_factory.mktemp("programs") / "conda-lock"


Make = Callable[..., CondaLockSolver]


@pytest.fixture(name="solver")
def _solver(tmp_path: Path, folder: Path, worker: Worker) -> Make:
    def make(**how: dict[str, str]) -> CondaLockSolver:
        standin.put(tmp_path / "bin", "micromamba")
        environ = {"PATH": str(tmp_path / "bin")}
        return CondaLockSolver(
            lambda: conda_lock_program.find(environ, distribution=None, folder=folder),
            lambda: conda_program.find("micromamba", environ, distribution=None, known=tmp_path / "versions"),
            worker,
            hash_of=HttpFetcher().hash_of,
            pypi_names=lambda: {"click": "click", "py-torch": "torch"},
            **how,  # type: ignore[arg-type]
        )

    return make


def conda(*requirements: str, channel: str) -> CondaRequest:
    return CondaRequest(
        requirements=tuple(map(CondaRequirement.parse, ("python=3.11", *requirements))),
        channels=(channel,),
        arch="linux-64",
        virtual=virtual_packages("linux-64"),
    )


def pypi(*requirements: str) -> tuple[PypiRequirement, ...]:
    return tuple(map(PypiRequirement.parse, requirements))


def test_both_worlds_are_picked_together(solver: Make, server: Server) -> None:
    """What conda brings is not among the wheels; all have their hashes; nothing of ours is in what it was given."""
    packages, wheels = solver().solve(
        conda("click", channel=server.channel),
        pypi("itsdangerous<2.2", "requests>=2"),
        (server.simple,),
        PypiOptions(),
    )

    assert {"python", "click", "pip"} <= {package.name for package in packages}
    assert all(len(package.sha256) == 64 for package in (*packages, *wheels))
    assert {wheel.name: wheel.version for wheel in wheels}["itsdangerous"] == "2.1.2"
    assert {"click", "pip"} & {wheel.name for wheel in wheels} == set()
    assert next(package for package in packages if package.name == "click").purls


def test_what_cannot_be_is_explained(solver: Make, server: Server) -> None:
    """By Poetry for wheels, by the executable and the channel for conda packages."""
    with pytest.raises(ResolveError) as wheels:
        solver().solve(conda("click", channel=server.channel), pypi("itsdangerous>99"), (server.simple,), PypiOptions())
    with pytest.raises(ResolveError) as packages:
        solver().solve(conda("clik", channel=server.channel), pypi("itsdangerous"), (server.simple,), PypiOptions())

    assert "itsdangerous" in wheels.value.message
    assert "version solving failed" in wheels.value.message
    assert f"no channel has a package named clik (looked in '{server.channel}')" in packages.value.message


def test_what_it_cannot_be_told_is_refused(solver: Make, server: Server) -> None:
    """Constraints and the like, and channels that need credentials, before anything is run."""
    asked = conda("click", channel=server.channel)
    options = PypiOptions(pre=True)
    private = conda("click", channel="https://user:s3cr3t@channels.example/private")

    with pytest.raises(InputError, match="conda-lock picks packages"):
        solver().solve(asked, pypi("itsdangerous"), (server.simple,), options)
    with pytest.raises(SourceError, match="needs credentials") as caught:
        solver().solve(private, pypi("itsdangerous"), (server.simple,), PypiOptions())
    assert "s3cr3t" not in str(caught.value)


def test_credentials_of_an_index_reach_it_alone(solver: Make, server: Server) -> None:
    """They are in no file that is written, on no command line, and in no URL that comes back."""
    secret = server.simple.replace("://", "://user:s3cr3t@")
    made = solver(secrets={server.simple: secret})

    _, wheels = made.solve(
        conda("click", channel=server.channel), pypi("itsdangerous"), (server.simple,), PypiOptions()
    )

    assert all("s3cr3t" not in wheel.url and "METAFLOW" not in wheel.url for wheel in wheels)


def test_an_old_one_and_one_that_is_broken_are_told(tmp_path: Path, folder: Path) -> None:
    """With the version that was found."""
    program = tmp_path / "conda-lock"
    for text, says in (("echo conda-lock, version 2.1.0", "is conda-lock 2.1.0, and 2.4"), ("exit 3", "does not say")):
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o755)
        with pytest.raises(ToolError, match=says):
            conda_lock_program.find({"PATH": str(tmp_path)}, distribution=None, folder=folder)


def test_a_flow_runs_with_it(fresh: Project, folder: Path, tmp_path: Path) -> None:
    """The one on PATH is taken; what has solved is written down; the environment is as good as any."""
    standin.put(tmp_path / "bin", "micromamba")
    conda_lock_program.find({"PATH": ""}, distribution=None, folder=folder)
    (tmp_path / "bin" / "conda-lock").symlink_to(folder / "bin" / "conda-lock")
    chosen = {
        "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "METAFLOW_CONDA_MIXED_DEPENDENCY_RESOLVER": "conda-lock",
        "SPEC": MIXED,
        "FLOW_SPEC": "[conda_base(python='3.11')]",
        "IMPORTS": "click itsdangerous",
    }

    fresh.run(FLOWS / "one.py", variables=chosen)

    assert set(fresh.latest("OneFlow", "list(run['start'].task.data.saw)")) == {"click", "itsdangerous"}  # type: ignore[call-overload]
    (document,) = [json.loads(path.read_bytes()) for path in fresh.catalog.rglob("env")]
    assert set(document["provenance"]) >= {"conda-lock", "micromamba", "metaflow"}


def test_without_an_executable_it_is_refused(fresh: Project) -> None:
    """conda-lock solves nothing of conda itself."""
    refused(
        fresh,
        "conda-lock needs micromamba or mamba or conda",
        METAFLOW_CONDA_MIXED_DEPENDENCY_RESOLVER="conda-lock",
        SPEC=MIXED,
    )
