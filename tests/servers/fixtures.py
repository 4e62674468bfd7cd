"""The servers as fixtures: each is started when the first test wants it, and skipped where it cannot be."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .azure import serve_azure
from .gs import serve_gs
from .identity import serve_identity
from .program import AbsentError, StoreServer
from .s3 import serve_s3


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreServer]:
    """S3, by SeaweedFS."""
    try:
        with serve_s3(tmp_path_factory.mktemp("s3")) as found:
            yield found
    except AbsentError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def identity() -> Iterator[str]:
    """The address of the service that gives tokens."""
    with serve_identity() as found:
        yield found


@pytest.fixture(scope="session")
def azure_server(tmp_path_factory: pytest.TempPathFactory, identity: str) -> Iterator[StoreServer]:
    """Azure Blob Storage, by Azurite."""
    try:
        with serve_azure(tmp_path_factory.mktemp("azure"), identity) as found:
            yield found
    except AbsentError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def gs_server(tmp_path_factory: pytest.TempPathFactory, identity: str) -> Iterator[StoreServer]:
    """Google Storage, by fake-gcs-server."""
    try:
        with serve_gs(tmp_path_factory.mktemp("gs"), identity) as found:
            yield found
    except AbsentError as error:
        pytest.skip(str(error))
