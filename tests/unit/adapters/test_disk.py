"""Files written whole or not at all."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from metaflow_extensions.netflix_ext.adapters import disk


def test_a_file_is_written_with_its_folders(tmp_path: Path) -> None:
    """The content is there under its name, folders are made, and nothing else is left."""
    disk.write(tmp_path / "a" / "b" / "c", b"1")

    assert (tmp_path / "a" / "b" / "c").read_bytes() == b"1"
    assert os.listdir(tmp_path / "a" / "b") == ["c"]


def test_overwriting_is_a_choice(tmp_path: Path) -> None:
    """With overwrite the new content stands, without it the old one stays."""
    path = tmp_path / "a"
    disk.write(path, b"1")
    disk.write(path, b"2")
    assert path.read_bytes() == b"2"

    disk.write(path, b"3", overwrite=False)

    assert path.read_bytes() == b"2"
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("overwrite", [True, False])
def test_a_file_is_for_whom_the_umask_says(tmp_path: Path, overwrite: bool) -> None:
    """A shared store is shared: a file has the rights that the umask leaves, not those of a temporary file."""
    before = os.umask(0o022)
    try:
        disk.write(tmp_path / "a", b"1", overwrite=overwrite)
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o644


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    """Where the file cannot be put in its place, the error comes out and nothing is left aside."""
    (tmp_path / "a").mkdir()

    with pytest.raises(IsADirectoryError):
        disk.write(tmp_path / "a", b"1")

    assert os.listdir(tmp_path) == ["a"]


def test_without_hard_links_it_works_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a file system without hard links a file that stays is written, and an existing one still stays."""

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    disk.write(tmp_path / "a", b"1", overwrite=False)
    disk.write(tmp_path / "a", b"2", overwrite=False)

    assert (tmp_path / "a").read_bytes() == b"1"
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("overwrite", [True, False])
def test_writers_never_mix(tmp_path: Path, overwrite: bool) -> None:
    """Of many writers of one file, one wins whole."""
    path = tmp_path / "a"
    threads = [
        threading.Thread(target=disk.write, args=(path, bytes([number]) * 5000), kwargs={"overwrite": overwrite})
        for number in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    data = path.read_bytes()
    assert data == data[:1] * 5000
    assert os.listdir(tmp_path) == ["a"]


def test_a_lock_excludes(tmp_path: Path) -> None:
    """Work under one lock never overlaps, and the lock's file may be used again."""
    inside: list[int] = []
    most: list[int] = []

    def work() -> None:
        with disk.locked(tmp_path / "locks" / "a"):
            inside.append(1)
            most.append(len(inside))
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert most == [1] * 8
