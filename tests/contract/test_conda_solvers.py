"""Each `CondaSolver` keeps its promises: py-rattler, and executables of every form, real ones too where there are."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from metaflow_extensions.netflix_ext.adapters import conda_program
from metaflow_extensions.netflix_ext.adapters.conda import RattlerSolver
from metaflow_extensions.netflix_ext.adapters.conda_solve import ProgramSolver
from metaflow_extensions.netflix_ext.adapters.http import HttpFetcher
from metaflow_extensions.netflix_ext.adapters.worker import Worker
from metaflow_extensions.netflix_ext.engine.ports import CondaSolver
from tests import standin

from .conda_solver import CondaSolverContract

REAL = pytest.mark.real_tools
TOOLS = [
    *((name, versions[name]) for name in standin.NEWEST for versions in (standin.NEWEST, standin.OLDEST)),
    *(pytest.param((name, ""), marks=REAL, id=f"real-{name}") for name in standin.NEWEST if shutil.which(name)),
]


@pytest.fixture(scope="module", name="worker")
def _worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RATTLER_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        worker = Worker()
        worker.begin()
        yield worker
    worker.close()


class TestRattler(CondaSolverContract):
    """The default."""

    @pytest.fixture(name="solver")
    def _solver(self, worker: Worker) -> CondaSolver:
        return RattlerSolver(worker)


class TestPrograms(CondaSolverContract):
    """micromamba, mamba and conda, the newest and the oldest."""

    @pytest.fixture(scope="class", name="folder")
    @staticmethod
    def _folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
        return tmp_path_factory.mktemp("programs")

    @pytest.fixture(name="solver", params=TOOLS, ids="-".join)
    def _solver(self, request: pytest.FixtureRequest, folder: Path, worker: Worker) -> CondaSolver:
        name, version = request.param
        if version:
            where = folder / name / version
            if not where.exists():
                standin.put(where, name, version=version)
            environ = {"PATH": str(where)}
        else:
            environ = dict(os.environ)

        def program() -> conda_program.CondaProgram:
            return conda_program.find(name, environ, distribution=None, known=folder / "versions")

        return ProgramSolver(program, worker, folder / "metadata", hash_of=HttpFetcher().hash_of)
