"""What the groups of our commands have in common.

Metaflow loads them for every one of its commands: what a command needs is imported when that command is called.
"""

from __future__ import annotations

import importlib
from typing import Any

from metaflow._vendor import click

from ..host import compat
from ..host.commands.flags import JSON, QUIET, together


class Announced(click.Group):
    """Holds a group; Metaflow asks it for the command before it prints its banner."""

    def get_command(self, ctx: Any, name: str) -> Any:
        """Return the group, and see to it that standard output holds data alone."""
        found = super().get_command(ctx, name)
        if found is not None:
            compat.banner_to_stderr()
        return found


def commands(package: str | None, names: tuple[str, ...]) -> type[click.Group]:
    """Return a group of the commands *names*, each in its module of *package*; errors are told without a traceback."""

    class Commands(click.Group):
        def list_commands(self, ctx: Any) -> list[str]:
            return list(names)

        def get_command(self, ctx: Any, name: str) -> Any:
            return importlib.import_module(f"{package}.{name}").command if name in names else None

        def invoke(self, ctx: Any) -> Any:
            """Call the command; an error of ours or of Metaflow is a message and exit status 1."""
            with compat.told_errors():
                return super().invoke(ctx)

    return Commands


group_options = together(
    QUIET,
    JSON,
    click.option("--datastore", type=click.Choice(compat.DATASTORES), help="Where environments are shared."),
    click.option(
        "--conda-root", metavar="ROOT", help="The root of environments there, in place of the configured one."
    ),
    click.option("--metadata", metavar="TYPE", help="Where past runs are looked up: local, local@FOLDER, service, ..."),
)
"""The options that both groups have."""
