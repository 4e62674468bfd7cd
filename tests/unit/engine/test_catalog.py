"""What is known of environments."""

from __future__ import annotations

import pytest

from metaflow_extensions.netflix_ext.adapters.memory import MemoryStore
from metaflow_extensions.netflix_ext.engine.catalog import Catalog
from metaflow_extensions.netflix_ext.engine.errors import StoreError
from metaflow_extensions.netflix_ext.engine.layout import environment_key, latest_key
from tests.fakes import conda_package, resolved

ONE, TWO = resolved(), resolved(conda_package("numpy"))


@pytest.fixture(name="store")
def _store() -> MemoryStore:
    return MemoryStore()


def test_an_environment_is_found_by_id_and_by_spec(store: MemoryStore) -> None:
    """What was added last is what its spec resolves to; the one before is still there by id."""
    catalog = Catalog(store)
    catalog.add(ONE)
    catalog.add(TWO)

    assert catalog.find(ONE.env_id) == ONE
    assert catalog.find(TWO.env_id) == TWO
    assert catalog.default("a" * 40, "linux-64") == TWO


def test_adding_without_default_leaves_the_default(store: MemoryStore) -> None:
    """An environment can be kept without becoming what its spec resolves to."""
    catalog = Catalog(store)
    catalog.add(ONE)
    catalog.add(TWO, default=False)

    assert catalog.default("a" * 40, "linux-64") == ONE


def test_what_is_unknown_is_none(store: MemoryStore) -> None:
    """An unknown id, spec or platform is None."""
    catalog = Catalog(store)
    catalog.add(ONE)

    assert catalog.find(TWO.env_id) is None
    assert catalog.default("b" * 40, "linux-64") is None
    assert catalog.default("a" * 40, "osx-64") is None


def test_a_document_in_a_wrong_place_is_refused(store: MemoryStore) -> None:
    """A sound document under the id of another environment does not pass for it."""
    store.put(environment_key(TWO.env_id), ONE.to_bytes())

    with pytest.raises(StoreError, match="holds another environment"):
        Catalog(store).find(TWO.env_id)


@pytest.mark.parametrize("pointer", [b"", b"{", b"3", b"{}", b"\xff", b'{"full_id": "../../x"}', b'{"full_id": "c"}'])
def test_a_damaged_pointer_is_as_good_as_none(store: MemoryStore, pointer: bytes) -> None:
    """Where the pointer is damaged, or points at nothing, the spec is resolved again."""
    store.put(latest_key("a" * 40, "linux-64"), pointer)

    assert Catalog(store).default("a" * 40, "linux-64") is None


def test_a_damaged_document_heals(store: MemoryStore) -> None:
    """A damaged document is told by id, unknown by spec, and replaced when the spec is resolved again."""
    catalog = Catalog(store)
    catalog.add(ONE)
    store.put(environment_key(ONE.env_id), ONE.to_bytes()[:100], overwrite=True)

    with pytest.raises(StoreError):
        catalog.find(ONE.env_id)
    assert catalog.default("a" * 40, "linux-64") is None
    catalog.add(ONE)
    assert catalog.default("a" * 40, "linux-64") == ONE


def test_a_sound_document_is_never_overwritten(store: MemoryStore) -> None:
    """Resolving to the same packages again leaves the first document, byte for byte."""
    catalog = Catalog(store)
    catalog.add(ONE)
    store.put(environment_key(ONE.env_id), before := ONE.to_bytes().replace(b"someone", b"another"), overwrite=True)

    catalog.add(ONE)

    assert store.get(environment_key(ONE.env_id)) == before


def test_a_shared_store_serves_by_id_and_decides_nothing(store: MemoryStore) -> None:
    """What one user resolved is found by another by its id; what a spec resolves to stays each user's own."""
    shared = MemoryStore()
    Catalog(MemoryStore(), shared).add(ONE)
    other = Catalog(store, shared)

    assert other.find(ONE.env_id) == ONE
    assert other.default("a" * 40, "linux-64") is None
    assert shared.get(latest_key("a" * 40, "linux-64")) is not None
