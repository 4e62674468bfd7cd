"""``python flow.py environment ...``: the environments of the steps of a flow."""

from __future__ import annotations

from typing import Any

from metaflow._vendor import click

from ...host import compat, flow
from ...host.commands.flags import JSON, LOCAL_ONLY, QUIET, flag, together


@click.group()
def cli() -> None:
    """Hold the group, as Metaflow wants it."""


@cli.group(help="Resolve and show the environments of the steps.")
@click.pass_obj
def environment(obj: Any) -> None:
    """Refuse to work where the flow has other environments than ours."""
    compat.require_selected("environment", obj.environment)


_shared = together(
    click.argument("steps", nargs=-1),
    click.option("--arch", multiple=True, help="The platform, in place of the steps' own; may be repeated."),
    LOCAL_ONLY,
    QUIET,
    JSON,
    click.option("--output", metavar="FILE", help="Write the JSON to FILE as well."),
)


@environment.command(help="Resolve the environments of STEPS, of all steps if none is named, and keep them.")
@_shared
@click.option(
    "--alias", metavar="NAME[:TAG]", multiple=True, help="Name the environment, which must be one; may be repeated."
)
@flag("--force", "Resolve even what is known.")
@flag("--dry-run", "Resolve and show, and keep nothing.")
@click.option(
    "--set-default/--no-set-default", default=True, help="Let flows with the same requirements take them from now on."
)
@click.pass_obj
def resolve(obj: Any, **options: Any) -> None:
    """See the help."""
    _call("resolve", obj, options)


@environment.command(help="Show how STEPS, all steps if none is named, stand with their environments.")
@_shared
@click.pass_obj
def show(obj: Any, **options: Any) -> None:
    """See the help."""
    _call("show", obj, options)


def _call(what: str, obj: Any, options: Any) -> None:
    question = flow.question(obj.flow, obj.flow_datastore.TYPE, force=bool(options.get("force")))
    unknown = [name for name in options["steps"] if name not in question["steps"]]
    if unknown:
        there = ", ".join(question["steps"])
        raise click.UsageError(f"no step is called {', '.join(unknown)}; there are: {there}")
    if options["steps"]:
        question["steps"] = {name: question["steps"][name] for name in options["steps"]}
    quiet = options["quiet"] or obj.is_quiet
    with compat.user_errors():
        told = obj.environment.service.command(what, question, options, compat.silence if quiet else obj.echo)
    if options["output"]:
        _write(options["output"], told["json"])
    text = told["json"] if options["as_json"] else told["lines"] if quiet else told["view"]
    click.echo(text, nl=False)


def _write(path: str, text: str) -> None:
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise click.FileError(path, error.strerror) from error
