"""Conda packages from one format into the other, by the real library."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from metaflow_extensions.netflix_ext.adapters.transmute import PackageHandling
from metaflow_extensions.netflix_ext.engine.errors import PackageError, ToolError
from tests.channel.archive import CONDA, TAR_BZ2, Item, Package, write

FILES = {"share/hello.txt": b"hello", "bin/hello": b"#!/bin/sh\n"}


@pytest.fixture(name="target")
def _target(tmp_path: Path) -> Path:
    folder = tmp_path / "target"
    folder.mkdir()
    return folder


def made(folder: Path, extension: str) -> Path:
    items = [Item(name, data, executable=name.startswith("bin/")) for name, data in FILES.items()]
    (folder / "noarch").mkdir()
    (path,) = write(Package("hello", "1.0", noarch="generic", items=items), folder, formats=(extension,))
    return path


def contents(archive: Path, folder: Path) -> Mapping[str, tuple[bytes, bool]]:
    """Return what *archive* holds, but for its own description: bytes, and whether they can be run."""
    from conda_package_handling import api

    api.extract(str(archive), str(folder))
    files = [path for path in folder.rglob("*") if path.is_file() and "info" not in path.relative_to(folder).parts]
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), bool(path.stat().st_mode & 0o100)) for path in files
    }


@pytest.mark.parametrize(("have", "want"), [(CONDA, TAR_BZ2), (TAR_BZ2, CONDA)])
def test_the_content_stays(have: str, want: str, tmp_path: Path, target: Path) -> None:
    """The other format has the same files; made again it has the same bytes, so that its hash can be its name."""
    archive = made(tmp_path, have)

    found = PackageHandling().transmute(archive, want, target)

    assert found == target / f"hello-1.0-0{want}"
    assert contents(found, tmp_path / "unpacked") == {
        name: (data, name.startswith("bin/")) for name, data in FILES.items()
    }
    again = tmp_path / "again"
    again.mkdir()
    assert PackageHandling().transmute(archive, want, again).read_bytes() == found.read_bytes()
    if want == CONDA:  # the time of packing would make it another file on another day
        assert {member.date_time for member in zipfile.ZipFile(found).infolist()} == {(1980, 1, 1, 0, 0, 0)}


@pytest.mark.parametrize(("have", "want"), [(CONDA, TAR_BZ2), (TAR_BZ2, CONDA)])
def test_an_archive_that_cannot_be_read_is_named(have: str, want: str, tmp_path: Path, target: Path) -> None:
    """One message says which, and no half of a package is taken for one."""
    archive = tmp_path / f"hello-1.0-0{have}"
    archive.write_bytes(b"no archive")

    with pytest.raises(PackageError, match=r"'hello-1\.0-0\S+' cannot be (un)?packed") as caught:
        PackageHandling().transmute(archive, want, target)

    assert caught.value.hint


def test_a_library_that_is_not_installed_is_named(
    tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told what to install, or which variable asks for it."""
    monkeypatch.setitem(sys.modules, "conda_package_handling", None)

    with pytest.raises(ToolError, match="needs the package conda-package-handling") as caught:
        PackageHandling().transmute(made(tmp_path, CONDA), TAR_BZ2, target)

    assert "pip install conda-package-handling" in caught.value.hint
    assert "METAFLOW_CONDA_PREFERRED_FORMAT" in caught.value.hint
