"""Read TOML by the standard library, or on Python 3.10 by the package that became part of it."""

from __future__ import annotations

import sys
from typing import Any


def read_toml(text: str) -> dict[str, Any]:
    """Return the tables of *text*; raise ValueError where it is no TOML, RecursionError where it is nested too deeply.

    The reader is loaded here, at the first file there is: most runs have none.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    tables: dict[str, Any] = tomllib.loads(text)
    return tables
