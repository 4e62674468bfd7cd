"""Roots, networks and users' folders as fixtures, which skip where they cannot be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.project import Project
from tests.servers import AbsentError, StoreServer

from .container import Container
from .network import Network, files_of, isolated, ports_of
from .roots import Root, root

MakeRoot = Callable[..., Root]
_SYSROOTS = {"s3": "S3", "azure": "AZURE", "gs": "GS"}


@pytest.fixture(scope="session")
def remote_root() -> MakeRoot:
    """Give `root`, and skip the test where the root cannot be had."""

    def found(release: str = "bookworm", clients: str = "s3") -> Root:
        try:
            return root(release, clients)
        except AbsentError as error:
            pytest.skip(str(error))

    return found


@pytest.fixture
def bare(remote_root: MakeRoot) -> Container:
    """A root with nothing put in, and no network."""
    return Container(root=remote_root("bookworm", "none"))


@pytest.fixture
def s3_only(s3_server: StoreServer, remote_root: MakeRoot) -> Iterator[Network]:
    """A network in which the S3 server is all there is."""
    try:
        with isolated(ports_of(s3_server)) as network:
            yield network
    except AbsentError as error:
        pytest.skip(str(error))


@pytest.fixture
def s3_container(s3_server: StoreServer, s3_only: Network, remote_root: MakeRoot) -> Container:
    """What a task on S3 runs in: bookworm, the S3 server, and what proves who asks."""
    return container_for(s3_server, remote_root(), s3_only)


def container_for(server: StoreServer, chosen: Root, network: Network) -> Container:
    """Return what a task runs in whose datastore is *server*."""
    files = {str(path): path for path in files_of(server)}
    return Container(root=chosen, variables=dict(server.variables), network=network, files=files)


def user_of(server: StoreServer, folder: Path) -> Project:
    """Return a user's folder whose flows may use *server*, in a place of its own."""
    return Project(
        folder,
        {
            **server.variables,
            f"METAFLOW_DATASTORE_SYSROOT_{_SYSROOTS[server.kind]}": f"{server.root}/{folder.name}",
            "METAFLOW_DATASTORE_SYSROOT_LOCAL": str(folder),
            "METAFLOW_DEFAULT_DATASTORE": "local",
            "METAFLOW_DEFAULT_METADATA": "local",
            "METAFLOW_HOME": str(folder / "home"),
            "METAFLOW_USER": "tester",
        },
    )
