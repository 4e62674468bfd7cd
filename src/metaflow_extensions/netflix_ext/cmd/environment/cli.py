"""The group ``metaflow environment`` and the options of all its commands.

Metaflow loads this for every one of its commands: what a command needs is imported when that command is called.
"""

from __future__ import annotations

import importlib
from typing import Any

from metaflow._vendor import click

from ...host import compat

_COMMANDS = ("resolve", "create", "show", "get", "alias", "list")


class _Announced(click.Group):
    """Holds the group; Metaflow asks it for the command before it prints its banner."""

    def get_command(self, ctx: Any, name: str) -> Any:
        """Return the group, and see to it that standard output holds data alone."""
        found = super().get_command(ctx, name)
        if found is not None:
            compat.banner_to_stderr()
        return found


class _Commands(click.Group):
    """Commands that are imported when they are called; their errors are told without a traceback."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands."""
        return list(_COMMANDS)

    def get_command(self, ctx: Any, name: str) -> Any:
        """Return a command by its name, or None."""
        if name not in _COMMANDS:
            return None
        return importlib.import_module(f"{__package__}.{name}").command

    def invoke(self, ctx: Any) -> Any:
        """Call the command; an error of ours or of Metaflow is a message and exit status 1."""
        with compat.told_errors():
            return super().invoke(ctx)


@click.group(cls=_Announced)
def cli() -> None:
    """Hold the group, as Metaflow wants it."""


@cli.group(cls=_Commands)
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
