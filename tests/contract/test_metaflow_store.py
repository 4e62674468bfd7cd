"""Stores in datastores keep the promises of a store, on real servers, through Metaflow's own classes."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from metaflow_extensions.netflix_ext.host.store import MetaflowStore
from tests.contract.store import StoreContract
from tests.servers import StoreServer


def _fresh(server: StoreServer, monkeypatch: pytest.MonkeyPatch) -> MetaflowStore:
    server.use(monkeypatch)
    return MetaflowStore(server.kind, f"{server.root}/{secrets.token_hex(4)}/conda_env")


class TestLocal(StoreContract):
    """Every promise, in Metaflow's local datastore."""

    atomic = False

    @pytest.fixture(name="store")
    def _store(self, tmp_path: Path) -> MetaflowStore:
        return MetaflowStore("local", str(tmp_path / "not" / "yet"))


@pytest.mark.slow
class TestS3(StoreContract):
    """Every promise, in S3."""

    @pytest.fixture(name="store")
    def _store(self, s3_server: StoreServer, monkeypatch: pytest.MonkeyPatch) -> MetaflowStore:
        return _fresh(s3_server, monkeypatch)


@pytest.mark.slow
class TestAzure(StoreContract):
    """Every promise, in Azure Blob Storage."""

    @pytest.fixture(name="store")
    def _store(self, azure_server: StoreServer, monkeypatch: pytest.MonkeyPatch) -> MetaflowStore:
        return _fresh(azure_server, monkeypatch)


@pytest.mark.slow
class TestGoogle(StoreContract):
    """Every promise, in Google Storage."""

    @pytest.fixture(name="store")
    def _store(self, gs_server: StoreServer, monkeypatch: pytest.MonkeyPatch) -> MetaflowStore:
        return _fresh(gs_server, monkeypatch)
