"""`metaflow debug task` of a run with many tasks, over `metaflow --help`."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests.integration.debugged import multiply

from .bench import FLOWS, Figure, Place, pairs, timed

_METAFLOW = str(Path(sys.executable).with_name("metaflow"))
_MANY = 1000


def debugging(place: Place, repetitions: int) -> Iterator[Figure]:
    """Open a task of a foreach of many, and their join, in an environment that is there."""
    environment = {**place.environment(), "METAFLOW_FEAT_ALWAYS_UPLOAD_CODE_PACKAGE": "1"}
    timed([sys.executable, str(FLOWS / "wide.py"), "--environment=conda", "run"], environment, place.root)
    run = (place.root / ".metaflow" / "WideFlow" / "latest_run").read_text().strip()
    multiply(place.root, "WideFlow", run, "each", _MANY)
    folder = place.root / "opened"

    def one(*words: str) -> float:
        shutil.rmtree(folder, ignore_errors=True)
        return timed([_METAFLOW, *words], environment, place.root).whole

    for name, task in (("a task of a foreach", f"each/{100 + _MANY // 2}"), ("the join of a foreach", "join")):
        words = ("debug", "task", f"WideFlow/{run}/{task}", "--no-kernel", "--metaflow-root-dir", str(folder))
        subject, baseline = pairs(partial(one, *words), partial(one, "--help"), repetitions)
        yield Figure(f"debug of {name} of {_MANY}, over metaflow --help", 3, "s", subject, baseline)
    place.forget(".metaflow", "opened")
