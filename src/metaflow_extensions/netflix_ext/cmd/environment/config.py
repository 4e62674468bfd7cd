"""``metaflow environment config``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from metaflow._vendor import click

from ...host.commands import effective
from ..session import Answer, Session, shared_options

if TYPE_CHECKING:
    from rich.console import Console


@click.command(short_help="Show every setting, and where it was set.")
@shared_options()
@click.pass_context
def command(ctx: Any, **options: Any) -> None:
    """Show every setting as it counts now, and where it was set.

    Ours go by METAFLOW_ variables, then Metaflow's configuration; what neither says of channels is taken from conda's
    variables, then from the files of conda, mamba, rattler and pixi; of indexes, from the settings of uv, then of pip.
    """
    session = Session(ctx.obj, options)
    bench = session.bench
    options = dict.fromkeys(bench.values, "--conda-root")
    found = effective.rows(os.environ, bench.settings, bench.wiring.told, options)

    def show(console: Console) -> None:
        for row in found:
            console.print(f"{row.name}  {row.value or '-'}", style=None if row.source == "default" else "bold")
            console.print(f"    {row.source}", style="dim")

    for name in effective.unknown(os.environ):
        session.say(f"    {name} is set, and is no setting of ours: it does nothing here")
    session.give(
        Answer(
            lines=lambda: [f"{row.name}\t{row.value}\t{row.source}" for row in found],
            document=lambda: {
                "settings": [{"name": row.name, "value": row.value, "source": row.source} for row in found]
            },
            view=show,
        )
    )
