"""Packages into the shared store."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from metaflow_extensions.netflix_ext.engine.cache import cache, lacking
from metaflow_extensions.netflix_ext.engine.errors import PackageError, StoreError
from metaflow_extensions.netflix_ext.engine.layout import environment_key, package_keys
from metaflow_extensions.netflix_ext.engine.package import CondaPackage, PypiPackage
from tests.fakes import PYTHON, FakeArchives, MemoryStore, Recorder, conda_package, resolved, wheel

NUMPY, IDNA = conda_package("numpy"), wheel("idna")
ENVIRONMENT = resolved(NUMPY, pypi=[IDNA])


@dataclass
class CountingStore(MemoryStore):
    """Remembers which files it was given, and refuses those whose key holds `refused`."""

    refused: str = "nothing"
    given: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def put_file(self, key: str, path: Path) -> None:
        if self.refused in key:
            raise StoreError(f"'{key}' cannot be written: access is denied", "look")
        self.given.append(key)
        super().put_file(key, path)


def key(package: CondaPackage | PypiPackage) -> str:
    return package_keys(package, {})[-1]


def test_each_package_is_stored_once(tmp_path: Path) -> None:
    """Of several environments every package is fetched once and stored under its own key, with its bytes."""
    store, archives, report = CountingStore(), FakeArchives(web=tmp_path), Recorder()
    other = resolved(conda_package("scipy"), NUMPY, req_id="b" * 40)

    cache([ENVIRONMENT, other], store, archives, report, title="Caching")

    every = [PYTHON, NUMPY, conda_package("scipy"), IDNA]
    assert sorted(store.given) == sorted(key(package) for package in every)
    assert sorted(archives.fetches) == sorted(package.filename for package in every)
    assert store.get(key(IDNA)) == IDNA.filename.encode()
    size = sum(len(package.filename) for package in every)
    assert report.tasks == [("Caching", f"4 packages, {size / 1e6:.1f} MB")]


def test_what_is_there_is_neither_fetched_nor_stored(tmp_path: Path) -> None:
    """What the store has, under either key, is left alone; with nothing to do nothing is said."""
    store, archives, report = CountingStore(), FakeArchives(web=tmp_path), Recorder()
    environment = replace(ENVIRONMENT, stored={NUMPY.filename: "packages/conda/old"})
    store.put("packages/conda/old", b"numpy")
    for package in (PYTHON, IDNA):
        store.put(key(package), b"there")

    cache([environment], store, archives, report, title="Caching")

    assert (store.given, archives.fetches, report.tasks) == ([], [], [])


def test_a_file_on_this_machine_is_taken(tmp_path: Path) -> None:
    """What is here already is not fetched."""
    file = tmp_path / "here"
    file.write_bytes(b"numpy")
    store, archives = CountingStore(), FakeArchives(at_hand={NUMPY.filename: file}, web=tmp_path)

    cache([ENVIRONMENT], store, archives, Recorder(), title="Caching")

    assert NUMPY.filename not in archives.fetches
    assert store.get(key(NUMPY)) == b"numpy"


def test_an_error_keeps_what_was_stored(tmp_path: Path) -> None:
    """The first error comes out, the work is told as failed, and the next time the rest alone is stored."""
    store, archives, report = CountingStore(refused=NUMPY.filename), FakeArchives(web=tmp_path), Recorder()

    with pytest.raises(StoreError, match="access is denied"):
        cache([ENVIRONMENT], store, archives, report, title="Caching")
    assert report.tasks == [("Caching", "failed")]

    store.refused, before = "nothing", list(store.given)
    cache([ENVIRONMENT], store, archives, report, title="Caching")
    assert sorted(store.given) == sorted(key(package) for package in (PYTHON, NUMPY, IDNA))
    assert set(before) <= set(store.given)


def test_what_has_no_source_comes_from_a_store(tmp_path: Path) -> None:
    """A package that another store keeps alone is copied from there; where none has it, it is named."""
    built = replace(wheel("built"), url="https://_fake/example.org/built")
    environment = replace(resolved(pypi=[built]), stored={built.filename: "packages/pypi/built"})
    file = tmp_path / "built"
    file.write_bytes(b"wheel")
    store = CountingStore()

    cache([environment], store, FakeArchives({"packages/pypi/built": file}, web=tmp_path), Recorder(), title="Caching")
    assert store.get(key(built)) == b"wheel"

    with pytest.raises(PackageError, match=r"'built-1\.0-py3-none-any\.whl' is in no store that was asked"):
        cache([environment], CountingStore(), FakeArchives(web=tmp_path), Recorder(), title="Caching")


def test_an_environment_is_lacking_until_its_document_is_there() -> None:
    """The document comes last: where it is, all packages are."""
    store, other = MemoryStore(), resolved(req_id="b" * 40)
    store.put(environment_key(ENVIRONMENT.env_id), b"a document")

    assert lacking([ENVIRONMENT, other, other], store) == [other]
