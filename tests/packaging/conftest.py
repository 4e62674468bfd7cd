"""What is released, built once for all processes that share the tests."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from uv import find_uv_bin

from tests.channel import Server, cache, ensure, interpreters, serve

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Release:
    """A folder with the two files that are uploaded."""

    folder: Path

    @property
    def wheel(self) -> Path:
        [found] = self.folder.glob("*.whl")
        return found

    @property
    def sdist(self) -> Path:
        [found] = self.folder.glob("*.tar.gz")
        return found


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let one process after the other pass."""
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of this session that all of its processes see."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "packaging"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def release(together: Path) -> Release:
    """What `scripts/build` makes of the working tree."""
    if not (ROOT / ".git").exists():
        pytest.skip("what is released is what git tracks, and here is no repository")
    folder = together / "release"
    with locked(together / "release.lock"):
        if not folder.exists():
            aside = together / "release.aside"
            build(ROOT, aside)
            aside.rename(folder)
    return Release(folder)


def build(root: Path, folder: Path, **variables: str) -> None:
    """Run the script that builds, of the project at *root*."""
    command = [sys.executable, str(root / "scripts" / "build.py"), str(folder), "--uncommitted"]
    done = subprocess.run(
        command, cwd=root, env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@dataclass(frozen=True)
class Environment:
    """A virtual environment with nothing but what was installed from the wheel, and what that brings."""

    folder: Path

    @property
    def python(self) -> str:
        return str(self.folder / "bin" / "python")

    def uv(self, *words: str) -> str:
        """Run uv's ``pip`` on this environment and return what it prints."""
        command = [find_uv_bin(), "pip", words[0], "--quiet", "--python", self.python, *words[1:]]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def make(folder: Path, minor: str, *install: str) -> Environment:
    """Make a virtual environment of Python *minor*, if this machine has that, and install into it."""
    found = interpreters.find(cache.folder()).get(minor)
    if found is None:
        pytest.skip(f"there is no CPython {minor} on this machine")
    subprocess.run([find_uv_bin(), "venv", "--quiet", "--python", found.executable, str(folder)], check=True)
    environment = Environment(folder)
    environment.uv("install", *install)
    return environment


@pytest.fixture(scope="session")
def served() -> Iterator[Server]:
    """The channel and index of the set `tests`."""
    with serve(ensure("tests")) as running:
        yield running
