"""What is known of environments: documents and pointers in a store."""

from __future__ import annotations

import json

from .errors import StoreError
from .identity import EnvID
from .layout import environment_key, latest_key
from .ports import Store
from .resolved import ResolvedEnvironment


class Catalog:
    """Environments by id, and by the spec they were resolved from: in *store*, and in one *shared* with others if any.

    What a spec resolves to is decided by *store* alone: others' choices are theirs.
    """

    def __init__(self, store: Store, shared: Store | None = None) -> None:
        self._store = store
        self._shared = shared

    def find(self, env_id: EnvID) -> ResolvedEnvironment | None:
        """Return the environment of that id, or None; raise StoreError where its document is damaged."""
        key = environment_key(env_id)
        data = self._store.get(key)
        if data is None and self._shared is not None:
            data = self._shared.get(key)
        if data is None:
            return None
        found = ResolvedEnvironment.from_bytes(data, key)
        if found.env_id != env_id:
            raise StoreError(f"{key}: it holds another environment, {':'.join(found.env_id)}", "resolve it again")
        return found

    def default(self, req_id: str, arch: str) -> ResolvedEnvironment | None:
        """Return what a spec was resolved to last; None where that is unknown, or where its record is damaged.

        A damaged record is no loss: the spec is resolved again.
        """
        data = self._store.get(latest_key(req_id, arch))
        if data is None:
            return None
        try:
            return self.find(EnvID(req_id, str(json.loads(data)["full_id"]), arch))
        except (ValueError, KeyError, TypeError, StoreError):
            return None

    def add(self, environment: ResolvedEnvironment, *, default: bool = True) -> None:
        """Keep an environment; with *default* its spec resolves to it from now on.

        A document that is there already stays, unless it is damaged.
        """
        env_id = environment.env_id
        pointer = json.dumps({"full_id": env_id.full_id}) + "\n"
        damaged = self._damaged(env_id)
        for store in (self._shared, self._store):
            if store is not None:
                store.put(environment_key(env_id), environment.to_bytes(), overwrite=damaged)
                if default:
                    store.put(latest_key(env_id.req_id, env_id.arch), pointer.encode(), overwrite=True)

    def _damaged(self, env_id: EnvID) -> bool:
        try:
            self.find(env_id)
        except StoreError:
            return True
        return False
