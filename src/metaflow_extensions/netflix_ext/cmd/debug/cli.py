"""The group ``metaflow debug`` and the options of all its commands."""

from __future__ import annotations

from typing import Any

from metaflow._vendor import click

from ..groups import Announced, commands, group_options

_COMMANDS = ("task", "diff", "clean")


@click.group(cls=Announced)
def cli() -> None:
    """Hold the group, as Metaflow wants it."""


@cli.group(cls=commands(__package__, _COMMANDS))
@group_options
@click.pass_context
def debug(ctx: Any, **options: Any) -> None:
    """Open past tasks again, and compare them."""
    ctx.obj = options
