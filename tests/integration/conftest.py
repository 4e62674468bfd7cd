"""Real flows against a real channel and a real index on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.channel import Server, ensure, serve
from tests.project import Project, project_at


@pytest.fixture(scope="session")
def built() -> Path:
    """The channel and index of the set `tests`."""
    return ensure("tests")


@pytest.fixture(scope="session")
def server(built: Path) -> Iterator[Server]:
    """Serve them for the whole session; tests that inject failures start their own."""
    with serve(built) as running:
        yield running


@pytest.fixture(scope="session")
def shared_envs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder of prefixes for tests that do not look into it."""
    return tmp_path_factory.mktemp("envs")


@pytest.fixture
def project(tmp_path: Path, server: Server, shared_envs: Path) -> Project:
    """A fresh user's folder with shared prefixes."""
    return project_at(tmp_path, server, shared_envs)


@pytest.fixture
def fresh(tmp_path: Path, server: Server) -> Project:
    """A fresh user's folder with prefixes of its own."""
    return project_at(tmp_path, server, tmp_path / ".envs")
