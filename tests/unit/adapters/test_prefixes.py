"""The folder of prefixes."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest

from metaflow_extensions.netflix_ext.adapters import disk
from metaflow_extensions.netflix_ext.adapters.compile_sources import MARKER
from metaflow_extensions.netflix_ext.adapters.prefixes import PrefixFolder
from metaflow_extensions.netflix_ext.engine.errors import CreateError
from metaflow_extensions.netflix_ext.engine.events import Reporter
from tests.fakes import Recorder


@pytest.fixture(name="prefixes")
def _prefixes(tmp_path: Path) -> PrefixFolder:
    return PrefixFolder(tmp_path / "envs")


@pytest.fixture(name="impossible")
def _impossible(tmp_path: Path) -> PrefixFolder:
    (tmp_path / "file").write_text("in the way")
    return PrefixFolder(tmp_path / "file" / "envs")


def test_commit_marks_and_renames(prefixes: PrefixFolder) -> None:
    """A stage becomes the prefix with all that is in it, and its marker is read back."""
    stage = prefixes.stage("a")
    (stage / "x").write_text("x")
    assert prefixes.marker("a") is None

    prefixes.commit("a", stage, "text")

    assert prefixes.marker("a") == "text"
    assert sorted(os.listdir(prefixes.path("a"))) == [MARKER, "x"]
    assert not stage.exists()


def test_no_path_grows_by_the_rename(prefixes: PrefixFolder) -> None:
    """The path of the stage is longer than the prefix's, so that what fits in one fits in the other."""
    assert len(str(prefixes.stage("a"))) > len(str(prefixes.path("a")))


def test_staging_removes_left_overs_of_this_prefix_alone(prefixes: PrefixFolder, tmp_path: Path) -> None:
    """What dead creators of this prefix left goes; another prefix's stage stays."""
    other = prefixes.stage("b")
    dead = tmp_path / "envs" / "a.partial-1"
    (dead / "deep").mkdir(parents=True)

    stage = prefixes.stage("a")

    assert not dead.exists()
    assert other.is_dir()
    assert os.listdir(stage) == []


def test_discard_removes_and_never_fails(prefixes: PrefixFolder) -> None:
    """A stage that is given up is gone; giving it up twice is no error."""
    stage = prefixes.stage("a")
    (stage / "x").write_text("x")

    prefixes.discard(stage)
    prefixes.discard(stage)

    assert not stage.exists()


def test_a_place_that_cannot_be_is_one_error(impossible: PrefixFolder) -> None:
    """Where no folder can be, staging and locking are a CreateError that names folder and variable."""
    with pytest.raises(CreateError) as staging:
        impossible.stage("a")
    with pytest.raises(CreateError) as locking, impossible.lock("a", Reporter()):
        pass

    assert "file/envs" in staging.value.message
    assert "METAFLOW_CONDA_ENVS_ROOT" in staging.value.hint
    assert "file/envs" in locking.value.message
    assert impossible.marker("a") is None


def test_a_marker_that_cannot_be_written_is_one_error(prefixes: PrefixFolder) -> None:
    """Where the marker cannot be written, commit is a CreateError and the prefix is not there."""
    stage = prefixes.stage("a")
    (stage / MARKER).mkdir()

    with pytest.raises(CreateError, match="cannot hold environments"):
        prefixes.commit("a", stage, "text")

    assert not prefixes.path("a").exists()


def test_an_error_inside_the_lock_is_not_ours(prefixes: PrefixFolder) -> None:
    """An error of the work under the lock comes out as it is, and the lock is free again."""
    with pytest.raises(FileNotFoundError), prefixes.lock("a", Reporter()):
        raise FileNotFoundError("of the work")

    with prefixes.lock("a", Reporter()):
        pass


def _hold(path: Path, held: object, go: object) -> None:
    with disk.locked(path):
        held.set()  # type: ignore[attr-defined]
        go.wait(10)  # type: ignore[attr-defined]


def test_waiting_for_another_process_is_told(
    prefixes: PrefixFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waits long for another process says so once, and goes on when it is done."""
    monkeypatch.setattr(disk, "_PATIENCE_SECONDS", 0.0)
    context = multiprocessing.get_context("spawn")
    held, go = context.Event(), context.Event()
    holder = context.Process(target=_hold, args=(tmp_path / "envs" / ".locks" / "a", held, go))
    holder.start()
    assert held.wait(10)

    class Impatient(Recorder):
        def note(self, message: str) -> None:
            super().note(message)
            go.set()

    report = Impatient()
    with prefixes.lock("a", report):
        holder.join(10)

    assert len(report.notes) == 1
    assert str(prefixes.path("a")) in report.notes[0]


def test_a_crash_between_two_renames_loses_no_prefix(prefixes: PrefixFolder) -> None:
    """One that was moved aside for another is there again for the next creator, where the other did not come."""
    prefixes.commit("a", prefixes.stage("a"), "old")
    prefixes.stage("a", replacing=True)
    prefixes.path("a").rename(prefixes.path("a").with_name("a.partial-replaced"))  # and then: killed

    with prefixes.lock("a", Recorder()):
        assert prefixes.marker("a") == "old"
        prefixes.commit("a", prefixes.stage("a", replacing=True), "new")

    assert prefixes.marker("a") == "new"
    assert [name for name in os.listdir(prefixes.path("a").parent) if name.startswith("a")] == ["a"]


def test_a_replacement_that_cannot_come_to_its_place(prefixes: PrefixFolder) -> None:
    """The prefix that was moved aside for it comes back at once."""
    prefixes.commit("a", prefixes.stage("a"), "old")
    stage = prefixes.path("a") / "stage"  # gone, once the old one is moved aside
    stage.mkdir()

    with pytest.raises(CreateError):
        prefixes.commit("a", stage, "new")

    assert prefixes.marker("a") == "old"


def test_what_came_meanwhile_and_is_not_ours_stays(prefixes: PrefixFolder) -> None:
    """A folder that somebody makes in the prefix's place while it is being created is not replaced."""
    stage = prefixes.stage("a")
    prefixes.path("a").mkdir()
    (prefixes.path("a") / "theirs").touch()

    with pytest.raises(CreateError):
        prefixes.commit("a", stage, "text")

    assert os.listdir(prefixes.path("a")) == ["theirs"]
