"""``metaflow debug task``."""

from __future__ import annotations

import os
import textwrap
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metaflow._vendor import click

from ...engine.alias import step_name
from ...host.debug import choosing, executing, reopening
from ...host.debug.executing import Executed
from ...host.debug.reopening import Reopened, Wanted
from ..session import Answer, Session, shared_options

if TYPE_CHECKING:
    from rich.console import Console


@click.command(short_help="Open a past task again.")
@click.argument("pathspec")
@click.option(
    "--metaflow-root-dir",
    "folder",
    metavar="DIR",
    required=True,
    help="The folder to put everything in; made where there is none.",
)
@click.option("--index", metavar="N", help="Of a foreach: which of its tasks; of nested ones, as 1,0.")
@click.option("--inspect", is_flag=True, help="The state as the step left it, not as it found it.")
@click.option("--run", is_flag=True, help="Execute the step on what it was given, and compare what it makes.")
@click.option("--override-env", metavar="NAME", default="", help="Another environment, by a name or an id.")
@click.option("--override-env-from-pathspec", metavar="STEP", default="", help="The environment of another step.")
@click.option("--kernel-name", metavar="NAME", default="", help="What the Jupyter kernel is called.")
@click.option("--kernel/--no-kernel", default=True, help="Register a Jupyter kernel, or do not.")
@click.option("--force", is_flag=True, help="Write over files of the same name in DIR, and over a kernel's.")
@shared_options(local_only=True)
@click.pass_context
def command(ctx: Any, pathspec: str, folder: str, index: str | None, **options: Any) -> None:
    """Open a past task again: its code, its data and its environment, in a notebook and as a script.

    PATHSPEC is Flow (the end of its latest run in your namespace), Flow/Run, Flow/Run/Step or Flow/Run/Step/Task.
    """
    if options["override_env"] and options["override_env_from_pathspec"]:
        raise click.UsageError("give one of --override-env and --override-env-from-pathspec")
    if options["kernel_name"] and not options["kernel"]:
        raise click.UsageError("--kernel-name names what --no-kernel leaves out")
    if options["run"] and options["inspect"]:
        raise click.UsageError("--run begins where the step began: leave out --inspect")
    session = Session(ctx.obj, options)
    found = choosing.find(pathspec, index=index)
    session.say(f"    opening the task {found.pathspec}")
    wanted = Wanted(
        folder=Path(os.path.abspath(Path(folder).expanduser())),
        inspect=options["inspect"],
        force=options["force"],
        kernel=options["kernel"],
        kernel_name=options["kernel_name"],
        override=options["override_env"] or step_name(options["override_env_from_pathspec"]),
    )
    made = reopening.reopen(found, wanted, session.bench, _note)
    session.say(f"    the same by Metaflow itself, with the code as it is now: {made.sheet.spin}")
    session.give(_answer(made, executing.execute(made, session.bench) if options["run"] else None))


def _note(text: str) -> None:
    """Tell what does not end the command, even when asked to be quiet."""
    click.secho(textwrap.indent(f"note: {text}", "    "), err=True, fg="yellow")


def _answer(made: Reopened, executed: Executed | None) -> Answer:
    files = made.files
    env_id = None if made.environment is None else made.environment.env_id

    def document() -> dict[str, Any]:
        return {
            "pathspec": made.sheet.pathspec,
            "folder": str(made.folder),
            "notebook": str(files.notebook),
            "script": str(files.script),
            "python": str(made.python),
            "kernel": made.sheet.kernel or None,
            "environment": None if env_id is None else env_id._asdict(),
            "spin": made.sheet.spin,
            "run": None if executed is None else asdict(executed),
        }

    def show(console: Console) -> None:
        console.out(str(files.notebook), highlight=False)
        for line in executed.lines() if executed is not None else ():
            console.out(line, highlight=False)
        for line in made.instructions():
            click.echo(f"    {line}", err=True)

    return Answer(
        lines=lambda: [str(files.notebook), str(files.script), str(made.python)], document=document, view=show
    )
