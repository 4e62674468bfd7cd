"""Package files: copied from a store, or fetched from their source, and checked."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from metaflow_extensions.netflix_ext.adapters.archives import KeptArchives
from metaflow_extensions.netflix_ext.engine.errors import PackageError, StoreError
from metaflow_extensions.netflix_ext.engine.package import CondaPackage, PypiPackage
from tests.fakes import MemoryStore, conda_package, wheel

DATA = b"an archive"
MD5 = hashlib.md5(DATA, usedforsecurity=False).hexdigest()
CONDA = conda_package("numpy", sha256="", md5=MD5)
WHEEL = replace(wheel("requests"), sha256=hashlib.sha256(DATA).hexdigest())


@dataclass
class FakeFetcher:
    """Has one file for every URL."""

    asked: list[tuple[str, str, Sequence[str]]] = field(default_factory=list)

    def fetch(self, url: str, digest: str, path: Path, *, trusted: Sequence[str] = ()) -> None:
        self.asked.append((url, digest, trusted))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(DATA)


def store_with(**items: bytes) -> MemoryStore:
    store = MemoryStore()
    for key, data in items.items():
        store.put(key, data)
    return store


def archives(folder: Path, *stores: MemoryStore) -> KeptArchives:
    return KeptArchives(folder, stores, FakeFetcher())


def left_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("package", [CONDA, WHEEL])
def test_a_file_is_copied_once(tmp_path: Path, package: CondaPackage | PypiPackage) -> None:
    """The file has the package's name and bytes; the next time no store is needed."""
    found = archives(tmp_path, MemoryStore(), store_with(key=DATA)).copied(package, ["other", "key"])

    assert found is not None
    assert found.name == package.filename
    assert found.read_bytes() == DATA
    assert len(left_in(tmp_path)) == 1
    assert archives(tmp_path).here(package) == found


def test_what_no_store_has_is_none(tmp_path: Path) -> None:
    """Where no store has the key there is no file, and nothing is left behind."""
    assert archives(tmp_path, MemoryStore()).copied(CONDA, ["key"]) is None
    assert archives(tmp_path).here(CONDA) is None
    assert list(tmp_path.rglob("*")) == []


@pytest.mark.parametrize(("package", "algorithm"), [(CONDA, "md5"), (WHEEL, "sha256")])
def test_other_bytes_are_refused(tmp_path: Path, package: CondaPackage | PypiPackage, algorithm: str) -> None:
    """The key, what was expected and what was found are told, and nothing of the file stays."""
    with pytest.raises(PackageError) as caught:
        archives(tmp_path, store_with(key=b"other")).copied(package, ["key"])

    found = hashlib.new(algorithm, b"other", usedforsecurity=False).hexdigest()
    expected = package.digest.removeprefix("md5:")
    assert f"key is not the package that was resolved: expected {algorithm} {expected}, found {found}" in (
        caught.value.message.replace("'", "")
    )
    assert left_in(tmp_path) == []


def test_a_damaged_file_is_not_here(tmp_path: Path) -> None:
    """What was copied before is looked at again, and replaced where it has changed."""
    some = archives(tmp_path, store_with(key=DATA))
    path = some.copied(CONDA, ["key"])
    assert path is not None
    path.write_bytes(b"other")

    assert some.here(CONDA) is None
    assert some.copied(CONDA, ["key"]) == path
    assert path.read_bytes() == DATA


def test_a_package_is_fetched_from_its_source(tmp_path: Path) -> None:
    """The URL, the hash and the trusted hosts go to what fetches, and the file is here from then on."""
    fetcher = FakeFetcher()
    some = KeptArchives(tmp_path, (), fetcher)

    path = some.fetched(CONDA, trusted=["example.org"])

    assert fetcher.asked == [(CONDA.url, f"md5:{MD5}", ["example.org"])]
    assert some.here(CONDA) == path


def test_what_nobody_uses_goes(tmp_path: Path) -> None:
    """A file that was not used for a month is removed when another is fetched; one that was used yesterday stays."""
    some = archives(tmp_path, store_with(key=DATA))
    old, used = some.copied(CONDA, ["key"]), some.copied(WHEEL, ["key"])
    assert old is not None
    assert used is not None
    month = time.time() - 32 * 24 * 3600
    for path in (old, used):
        os.utime(path, (month, month))
        os.utime(path.parent, (month, month))
    assert some.here(WHEEL) == used  # which counts as use

    other = replace(wheel("other"), sha256=WHEEL.sha256)
    some.fetched(other)

    assert not old.exists()
    assert used.exists()


def test_a_folder_that_waits_for_its_file_stays(tmp_path: Path) -> None:
    """While one package arrives, the first look at what is old leaves its folder, which holds nothing yet, alone."""
    some = KeptArchives(tmp_path, (), FakeFetcher())
    waiting = tmp_path / f"sha256-{'0' * 64}"
    waiting.mkdir()

    some.fetched(CONDA)

    assert waiting.is_dir()


def test_names_do_not_lead_out(tmp_path: Path) -> None:
    """A document can name neither a file elsewhere nor a key outside of the store."""
    some = archives(tmp_path / "in", store_with(key=DATA))

    with pytest.raises(StoreError):
        some.copied(replace(CONDA, filename="../../out.conda"), ["key"])
    with pytest.raises(StoreError):
        some.copied(CONDA, ["../key"])
    with pytest.raises(StoreError):
        some.here(replace(CONDA, filename="../../out.conda"))
    assert left_in(tmp_path) == []


def test_without_a_hash_nothing_is_taken(tmp_path: Path) -> None:
    """A file that cannot be checked is not used."""
    with pytest.raises(PackageError, match="has no hash"):
        archives(tmp_path, store_with(key=DATA)).copied(replace(WHEEL, sha256=""), ["key"])
