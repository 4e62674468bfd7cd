"""What holds for every test: none sees the configuration of whoever runs it, and none leaves its files to the next."""

from __future__ import annotations

import shutil
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.configuration import forget_configuration
from tests.servers.fixtures import azure_server, gs_server, identity, s3_server

__all__ = ["azure_server", "gs_server", "identity", "s3_server"]
_FAILED = pytest.StashKey[bool]()


@pytest.fixture(autouse=True)
def _no_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_configuration(monkeypatch)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember which tests have failed."""
    report = yield
    if report.failed:
        item.stash[_FAILED] = True
    return report


@pytest.fixture(autouse=True)
def _no_leftovers(request: pytest.FixtureRequest) -> Iterator[None]:
    """Empty the folder of a test that has passed: in a prefix, byte code goes on being made for as long as it is there.

    The folder itself stays, so that its name, which some tests use elsewhere, is given to no other test.
    """
    folder: Path | None = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else None
    yield
    if folder is not None and not request.node.stash.get(_FAILED, False):
        for path in folder.iterdir() if folder.is_dir() else ():
            shutil.rmtree(path, ignore_errors=True)  # but for files, which are small
