"""Small modules, short functions, and names that say something."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("src", "tests/channel")
MODULES = sorted(path.relative_to(ROOT).as_posix() for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
LINES_OF_A_MODULE = 400
LINES_OF_A_FUNCTION = 50
SAYS_NOTHING = {"utils", "common", "helpers", "misc", "core", "base"}

# "module" or "module:function", and the reason why it may be larger.
EXCEPTIONS: dict[str, str] = {}


def too_large(name: str, source: str) -> list[str]:
    """Return what in *source* is over its limit: ``module`` or ``module:function``."""
    found = [name] if len(source.splitlines()) > LINES_OF_A_MODULE else []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            if node.end_lineno - node.lineno + 1 > LINES_OF_A_FUNCTION:
                found.append(f"{name}:{node.name}")
    return found


@pytest.mark.parametrize("module", MODULES)
def test_nothing_is_too_large(module: str) -> None:
    """A module has at most 400 lines and a function at most 50, or a reason in the table."""
    found = too_large(module, (ROOT / module).read_text("utf-8"))

    assert [name for name in found if name not in EXCEPTIONS] == []


def test_exceptions_are_needed() -> None:
    """What the table excepts is still too large, and a reason is given."""
    found = {name for module in MODULES for name in too_large(module, (ROOT / module).read_text("utf-8"))}

    assert set() == set(EXCEPTIONS) - found
    assert all(EXCEPTIONS.values())


def test_module_names_say_something() -> None:
    """No module is a drawer for odds and ends."""
    assert [module for module in MODULES if Path(module).stem in SAYS_NOTHING] == []


def test_the_limits_bite() -> None:
    """One line more than the limit is found, the limit itself is not."""
    long = "def f():\n" + "    pass\n" * LINES_OF_A_FUNCTION

    assert too_large("m", long) == ["m:f"]
    assert too_large("m", "def f():\n" + "    pass\n" * (LINES_OF_A_FUNCTION - 1)) == []
    assert too_large("m", "\n" * (LINES_OF_A_MODULE + 1)) == ["m"]
    assert too_large("m", "\n" * LINES_OF_A_MODULE) == []
