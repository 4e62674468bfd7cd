"""``metaflow environment show``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from metaflow._vendor import click

from ...engine.alias import names_step, step_name
from ...engine.errors import ExtensionError
from ...engine.platform import check_arch
from ...host.commands import view
from ...host.commands.inventory import Facts, Inventory
from ..session import Answer, Session, pathspec_option, shared_options

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    """One name on one platform: an environment, or why there is none."""

    name: str
    arch: str
    facts: Facts | None = None
    error: ExtensionError | None = None


@click.command(short_help="Show environments: packages, provenance, places.")
@click.argument("names", metavar="NAMES...", nargs=-1, required=True)
@click.option("--arch", metavar="ARCH", multiple=True, help="The platform; may be repeated. Default: this machine's.")
@pathspec_option
@shared_options(local_only=True)
@click.pass_context
def command(ctx: Any, names: tuple[str, ...], arch: tuple[str, ...], pathspec: bool, **options: Any) -> None:
    """Show environments: what they hold, where it came from, and where they are.

    A name is an alias, req_id:full_id, the beginning of an id, or with --pathspec a step. Where one is unknown the
    others are shown, and the exit status is 1.
    """
    session = Session(ctx.obj, options)
    arches = tuple(dict.fromkeys(map(check_arch, arch))) or (session.bench.wiring.machine.arch(),)
    inventory = Inventory(session.bench, session.warn)
    shown = [
        _look(name, each, inventory, session, pathspec=pathspec)
        for name in names
        for each in (arches[:1] if pathspec or names_step(name) else arches)
    ]
    for item in shown:
        if item.error is not None:
            session.warn(item.error)
    session.give(_answer(shown))
    if any(item.error is not None for item in shown):
        ctx.exit(1)


def _look(name: str, arch: str, inventory: Inventory, session: Session, *, pathspec: bool) -> _Shown:
    try:
        environment = session.bench.lookup.find(step_name(name) if pathspec else name, arch)
        return _Shown(name=name, arch=environment.env_id.arch, facts=inventory.facts(environment))
    except ExtensionError as error:
        return _Shown(name=name, arch=arch, error=error)


def _answer(shown: list[_Shown]) -> Answer:
    def lines() -> list[str]:
        found = []
        for item in shown:
            found.append(f"{item.name}@{item.arch}")
            found.append(view.NOT_FOUND if item.facts is None else view.line(item.facts))
        return found

    def document() -> dict[str, Any]:
        return {
            "environments": [
                {
                    "name": item.name,
                    "arch": item.arch,
                    "environment": None if item.facts is None else view.document(item.facts),
                    "error": None if item.error is None else item.error.message,
                }
                for item in shown
            ]
        }

    def show(console: Console) -> None:
        found = [item for item in shown if item.facts is not None]
        for number, item in enumerate(found):
            if number:
                console.print()
            assert item.facts is not None
            view.show(console, item.facts, item.name)

    return Answer(lines=lines, document=document, view=show)
