"""What holds for every test: none sees the configuration of whoever runs it."""

from __future__ import annotations

import os

import pytest

from tests.servers.fixtures import azure_server, gs_server, identity, s3_server

__all__ = ["azure_server", "gs_server", "identity", "s3_server"]
_OURS = ("METAFLOW_CONDA_", "CONDA_", "_METAFLOW_")


@pytest.fixture(autouse=True)
def _no_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(_OURS):
            monkeypatch.delenv(name)
