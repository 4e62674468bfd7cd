"""``metaflow environment alias``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from metaflow._vendor import click

from ...engine.alias import Alias, step_name
from ...engine.platform import check_arch
from ...host.commands import naming
from ..session import Answer, Session, pathspec_option, shared_options

if TYPE_CHECKING:
    from rich.console import Console


@click.command(short_help="Give an environment another name.")
@click.argument("name")
@click.argument("alias")
@click.option(
    "--arch", metavar="ARCH", multiple=True, help="The platform; may be repeated. Default: each that NAME is for."
)
@pathspec_option
@shared_options(local_only=True)
@click.pass_context
def command(ctx: Any, name: str, alias: str, arch: tuple[str, ...], pathspec: bool, **options: Any) -> None:
    """Give the environment NAME another name: ALIAS is name or name:tag.

    The tags latest (which is meant where there is none), candidate and stable may move to other environments later;
    any other tag is final.
    """
    session = Session(ctx.obj, options)
    given = Alias.parse(alias)
    arches = tuple(map(check_arch, arch))
    named = naming.rename(step_name(name) if pathspec else name, given, session.bench, arches=arches)
    ids = [environment.env_id for environment in named]

    def show(console: Console) -> None:
        for env_id in ids:
            console.out(f"{given} is {':'.join(env_id[:2])} on {env_id.arch}", highlight=False)

    document = {"alias": str(given), "environments": [env_id._asdict() for env_id in ids]}
    session.give(Answer(lines=list, document=lambda: document, view=show))
