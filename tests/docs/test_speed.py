"""The table of `docs/explanation/speed.md` is what the benchmarks have found."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.table import rows

PROJECT = Path(__file__).parents[2]


def test_the_table_is_that_of_the_newest_full_run() -> None:
    """The page shows each figure of the newest results of all benchmarks, and names their file."""
    page = (PROJECT / "docs" / "explanation" / "speed.md").read_text("utf-8")
    newest = max((PROJECT / "benchmarks" / "results").glob("*-all.json"))

    assert newest.name in page
    assert "\n".join(rows(json.loads(newest.read_text("utf-8")))) in page
