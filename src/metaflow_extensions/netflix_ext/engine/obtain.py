"""Environments for specs: those that are known, the others resolved. Every command and every run comes through here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from .catalog import Catalog
from .events import Reporter
from .request import Request
from .resolve import Resolver, resolve
from .resolved import ResolvedEnvironment


@dataclass(frozen=True, slots=True, kw_only=True)
class Obtained:
    """An environment, and whether it was resolved just now."""

    environment: ResolvedEnvironment
    new: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Whose environments are taken for a spec that is not known here: ``users`` None is anybody's, () nobody's."""

    users: tuple[str, ...] | None = ()

    def find(self, catalog: Catalog, request: Request) -> ResolvedEnvironment | None:
        """Return what one of them has resolved the spec to last; or None."""
        if self.users == ():
            return None
        return catalog.newest(request.spec.req_id, request.arch, self.users)

    def adopt(self, catalog: Catalog, request: Request) -> ResolvedEnvironment | None:
        """Return the same, kept here from now on."""
        found = self.find(catalog, request)
        if found is not None:
            catalog.fetch(found, default=True, req_id=request.spec.req_id)
        return found


def seen(request: Request, catalog: Catalog, trust: Trust) -> ResolvedEnvironment | None:
    """Return what *request* would come to without being resolved, or None; nothing is kept."""
    return catalog.default(request.spec.req_id, request.arch) or trust.find(catalog, request)


def known(requests: Iterable[Request], catalog: Catalog, trust: Trust) -> dict[Request, ResolvedEnvironment]:
    """Return those that need not be resolved."""
    found = {}
    for request in requests:
        environment = catalog.default(request.spec.req_id, request.arch) or trust.adopt(catalog, request)
        if environment is not None:
            found[request] = environment
    return found


def obtain(
    requests: Mapping[Request, str],
    known: Mapping[Request, ResolvedEnvironment],
    resolver: Callable[[], Resolver],
    report: Reporter,
) -> dict[Request, Obtained]:
    """Resolve what is not *known*, all at once; the values of *requests* say who asks, for messages.

    Nothing is kept: `keep` does that. Raises the errors of `resolve.resolve`.
    """
    missing = {request: who for request, who in requests.items() if request not in known}
    new = resolve(missing, resolver(), report) if missing else {}
    return {
        request: Obtained(environment=new[request] if request in new else known[request], new=request in new)
        for request in requests
    }


def keep(obtained: Mapping[Request, Obtained], catalog: Catalog, *, default: bool = True) -> None:
    """Keep what was resolved just now; with *default* its spec resolves to it from now on."""
    for request, item in obtained.items():
        if item.new:
            catalog.add(item.environment, default=default, req_id=request.spec.req_id)
