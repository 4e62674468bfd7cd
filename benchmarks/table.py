"""The table of results, as it stands in `docs/explanation/speed.md`: `python -m benchmarks.table RESULTS.json`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def rows(results: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of the table, in Markdown."""
    yield "| what | measured | budget | |"
    yield "|---|---|---|---|"
    for figure in results["figures"]:
        kept = "kept" if figure["kept"] else "**not kept**"
        yield f"| {figure['name']} | {_shown(figure, 'value')} | {_shown(figure, 'budget')} | {kept} |"


def _shown(figure: dict[str, Any], what: str) -> str:
    unit = figure["unit"]
    digits = {"x": ".2f", "s": ".2f", "ms": ".0f", "requests": ".0f"}[unit]
    # Adding zero takes the sign off a negative nothing.
    number = f"{round(figure[what], 2) + 0.0:{digits}}" if what == "value" else f"{figure[what]:g}"
    return f"{number}{unit}" if unit == "x" else f"{number} {unit}"


if __name__ == "__main__":
    print("\n".join(rows(json.loads(Path(sys.argv[1]).read_text()))))
