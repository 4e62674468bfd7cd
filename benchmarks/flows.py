"""Whole runs of the three-step flow, over the same flow without environments."""

from __future__ import annotations

import time
from collections.abc import Iterator

from .bench import Figure, Place, flow, in_memory


def settle(place: Place, name: str) -> None:
    """Run a flow until its environments exist and their byte code is made."""
    flow(place, name, environment=True)
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline and any(
        not (prefix / ".metaflowenv-bytecode").exists() for prefix in (place.root / "envs").glob("metaflow_*")
    ):
        time.sleep(0.5)
    flow(place, name, environment=True)


def second_run(place: Place, repetitions: int) -> Iterator[Figure]:
    """Measure a run with everything known: the whole, and to the first line of the first step."""
    yield from known_run(place, repetitions, "three.py", "conda")


def known_run(place: Place, repetitions: int, name: str, kind: str) -> Iterator[Figure]:
    """Measure a run of the flow *name* with everything known, over the flow without environments."""
    settle(place, name)
    flow(place, "plain.py", environment=False)
    subject, baseline = [], []
    for _ in range(repetitions):
        baseline.append(flow(place, "plain.py", environment=False))
        subject.append(flow(place, name, environment=True))
    whole = ([timing.whole for timing in subject], [timing.whole for timing in baseline])
    line = ([timing.first_line for timing in subject], [timing.first_line for timing in baseline])
    yield Figure(f"{kind}: second run, over the same without environments", 1.05, "x", *whole)
    yield Figure(f"{kind}: second run, to the first line of the first step", 0.2, "s", *line)


def first_run(place: Place, repetitions: int) -> Iterator[Figure]:
    """Measure a run that resolves and creates: with warm package caches, and with nothing cached at all."""
    yield from _new_run(place, repetitions, "three.py", "conda")
    yield _cold_run(place, repetitions, "conda: first run, nothing cached")
    with in_memory(place) as other:
        yield _cold_run(other, repetitions, "conda: first run, nothing cached, disk in memory")


def _cold_run(place: Place, repetitions: int, name: str) -> Figure:
    subject, baseline = [], []
    for _ in range(repetitions):
        place.forget("envs", ".metaflow", "rattler", "uv")
        subject.append(flow(place, "three.py", environment=True).whole)
        baseline.append(flow(place, "plain.py", environment=False).whole)
    return Figure(name, 2.0, "x", subject, baseline)


def wheels(place: Place, repetitions: int) -> Iterator[Figure]:
    """Measure the PyPI-only flow: first run with warm caches, second run."""
    yield from _new_run(place, repetitions, "wheels.py", "PyPI")
    yield from known_run(place, repetitions, "wheels.py", "PyPI")


def _new_run(place: Place, repetitions: int, name: str, kind: str) -> Iterator[Figure]:
    settle(place, name)
    subject, baseline = [], []
    for _ in range(repetitions):
        place.forget(".metaflow")
        for prefix in (place.root / "envs").glob("metaflow_*"):
            place.forget(f"envs/{prefix.name}")
        baseline.append(flow(place, "plain.py", environment=False).whole)
        place.forget(".metaflow")
        subject.append(flow(place, name, environment=True).whole)
    yield Figure(f"{kind}: first run, package caches warm", 1.3, "x", subject, baseline)
