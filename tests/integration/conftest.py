"""Real flows against a real channel and a real index on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from metaflow_extensions.netflix_ext.adapters.worker import Worker
from tests.channel import Server, ensure, serve
from tests.project import Project, Serving, project_at
from tests.servers import Relay, StoreServer
from tests.servers.relay import relayed


@pytest.fixture(scope="session")
def built() -> Path:
    """The channel and index of the set `tests`."""
    return ensure("tests")


@pytest.fixture(scope="session")
def server(built: Path) -> Iterator[Server]:
    """Serve them for the whole session; tests that inject failures start their own."""
    with serve(built) as running:
        yield running


@pytest.fixture
def own(built: Path) -> Iterator[Server]:
    """A server of the test's own, which it may slow down or spoil."""
    with serve(built) as running:
        yield running


@pytest.fixture(scope="module", name="worker")
def _worker() -> Iterator[Worker]:
    """The process with py-rattler in it."""
    worker = Worker()
    yield worker
    worker.close()


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


@pytest.fixture(scope="session")
def store_channel() -> Iterator[Server]:
    """A channel with what flows need whose datastore is S3."""
    with serve(ensure("stores")) as running:
        yield running


@pytest.fixture
def serving(request: pytest.FixtureRequest) -> Serving:
    """Start the server of a kind when a test wants it."""

    def get(kind: str) -> StoreServer:
        found = request.getfixturevalue(f"{kind}_server")
        assert isinstance(found, StoreServer)
        return found

    return get


@pytest.fixture
def s3_relay(s3_server: StoreServer) -> Iterator[Relay]:
    """What stands between a client and the S3 server."""
    with relayed(s3_server.variables["METAFLOW_S3_ENDPOINT_URL"]) as relay:
        yield relay
