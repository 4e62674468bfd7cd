"""What every store promises. A test module subclasses `StoreContract` and gives the fixture ``store``."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from metaflow_extensions.netflix_ext.engine.errors import StoreError
from metaflow_extensions.netflix_ext.engine.ports import Store


class StoreContract:
    """The promises of `engine.ports.Store`; ``atomic`` says whether a put without overwriting is one act."""

    atomic = True

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

    def test_what_is_put_can_be_copied(self, store: Store, tmp_path: Path) -> None:
        """The bytes under a key come into a file, many or none; what is not there, a folder too, makes none."""
        for key, data in {"a": b"", "b/c": b"x" * 3_000_000}.items():
            store.put(key, data)
            assert store.copy(key, tmp_path / "file")
            assert (tmp_path / "file").read_bytes() == data

        for key in ("c", "b", "b/c/d"):
            assert not store.copy(key, tmp_path / "nothing")
        assert not (tmp_path / "nothing").exists()
        with pytest.raises(StoreError):
            store.copy("../a", tmp_path / "nothing")

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

        _at_once(work)

        data = store.get("same")
        assert data == (data or b"")[:1] * 2000
        assert len(list(store.list("own"))) == 8

    def test_of_two_who_write_anew_both_see_the_first(self, store: Store) -> None:
        """Once a put without overwriting has returned, what is there stays: whoever looks finds the same."""
        if not self.atomic:
            pytest.skip("this class of Metaflow's looks first and writes then")
        seen = []

        def work(number: int) -> None:
            store.put("final", bytes([number]) * 20)
            seen.append(store.get("final"))

        _at_once(work)

        assert len(seen) == 8
        assert set(seen) == {store.get("final")}

    def test_files_come_back(self, store: Store, tmp_path: Path) -> None:
        """The bytes of a file come back in a file, none as well, whatever lay there before."""
        for key, data in {"none": b"", "packages/a/b-1.0.conda": bytes(range(256)) * 9000}.items():
            (tmp_path / "in").write_bytes(data)
            store.put_file(key, tmp_path / "in")
            (tmp_path / "out").write_bytes(b"old")

            assert store.copy(key, tmp_path / "out")
            assert (tmp_path / "out").read_bytes() == data == store.get(key)

        assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["in", "out"]

    def test_a_file_that_is_there_stays(self, store: Store, tmp_path: Path) -> None:
        """A file does not take the place of what is there."""
        store.put("a", b"1")
        (tmp_path / "in").write_bytes(b"2")
        store.put_file("a", tmp_path / "in")

        assert store.get("a") == b"1"

    def test_a_copy_of_nothing_is_no_file(self, store: Store, tmp_path: Path) -> None:
        """Where a key has no bytes, the file is left as it was; so it is with a folder."""
        store.put("a/b", b"1")

        for key in ("b", "a", "a/b/c"):
            assert not store.copy(key, tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_a_copy_is_not_the_stores_own(self, store: Store, tmp_path: Path) -> None:
        """Changing what was copied changes nothing in the store, and neither does changing what was put."""
        (tmp_path / "in").write_bytes(b"1")
        store.put_file("a", tmp_path / "in")
        (tmp_path / "in").write_bytes(b"2")
        store.copy("a", tmp_path / "out")
        (tmp_path / "out").write_bytes(b"3")

        assert store.get("a") == b"1"

    def test_what_the_disk_cannot_do_is_an_error_of_the_disk(self, store: Store, tmp_path: Path) -> None:
        """A file that is missing, or cannot be written, is no fault of the store."""
        store.put("a", b"1")

        with pytest.raises(FileNotFoundError):
            store.put_file("b", tmp_path / "missing")
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(OSError, match="file"):
            store.copy("a", tmp_path / "file" / "out")
        assert store.get("b") is None

    @pytest.mark.parametrize("key", ["", "/a", "../a", "a//b"])
    def test_no_file_leads_out(self, store: Store, key: str, tmp_path: Path) -> None:
        """The same keys are refused for files."""
        (tmp_path / "in").write_bytes(b"1")
        with pytest.raises(StoreError):
            store.put_file(key, tmp_path / "in")
        with pytest.raises(StoreError):
            store.copy(key, tmp_path / "out")
        with pytest.raises(StoreError):
            store.present([key])

    def test_what_is_present(self, store: Store) -> None:
        """Of many keys, those that have bytes are told from the others and from folders; of none, none."""
        there = {f"packages/conda/host/channel/{name}/x/{name}" for name in ("b", "d+1!2", "f_%7E", "h")}
        there |= {"packages/pypi/host/simple/w/w.whl", "one"}
        for key in there:
            store.put(key, b"")
        store.put("packages/conda/host/channel/e/x/more", b"1")
        away = {f"packages/conda/host/channel/{name}/x/{name}" for name in ("a", "c", "e", "g", "i")}
        away |= {"packages/pypi/host/simple/v/v.whl", "packages/conda/host", "two", "one/more"}

        assert store.present(there | away) == there
        assert store.present(away) == set()
        assert store.present([]) == set()
        assert store.present(["one"]) == {"one"}

    def test_names_come_back(self, store: Store) -> None:
        """Keys with characters that mean something elsewhere are kept, listed and found."""
        keys = ["odd/a+b 1!2.0_%7E.conda", "odd/\u00e9@x=y,z#1?q&r", "odd/-._~"]
        for key in keys:
            store.put(key, key.encode())

        assert [store.get(key) for key in keys] == [key.encode() for key in keys]
        assert set(store.list("odd")) == set(keys)
        assert store.present(keys) == set(keys)

    def test_many_threads_share_it(self, store: Store, tmp_path: Path) -> None:
        """Several threads put and copy files at once."""

        def work(number: int) -> None:
            path = tmp_path / str(number)
            path.write_bytes(bytes([number]) * 10_000)
            store.put_file(f"files/{number}", path)
            store.copy(f"files/{number}", tmp_path / f"{number}.back")

        _at_once(work)

        assert [(tmp_path / f"{number}.back").read_bytes()[:1] for number in range(8)] == [
            bytes([number]) for number in range(8)
        ]


def _at_once(work: Callable[[int], None]) -> None:
    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
