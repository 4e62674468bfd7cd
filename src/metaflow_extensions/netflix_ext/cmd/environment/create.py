"""``metaflow environment create``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metaflow._vendor import click

from ...engine.alias import step_name
from ...engine.create import check_machine
from ...host.commands import opening, unpacking
from ...host.commands.flags import flag
from ...host.commands.opening import Opened
from ..session import Answer, Session, pathspec_option, shared_options

if TYPE_CHECKING:
    from rich.console import Console


@click.command(short_help="Create an environment on this machine.")
@click.argument("env_name", metavar="NAME")
@click.option("--name", metavar="NAME", default="", help="What it is called on this machine; also the kernel.")
@click.option(
    "--into-dir", metavar="DIR", default="", help="Put the task's code, or Metaflow, and a link to Python there."
)
@flag("--install-notebook", "Add ipykernel, and register a Jupyter kernel; needs --name.")
@pathspec_option
@flag("--force", "Replace what has that name and is ours; write over files in DIR.")
@shared_options(local_only=True)
@click.pass_context
def command(ctx: Any, env_name: str, pathspec: bool, **options: Any) -> None:
    """Create an environment on this machine, and print the path of its Python.

    NAME is an alias, req_id:full_id, the beginning of an id, or with --pathspec a step. Without --name it is the very
    folder that runs use. Of another folder, or a kernel, that is not ours nothing is touched.
    """
    if options["install_notebook"] and not options["name"]:
        raise click.UsageError("--install-notebook needs --name: the kernel is called so")
    session = Session(ctx.obj, options)
    if options["name"]:
        opening.check_name(options["name"])
    bench = session.bench
    folder = Path(options["into_dir"]).expanduser().absolute() if options["into_dir"] else None
    if folder is not None:
        unpacking.check_folder(folder, bench.settings.envs_root, force=options["force"])
    wanted = step_name(env_name) if pathspec else env_name
    environment = bench.lookup.find(wanted, bench.wiring.machine.arch())
    check_machine(environment, bench.wiring.machine)
    if options["install_notebook"]:
        environment = opening.with_kernel(environment, bench)
    title, name = f"Creating {env_name}", options["name"]
    prefix = opening.create(environment, bench, title=title, name=name, replace=options["force"])
    opened = Opened(environment=environment, prefix=prefix)

    def registered() -> str:
        if not options["install_notebook"]:
            return ""
        return opening.register(opened, options["name"], env_name, bench, force=options["force"])

    if folder is None:
        opened = replace(opened, kernel=registered())
    else:
        task = unpacking.task_of(wanted)
        recorded = environment.provenance.get("metaflow", "")
        with unpacking.unpacked(folder, task, recorded, prefix.python, bench) as code:
            opened = replace(opened, folder=folder, packaged=code.packaged)
            # Before the code goes to its place: where a kernel is refused, the folder stays as it was.
            opened = replace(opened, kernel=registered())
        session.say(f"    put into {folder}: {'; '.join(filter(None, (code.told, code.lacking)))}")
    if opened.kernel:
        session.say(f"    registered the Jupyter kernel {opened.kernel}")
    session.give(_answer(opened, options["name"]))


def _answer(opened: Opened, name: str) -> Answer:
    env_id, prefix = opened.environment.env_id, opened.prefix

    def document() -> dict[str, Any]:
        return {
            **env_id._asdict(),
            "name": name or prefix.path.name,
            "path": str(prefix.path),
            "python": str(prefix.python),
            "variables": {**opening.activation(prefix), **opened.code},
            "folder": None if opened.folder is None else str(opened.folder),
            "kernel": opened.kernel or None,
        }

    def show(console: Console) -> None:
        console.out(str(prefix.python), highlight=False)
        for line in opening.instructions(opened):
            click.echo(f"    {line}", err=True)

    return Answer(lines=lambda: [str(prefix.python)], document=document, view=show)
