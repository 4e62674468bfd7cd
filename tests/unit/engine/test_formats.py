"""Packages in the format that is preferred."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from metaflow_extensions.netflix_ext.engine.errors import PackageError, ToolError
from metaflow_extensions.netflix_ext.engine.formats import Formatter, forms
from tests.fakes import PYTHON, FakeArchives, MemoryStore, Recorder, conda_package, resolved

NUMPY = conda_package("numpy")
OLD = conda_package("old", filename="old-1.0-0.tar.bz2")
ENVIRONMENT = resolved(NUMPY, OLD)


@dataclass
class FakeTransmuter:
    """Says in the new file what it was made of."""

    error: Exception | None = None
    made: list[str] = field(default_factory=list)

    def transmute(self, archive: Path, extension: str, folder: Path) -> Path:
        if self.error is not None:
            raise self.error
        self.made.append(archive.name)
        path = folder / (archive.name.removesuffix(".conda").removesuffix(".tar.bz2") + extension)
        path.write_text(f"{archive.name} anew")
        return path


def formatter(folder: Path, preferred: str, **words: object) -> tuple[Formatter, FakeTransmuter, MemoryStore]:
    shared, transmuter = MemoryStore(), FakeTransmuter(**words)  # type: ignore[arg-type]
    files = FakeArchives(web=folder)
    parts = Formatter(preferred=preferred, local=MemoryStore(), shared=shared, files=files, transmuter=transmuter)
    return parts, transmuter, shared


@pytest.mark.parametrize(
    ("preferred", "packages", "file"),
    [(".tar.bz2", [NUMPY, PYTHON], "numpy-1.0-0.tar.bz2"), (".conda", [OLD], "old-1.0-0.conda")],
)
def test_others_are_packed_anew(tmp_path: Path, preferred: str, packages: list[object], file: str) -> None:
    """Packages in another format are packed once, and stored beside their own file under the hash of the new one."""
    parts, transmuter, shared = formatter(tmp_path, preferred)
    report = Recorder()

    found = forms([ENVIRONMENT], parts, report)

    assert set(found) == {package.digest for package in packages}  # type: ignore[attr-defined]
    form = next(form for form in found.values() if form["file"] == file)
    data = shared.get(form["key"]) or b""
    assert hashlib.sha256(data).hexdigest() == form["sha256"]
    assert form["key"].endswith(f"/{file}/{form['sha256']}/{file}")
    assert report.tasks == [(f"Packing packages as {preferred}", f"{len(packages)} packages")]

    assert forms([ENVIRONMENT], parts, report) == found
    assert len(transmuter.made) == len(packages)


def test_what_the_store_has_lost_is_made_again(tmp_path: Path) -> None:
    """The record on this machine is worth what the store still has."""
    parts, transmuter, _ = formatter(tmp_path, ".conda")
    found = forms([ENVIRONMENT], parts, Recorder())

    again = forms([ENVIRONMENT], replace(parts, shared=MemoryStore()), Recorder())

    assert again == found
    assert transmuter.made == [OLD.filename] * 2


def test_what_cannot_be_packed_is_an_error(tmp_path: Path) -> None:
    """The error of the tool comes out; a package that is nowhere is named."""
    parts, _, _ = formatter(tmp_path, ".conda", error=ToolError("it is not installed", "look"))
    report = Recorder()
    with pytest.raises(ToolError):
        forms([ENVIRONMENT], parts, report)
    assert report.tasks[-1][1] == "failed"

    gone = resolved(replace(OLD, url="https://_fake/old"))
    with pytest.raises(PackageError, match=r"'old-1\.0-0\.tar\.bz2' is in no store"):
        forms([gone], formatter(tmp_path, ".conda")[0], Recorder())
