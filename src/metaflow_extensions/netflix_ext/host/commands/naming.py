"""Resolve what is asked for, keep it, and give it names, in this order: a name never means what is not there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone

from ...engine.alias import Alias, names_step, shown_name
from ...engine.catalog import Catalog, Pointer, final
from ...engine.errors import AliasError, UnknownError
from ...engine.obtain import Obtained
from ...engine.request import Request
from ...engine.resolved import ResolvedEnvironment
from ..settings import user
from ..workbench import Workbench
from .describing import Wanted


def settle(
    wanted: Iterable[Wanted],
    who: str | Mapping[Request, str],
    bench: Workbench,
    *,
    needs: Mapping[str, str],
    aliases: Sequence[Alias] = (),
    force: bool = False,
    default: bool = True,
    dry_run: bool = False,
) -> list[Obtained]:
    """Return an environment for each platform, kept and named; with *dry_run* nothing is written.

    *who* is what asks, for messages, by request where they differ; with *default* the specs resolve to these
    environments from now on.
    Raises AliasError where a final alias means another environment: then nothing was written either.
    """
    parts = list(wanted)
    requests = {
        part.request: who if isinstance(who, str) else who[part.request] for part in parts if part.request is not None
    }
    obtained = bench.obtain(requests, needs, force=force)
    found = []
    for part in parts:
        if part.request is not None:
            found.append(obtained[part.request])
        elif part.environment is not None:
            found.append(Obtained(environment=part.environment, new=False))
    environments = [item.environment for item in found]
    _check(aliases, environments, bench)
    if not dry_run:
        bench.keep(obtained, default=default, also=environments)
        _publish(aliases, environments, bench)
    return found


def _check(aliases: Iterable[Alias], environments: Iterable[ResolvedEnvironment], bench: Workbench) -> None:
    """Raise AliasError where a final alias means another environment already."""
    every = list(environments)
    for alias in aliases:
        for environment in every:
            there = None if alias.moves else bench.wiring.catalog.alias(alias, environment.env_id.arch)
            if there is not None and there.env_id != environment.env_id:
                raise final(alias, there)


def _publish(aliases: Sequence[Alias], environments: Iterable[ResolvedEnvironment], bench: Workbench) -> None:
    """Let each alias mean *environments*, one a platform, which the stores are made to have before.

    Raises AliasError where somebody else was faster to give a final alias.
    """
    every = list(environments)
    if aliases:
        bench.share(every)
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    for alias in aliases:
        for environment in every:
            bench.wiring.catalog.add(environment, default=False)
            bench.wiring.catalog.publish(alias, Pointer(env_id=environment.env_id, by=user(), on=now))


def rename(name: str, alias: Alias, bench: Workbench, *, arches: Sequence[str] = ()) -> list[ResolvedEnvironment]:
    """Let *alias* mean the environments that *name* means, on *arches* or else on each platform that it has.

    Raises UnknownError where *name* means none, AliasError where a final alias means another one.
    """
    here = bench.wiring.machine.arch()
    wanted = arches or (() if names_step(name) else bench.lookup.arches(name)) or (here,)
    found = [bench.lookup.find(name, arch) for arch in dict.fromkeys(wanted)]
    other = next((item.env_id.arch for item in found if item.env_id.arch not in wanted), None)
    if other is not None and arches:
        raise UnknownError(
            f"'{shown_name(name)}' ran on {other}, and {', '.join(arches)} is asked for", f"write --arch {other}"
        )
    _check([alias], found, bench)
    _publish([alias], found, bench)
    return found


def fetch(name: str, arch: str, bench: Workbench, *, default: bool = True) -> ResolvedEnvironment:
    """Return the environment that *name* means, kept here from now on, and its name with it.

    With *default* its spec resolves to it here from now on. Nothing is written to the shared store.
    """
    catalog = bench.wiring.catalog
    environment = bench.lookup.find(name, arch)
    catalog.fetch(environment, default=default)
    with contextlib.suppress(AliasError):
        alias = Alias.parse(name)
        pointer = catalog.alias(alias, arch)
        if pointer is not None and pointer.env_id == environment.env_id:
            Catalog(catalog.store).publish(alias, pointer)
    return environment
