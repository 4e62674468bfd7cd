"""Package files copied from a store, and checked."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from metaflow_extensions.netflix_ext.adapters.archives import StoreArchives
from metaflow_extensions.netflix_ext.adapters.memory import MemoryStore
from metaflow_extensions.netflix_ext.engine.errors import PackageError, StoreError
from tests.fakes import conda_package, wheel

DATA = b"an archive"
MD5 = hashlib.md5(DATA, usedforsecurity=False).hexdigest()
CONDA = conda_package("numpy", sha256="", md5=MD5)
WHEEL = replace(wheel("requests"), sha256=hashlib.sha256(DATA).hexdigest())


def store_with(**items: bytes) -> MemoryStore:
    store = MemoryStore()
    for key, data in items.items():
        store.put(key, data)
    return store


def left_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("package", [CONDA, WHEEL])
def test_a_file_is_copied_once(tmp_path: Path, package: object) -> None:
    """The file has the package's name and bytes; the next time no store is needed."""
    found = StoreArchives(tmp_path, [MemoryStore(), store_with(key=DATA)]).local(package, "key")  # type: ignore[arg-type]

    assert found is not None
    assert found.name == package.filename  # type: ignore[attr-defined]
    assert found.read_bytes() == DATA
    assert len(left_in(tmp_path)) == 1
    assert StoreArchives(tmp_path, []).local(package, "key") == found  # type: ignore[arg-type]


def test_what_no_store_has_is_none(tmp_path: Path) -> None:
    """Where no store has the key there is no file, and nothing is left behind."""
    assert StoreArchives(tmp_path, [MemoryStore()]).local(CONDA, "key") is None
    assert list(tmp_path.rglob("*")) == []


@pytest.mark.parametrize(("package", "algorithm"), [(CONDA, "md5"), (WHEEL, "sha256")])
def test_other_bytes_are_refused(tmp_path: Path, package: object, algorithm: str) -> None:
    """The key, what was expected and what was found are told, and nothing of the file stays."""
    archives = StoreArchives(tmp_path, [store_with(key=b"other")])

    with pytest.raises(PackageError) as caught:
        archives.local(package, "key")  # type: ignore[arg-type]

    found = hashlib.new(algorithm, b"other", usedforsecurity=False).hexdigest()
    expected = package.digest.removeprefix("md5:")  # type: ignore[attr-defined]
    assert f"key is not the package that was resolved: expected {algorithm} {expected}, found {found}" in (
        caught.value.message.replace("'", "")
    )
    assert left_in(tmp_path) == []


def test_a_damaged_file_is_copied_again(tmp_path: Path) -> None:
    """What was copied before is looked at again, and replaced where it has changed."""
    archives = StoreArchives(tmp_path, [store_with(key=DATA)])
    path = archives.local(CONDA, "key")
    assert path is not None
    path.write_bytes(b"other")

    assert archives.local(CONDA, "key") == path
    assert path.read_bytes() == DATA


def test_names_do_not_lead_out(tmp_path: Path) -> None:
    """A document can name neither a file elsewhere nor a key outside of the store."""
    archives = StoreArchives(tmp_path / "in", [store_with(key=DATA)])

    with pytest.raises(StoreError):
        archives.local(replace(CONDA, filename="../../out.conda"), "key")
    with pytest.raises(StoreError):
        archives.local(CONDA, "../key")
    assert left_in(tmp_path) == []


def test_without_a_hash_nothing_is_taken(tmp_path: Path) -> None:
    """A file that cannot be checked is not used."""
    with pytest.raises(PackageError, match="has no hash"):
        StoreArchives(tmp_path, [store_with(key=DATA)]).local(replace(WHEEL, sha256=""), "key")
