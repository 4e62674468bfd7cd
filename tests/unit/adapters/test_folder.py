"""The store in a folder, beyond what every store promises (`tests/contract`)."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from metaflow_extensions.netflix_ext.adapters.folder import FolderStore
from metaflow_extensions.netflix_ext.engine.errors import StoreError


def test_keys_are_paths(tmp_path: Path) -> None:
    """What is put lies where the key says, so that people can look."""
    FolderStore(tmp_path).put("a/b", b"1")

    assert (tmp_path / "a" / "b").read_bytes() == b"1"


def test_constructing_and_reading_makes_nothing(tmp_path: Path) -> None:
    """Only a put makes the folder."""
    store = FolderStore(tmp_path / "root")
    store.get("a")
    list(store.list(""))

    assert not (tmp_path / "root").exists()


def test_what_is_being_written_is_not_listed(tmp_path: Path) -> None:
    """The left-over of a writer that was killed is nobody's key."""
    store = FolderStore(tmp_path)
    store.put("a", b"1")
    (tmp_path / ".a.0123456789abcdef").write_bytes(b"half")

    assert list(store.list("")) == ["a"]


def test_what_cannot_be_written_is_a_store_error(tmp_path: Path) -> None:
    """A file in the place of a folder is a StoreError that names the path and says what to check."""
    (tmp_path / "root").write_text("in the way")

    with pytest.raises(StoreError, match="root/a/b' cannot be written") as caught:
        FolderStore(tmp_path / "root").put("a/b", b"1")

    assert "disk is not full" in caught.value.hint


def test_what_cannot_be_read_is_a_store_error(tmp_path: Path) -> None:
    """A link in a circle cannot be read: neither its content nor what would be below."""
    (tmp_path / "loop").symlink_to("loop")
    store = FolderStore(tmp_path)

    with pytest.raises(StoreError, match="loop' cannot be read"):
        store.get("loop")
    with pytest.raises(StoreError, match="loop' cannot be read"):
        list(store.list("loop"))


def test_a_file_system_that_takes_nothing_is_a_store_error() -> None:
    """Where the system makes no folder at all, the store says so."""
    root = Path("/proc/version")
    if not root.exists():
        pytest.skip("no /proc on this system")

    with pytest.raises(StoreError, match="cannot be written"):
        FolderStore(root.parent / "no-such-folder").put("a", b"1")


def test_a_disk_that_fills_up_leaves_what_was_there(tmp_path: Path) -> None:
    """A write that the system cuts short is a StoreError; the old content stands, and nothing is left aside."""
    store = FolderStore(tmp_path)
    store.put("a", b"old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(StoreError, match="a' cannot be written"):
            store.put("a", b"x" * 100_000, overwrite=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert store.get("a") == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
