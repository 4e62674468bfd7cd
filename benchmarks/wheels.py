"""PyPI packages alone, on a Python from uv: resolving over uv called directly, and runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tests.channel import interpreters

from .bench import Figure, Place, pairs, timed
from .engine import folder_of, ours
from .flows import known_run

PROJECT = Path(__file__).resolve().parents[1]
ALONE = {"METAFLOW_CONDA_PYPI_PYTHON": "uv"}
_BARE = """
import subprocess, sys, time
from concurrent.futures import ThreadPoolExecutor
from benchmarks.cases import wheels

def solve(packages):
    words = [*{command!r}]
    text = "\\n".join([*(name + bound for name, bound in packages.items()), "requests>=2.21.0"])
    subprocess.run(words, input=text, text=True, check=True, stdout=subprocess.DEVNULL)

asked = wheels(int(sys.argv[1]))
begun = time.perf_counter()
with ThreadPoolExecutor(8) as pool:
    list(pool.map(solve, asked))
print(f"RESOLVED {{time.perf_counter() - begun:.4f}}")
"""


def _told(command: list[str], place: Place) -> float:
    """Return the seconds that *command* says it took: Metaflow, which a flow has loaded anyway, is not in them."""
    return float(timed(command, place.environment(), PROJECT).output.rpartition("RESOLVED ")[2].split()[0])


def _bare(place: Place, command: list[str], count: int) -> float:
    program = [sys.executable, "-c", _BARE.format(command=command), str(count)]
    return _told(program, place)


def resolving(place: Place, repetitions: int) -> Iterator[Figure]:
    """Resolve 1, 10 and 30 environments, uv's cache warm and empty, over ``uv pip compile``; and by pip."""
    import uv

    place.extra = {**place.extra, **ALONE}
    compile_ = [uv.find_uv_bin(), "pip", "compile", "-", "-q", "--no-build", "--format", "pylock.toml", "--no-header"]
    compile_ += ["--default-index", place.index, "--python", sys.executable, "--python-version", "3.11"]
    compile_ += ["--python-platform", "x86_64-manylinux_2_28"]
    pip = [sys.executable, "-m", "pip", "install", "-q", "--dry-run", "--ignore-installed", "--target", "/nowhere"]
    pip += ["--index-url", place.index, "--report", "/dev/null", "-r", "/dev/stdin"]

    def subject(count: int) -> float:
        return _told([*ours("wheels", folder_of(place)), str(count)], place)

    def cold(count: int, command: list[str]) -> float:
        place.forget("uv")
        return _bare(place, command, count) if command else subject(count)

    for count in (1, 10, 30):
        subject(count)
        found = pairs(lambda: subject(count), lambda: _bare(place, compile_, count), repetitions)  # noqa: B023
        yield Figure(f"resolve {count} PyPI-only, over uv pip compile", 1.2, "x", *found)
    found = pairs(lambda: cold(10, []), lambda: cold(10, compile_), repetitions)
    yield Figure("resolve 10 PyPI-only, nothing cached, over uv pip compile", 1.2, "x", *found)
    found = pairs(lambda: subject(10), lambda: _bare(place, pip, 10), 1)
    yield Figure("resolve 10 PyPI-only, over pip install --dry-run", 1.0, "x", *found)


def second_run(place: Place, repetitions: int) -> Iterator[Figure]:
    """Measure a known run of steps whose Python is uv's."""
    # uv looks on PATH for what is installed.
    folders = [str(Path(found.executable).parent) for found in interpreters.find().values()]
    place.extra = {**place.extra, **ALONE, "PATH": os.pathsep.join([*folders, os.environ["PATH"]])}
    for figure in known_run(place, repetitions, "wheels.py", "uv's Python"):
        yield replace(figure, budget=1.1) if figure.unit == "x" else figure
