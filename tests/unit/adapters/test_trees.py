"""Folders of sources."""

from __future__ import annotations

import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from metaflow_extensions.netflix_ext.adapters import trees
from metaflow_extensions.netflix_ext.engine.errors import InputError, PackageError


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "pkg").mkdir(parents=True)
    (folder / "pyproject.toml").write_text("[project]\n")
    (folder / "pkg" / "code.py").write_text("x = 1\n")
    os.symlink("pkg/code.py", folder / "link")
    return folder


def write(path: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("changed")

    return change


@pytest.mark.parametrize(
    "change",
    [
        write("pkg/code.py"),
        write("new.txt"),
        lambda folder: (folder / "pkg" / "code.py").chmod(0o755),
        lambda folder: (folder / "pkg" / "code.py").rename(folder / "pkg" / "other.py"),
        lambda folder: ((folder / "link").unlink(), os.symlink("pkg", folder / "link")),
    ],
)
def test_any_change_is_another_state(folder: Path, change: Callable[[Path], object]) -> None:
    """Contents, names, links and who may run a file count."""
    before = trees.state(folder)
    assert trees.state(folder) == before
    change(folder)
    assert trees.state(folder) != before


@pytest.mark.parametrize("left", ["__pycache__/a.pyc", ".git/HEAD", "pkg.egg-info/PKG-INFO", ".venv/x", "pkg/a.pyc"])
def test_what_tools_leave_is_no_part_of_it(folder: Path, left: str) -> None:
    """Importing, building or committing a project does not change its state."""
    before = trees.state(folder)
    write(left)(folder)
    assert trees.state(folder) == before


def test_a_copy_is_in_the_same_state(folder: Path, tmp_path: Path) -> None:
    """It has the history, from which versions are made, and links as links."""
    write(".git/HEAD")(folder)
    write("__pycache__/a.pyc")(folder)
    trees.copied(folder, tmp_path / "copy")
    assert trees.state(tmp_path / "copy") == trees.state(folder)
    assert (tmp_path / "copy" / ".git" / "HEAD").exists()
    assert not (tmp_path / "copy" / "__pycache__").exists()
    assert os.readlink(tmp_path / "copy" / "link") == "pkg/code.py"


def test_the_state_of_a_file_is_its_sha256(tmp_path: Path) -> None:
    """As everybody computes it."""
    (tmp_path / "f").write_bytes(b"abc")
    assert trees.state(tmp_path / "f").startswith("ba7816bf8f01cfea414140de5dae2223")
    with pytest.raises(InputError, match="No such file"):
        trees.state(tmp_path / "missing")


def test_what_holds_no_project_is_told(folder: Path) -> None:
    """A folder needs one of the files that make a project."""
    trees.check_project(folder, "'p'")
    with pytest.raises(InputError, match=r"'p' holds no project"):
        trees.check_project(folder / "pkg", "'p'")
    with pytest.raises(InputError, match=r"'p' has no folder 'nowhere'"):
        trees.check_project(folder / "nowhere", "'p'")


@pytest.mark.parametrize("form", ["zip", "tar.gz", "tar.bz2", "tar.xz"])
@pytest.mark.parametrize("top", ["p-1/", ""])
def test_archives_are_unpacked(tmp_path: Path, form: str, top: str) -> None:
    """With one folder on top or without; a script stays one, a link stays inside."""
    path = tmp_path / f"p.{form}"
    script = tmp_path / "run"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    if form == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(script, f"{top}run")
            archive.writestr(f"{top}pyproject.toml", "")
    else:
        os.symlink("run", tmp_path / "same")
        with tarfile.open(path, f"w:{form[4:]}") as archive:
            for name in ("run", "same"):
                archive.add(tmp_path / name, f"{top}{name}")

    found = trees.unpacked(path, tmp_path / "out")

    assert found == (tmp_path / "out" / "p-1" if top else tmp_path / "out")
    assert (found / "run").stat().st_mode & 0o100
    assert form == "zip" or (found / "same").read_text() == "#!/bin/sh\n"


def test_links_do_not_lead_out_together(tmp_path: Path) -> None:
    """Each stays inside for who reads its name alone; one that goes on from the other does not."""
    with tarfile.open(tmp_path / "p.tar", "w") as archive:
        for name, target in (("here", "."), ("above", "here/here/..")):
            item = tarfile.TarInfo(name)
            item.type, item.linkname = tarfile.SYMTYPE, target
            archive.addfile(item)
    with pytest.raises(PackageError, match=r"'p\.tar' is refused: 'above' in it leads out"):
        trees.unpacked(tmp_path / "p.tar", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_an_archive_that_ends_early_is_told(tmp_path: Path) -> None:
    """It is an error with the name of the file, whatever the library raises."""
    (tmp_path / "a").write_bytes(os.urandom(100_000))
    path = tmp_path / "p.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(tmp_path / "a", "a")
    path.write_bytes(path.read_bytes()[:50_000])
    with pytest.raises(PackageError, match=r"'p\.tar\.gz' cannot be unpacked"):
        trees.unpacked(path, tmp_path / "out")
