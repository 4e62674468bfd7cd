"""The engine on this machine: its parts wired, its progress told, its work ended when we leave."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path

from ..engine import build, formats
from ..engine import cache as caching
from ..engine import create as creation
from ..engine import obtain as obtaining
from ..engine.catalog import Catalog
from ..engine.errors import CreateError, ExtensionError, ResolveError, unwritable
from ..engine.identity import EnvID
from ..engine.lookup import Lookup
from ..engine.obtain import Obtained, Trust
from ..engine.ports import Prefix
from ..engine.request import Request
from ..engine.resolved import ResolvedEnvironment
from . import compat, outside, progress, tasks
from .background import Background
from .settings import NAMES, SYSROOTS, Settings, read
from .wiring import Wiring


class Workbench:
    """What flows and commands share; constructing does nothing.

    Args:
        echo: Metaflow's way to talk to people.
        values: settings that take the place of the configured ones, by name without ``METAFLOW_``.
        local_only: whether the shared store stays untouched.
        datastore: the kind of datastore that the store which is shared with others lies in.
    """

    def __init__(
        self,
        echo: progress.Echo,
        *,
        values: Mapping[str, str] | None = None,
        local_only: bool = False,
        datastore: str = "local",
    ) -> None:
        self.echo = echo
        self.datastore = datastore
        self.values = values or {}
        self._local_only = local_only
        self._shared: set[EnvID] = set()
        self.background = Background(lambda: self.wiring.end_programs() if "wiring" in self.__dict__ else None)

    @cached_property
    def settings(self) -> Settings:
        """The configuration."""
        values = {**compat.configured(NAMES + SYSROOTS), **self.values}
        return read(values, os.environ, outside.read)

    @cached_property
    def wiring(self) -> Wiring:
        """The adapters."""
        root = Path(compat.local_root(self.echo)) / "conda_v2"
        return Wiring(self.settings, root, None if self._local_only else self.datastore)

    @cached_property
    def report(self) -> progress.LineReporter:
        """What tells people how the work goes."""
        return progress.reporter(self.echo)

    @cached_property
    def lookup(self) -> Lookup:
        """Where the names of environments are looked up."""
        return Lookup(catalog=self.wiring.catalog, task_env_id=tasks.env_id, packaged=tasks.packaged)

    @property
    def trust(self) -> Trust:
        """Whose environments are taken for specs that are not known here."""
        return Trust() if self._local_only else self.settings.trust

    def obtain(
        self, requests: Mapping[Request, str], needs: Mapping[str, str], *, force: bool = False
    ) -> dict[Request, Obtained]:
        """Return an environment for each request: the one that is known, else one resolved now and not yet kept.

        The values of *requests* say who asks; *needs* are Metaflow's own packages, for messages.
        """
        known = {} if force else obtaining.known(requests, self.wiring.catalog, self.trust)
        if len(known) == len(requests):
            return obtaining.obtain(requests, known, lambda: self.wiring.resolver, self.report)
        if any(request.spec.pypi for request in requests if request not in known):
            for sentence in self.wiring.indexes.skipped:
                self.echo(f"    {sentence}", bold=False)
        with _telling(needs), self.background.interruptible(), self.report.live():
            return obtaining.obtain(requests, known, lambda: self.wiring.resolver, self.report)

    def keep(
        self, obtained: Mapping[Request, Obtained], *, default: bool = True, also: Iterable[ResolvedEnvironment] = ()
    ) -> None:
        """Keep what was resolved just now; with *default* its spec resolves to it from now on.

        What the shared store lacks of these environments, and of *also*, is put there: see `share`.
        """
        catalog = self.wiring.catalog
        # Here first: what was resolved is not lost where the packages cannot be had now.
        obtaining.keep(obtained, Catalog(catalog.store), default=default)
        known = [item.environment for item in obtained.values() if not item.new]
        late = self.share([*known, *also], new=[item.environment for item in obtained.values() if item.new])
        obtaining.keep(obtained, catalog, default=default)
        for request, item in obtained.items():
            if default and not item.new and item.environment.env_id in late:
                catalog.offer(request.spec.req_id, item.environment)

    def share(
        self, environments: Iterable[ResolvedEnvironment], *, new: Iterable[ResolvedEnvironment] = ()
    ) -> set[EnvID]:
        """Put what the shared store lacks of *environments* there, packages first; return whose that was.

        The store has all packages of those that it has the document of; of *new* ones, each is looked for.
        Raises PackageError, StoreError, CreateError; what was stored by then is not stored again the next time.
        """
        store, fresh = self.wiring.catalog.shared, {item.env_id: item for item in new}
        asked = {**{item.env_id: item for item in environments}, **fresh}
        wanted = [item for env_id, item in asked.items() if env_id not in self._shared]
        if store is None or not wanted:
            return set()
        missing = caching.lacking(wanted, store)
        doubtful = [item for item in wanted if item in missing or item.env_id in fresh]
        if doubtful:
            title = f"Caching packages in {store.where('packages').rpartition('/')[0]}"
            try:
                with self.background.interruptible(), self.report.live():
                    caching.cache(doubtful, store, self.wiring.archives, self.report, title=title)
                    if self.wiring.formatter is not None:
                        formats.forms(doubtful, self.wiring.formatter, self.report)
            except OSError as error:
                raise unwritable("", error) from error
            build.publish(doubtful, store)
        for environment in missing:
            self.wiring.catalog.add(environment, default=False)
        self._shared.update(asked)
        return {environment.env_id for environment in missing}

    def environment(self, env_id: EnvID) -> ResolvedEnvironment:
        """Return the environment of that id; raise CreateError where it is not known."""
        found = self.wiring.catalog.find(env_id)
        if found is None:
            raise CreateError(f"the environment {':'.join(env_id[:2])} is not known here", "resolve it again")
        return found

    def create(self, environment: ResolvedEnvironment, *, title: str, name: str = "", replace: bool = False) -> Prefix:
        """Return the prefix of *environment*, created if need be, while people see how it goes."""
        found = creation.find(environment, self.wiring.prefixes, name=name)
        if found is not None:
            return found
        with self.background.interruptible(), self.report.live():
            return creation.create(
                environment, self.wiring.creator, self.report, title=title, name=name, replace=replace
            )


def check_whole(prefix: Prefix) -> None:
    """Raise CreateError where *prefix* has lost its Python."""
    if not prefix.python.exists():
        raise CreateError(f"'{prefix.path}' is damaged: it has no bin/python", "remove it: it will be made again")


@contextlib.contextmanager
def _telling(needs: Mapping[str, str]) -> Iterator[None]:
    """Say of packages that a solver's explanation names which of them Metaflow itself asks for."""
    try:
        yield
    except ResolveError as error:
        named_too = [
            f"{name} {version}" for name, version in needs.items() if re.search(rf"(?<![\w.-]){name}\b", error.message)
        ]
        if not named_too:
            raise
        raise ResolveError(f"{error.message}\n- Metaflow itself needs {', '.join(named_too)}", error.hint) from None


@contextlib.contextmanager
def at(where: str) -> Iterator[None]:
    """Put the place into the message of an error."""
    try:
        yield
    except ExtensionError as error:
        raise type(error)(f"{where}: {error.message}", error.hint) from None
