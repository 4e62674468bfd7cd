"""Who is who: the two hashes of an environment. Imports on Python 3.7 (step side).

An id is the first 40 hex digits of SHA-256 over canonical JSON: keys sorted, no spaces, UTF-8.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

_ID = re.compile(r"[0-9a-f]{40}")
_ARCH = re.compile(r"[a-z0-9_]+-[a-z0-9_]+")


class EnvID(NamedTuple):
    """Which spec (req_id), which packages (full_id), which platform (arch)."""

    req_id: str
    full_id: str
    arch: str

    @property
    def prefix_name(self) -> str:
        """The name of the folder this environment is created in."""
        return f"metaflow_{self.req_id}_{self.full_id}"


def parse_env_id(value: Any) -> EnvID:
    """Read ``["req_id", "full_id", "arch"]``; raise ValueError where it is anything else."""
    parts = json.loads(value) if isinstance(value, str) else value
    if (
        not isinstance(parts, (list, tuple))
        or len(parts) != 3
        or not all(isinstance(part, str) for part in parts)
        or not all(_ID.fullmatch(part) for part in parts[:2])
        or not _ARCH.fullmatch(parts[2])
    ):
        raise ValueError(f"not an environment id: {value!r}")
    return EnvID(*parts)


def digest(value: Any) -> str:
    """Return 40 hex digits that stand for any JSON *value*."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:40]


def full_id(files: Iterable[tuple[str, str, str]], arch: str) -> str:
    """Return the id of a set of package files ``(kind, file name, digest)`` for *arch*."""
    return digest({"arch": arch, "files": sorted([list(file) for file in files])})
