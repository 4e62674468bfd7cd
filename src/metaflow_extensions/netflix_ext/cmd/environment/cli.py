"""The group ``metaflow environment`` and the options of all its commands.

Metaflow loads this for every one of its commands: what a command needs is imported when that command is called.
"""

from __future__ import annotations

from typing import Any

from metaflow._vendor import click

from ...host import compat
from ..groups import Announced, commands, group_options

_COMMANDS = ("resolve", "create", "show", "get", "alias", "list", "config")


@click.group(cls=Announced)
def cli() -> None:
    """Hold the group, as Metaflow wants it."""


@cli.group(cls=commands(__package__, _COMMANDS))
@group_options
@click.option("--environment", type=click.Choice(compat.ENVIRONMENTS), hidden=True, help="Accepted for 1.x.")
@click.option("--quiet-file-output", metavar="FILE", help="Write the lines of --quiet to FILE as well.")
@click.pass_context
def environment(ctx: Any, **options: Any) -> None:
    """Resolve, create, inspect and share environments."""
    options.pop("environment")
    ctx.obj = options
