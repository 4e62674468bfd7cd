"""``metaflow environment resolve``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from metaflow._vendor import click

from ...engine.alias import Alias, step_name
from ...engine.obtain import Obtained
from ...host import compat
from ...host.commands import view
from ...host.commands.describing import ENVIRONMENT, PYPROJECT, REQUIREMENTS, Description, wanted
from ...host.commands.flags import flag
from ...host.commands.inventory import Inventory
from ...host.commands.naming import settle
from ..session import Answer, Session, shared_options

if TYPE_CHECKING:
    from rich.console import Console

_FILE = click.Path(exists=True, dir_okay=False)


@click.command(short_help="Resolve an environment.")
@click.option("-r", "--requirement", metavar="FILE", type=_FILE, help="A requirements.txt.")
@click.option("-f", "--file", metavar="FILE", type=_FILE, help="An environment.yml.")
@click.option("-p", "--pyproject", metavar="FILE", type=_FILE, help="A pyproject.toml.")
@click.option("--extra", metavar="NAME", multiple=True, help="An extra of the pyproject.toml; may be repeated.")
@click.option("--group", metavar="NAME", multiple=True, help="One of its dependency groups; may be repeated.")
@click.option(
    "--python", metavar="VERSION", default="", help="Python: 3.11 is any 3.11. Default: the one that runs this."
)
@click.option(
    "--using", metavar="NAME", default="", help="Extend that environment: each of its packages stays as it is."
)
@click.option("--using-pathspec", metavar="STEP", default="", help="Extend the one that Flow/Run/Step[/Task] ran in.")
@click.option("--from", "cloned", metavar="NAME", default="", help="Resolve the requirements of that environment anew.")
@click.option("--from-pathspec", "cloned_pathspec", metavar="STEP", default="", help="Those of Flow/Run/Step[/Task].")
@click.option("--arch", metavar="ARCH", multiple=True, help="The platform; may be repeated. Default: this machine's.")
@click.option(
    "--alias", metavar="NAME[:TAG]", multiple=True, help="Give it a name, for all platforms; may be repeated."
)
@flag("--force", "Resolve even what is known.")
@flag("--dry-run", "Resolve and show, and keep nothing.")
@click.option(
    "--set-default/--no-set-default", default=True, help="Let flows with the same requirements take it from now on."
)
@flag("--skip-metaflow-deps", "Leave out what Metaflow needs: no step can run in it.")
@shared_options(local_only=True)
@click.pass_context
def command(ctx: Any, **options: Any) -> None:
    """Resolve an environment from a file, from a version of Python, or from another environment.

    Every package is pinned to one file with its hash. What is known already is shown as it is.
    """
    _check(options)
    session = Session(ctx.obj, options)
    aliases = tuple(Alias.parse(text) for text in options["alias"])
    described = _description(options, compat.needs(session.datastore) if not options["skip_metaflow_deps"] else {})
    found = settle(
        wanted(described, session.bench),
        described.who,
        session.bench,
        needs=described.needs,
        aliases=aliases,
        force=options["force"],
        default=options["set_default"],
        dry_run=options["dry_run"],
    )
    _tell(found, aliases, session, dry_run=options["dry_run"])
    session.give(_answer(found, aliases, session, dry_run=options["dry_run"]))


def _tell(found: list[Obtained], aliases: tuple[Alias, ...], session: Session, *, dry_run: bool) -> None:
    if found and not any(item.new for item in found):
        session.say("    known already; --force resolves it again")
    named = ", ".join(map(str, aliases))
    if dry_run:
        session.say(f"    dry run: nothing was kept{', and no name given' if named else ''}")
    elif named:
        session.say(f"    named {named}")


_CONTRADICTIONS = (
    (("requirement", "file", "pyproject"), "name one file: -r, -f or -p"),
    (("using", "using_pathspec"), "name one environment to extend: --using or --using-pathspec"),
    (("cloned", "cloned_pathspec"), "name one environment to take requirements from: --from or --from-pathspec"),
)


def _check(options: dict[str, Any]) -> None:
    """Raise a usage error where options contradict each other, or say nothing."""
    for names, message in _CONTRADICTIONS:
        if sum(bool(options[name]) for name in names) > 1:
            raise click.UsageError(message)
    file = options["requirement"] or options["file"] or options["pyproject"]
    using = options["using"] or options["using_pathspec"]
    cloned = options["cloned"] or options["cloned_pathspec"]
    problems = (
        (
            using and cloned,
            "--using extends an environment as it is, --from resolves its requirements anew: choose one",
        ),
        (
            cloned and file,
            "--from takes all requirements from an environment: leave out the file, or extend by --using",
        ),
        (options["python"] and (using or cloned), "--python: the version is that of the environment that is named"),
        (using and not file, "--using: say what to add by -r, -f or -p; another name is given by 'alias'"),
        ((options["extra"] or options["group"]) and not options["pyproject"], "--extra and --group belong to -p"),
        (not (file or using or cloned or options["python"]), "say what to resolve: -r, -f, -p, --python, or --from"),
        (options["skip_metaflow_deps"] and cloned, "--skip-metaflow-deps: --from takes requirements as they are"),
    )
    for wrong, message in problems:
        if wrong:
            raise click.UsageError(message)


def _description(options: dict[str, Any], needs: dict[str, str]) -> Description:
    kinds = {"requirement": REQUIREMENTS, "file": ENVIRONMENT, "pyproject": PYPROJECT}
    option = next((option for option in kinds if options[option]), None)
    return Description(
        file=options[option] if option else "",
        kind=kinds[option] if option else "",
        extras=options["extra"],
        groups=options["group"],
        python=options["python"],
        using=options["using"] or step_name(options["using_pathspec"]),
        cloned=options["cloned"] or step_name(options["cloned_pathspec"]),
        arches=options["arch"],
        needs=needs,
    )


def _answer(found: list[Obtained], aliases: tuple[Alias, ...], session: Session, *, dry_run: bool) -> Answer:
    inventory = Inventory(session.bench, session.warn)
    known = [inventory.facts(item.environment) for item in found]

    def lines() -> list[str]:
        return [text for facts in known for text in (facts.environment.env_id.arch, view.line(facts))]

    def document() -> dict[str, Any]:
        pairs = zip(found, known, strict=True)
        return {
            "environments": [
                {"arch": facts.environment.env_id.arch, "new": item.new, "environment": view.document(facts)}
                for item, facts in pairs
            ],
            "aliases": [str(alias) for alias in aliases],
            "dry_run": dry_run,
        }

    def show(console: Console) -> None:
        for number, facts in enumerate(known):
            if number:
                console.print()
            view.show(console, facts, f"Environment for {facts.environment.env_id.arch}" if len(known) > 1 else "")

    return Answer(lines=lines, document=document, view=show)
