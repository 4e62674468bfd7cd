"""Repositories, read by git."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from metaflow_extensions.netflix_ext.adapters.git import Git
from tests.projects import repository


def test_a_hook_of_another_repository_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What git tells a hook about the repository that it runs for is not taken for ours; that one stays as it is."""
    for name in ("mine", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.txt").write_text(name)
        repository(tmp_path / name)
    other = f"file://{tmp_path}/other"
    index = tmp_path / "mine" / ".git" / "index"
    before = index.read_bytes()
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "mine" / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path / "mine"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(index))

    commit = Git().commit(other, "")
    Git().checkout(other, commit, tmp_path / "copy", os.environ["PATH"])

    assert sorted(path.name for path in (tmp_path / "copy").iterdir()) == [".git", "other.txt"]
    assert index.read_bytes() == before
