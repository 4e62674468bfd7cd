"""The store in memory keeps the promises of a store."""

from __future__ import annotations

import pytest

from tests.contract.store import StoreContract
from tests.fakes import MemoryStore


class TestMemoryStore(StoreContract):
    """Every promise, in memory."""

    @pytest.fixture(name="store")
    def _store(self) -> MemoryStore:
        return MemoryStore()
