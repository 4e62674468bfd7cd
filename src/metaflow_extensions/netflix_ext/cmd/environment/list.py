"""``metaflow environment list``."""

from __future__ import annotations

from typing import Any

from metaflow._vendor import click

from ...engine.platform import check_arch
from ...host.commands import view
from ...host.commands.inventory import Inventory
from ..session import Answer, Session, shared_options


@click.command("list", short_help="List the environments that are known.")
@click.option("--arch", metavar="ARCH", multiple=True, help="Only of that platform; may be repeated. Default: all.")
@click.option("--alias", metavar="TEXT", default="", help="Only those that have a name with TEXT in it.")
@click.option("--created", is_flag=True, help="Only those that are created on this machine.")
@shared_options(local_only=True)
@click.pass_context
def command(ctx: Any, arch: tuple[str, ...], alias: str, created: bool, **options: Any) -> None:
    """List the environments that are known here and in the shared store, resolved last first.

    A narrow terminal shows fewer columns. What is damaged is named on standard error, and passed over.
    """
    session = Session(ctx.obj, options)
    arches = tuple(map(check_arch, arch))
    entries = Inventory(session.bench, session.warn).entries(arches=arches, named=alias, created=created)
    if not entries:
        filtered = arches or alias or created
        session.say(f"    no environment is {'like that' if filtered else 'known'}")
    session.give(
        Answer(
            lines=lambda: [view.line(entry) for entry in entries],
            document=lambda: {"environments": [view.summary(entry) for entry in entries]},
            view=lambda console: view.listing(console, entries) if entries else None,
        )
    )
