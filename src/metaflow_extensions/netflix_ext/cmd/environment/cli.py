"""The group ``metaflow environment`` and the options of all its commands.

Metaflow loads this for every one of its commands: what a command needs is imported when that command is called.
"""

from __future__ import annotations

from typing import Any

from metaflow._vendor import click

from ...host import compat
from ..groups import Announced, commands

_COMMANDS = ("resolve", "create", "show", "get", "alias", "list", "config")


@click.group(cls=Announced)
def cli() -> None:
    """Hold the group, as Metaflow wants it."""


@cli.group(cls=commands(__package__, _COMMANDS))
@click.option("--quiet/--no-quiet", default=False, help="Print data alone, in lines for programs; no progress.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output.")
@click.option("--datastore", type=click.Choice(compat.DATASTORES), help="Where environments are shared.")
@click.option("--conda-root", metavar="ROOT", help="The root of environments there, in place of the configured one.")
@click.option("--metadata", metavar="TYPE", help="Where past runs are looked up: local, local@FOLDER, service, ...")
@click.option("--environment", type=click.Choice(compat.ENVIRONMENTS), hidden=True, help="Accepted for 1.x.")
@click.option("--quiet-file-output", metavar="FILE", help="Write the lines of --quiet to FILE as well.")
@click.pass_context
def environment(ctx: Any, **options: Any) -> None:
    """Resolve, create, inspect and share environments."""
    options.pop("environment")
    ctx.obj = options
