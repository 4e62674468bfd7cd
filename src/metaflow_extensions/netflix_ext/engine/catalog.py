"""What is known of environments: documents, pointers and names in a store, and in one that is shared with others.

Imports on Python 3.7 (step side).
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .alias import Alias
from .errors import AliasError, SchemaError, StoreError
from .history import History, ManifestFile
from .identity import EnvID, parse_env_id
from .layout import alias_key, environment_key, latest_by_key, latest_key
from .legacy import read as read_document
from .resolved import ResolvedEnvironment

if TYPE_CHECKING:
    from .ports import Store


@dataclass(frozen=True)
class Pointer:
    """What a pointer or an alias says: the environment, who set it, and when (UTC, ISO 8601; both may be empty)."""

    env_id: EnvID
    by: str = ""
    on: str = ""

    @classmethod
    def to(cls, environment: ResolvedEnvironment) -> Pointer:
        """Return the pointer to *environment*, set by who resolved it, when that was."""
        facts = environment.provenance
        return cls(env_id=environment.env_id, by=facts.get("by", ""), on=facts.get("on", ""))

    def to_bytes(self) -> bytes:
        """Return it as it is stored."""
        values = {"req_id": self.env_id.req_id, "full_id": self.env_id.full_id, "by": self.by, "on": self.on}
        return (json.dumps(values, sort_keys=True) + "\n").encode("utf-8")

    @classmethod
    def from_bytes(cls, data: bytes, where: str, *, req_id: str, arch: str) -> Pointer:
        """Read it; *req_id* is meant where it names none. Raises StoreError with *where* in it."""
        try:
            values: dict[str, Any] = json.loads(data.decode("utf-8"))
            env_id = parse_env_id([values.get("req_id", req_id), values["full_id"], arch])
            return cls(env_id=env_id, by=str(values.get("by") or ""), on=str(values.get("on") or ""))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise StoreError(
                f"{where}: not a pointer to an environment ({error})", "remove it, or write it anew"
            ) from None


class Catalog:
    """Environments by id, by the spec they were resolved from, and by name.

    What a spec resolves to is decided by *store* alone: others' choices are theirs. A name that may move means what
    *shared* says, where there is one. What 1.x has left there, and in *manifest*, is known too, where it is asked for
    and nothing of ours answers; it is never written.
    """

    def __init__(self, store: Store, shared: Store | None = None, manifest: ManifestFile | None = None) -> None:
        self.store = store
        self.shared = shared
        self.history = History(self.stores, manifest or ManifestFile())

    @property
    def stores(self) -> tuple[Store, ...]:
        """The stores it reads, nearest first."""
        return (self.store,) if self.shared is None else (self.store, self.shared)

    def find(self, env_id: EnvID) -> ResolvedEnvironment | None:
        """Return the environment of that id, or None; raise StoreError where no store has a sound document of it."""
        damage: StoreError | None = None
        for store in self.stores:
            try:
                found = read(store, env_id)
            except StoreError as error:
                damage = damage or error
            else:
                if found is not None:
                    return found
        if damage is not None:
            raise damage
        return self.history.find(env_id)

    def default(self, req_id: str, arch: str) -> ResolvedEnvironment | None:
        """Return what a spec was resolved to last; None where that is unknown, or where its record is damaged.

        A damaged record is no loss: the spec is resolved again.
        """
        try:
            pointer = self.default_pointer(req_id, arch)
            return self.find(pointer.env_id) if pointer is not None else None
        except StoreError:
            return None

    def default_pointer(self, req_id: str, arch: str) -> Pointer | None:
        """Return what says what a spec was resolved to last, or None; raise StoreError where it is damaged."""
        return _pointer(self.store, latest_key(req_id, arch), req_id=req_id, arch=arch)

    def newest(self, req_id: str, arch: str, users: Sequence[str] | None) -> ResolvedEnvironment | None:
        """Return what a spec was resolved to last by one of *users* (None: by anybody), as *shared* tells, or None."""
        if self.shared is None:
            return None
        keys = [latest_key(req_id, arch)] if users is None else [latest_by_key(req_id, arch, user) for user in users]
        found = []
        for key in keys:
            with contextlib.suppress(StoreError):
                found.append(_pointer(self.shared, key, req_id=req_id, arch=arch))
        for pointer in sorted((item for item in found if item is not None), key=lambda item: item.on, reverse=True):
            with contextlib.suppress(StoreError):
                environment = self.find(pointer.env_id)
                if environment is not None:
                    return environment
        return None

    def add(self, environment: ResolvedEnvironment, *, default: bool = True, req_id: str = "") -> None:
        """Keep an environment; with *default* the spec *req_id* (its own if empty) resolves to it from now on.

        A document that is there already stays, unless it is damaged. One of 1.x is kept in *store* alone: it is in
        *shared* as 1.x has written it, or nowhere.
        """
        for store in (self.store,) if environment.legacy else reversed(self.stores):
            _keep(store, environment)
        if default:
            self.point(req_id or environment.env_id.req_id, environment)

    def fetch(self, environment: ResolvedEnvironment, *, default: bool, req_id: str = "") -> None:
        """Keep what others have resolved in *store* as well; with *default* as in `add`, and *shared* is left alone."""
        Catalog(self.store).add(environment, default=default, req_id=req_id)

    def point(self, req_id: str, environment: ResolvedEnvironment) -> None:
        """Let the spec *req_id* resolve to *environment*, which is kept already, from now on."""
        pointer, arch = Pointer.to(environment), environment.env_id.arch
        data = pointer.to_bytes()
        if self.shared is not None and not (environment.legacy and req_id == environment.env_id.req_id):
            self.shared.put(latest_by_key(req_id, arch, pointer.by), data, overwrite=True)
            self.shared.put(latest_key(req_id, arch), data, overwrite=True)
        self.store.put(latest_key(req_id, arch), data, overwrite=True)

    def offer(self, req_id: str, environment: ResolvedEnvironment) -> None:
        """Let the spec *req_id* resolve to *environment* in *shared*, where it resolves to nothing there."""
        if self.shared is not None and not environment.legacy:
            pointer, arch = Pointer.to(environment), environment.env_id.arch
            self.shared.put(latest_by_key(req_id, arch, pointer.by), pointer.to_bytes())
            self.shared.put(latest_key(req_id, arch), pointer.to_bytes())

    def alias(self, alias: Alias, arch: str) -> Pointer | None:
        """Return what *alias* means on *arch*, or None; raise StoreError where its record is damaged."""
        stores = tuple(reversed(self.stores)) if alias.moves else self.stores
        key = alias_key(alias.name, alias.tag, arch)
        for store in stores:
            found = _pointer(store, key, arch=arch)
            if found is not None:
                return found
        before = self.history.alias(alias, arch)
        return Pointer(env_id=before) if before is not None else None

    def arches(self, alias: Alias) -> tuple[str, ...]:
        """Return the platforms that *alias* has an environment for."""
        folder = alias_key(alias.name, alias.tag, "")
        found = {arch for store in self.stores for arch in _files(store, folder)}
        return tuple(sorted(found)) or self.history.arches(alias)

    def publish(self, alias: Alias, pointer: Pointer) -> None:
        """Let *alias* mean an environment, which is kept already, on its platform.

        Raises AliasError where the alias is final and means another one, whoever was first.
        """
        arch = pointer.env_id.arch
        key = alias_key(alias.name, alias.tag, arch)
        for store in reversed(self.stores):
            store.put(key, pointer.to_bytes(), overwrite=alias.moves)
            if alias.moves:
                continue
            # Read back: of two who publish at once, the second finds what the first has written.
            there = Pointer.from_bytes(store.get(key) or b"", store.where(key), req_id="", arch=arch)
            if there.env_id != pointer.env_id:
                raise final(alias, there)

    def aliases(self, *, history: bool = True) -> Iterator[tuple[Alias, str]]:
        """Yield every alias with every platform that it has an environment for; without *history* ours alone."""
        seen = set()
        for store in self.stores:
            for alias, arch in _aliases(store, "envs/aliases/"):
                if (alias, arch) not in seen:
                    seen.add((alias, arch))
                    yield alias, arch
        if history:
            yield from (item for item in self.history.aliases() if item not in seen)

    def ids(self, arch: str | None = None, req_id: str | None = None) -> Iterator[EnvID]:
        """Yield the id of every environment that a store has a place for, each once; of one platform, of one spec."""
        seen = set()
        for store in self.stores:
            for env_id in _ids(store, arch, req_id):
                if env_id not in seen:
                    seen.add(env_id)
                    yield env_id
        if not (req_id and seen):
            old = (env_id for env_id in self.history.ids(arch) if req_id in (None, env_id.req_id))
            yield from (env_id for env_id in old if env_id not in seen)


def read(store: Store, env_id: EnvID) -> ResolvedEnvironment | None:
    """Return the environment of that id from *store*, or None; raise StoreError where its document is damaged."""
    key = environment_key(env_id)
    data = store.get(key)
    if data is None:
        return None
    found = read_document(data, env_id, store.where(key))
    if found.env_id != env_id:
        raise StoreError(
            f"{store.where(key)}: it holds another environment, {':'.join(found.env_id)}", "resolve it again"
        )
    return found


def _keep(store: Store, environment: ResolvedEnvironment) -> None:
    try:
        read(store, environment.env_id)
        damaged = False
    except StoreError as error:
        damaged = not isinstance(error, SchemaError)  # what a newer version has written stays
    store.put(environment_key(environment.env_id), environment.to_bytes(), overwrite=damaged)


def _pointer(store: Store, key: str, *, req_id: str = "", arch: str) -> Pointer | None:
    data = store.get(key)
    return None if data is None else Pointer.from_bytes(data, store.where(key), req_id=req_id, arch=arch)


def final(alias: Alias, there: Pointer) -> AliasError:
    """Return the error that a final *alias* means what *there* says, and nothing else."""
    who = f", set by {there.by}" if there.by else ""
    return AliasError(
        f"the alias '{alias}' is final, and on {there.env_id.arch} it means {':'.join(there.env_id[:2])}{who}",
        "choose another tag; those that may move are latest, candidate and stable",
    )


def _aliases(store: Store, folder: str) -> Iterator[tuple[Alias, str]]:
    for key in store.list(folder):
        part = key.rstrip("/").rpartition("/")[2]
        if not key.endswith("/"):
            continue
        if part.startswith("@"):
            with contextlib.suppress(AliasError):  # else nobody could ask for it
                alias = Alias.parse(f"{folder.removeprefix('envs/aliases/').rstrip('/')}:{part[1:]}")
                yield from ((alias, arch) for arch in _files(store, key))
        else:
            yield from _aliases(store, key)


def _files(store: Store, folder: str) -> Iterator[str]:
    yield from (key.rpartition("/")[2] for key in store.list(folder) if not key.endswith("/"))


def _ids(store: Store, arch: str | None, req_id: str | None) -> Iterator[EnvID]:
    arches = [f"envs/{arch}/"] if arch else [key for key in store.list("envs/") if key != "envs/aliases/"]
    specs = (spec for folder in arches for spec in ([f"{folder}{req_id}/"] if req_id else store.list(folder)))
    keys = (key for spec in specs if spec.endswith("/") for key in store.list(spec))
    for key in keys:
        parts = key.rstrip("/").split("/")
        try:
            found = parse_env_id([parts[2], parts[3], parts[1]])
        except ValueError:
            continue
        if key.endswith("/"):
            yield found
