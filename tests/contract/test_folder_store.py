"""The store in a folder keeps the promises of a store."""

from __future__ import annotations

from pathlib import Path

import pytest

from metaflow_extensions.netflix_ext.adapters.folder import FolderStore
from tests.contract.store import StoreContract


class TestFolderStore(StoreContract):
    """Every promise, in a folder that is not there yet."""

    @pytest.fixture(name="store")
    def _store(self, tmp_path: Path) -> FolderStore:
        return FolderStore(tmp_path / "not" / "yet")
