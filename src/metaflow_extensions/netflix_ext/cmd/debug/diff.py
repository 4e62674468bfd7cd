"""``metaflow debug diff``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from metaflow._vendor import click

from ...host.debug import choosing, comparing
from ...host.debug.comparing import Comparison, Part
from ..session import Answer, Session, shared_options

if TYPE_CHECKING:
    from rich.console import Console


@click.command(short_help="Compare two past tasks.")
@click.argument("first")
@click.argument("second")
@click.option("--code", "with_code", is_flag=True, help="Show the lines that differ in the code.")
@shared_options(local_only=True)
@click.pass_context
def command(ctx: Any, first: str, second: str, with_code: bool, **options: Any) -> None:
    """Compare two past tasks: parameters, artifacts by content, code, environments.

    FIRST and SECOND are Flow, Flow/Run, Flow/Run/Step or Flow/Run/Step/Task.
    """
    session = Session(ctx.obj, options)
    one, other = choosing.find(first), choosing.find(second)
    found = comparing.compare(one, other, session.bench)
    session.give(_answer(one.pathspec, other.pathspec, found, with_code=with_code))


def _answer(one: str, other: str, found: Comparison, *, with_code: bool) -> Answer:
    parts = {name: getattr(found, name) for name in ("parameters", "artifacts", "code", "environment")}

    def lines() -> list[str]:
        return [f"{name} {line}" for name, part in parts.items() if part is not None for line in part.lines()]

    def document() -> dict[str, Any]:
        return {"first": one, "second": other, **found.document()}

    def show(console: Console) -> None:
        console.out(f"- {one}\n+ {other}", highlight=False)
        for name, part in parts.items():
            console.out(f"\n{name}: {_summary(part, found.unknown.get(name, ''))}", highlight=False)
            for line in part.lines() if part is not None else ():
                console.out(f"  {line}", highlight=False)
        for line in found.diff if with_code else ():
            console.out(line, highlight=False)

    return Answer(lines=lines, document=document, view=show)


def _summary(part: Part | None, unknown: str) -> str:
    if part is None:
        return f"not compared: {unknown}"
    return f"{part.same} the same" + (", these differ" if part.differs else "")
