"""Records and prefixes that something has damaged: repaired silently, or one clear message."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.project import Project
from tests.refusal import CLICK, ONE, check_refusal
from tests.settled import settled

pytestmark = pytest.mark.slow


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def garble(path: Path) -> None:
    path.write_bytes(b"\x80\xff\x00 not json")


def empty(path: Path) -> None:
    path.write_bytes(b"")


def other(path: Path) -> None:
    path.write_text('[{"full_id": 3, "schema": 2}]')


def nonsense(path: Path) -> None:
    path.write_text('{"full_id": "../../..", "schema": 2, "id": [1, 2, 3], "conda": [3], "variables": {"A": 1}}')


def remove(path: Path) -> None:
    path.unlink()


@pytest.fixture(name="ready")
def _ready(fresh: Project) -> Project:
    """A folder in which the flow has run once."""
    fresh.run(ONE, variables={"SPEC": CLICK})
    return fresh


@pytest.fixture(name="known")
def _known(project: Project) -> Project:
    """The same, for tests that leave the prefix alone."""
    project.run(ONE, variables={"SPEC": CLICK})
    return project


DAMAGES = (cut, garble, empty, other, nonsense, remove)


@pytest.mark.parametrize("what", ["env", "latest"])
def test_a_damaged_record_is_made_again(known: Project, what: str) -> None:
    """A document or pointer that cannot be read costs a resolve, once; the prefix is found again."""
    record = next(path for path in known.catalog.rglob(what) if path.is_file())
    for damage in DAMAGES:
        damage(record)
        words = ("run",) if damage is cut else ("environment", "resolve")
        done = known.flow(ONE, *words, variables={"SPEC": CLICK})
        assert done.returncode == 0, done.output
        assert "Resolving" in done.output
        assert "Creating" not in done.output

    again = known.flow(ONE, "run", variables={"SPEC": CLICK})
    assert again.returncode == 0, again.output
    assert "Resolving" not in again.output
    assert "Creating" not in again.output


def test_a_damaged_marker_is_repaired(ready: Project) -> None:
    """A prefix whose marker cannot be read is made again, from packages that are cached."""
    prefix = next(ready.envs.glob("metaflow_*"))
    for damage in (garble, nonsense):  # the others are in the unit tests of creating
        settled(prefix)
        damage(prefix / ".metaflowenv")
        done = ready.flow(ONE, "run", variables={"SPEC": CLICK})
        assert done.returncode == 0, done.output
        assert "Resolving" not in done.output
        assert "Creating" in done.output
    assert [path.name for path in ready.envs.glob("metaflow_*")] == [prefix.name]


def test_a_prefix_without_marker_is_told(ready: Project) -> None:
    """A folder in the place of a prefix may be anybody's where nothing of ours is in it: it is named, and stays."""
    prefix = next(ready.envs.glob("metaflow_*"))
    settled(prefix)
    for marker in prefix.glob(".metaflowenv*"):
        marker.unlink()
    done = ready.flow(ONE, "run", variables={"SPEC": CLICK})
    check_refusal(done, "step start: ", str(prefix), "move it away")
    assert (prefix / "bin" / "python").exists()


def test_a_prefix_without_python_is_told(ready: Project) -> None:
    """A prefix that lost its interpreter is named, and made again once it is removed."""
    prefix = next(ready.envs.glob("metaflow_*"))
    (prefix / "bin" / "python").unlink()
    done = ready.flow(ONE, "run", variables={"SPEC": CLICK})
    check_refusal(done, str(prefix), "is damaged: it has no bin/python", "remove it")


def test_a_catalog_that_cannot_be_written(fresh: Project) -> None:
    """A file in the catalog's place is named."""
    fresh.catalog.parent.mkdir()
    fresh.catalog.write_text("")
    done = fresh.flow(ONE, "run", variables={"SPEC": CLICK})
    check_refusal(done, str(fresh.catalog), "cannot be written")
    assert fresh.catalog.read_text() == ""


def test_a_pointer_that_is_a_folder(known: Project) -> None:
    """A folder in a pointer's place is named."""
    pointer = next(known.catalog.rglob("latest"))
    pointer.unlink()
    pointer.mkdir()
    done = known.flow(ONE, "run", variables={"SPEC": CLICK})
    check_refusal(done, str(pointer), "cannot be written")
