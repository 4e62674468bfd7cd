"""The file ``conda_v2.cnd`` of metaflow-netflixext 1.x: all environments a machine has known. Never written.

It lies in the local datastore, and every code package of 1.x has a copy. Imports on Python 3.7 (step side).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from .errors import StoreError
from .identity import EnvID, parse_env_id
from .legacy import from_document
from .resolved import ResolvedEnvironment, find_in_package

VERSION = 1
_HINT = "what only that file knows is unknown until it is mended; move it away if nobody needs it"


class Manifest:
    """What such a file says; an environment in it is read when it is asked for."""

    def __init__(self, document: Any, where: str) -> None:
        if not isinstance(document, dict) or "version" not in document:
            raise StoreError(f"{where}: not a file of environments of metaflow-netflixext 1.x", _HINT)
        if document["version"] != VERSION:
            raise StoreError(
                f"{where}: version {document['version']!r} is not the one that this version reads ({VERSION})", _HINT
            )
        self._where = where
        self._environments = _object(document, "environments", where)
        for arch, specs in self._environments.items():
            for req_id in _object(self._environments, arch, f"{where}.environments"):
                _object(specs, req_id, f"{where}.environments.{arch}")
        self._steps = _object(document, "mappings", where)
        self._names = {**_object(document, "aliases", where), **_object(document, "mutable_aliases", where)}

    @classmethod
    def from_bytes(cls, data: bytes, where: str) -> Manifest:
        """Read the file; raise StoreError, which names it as *where*."""
        try:
            return cls(json.loads(data.decode("utf-8")), where)
        except ValueError as error:
            raise StoreError(f"{where}: not a file of environments ({error})", _HINT) from None

    def find(self, env_id: EnvID) -> ResolvedEnvironment | None:
        """Return the environment of that id, or None; raise StoreError where it is damaged."""
        found = self._environments.get(env_id.arch, {}).get(env_id.req_id, {}).get(env_id.full_id)
        if found is None:
            return None
        return from_document(found, env_id, f"{self._where}.environments.{env_id.arch}.{env_id.req_id}")

    def ids(self, arch: str | None = None) -> Iterator[EnvID]:
        """Yield the id of each environment, of *arch* if that is given."""
        for name in [arch] if arch else self._environments:
            for req_id, full_ids in self._environments.get(name, {}).items():
                for full_id, value in full_ids.items():
                    env_id = _env_id(req_id, full_id, name)
                    if env_id is not None and isinstance(value, dict):
                        yield env_id

    def named(self, name: str, tag: str) -> tuple[str, str] | None:
        """Return the (req_id, full_id) that an alias means, or None."""
        return pair(self._names.get(f"{name}/{tag}", self._names.get(f"{name}:{tag}")))

    def arches(self, req_id: str, full_id: str) -> tuple[str, ...]:
        """Return the platforms for which there is an environment of these ids."""
        return tuple(arch for arch, specs in self._environments.items() if full_id in specs.get(req_id, {}))

    def ran(self, pathspec: str) -> tuple[str, str] | None:
        """Return the (req_id, full_id) that the step ``Flow/Run/Step`` ran in, or None."""
        return pair(self._steps.get(pathspec))

    def names(self) -> Iterator[tuple[str, str]]:
        """Yield each alias as (name, tag); the ids of 1.x, which it counts among them, left out."""
        for text in self._names:
            name, slash, tag = text.rpartition(":" if ":" in text else "/")
            if slash and name and self.named(name, tag) is not None:
                yield name, tag


def find_carried(data: bytes, env_id: EnvID, where: str) -> ResolvedEnvironment | None:
    """Return the environment of that id from the file that a code package carries, of 1.x or ours; or None."""
    try:
        document = json.loads(data.decode("utf-8"))
    except ValueError:
        document = {}
    if isinstance(document, dict) and "version" in document and "schema" not in document:
        return Manifest(document, where).find(env_id)
    return find_in_package(data, env_id, where)


def pair(value: Any) -> tuple[str, str] | None:
    """Return the (req_id, full_id) that 1.x has written as a list; None where it is anything else."""
    if not isinstance(value, list) or len(value) != 2:
        return None
    env_id = _env_id(value[0], value[1], "linux-64")  # any platform will do
    return (env_id.req_id, env_id.full_id) if env_id is not None else None


def _env_id(req_id: Any, full_id: Any, arch: str) -> EnvID | None:
    """Return an id; None for words such as ``_default``, which 1.x has among them."""
    try:
        return parse_env_id([req_id, full_id, arch])
    except ValueError:
        return None


def _object(values: Any, name: str, where: str) -> dict[str, Any]:
    found = values.get(name, {})
    if not isinstance(found, dict):
        raise StoreError(f"{where}.{name}: expected an object, found {type(found).__name__}", _HINT)
    return found
