"""The key of each thing in a store. Imports on Python 3.7 (step side)."""

from __future__ import annotations

import hashlib
from urllib.parse import quote

from .errors import StoreError
from .identity import EnvID


def check_key(key: str) -> str:
    """Return *key*; raise StoreError where it is not relative, or would lead out of the store."""
    if any(part in ("", ".", "..") for part in key.split("/")) or "\0" in key:
        raise StoreError(f"'{key}' cannot be a key in a store", "use names separated by '/', without '.' and '..'")
    return key


def environment_key(env_id: EnvID, envs: str = "envs") -> str:
    """The key of the document of one resolved environment."""
    return f"{envs}/{env_id.arch}/{env_id.req_id}/{env_id.full_id}/env"


def latest_key(req_id: str, arch: str, envs: str = "envs") -> str:
    """The key of the pointer to the environment that a spec resolved to last."""
    return f"{envs}/{arch}/{req_id}/latest"


def latest_by_key(req_id: str, arch: str, user: str, envs: str = "envs") -> str:
    """The key of the pointer to the environment that a spec resolved to last for *user*."""
    name = quote(user, safe="")
    return f"{envs}/{arch}/{req_id}/latest-by/{'%2E' * len(name) if name in ('.', '..') else name or '%20'}"


def alias_key(name: str, tag: str, arch: str, envs: str = "envs") -> str:
    """The key of what the alias *name*:*tag* means on *arch*.

    No name has an ``@``: a tag of one name is never a part of another name, nor an alias that 1.x has left there.
    """
    return f"{envs}/aliases/{name}/@{tag}/{arch}"


def package_file_key(data: bytes) -> str:
    """The key, in the local store, of the file that a code package carries: determined by its content."""
    return f"code/{hashlib.sha256(data).hexdigest()[:40]}/conda_v2.cnd"
