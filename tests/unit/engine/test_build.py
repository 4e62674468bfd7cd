"""Wheels of origins, each built once."""

from __future__ import annotations

import json
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from metaflow_extensions.netflix_ext.adapters.archives import KeptArchives
from metaflow_extensions.netflix_ext.adapters.folder import FolderStore
from metaflow_extensions.netflix_ext.adapters.http import HttpFetcher
from metaflow_extensions.netflix_ext.adapters.prefixes import PrefixFolder
from metaflow_extensions.netflix_ext.engine.build import Builder, Builds, publish
from metaflow_extensions.netflix_ext.engine.errors import ResolveError, StoreError
from metaflow_extensions.netflix_ext.engine.events import Reporter
from metaflow_extensions.netflix_ext.engine.layout import built_key, package_keys
from metaflow_extensions.netflix_ext.engine.origin import Link, Origin
from metaflow_extensions.netflix_ext.engine.ports import Prefix, Store
from tests.fakes import MemoryStore, creator, resolved

ORIGIN = Origin.of(Link("git", "https://x.example/p"), "c" * 40)


class FakeOrigins:
    """Builds a wheel that says which build it is, in `tag`."""

    def __init__(self, folder: Path, tag: str = "py3-none-any", name: str = "p") -> None:
        self.folder, self.tag, self.name = folder, tag, name
        self.count = 0
        self.prefixes: list[Prefix] = []

    def pinned(self, name: str, link: Link) -> Origin:
        return Origin.of(link, "c" * 40)

    @contextmanager
    def built(self, name: str, origin: Origin, prefix: Prefix, variables: Mapping[str, str]) -> Iterator[Path]:
        self.count += 1
        self.prefixes.append(prefix)
        path = self.folder / f"{self.name}-1.0+g{origin.pin[:4]}-{self.tag}.whl"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("count", str(self.count))
        yield path
        path.unlink()


def builds(
    root: Path,
    origins: FakeOrigins,
    *stores: Store,
    arch: str = "linux-64",
) -> Builds:
    """Return the builds of a machine whose files lie in *root*."""
    found = stores or (FolderStore(root / "store"),)
    builder = Builder(
        origins=origins,
        files=KeptArchives(root / "files", found, HttpFetcher()),
        stores=found,
        creator=lambda: creator(PrefixFolder(root / "envs")),
        arch="linux-64",
    )
    return Builds(builder, resolved(arch=arch), resolved, Reporter())


def test_a_wheel_is_built_once_and_kept(tmp_path: Path) -> None:
    """Its file and what it was built from are in the first store; the next asks neither origin nor prefix."""
    origins = FakeOrigins(tmp_path)
    package, path = builds(tmp_path, origins).wheels({"p": ORIGIN}, {})["p"]
    assert (package.name, package.version, package.origin) == ("p", "1.0+gcccc", str(ORIGIN))
    assert package.url == "https://x.example/p"
    assert not package.fetchable
    assert path.read_bytes() == FolderStore(tmp_path / "store").get(package_keys(package, {})[0])

    other = builds(tmp_path / "other", origins, FolderStore(tmp_path / "store"))
    assert other.wheels({"p": ORIGIN}, {})["p"][0] == package
    assert origins.count == 1


def test_several_at_once_build_it_once(tmp_path: Path) -> None:
    """Environments of one flow that share a source wait for the first of them."""
    origins, found = FakeOrigins(tmp_path), []
    shared = builds(tmp_path, origins)
    threads = [
        threading.Thread(target=lambda: found.append(shared.wheels({"p": ORIGIN}, {})["p"][0].sha256)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (origins.count, len(found), len(set(found))) == (1, 8, 1)


def test_the_prefix_has_the_conda_packages_of_the_environment(tmp_path: Path) -> None:
    """It is made when the first wheel is built, once, and is none of the user's."""
    origins = FakeOrigins(tmp_path)
    ours = builds(tmp_path, origins)
    assert not (tmp_path / "envs").exists()
    ours.wheels({"p": ORIGIN}, {})
    assert [path.name for path in (tmp_path / "envs").glob("[!.]*")] == [
        f"metaflow_builder_{resolved().env_id.full_id}"
    ]
    assert origins.prefixes[0] == ours.prefix()


def test_pure_wheels_serve_every_platform(tmp_path: Path) -> None:
    """Built here for another platform, then found there; for another Python they are built again."""
    origins = FakeOrigins(tmp_path)
    store = FolderStore(tmp_path / "store")
    for arch in ("osx-arm64", "linux-64"):
        builds(tmp_path / arch, origins, store, arch=arch).wheels({"p": ORIGIN}, {})
    assert origins.count == 1
    assert store.get(built_key(ORIGIN.digest, "cpython-311", "any"))


def test_compiled_wheels_are_for_this_platform(tmp_path: Path) -> None:
    """Elsewhere they are refused, with the platform, and nothing of them is kept."""
    origins = FakeOrigins(tmp_path, tag="cp311-cp311-linux_x86_64")
    with pytest.raises(ResolveError, match=r"'p' is built here to p-1\.0\+gcccc-cp311.*does not run on osx-arm64"):
        builds(tmp_path / "a", origins, arch="osx-arm64").wheels({"p": ORIGIN}, {})
    assert not list((tmp_path / "a").rglob("built"))

    store = FolderStore(tmp_path / "store")
    builds(tmp_path / "b", origins, store).wheels({"p": ORIGIN}, {})
    assert store.get(built_key(ORIGIN.digest, "cpython-311", "linux-64"))


def test_a_project_of_another_name_is_refused(tmp_path: Path) -> None:
    """Whether it was built now or long ago."""
    origins = FakeOrigins(tmp_path, name="q")
    ours = builds(tmp_path, origins)
    with pytest.raises(ResolveError, match=r"'p @ .*' is the project 'q'"):
        ours.wheels({"p": ORIGIN}, {})
    ours.wheels({"q": ORIGIN}, {})
    with pytest.raises(ResolveError, match=r"'p @ .*' is the project 'q'"):
        ours.wheels({"p": ORIGIN}, {})


def test_what_was_shared_is_taken_and_what_was_lost_is_built_again(tmp_path: Path) -> None:
    """A record whose wheel is in no store is none."""
    origins, shared = FakeOrigins(tmp_path), MemoryStore()
    package, path = builds(tmp_path / "a", origins).wheels({"p": ORIGIN}, {})["p"]
    environment = resolved(pypi=[package])
    publish([environment], shared)
    again = builds(tmp_path / "b", origins, MemoryStore(), shared).wheels({"p": ORIGIN}, {})["p"][0]
    assert origins.count == 2

    shared.put_file(package_keys(package, {})[0], path)
    taken = builds(tmp_path / "c", origins, MemoryStore(), shared).wheels({"p": ORIGIN}, {})["p"][0]
    assert (origins.count, taken) == (2, package)
    assert again.sha256 != package.sha256


def test_a_record_that_is_damaged_is_told(tmp_path: Path) -> None:
    """With its place, and what to do."""
    store = MemoryStore()
    store.put(built_key(ORIGIN.digest, "cpython-311", "any"), b"{")
    with pytest.raises(StoreError, match="not a record of a build"):
        builds(tmp_path, FakeOrigins(tmp_path), store).wheels({"p": ORIGIN}, {})
    store.put(built_key(ORIGIN.digest, "cpython-311", "any"), json.dumps({"name": "p"}).encode(), overwrite=True)
    with pytest.raises(StoreError, match="version: missing"):
        builds(tmp_path, FakeOrigins(tmp_path), store).wheels({"p": ORIGIN}, {})
