"""What ``python flow.py environment resolve`` and ``show`` print: gather the steps, call the engine, show it."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...engine import obtain as obtaining
from ...engine.alias import Alias, shown_name
from ...engine.errors import AliasError, ExtensionError
from ...engine.identity import EnvID
from ...engine.platform import check_arch
from ...engine.resolved import ResolvedEnvironment
from .. import progress, steps
from ..workbench import Workbench
from . import naming, view
from .describing import Wanted
from .inventory import SHARED, Facts, Inventory

_WORDS = {
    "fetched": "fetched at execution of {}",
    "named": "the environment {}",
    "derived": "derived from {}",
    "created": "created here",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    """One step on one platform: how it stands with its environment, as far as there is one."""

    step: str
    arch: str
    states: tuple[str, ...] = ()
    named: str = ""
    fetched: str = ""
    new: bool = False
    facts: Facts | None = None
    error: ExtensionError | None = None

    @property
    def words(self) -> str:
        """How it stands, for people."""
        if self.error is not None:
            return f"failed: {self.error.message}"
        name = shown_name(self.named or self.fetched)
        return ", ".join(_WORDS.get(state, state).format(name) for state in self.states)

    def document(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "arch": self.arch,
            "states": list(self.states),
            "named": self.named,
            "fetched": self.fetched,
            "new": self.new,
            "environment": view.document(self.facts) if self.facts is not None else None,
            "error": self.error.message if self.error is not None else None,
        }


def answer(what: str, question: Mapping[str, Any], options: Mapping[str, Any], echo: progress.Echo) -> dict[str, str]:
    """Return what the command *what* prints, as ``json``, as ``lines`` for programs, and as a ``view`` for people.

    *question* is that of `flow.question`, for the steps that are meant. Raises what a run raises.
    """
    bench = Workbench(echo, local_only=options["local_only"], datastore=str(question["datastore"]))
    arches: tuple[str | None, ...] = tuple(map(check_arch, options["arch"])) or (None,)
    shown = (
        _resolved(question, options, bench, arches) if what == "resolve" else list(_looked_at(question, bench, arches))
    )
    lines = _resolved_lines(shown) if what == "resolve" else _shown_lines(shown)
    by_step: dict[str, dict[str, Any]] = {}
    for item in shown:
        by_step.setdefault(item.step, {})[item.arch] = item.document()
    return {
        "json": view.json_text({"steps": by_step}) + "\n",
        "lines": "".join(f"{line}\n" for line in lines),
        "view": _readable(shown),
    }


def _resolved(
    question: Mapping[str, Any], options: Mapping[str, Any], bench: Workbench, arches: Sequence[str | None]
) -> list[_Shown]:
    aliases = tuple(Alias.parse(text) for text in options["alias"])
    found = [step for arch in arches for step in steps.read(question, bench, arch=arch).values()]
    having = [step for step in found if step.request is not None or step.base is not None]
    _check_one(aliases, having)
    wanted = [
        Wanted(arch=step.arch, request=step.request, environment=step.base if step.request is None else None)
        for step in having
    ]
    settled = naming.settle(
        wanted,
        steps.asking(found),
        bench,
        needs=question["needs"],
        aliases=aliases,
        force=options["force"],
        default=options["set_default"],
        dry_run=options["dry_run"],
    )
    if options["dry_run"]:
        bench.echo(f"    dry run: nothing was kept{', and no name given' if aliases else ''}", bold=False)
    if not any(item.new for item in settled):
        bench.echo("    No environments to resolve: all are known; --force resolves them again", bold=False)
    inventory = Inventory(bench)
    by_step = {(step.name, step.arch): item for step, item in zip(having, settled, strict=True)}
    shown = []
    for step in found:
        item = by_step.get((step.name, step.arch))
        environment, new = (item.environment, item.new) if item is not None else (None, False)
        shown.append(_shown(step, environment, inventory, new=new))
    return shown


def _check_one(aliases: Sequence[Alias], having: Sequence[steps.Step]) -> None:
    """Raise AliasError where the aliases would mean several environments on a platform, or none at all."""
    if aliases and not having:
        raise AliasError(
            f"{', '.join(map(str, aliases))} cannot name an environment: the steps have none yet",
            "name steps that are not disabled, and whose environment is not chosen when their tasks start",
        )
    asked: dict[str, set[Any]] = {}
    for step in having:
        asked.setdefault(step.arch, set()).add(
            step.request if step.request is not None else step.base and step.base.env_id
        )
    several = [arch for arch, environments in asked.items() if len(environments) > 1]
    if aliases and several:
        raise AliasError(
            f"{', '.join(map(str, aliases))} cannot name the {len(asked[several[0]])} environments that the steps ask "
            f"for on {several[0]}",
            "name the steps that share one: environment resolve --alias ... STEP",
        )


def _looked_at(question: Mapping[str, Any], bench: Workbench, arches: Sequence[str | None]) -> list[_Shown]:
    """Return how each step stands; nothing is resolved, and what is wrong is told step by step."""
    inventory, shown = Inventory(bench), []
    for arch in arches:
        for name, facts in question["steps"].items():
            try:
                step = steps.read({**question, "steps": {name: facts}}, bench, arch=arch)[name]
            except ExtensionError as error:
                shown.append(_Shown(step=name, arch=arch or bench.wiring.machine.arch(), error=error))
                continue
            known = step.base
            if step.request is not None:
                known = obtaining.seen(step.request, bench.wiring.catalog, bench.trust)
            shown.append(_shown(step, known, inventory))
    return shown


def _shown(
    step: steps.Step, environment: ResolvedEnvironment | None, inventory: Inventory, *, new: bool = False
) -> _Shown:
    if step.disabled:
        return _Shown(step=step.name, arch=step.arch, states=("disabled",))
    if step.fetched:
        return _Shown(step=step.name, arch=step.arch, states=("fetched",), fetched=step.fetched)
    facts = inventory.facts(environment) if environment is not None else None
    # An extension that turned out to add nothing is the environment itself.
    extends = step.base is not None and (environment is None or environment.env_id != step.base.env_id)
    states = [("derived" if extends else "named")] if step.named else []
    states.append("resolved" if facts is not None else "unresolved")
    if facts is not None and SHARED in facts.known.stores:
        states.append("cached")
    if facts is not None and facts.known.prefixes:
        states.append("created")
    return _Shown(step=step.name, arch=step.arch, states=tuple(states), named=step.named, facts=facts, new=new)


def _resolved_lines(shown: Sequence[_Shown]) -> list[str]:
    """Return for each environment a line with its steps, and its own line."""
    found: dict[EnvID, tuple[list[str], Facts]] = {}
    for item in shown:
        if item.facts is not None:
            found.setdefault(item.facts.environment.env_id, ([], item.facts))[0].append(item.step)
    return [line for names, facts in found.values() for line in (",".join(names), view.line(facts))]


def _shown_lines(shown: Sequence[_Shown]) -> list[str]:
    """Return for each step three lines: its name, how it stands, its environment's line or an empty one."""
    found = []
    for item in shown:
        words = " ".join(item.words.split())
        state = f"ERR {words}" if item.error else f"OK{'+ENV' if item.facts else ''} Environment is {words}."
        found += [item.step, state, view.line(item.facts) if item.facts is not None else ""]
    return found


def _readable(shown: Sequence[_Shown]) -> str:
    text = io.StringIO()
    console = view.console(text)
    told: set[EnvID] = set()
    for item in shown:
        text.write(f"Step {item.step} on {item.arch}: {item.words}\n")
        if item.error is not None:
            text.write(f"    hint: {item.error.hint}\n")
        if item.facts is not None:
            env_id = item.facts.environment.env_id
            if env_id in told:
                text.write(f"Id        {':'.join(env_id[:2])}, as above\n")
            else:
                view.show(console, item.facts)
            told.add(env_id)
        text.write("\n")
    return text.getvalue()
