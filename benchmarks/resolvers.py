"""What resolvers take for the same environments: py-rattler, micromamba, mamba, conda; conda-lock, the default pair.

Executables on PATH are measured; for those that are not there, stand-ins are, whose own time says nothing of the tool:
what counts is what comes on top of it.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator

from metaflow_extensions.netflix_ext.adapters import conda_lock_program, conda_program
from metaflow_extensions.netflix_ext.adapters.conda import RattlerSolver
from metaflow_extensions.netflix_ext.adapters.conda_command import DryRun
from metaflow_extensions.netflix_ext.adapters.conda_lock import CondaLockSolver
from metaflow_extensions.netflix_ext.adapters.conda_solve import ProgramSolver
from metaflow_extensions.netflix_ext.adapters.http import HttpFetcher
from metaflow_extensions.netflix_ext.adapters.pypi import UvSolver
from metaflow_extensions.netflix_ext.adapters.worker import Worker
from metaflow_extensions.netflix_ext.engine.channel_settings import NOTHING_SAID
from metaflow_extensions.netflix_ext.engine.options import PypiOptions
from metaflow_extensions.netflix_ext.engine.platform import virtual_packages
from metaflow_extensions.netflix_ext.engine.ports import CondaRequest, PypiRequest
from metaflow_extensions.netflix_ext.engine.requirement import CondaRequirement, PypiRequirement
from tests import standin

from .bench import Figure, Place, pairs
from .cases import ARCH

_ASKED = {"pandas": ("python=3.11", "pandas", "requests"), "scikit-learn": ("python=3.10", "scikit-learn", "requests")}


def resolving(place: Place, repetitions: int) -> Iterator[Figure]:
    """Solve two environments with each, metadata cached."""
    worker = Worker()
    try:
        for name, asked in _ASKED.items():
            request = _request(asked, place)
            reference = RattlerSolver(worker)
            reference.solve(request)
            for tool in standin.NEWEST:
                yield _executable(tool, name, request, place, worker, repetitions)
        yield _mixed(place, worker, repetitions)
    finally:
        worker.close()


def _request(asked: tuple[str, ...], place: Place) -> CondaRequest:
    return CondaRequest(
        requirements=tuple(map(CondaRequirement.parse, asked)),
        channels=(place.channel,),
        arch=ARCH,
        virtual=virtual_packages(ARCH),
    )


def _program(tool: str, place: Place) -> tuple[conda_program.CondaProgram, str]:
    """Return the executable, and how it is called in a table."""
    path, known = os.environ.get("PATH", ""), place.root / "versions"
    label = tool
    if shutil.which(tool) is None:
        standin.put(place.root / "bin", tool)
        path, label = str(place.root / "bin"), f"{tool} (stand-in)"
    return conda_program.find(tool, {"PATH": path}, distribution=None, known=known), label


def _executable(tool: str, name: str, request: CondaRequest, place: Place, worker: Worker, repetitions: int) -> Figure:
    program, label = _program(tool, place)
    folder, scratch = place.root / "metadata", place.root / "scratch"
    scratch.mkdir(exist_ok=True)
    solver = ProgramSolver(lambda: program, worker, folder, hash_of=HttpFetcher().hash_of)
    alone = DryRun(program, request, scratch, folder / tool, NOTHING_SAID, 600.0)
    solver.solve(request)
    subject, baseline = pairs(
        lambda: _seconds(lambda: solver.solve(request)), lambda: _seconds(lambda: alone.run(pip=True)), repetitions
    )
    return Figure(f"{label}, {name}: on top of its own time", 0.2, "s", subject, baseline)


def _mixed(place: Place, worker: Worker, repetitions: int) -> Figure:
    """Measure conda-lock over the default pair, on an environment of both worlds."""
    program, label = _program("micromamba", place)
    conda = _request(("python=3.11", "requests"), place)
    wheels, indexes = (PypiRequirement.parse("itsdangerous"),), (place.index,)
    lock = conda_lock_program.find(dict(os.environ), distribution=None, folder=place.root / "conda-lock")
    both = CondaLockSolver(
        lambda: lock, lambda: program, worker, hash_of=HttpFetcher().hash_of, pypi_names=lambda: {"click": "click"}
    )
    rattler, uv = RattlerSolver(worker), UvSolver({}, stubs=place.root / "stubs")

    def pair() -> None:
        packages = rattler.solve(conda)
        uv.solve(
            PypiRequest(
                requirements=wheels,
                provided=tuple((item.name, item.version) for item in packages if item.noarch == "python"),
                indexes=indexes,
                python=next(item.version for item in packages if item.name == "python"),
                arch=ARCH,
                virtual=conda.virtual,
            )
        )

    pair()
    subject, baseline = pairs(
        lambda: _seconds(lambda: both.solve(conda, wheels, indexes, PypiOptions())),
        lambda: _seconds(pair),
        repetitions,
    )
    return Figure(f"conda-lock with {label}, over the default pair", 1000, "x", subject, baseline)


def _seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun
