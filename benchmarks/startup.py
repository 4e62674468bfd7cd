"""`import metaflow`, with the extension and without."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from .bench import Figure, Place, pairs, timed

_IMPORT = [sys.executable, "-c", "import metaflow"]


def imports(place: Place, repetitions: int) -> Iterator[Figure]:
    """Compare with an interpreter that is told to look for extensions where there are none."""
    without = {**place.environment(), "METAFLOW_EXTENSIONS_SEARCH_DIRS": str(place.root / "nowhere")}
    timed(_IMPORT, place.environment(), place.root)
    timed(_IMPORT, without, place.root)
    subject, baseline = pairs(
        lambda: timed(_IMPORT, place.environment(), place.root).whole,
        lambda: timed(_IMPORT, without, place.root).whole,
        repetitions * 5,
    )
    yield Figure("import metaflow, over without the extension", 20, "ms", subject, baseline)
