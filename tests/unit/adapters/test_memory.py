"""The store in memory, beyond what every store promises (`tests/contract`)."""

from __future__ import annotations

from metaflow_extensions.netflix_ext.adapters.memory import MemoryStore


def test_two_stores_share_nothing() -> None:
    """What one store holds, another does not."""
    one, other = MemoryStore(), MemoryStore()
    one.put("a", b"1")

    assert other.get("a") is None
