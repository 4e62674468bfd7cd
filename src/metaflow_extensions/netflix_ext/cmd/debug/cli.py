"""The group ``metaflow debug`` and the options of all its commands."""

from __future__ import annotations

from typing import Any

from metaflow._vendor import click

from ...host import compat
from ..groups import Announced, commands

_COMMANDS = ("task", "diff", "clean")


@click.group(cls=Announced)
def cli() -> None:
    """Hold the group, as Metaflow wants it."""


@cli.group(cls=commands(__package__, _COMMANDS))
@click.option("--quiet/--no-quiet", default=False, help="Print data alone, in lines for programs; no progress.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output.")
@click.option("--datastore", type=click.Choice(compat.DATASTORES), help="Where environments are shared.")
@click.option("--conda-root", metavar="ROOT", help="The root of environments there, in place of the configured one.")
@click.option("--metadata", metavar="TYPE", help="Where past runs are looked up: local, local@FOLDER, service, ...")
@click.pass_context
def debug(ctx: Any, **options: Any) -> None:
    """Open past tasks again, and compare them."""
    ctx.obj = {**options, "quiet_file_output": None}
