"""Options of commands that are on or off, and those that many commands have. Imports on Python 3.7 (step side)."""

from __future__ import annotations

from functools import reduce
from typing import Any, Callable

from metaflow._vendor import click

Option = Callable[[Any], Any]


def flag(name: str, help: str) -> Option:  # noqa: A002 - click's own word
    """Return the option *name*; that it is off may be said, too, as 1.x had it: ``--no-...``, which no help shows."""
    parameter = name.lstrip("-").replace("-", "_")

    def add(command: Any) -> Any:
        command = click.option(f"--no-{name.lstrip('-')}", parameter, flag_value=False, default=False, hidden=True)(
            command
        )
        return click.option(name, parameter, flag_value=True, default=False, help=help)(command)

    return add


def together(*options: Option) -> Option:
    """Return what adds all of *options* to a command, in the order in which its help shows them."""
    return lambda command: reduce(lambda found, option: option(found), reversed(options), command)


QUIET = flag("--quiet", "Print data alone, in lines for programs; no progress.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output.")
LOCAL_ONLY = click.option(
    "--local-only/--non-local",
    default=False,
    help="Leave the shared store alone: neither ask it nor write there.",
)
