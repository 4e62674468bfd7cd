"""A distribution from the store: unpacked once, whole, and nowhere else."""

from __future__ import annotations

import io
import json
import os
import tarfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from metaflow_extensions.netflix_ext.adapters import distribution
from metaflow_extensions.netflix_ext.adapters.folder import FolderStore
from metaflow_extensions.netflix_ext.engine.errors import CreateError, PackageError, StoreError

KEY = "distributions/conda-linux-64.tar.gz"


def member(name: str, data: bytes = b"", **facts: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), 0o644
    for fact, value in facts.items():
        setattr(info, fact, value)
    return info, data


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tuple[tarfile.TarInfo, bytes]:
    return member(name, type=kind, linkname=target, mode=0o755)


GOOD = [
    member("bin", type=tarfile.DIRTYPE, mode=0o755),
    member("bin/micromamba", b"#!/bin/sh\n", mode=0o4755),
    link("bin/mamba", "micromamba"),
    link("lib/libz.so", "../lib/libz.so.1"),
    link("bin/other", "bin/micromamba", tarfile.LNKTYPE),
]


@pytest.fixture(name="store")
def _store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "store")


Put = Callable[..., None]


@pytest.fixture(name="put")
def _put(store: FolderStore) -> Put:
    def put(*members: tuple[tarfile.TarInfo, bytes], raw: bytes = b"") -> None:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            for info, data in members:
                archive.addfile(info, io.BytesIO(data))
        store.put(KEY, raw or packed.getvalue(), overwrite=True)

    return put


def test_it_is_unpacked_once(store: FolderStore, put: Put, tmp_path: Path) -> None:
    """Whole, with a mark that says from where, and left alone from then on, whatever the store has."""
    path = tmp_path / "opt" / "conda"
    put(*GOOD)

    distribution.ensure(path, KEY, store)
    put(member("bin/other", b"other"))
    distribution.ensure(path, KEY, store)

    assert (path / "bin" / "mamba").resolve() == path / "bin" / "micromamba"
    assert os.stat(path / "bin" / "micromamba").st_mode & 0o7777 == 0o755, "no set-user-id bit comes along"
    assert os.path.samefile(path / "bin" / "other", path / "bin" / "micromamba")
    assert json.loads((path / distribution.MARKER).read_text())["src"] == store.where(KEY)
    assert sorted(one.name for one in path.parent.iterdir()) == [".conda.lock", "conda", "conda.metaflow-dist"]


def test_many_at_a_time_unpack_it_once(store: FolderStore, put: Put, tmp_path: Path) -> None:
    """All find it whole."""
    path = tmp_path / "conda"
    put(*GOOD)
    found: list[bool] = []

    def work() -> None:
        distribution.ensure(path, KEY, store)
        found.append((path / "bin" / "mamba").exists())

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == [True] * 6


def test_one_that_was_interrupted_is_made_anew(store: FolderStore, put: Put, tmp_path: Path) -> None:
    """What a killed process has left is removed."""
    path = tmp_path / "conda"
    put(*GOOD)
    (tmp_path / ".conda.partial-0011" / "bin").mkdir(parents=True)
    (tmp_path / ".conda.partial-0011.tar").write_bytes(b"half")

    distribution.ensure(path, KEY, store)

    assert list(tmp_path.glob(".conda.partial-*")) == []


def test_another_archive_under_its_name_is_refused(store: FolderStore, put: Put, tmp_path: Path) -> None:
    """The first hash is kept, though the folder is removed."""
    path = tmp_path / "conda"
    put(*GOOD)
    distribution.ensure(path, KEY, store)
    (path / distribution.MARKER).unlink()
    for one in path.rglob("*"):
        if not one.is_dir():
            one.unlink()
    put(*GOOD, member("bin/evil", b"evil"))

    (path / "mine.txt").write_text("mine")
    with pytest.raises(CreateError, match="is not ours to replace"):
        distribution.ensure(path, KEY, store)
    path.rename(tmp_path / "away")
    with pytest.raises(PackageError, match="is not the archive that it was: expected sha256") as caught:
        distribution.ensure(path, KEY, store)

    assert "conda.metaflow-dist" in caught.value.hint
    assert not path.exists()


@pytest.mark.parametrize(
    "bad",
    [
        member("../evil", b"x"),
        member("/evil", b"x"),
        member("bin/../../evil", b"x"),
        link("bin/evil", "/etc/passwd"),
        link("bin/evil", "../../evil"),
        link("bin/evil", "x/../../../evil"),
        link("bin/evil", "../../evil", tarfile.LNKTYPE),
        link("bin/evil", "/etc/passwd", tarfile.LNKTYPE),
        member("dev/evil", type=tarfile.CHRTYPE),
        member("bin/pipe", type=tarfile.FIFOTYPE),
    ],
    ids=lambda one: f"{one[0].name}-{one[0].linkname}",
)
def test_nothing_is_written_outside(
    bad: tuple[tarfile.TarInfo, bytes], store: FolderStore, put: Put, tmp_path: Path
) -> None:
    """The member is named, and nothing at all is unpacked."""
    path = tmp_path / "opt" / "conda"
    put(*GOOD, bad)

    with pytest.raises(PackageError, match="would leave the folder, or is no plain file") as caught:
        distribution.ensure(path, KEY, store)

    assert f"'{bad[0].name}'" in caught.value.message
    assert not path.exists()
    assert [one.name for one in tmp_path.rglob("*evil*")] == []


def test_no_link_is_followed(store: FolderStore, put: Put, tmp_path: Path) -> None:
    """Neither by a name that goes through one, nor by a second one that goes on from the first."""
    for members in (
        [link("a", "."), member("a/x", b"x")],
        [link("a", "."), link("a/b", "../../evil")],
        [link("a", "."), link("b", "a/..")],
        [link("a", "bin"), link("b", "a", tarfile.LNKTYPE)],
    ):
        put(*GOOD, *members)
        with pytest.raises(PackageError, match="would leave the folder"):
            distribution.ensure(tmp_path / "conda", KEY, store)
        (tmp_path / "conda.metaflow-dist").unlink()


def test_what_is_no_distribution_is_told(store: FolderStore, put: Put, tmp_path: Path) -> None:
    """One that is not there, one that is no archive, one that is half, one without programs."""
    path = tmp_path / "conda"
    record = tmp_path / "conda.metaflow-dist"

    with pytest.raises(StoreError, match="is not there: METAFLOW_CONDA_LOCAL_DIST names it"):
        distribution.ensure(path, KEY, store)
    put(raw=b"<html>")
    with pytest.raises(PackageError, match="is no tar archive that can be read"):
        distribution.ensure(path, KEY, store)
    record.unlink()
    put(*GOOD, member("bin/large", os.urandom(100_000)))
    whole = store.get(KEY)
    assert whole is not None
    put(raw=whole[:50_000])
    with pytest.raises(PackageError, match="is no tar archive that can be read"):
        distribution.ensure(path, KEY, store)
    record.unlink()
    put(member("miniconda/bin/conda", b"x"))
    with pytest.raises(PackageError, match="has no folder 'bin' at its top"):
        distribution.ensure(path, KEY, store)
    assert not path.exists()
