"""What every store promises. A test module subclasses `StoreContract` and gives the fixture ``store``."""

from __future__ import annotations

import threading

import pytest

from metaflow_extensions.netflix_ext.engine.errors import StoreError
from metaflow_extensions.netflix_ext.engine.ports import Store


class StoreContract:
    """The promises of `engine.ports.Store`."""

    def test_what_is_put_is_got(self, store: Store) -> None:
        """Any bytes come back as they were, none as well."""
        for key, data in {"a": b"", "b/c/d.e-f": bytes(range(256)), "big": b"x" * 300_000}.items():
            store.put(key, data)
            assert store.get(key) == data

    def test_what_is_not_there_is_none(self, store: Store) -> None:
        """An unknown key is None, be the store empty or not; so is a folder, and what is below a key."""
        assert store.get("a") is None
        store.put("a/b", b"1")

        assert store.get("a") is None
        assert store.get("b") is None
        assert store.get("a/b/c") is None

    def test_what_is_there_stays(self, store: Store) -> None:
        """Putting again changes nothing, unless it says that it overwrites."""
        store.put("a", b"1")
        store.put("a", b"2")
        assert store.get("a") == b"1"

        store.put("a", b"3", overwrite=True)
        assert store.get("a") == b"3"

    def test_listing_is_one_level(self, store: Store) -> None:
        """A listing names the keys of one folder in full, folders with a slash at the end, sorted, each once."""
        for key in ("a/b", "a/c/d", "a/c/e", "ab/x", "z"):
            store.put(key, b"1")

        assert list(store.list("a")) == ["a/b", "a/c/"]
        assert list(store.list("a/")) == ["a/b", "a/c/"]
        assert list(store.list("")) == ["a/", "ab/", "z"]

    def test_listing_what_is_not_there_is_empty(self, store: Store) -> None:
        """An unknown folder, and a key that is no folder, list nothing."""
        assert list(store.list("a")) == []
        store.put("a", b"1")

        assert list(store.list("a")) == []
        assert list(store.list("b/c")) == []

    @pytest.mark.parametrize("key", ["", "/a", "../a", "a/../../b", "a//b", "a/./b"])
    def test_no_key_leads_out(self, store: Store, key: str) -> None:
        """A key that is empty, absolute or climbs is a StoreError."""
        with pytest.raises(StoreError):
            store.get(key)
        with pytest.raises(StoreError):
            store.put(key, b"1")
        with pytest.raises(StoreError):
            store.put(key, b"1", overwrite=True)

    def test_bytes_are_kept_and_not_what_holds_them(self, store: Store) -> None:
        """Changing what was handed over changes nothing in the store."""
        data = bytearray(b"1")
        store.put("a", data)  # type: ignore[arg-type]
        data[0] = 50

        assert store.get("a") == b"1"

    @pytest.mark.parametrize("overwrite", [True, False])
    def test_writers_do_not_mix(self, store: Store, overwrite: bool) -> None:
        """Of many writers of one key, one wins whole; of one key each, none is lost."""

        def work(number: int) -> None:
            store.put("same", bytes([number]) * 2000, overwrite=overwrite)
            store.put(f"own/{number}", b"1", overwrite=overwrite)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)

        data = store.get("same")
        assert data == (data or b"")[:1] * 2000
        assert len(list(store.list("own"))) == 8
