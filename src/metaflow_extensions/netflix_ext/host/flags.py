"""Options of commands that are on or off. Imports on Python 3.7 (step side)."""

from __future__ import annotations

from typing import Any, Callable

from metaflow._vendor import click

Decorate = Callable[[Any], Any]


def flag(name: str, help: str) -> Decorate:  # noqa: A002 - click's own word
    """Return the option *name*; that it is off may be said, too, as 1.x had it: ``--no-...``, which no help shows."""
    parameter = name.lstrip("-").replace("-", "_")

    def add(command: Any) -> Any:
        command = click.option(f"--no-{name.lstrip('-')}", parameter, flag_value=False, default=False, hidden=True)(
            command
        )
        return click.option(name, parameter, flag_value=True, default=False, help=help)(command)

    return add
