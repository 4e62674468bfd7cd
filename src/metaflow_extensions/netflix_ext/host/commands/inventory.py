"""Which environments are known here and in the shared store, and what is known of them."""

from __future__ import annotations

import gc
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ...engine.alias import Alias
from ...engine.catalog import Catalog, read
from ...engine.create import marked
from ...engine.errors import StoreError
from ...engine.identity import EnvID
from ...engine.layout import environment_key
from ...engine.outline import Outline
from ...engine.ports import Store
from ...engine.resolved import ResolvedEnvironment
from ..workbench import Workbench

LOCAL, SHARED = "local", "shared"
_OWN_NAME = re.compile(r"metaflow_[0-9a-f]{40}_[0-9a-f]{40}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of an environment beside its document.

    Attributes:
        aliases: its names
        arches: the platforms that its spec has been resolved for, its own among them
        default: whether its spec resolves to it on this machine
        stores: where its document is: ``local``, ``shared``
        prefixes: where it is created on this machine
    """

    aliases: tuple[Alias, ...] = ()
    arches: tuple[str, ...] = ()
    default: bool = False
    stores: tuple[str, ...] = ()
    prefixes: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An environment in a list."""

    outline: Outline
    known: Known


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """An environment, and what is known of it."""

    environment: ResolvedEnvironment
    known: Known

    @property
    def entry(self) -> Entry:
        """The same in short."""
        return Entry(outline=_outline(self.environment), known=self.known)


class Inventory:
    """What is known at the time of asking; what is damaged is told to *tell*, and passed over."""

    def __init__(self, bench: Workbench, tell: Callable[[StoreError], None] = lambda _: None) -> None:
        self._catalog = bench.wiring.catalog
        self._prefixes = bench.wiring.prefixes
        self._tell = tell

    @property
    def _stores(self) -> Iterator[tuple[str, Store]]:
        yield from zip((LOCAL, SHARED), self._catalog.stores, strict=False)

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except StoreError as error:
            self._tell(error)

    @cached_property
    def _aliases(self) -> Mapping[EnvID, list[Alias]]:
        return self._named(self._catalog.aliases(history=False))

    @cached_property
    def _older_aliases(self) -> Mapping[EnvID, list[Alias]]:
        return self._named(self._catalog.history.aliases())

    def _named(self, names: Iterable[tuple[Alias, str]]) -> dict[EnvID, list[Alias]]:
        found: dict[EnvID, list[Alias]] = {}
        for alias, arch in names:
            with self._telling():
                pointer = self._catalog.alias(alias, arch)
                if pointer is not None:
                    found.setdefault(pointer.env_id, []).append(alias)
        return found

    @cached_property
    def _created(self) -> Mapping[EnvID, list[Path]]:
        found: dict[EnvID, list[Path]] = {}
        for name in self._prefixes.names():
            mark = marked(self._prefixes, name)
            if mark is not None and (name == mark[0].prefix_name or not _OWN_NAME.fullmatch(name)):
                found.setdefault(mark[0], []).append(self._prefixes.path(name))
        return found

    def facts(self, environment: ResolvedEnvironment) -> Facts:
        """Return what is known of *environment*."""
        env_id = environment.env_id
        key = environment_key(env_id)
        known = self._known(
            env_id,
            legacy=environment.legacy,
            arches={env_id.arch, *(item.arch for item in self._catalog.ids(req_id=env_id.req_id))},
            stores=[name for name, store in self._stores if store.get(key) is not None],
        )
        return Facts(environment=environment, known=known)

    def _names(self, env_id: EnvID, *, legacy: bool) -> tuple[Alias, ...]:
        """Return the names of an environment; those of 1.x, which take longer to find, mean nothing but its own."""
        older = self._older_aliases.get(env_id, ()) if legacy else ()
        return tuple(sorted({*self._aliases.get(env_id, ()), *older}))

    def _known(self, env_id: EnvID, *, legacy: bool = True, arches: Iterable[str], stores: Iterable[str]) -> Known:
        default = None
        with self._telling():
            default = self._catalog.default_pointer(env_id.req_id, env_id.arch)
        return Known(
            aliases=self._names(env_id, legacy=legacy),
            arches=tuple(sorted(arches)),
            default=default is not None and default.env_id == env_id,
            stores=tuple(stores),
            prefixes=tuple(self._created.get(env_id, ())),
        )

    def entries(self, *, arches: Iterable[str] = (), named: str = "", created: bool = False) -> list[Entry]:
        """Return everything that is known, resolved last first.

        Args:
            arches: the platforms that are meant, all if empty
            named: what one of its aliases must hold
            created: whether it must be created on this machine
        """
        held, wanted = self._held(), set(arches)
        if self._catalog.history.fault is not None:
            self._tell(self._catalog.history.fault)
        by_spec: dict[str, set[str]] = {}
        for env_id in held:
            by_spec.setdefault(env_id.req_id, set()).add(env_id.arch)
        found = []
        with _without_collecting():
            for env_id, stores in held.items():
                if (wanted and env_id.arch not in wanted) or not self._is_meant(env_id, named, created=created):
                    continue
                with self._telling():
                    outline = self._outline(env_id, [store for _, store in stores])
                    if outline is not None:
                        names = [name for name, _ in stores]
                        known = self._known(env_id, arches=by_spec[env_id.req_id], stores=names)
                        found.append(Entry(outline=outline, known=known))
        return sorted(found, key=lambda entry: (entry.outline.on, entry.outline.env_id), reverse=True)

    def _is_meant(self, env_id: EnvID, named: str, *, created: bool) -> bool:
        if created and env_id not in self._created:
            return False
        return not named or any(named in str(alias) for alias in self._names(env_id, legacy=True))

    def _held(self) -> dict[EnvID, list[tuple[str, Store]]]:
        """Return every environment with the stores that have a place for it; what only a manifest has is in none."""
        found: dict[EnvID, list[tuple[str, Store]]] = {}
        for name, store in self._stores:
            for env_id in Catalog(store).ids():
                found.setdefault(env_id, []).append((name, store))
        for env_id in self._catalog.history.ids(None):
            found.setdefault(env_id, [])
        return found

    def _outline(self, env_id: EnvID, stores: Iterable[Store]) -> Outline | None:
        """Return the outline of the first sound document; None where a place is empty."""
        for store in stores:
            with self._telling():
                found = _read(store, env_id)
                if found is not None:
                    return found
        environment = self._catalog.history.find(env_id)
        return None if environment is None else _outline(environment)


def _read(store: Store, env_id: EnvID) -> Outline | None:
    key = environment_key(env_id)
    data = store.get(key)
    if data is None:
        return None
    found = Outline.from_bytes(data, env_id)
    if found is not None:
        return found
    environment = read(store, env_id)  # which reads other forms, too, and says what is wrong
    return None if environment is None else _outline(environment)


def _outline(environment: ResolvedEnvironment) -> Outline:
    return Outline.from_document(environment.to_dict(), environment.env_id)


@contextmanager
def _without_collecting() -> Iterator[None]:
    """Leave cycles alone for a while: looking for them doubles the time that reading many documents takes."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()
