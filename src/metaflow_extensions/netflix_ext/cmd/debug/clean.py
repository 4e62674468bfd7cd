"""``metaflow debug clean``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from metaflow._vendor import click

from ...engine.errors import UnknownError
from ...host.debug.reopening import FACT
from ..session import Answer, Session, shared_options

if TYPE_CHECKING:
    from rich.console import Console


@click.command(short_help="Remove the kernels of opened tasks.")
@click.argument("names", metavar="[KERNELS]...", nargs=-1)
@click.option("--dry-run", is_flag=True, help="Only tell which there are.")
@shared_options()
@click.pass_context
def command(ctx: Any, names: tuple[str, ...], dry_run: bool, **options: Any) -> None:
    """Remove the Jupyter kernels that `metaflow debug task` has registered: those named, or all.

    Kernels of others stay, and so do environments and the folders with notebooks.
    """
    session = Session(ctx.obj, options)
    wiring = session.bench.wiring
    there = {name: facts[FACT] for name, facts in wiring.kernels.ours() if FACT in facts}
    unknown = [name for name in names if name not in there]
    if unknown:
        raise UnknownError(
            f"{', '.join(unknown)}: no kernel of a past task is called so",
            f"there are: {', '.join(there)}" if there else "there is none",
        )
    chosen = names or tuple(there)
    if not dry_run:
        for name in chosen:
            wiring.kernels.remove(name)
    session.give(_answer({name: there[name] for name in chosen}, removed=not dry_run))


def _answer(kernels: dict[str, str], *, removed: bool) -> Answer:
    def document() -> dict[str, Any]:
        return {"kernels": [{"name": name, "step": step} for name, step in kernels.items()], "removed": removed}

    def show(console: Console) -> None:
        for name, step in kernels.items():
            console.out(f"{'removed ' if removed else ''}{name}  {step}", highlight=False)
        if not kernels:
            click.echo("    there is no kernel of a past task", err=True)

    return Answer(lines=lambda: list(kernels), document=document, view=show)
