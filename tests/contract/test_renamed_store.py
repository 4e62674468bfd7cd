"""A store with other names for its folders keeps the promises of a store, and holds them under those names."""

from __future__ import annotations

import pytest

from metaflow_extensions.netflix_ext.engine.renamed import RenamedStore
from tests.contract.store import StoreContract
from tests.fakes import MemoryStore

NAMES = {"packages": "archives", "odd": "strange", "a": "first"}


class TestRenamedStore(StoreContract):
    """Every promise."""

    @pytest.fixture(name="store")
    def _store(self) -> RenamedStore:
        return RenamedStore(MemoryStore(), NAMES)


def test_what_it_holds_has_its_own_names() -> None:
    """The first name of a key is another one in the store; others are left alone, and so is what is named otherwise."""
    store = MemoryStore()
    renamed = RenamedStore(store, NAMES)
    renamed.put("packages/packages/x", b"1")
    renamed.put("tools/packages", b"2")

    assert store.get("archives/packages/x") == b"1"
    assert store.get("tools/packages") == b"2"
    assert renamed.where("packages/x") == "memory:archives/x"
    assert list(renamed.list("")) == ["packages/", "tools/"]
