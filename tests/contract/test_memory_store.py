"""The store in memory keeps the promises of a store."""

from __future__ import annotations

import pytest

from metaflow_extensions.netflix_ext.adapters.memory import MemoryStore
from tests.contract.store import StoreContract


class TestMemoryStore(StoreContract):
    """Every promise, in memory."""

    @pytest.fixture(name="store")
    def _store(self) -> MemoryStore:
        return MemoryStore()
