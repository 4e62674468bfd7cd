"""``metaflow environment get``."""

from __future__ import annotations

from typing import Any

from metaflow._vendor import click

from ...engine.alias import step_name
from ...engine.platform import check_arch
from ...host.commands import naming, view
from ...host.commands.inventory import Inventory
from ..session import Answer, Session, pathspec_option, shared_options


@click.command(short_help="Fetch an environment from the store.")
@click.argument("name")
@click.option("--default/--no-default", default=True, help="Let flows with the same requirements take it from now on.")
@click.option("--arch", metavar="ARCH", help="The platform. Default: this machine's.")
@pathspec_option
@shared_options()
@click.pass_context
def command(ctx: Any, name: str, default: bool, arch: str | None, pathspec: bool, **options: Any) -> None:
    """Fetch an environment from the shared store, and keep it here.

    NAME is an alias, req_id:full_id, the beginning of an id, or with --pathspec a step. Nothing is created.
    """
    session = Session(ctx.obj, options)
    wanted = check_arch(arch) if arch else session.bench.wiring.machine.arch()
    environment = naming.fetch(step_name(name) if pathspec else name, wanted, session.bench, default=default)
    facts = Inventory(session.bench, session.warn).facts(environment)
    session.give(
        Answer(
            lines=lambda: [view.line(facts)],
            document=lambda: {"environment": view.document(facts)},
            view=lambda console: view.show(console, facts, name),
        )
    )
