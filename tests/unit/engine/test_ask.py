"""The merging rules, as data: `tests/cases/merge/*.json`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from metaflow_extensions.netflix_ext.engine.ask import Ask, ask_of, combine, override
from metaflow_extensions.netflix_ext.engine.errors import InputError

CASES = sorted((Path(__file__).parents[2] / "cases" / "merge").glob("*.json"))
EMPTY: dict[str, Any] = {
    "conda": [],
    "pypi": [],
    "virtual": [],
    "channels": [],
    "indexes": [],
    "conda_only": [],
    "options": {},
    "python": None,
    "disabled": None,
    "name": None,
    "pathspec": None,
    "fetch_at_exec": None,
}


def merged(case: dict[str, Any]) -> Ask:
    """Return what the step of *case* asks for."""
    flow, step = (combine(ask_of(name, words) for name, words in case[level]) for level in ("flow", "step"))
    return override(flow, step)


def plain(ask: Ask) -> dict[str, Any]:
    """Return *ask* in JSON's types."""
    found = {name: getattr(ask, name) for name in EMPTY}
    lists = {name: [str(item) for item in value] for name, value in found.items() if isinstance(value, tuple)}
    return {**found, **lists, "options": ask.options.to_dict()}


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_merging(path: Path) -> None:
    """Decorators of a level combine, and the step's level overrides the flow's, as the case says and why."""
    case = json.loads(path.read_text("utf-8"))
    assert case["why"].endswith(".")

    if "error" in case:
        with pytest.raises(InputError) as caught:
            merged(case)
        assert case["error"] in caught.value.message
        assert caught.value.hint
    else:
        assert plain(merged(case)) == {**EMPTY, **case["expected"]}


def test_there_are_cases() -> None:
    """The folder of cases is found."""
    assert len(CASES) > 50


def test_credentials_are_found_wherever_a_source_is_named() -> None:
    """All sources of an ask are listed as written, so that their credentials can be remembered and taken off."""
    ask = ask_of(
        "conda",
        {
            "packages": {"https://u:p@a.example::numpy": "", "zlib": ""},
            "channels": ["https://u:p@b.example"],
            "pip_packages": {"a": "@ https://u:p@c.example/a.whl", "b": "1"},
            "pip_sources": ["https://u:p@d.example"],
        },
    )

    expected = {f"https://u:p@{name}.example{'/a.whl' if name == 'c' else ''}" for name in "abcd"}
    assert set(ask.urls) == expected
