"""Each `CondaInstaller` keeps its promises: py-rattler, micromamba and conda; real ones too where there are."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from metaflow_extensions.netflix_ext.adapters import conda_program
from metaflow_extensions.netflix_ext.adapters.archives import KeptArchives
from metaflow_extensions.netflix_ext.adapters.conda_install import ProgramInstaller
from metaflow_extensions.netflix_ext.adapters.http import HttpFetcher
from metaflow_extensions.netflix_ext.adapters.rattler_installer import RattlerInstaller
from metaflow_extensions.netflix_ext.adapters.worker import Worker
from metaflow_extensions.netflix_ext.engine.events import Reporter
from metaflow_extensions.netflix_ext.engine.package import CondaPackage
from metaflow_extensions.netflix_ext.engine.ports import CondaInstaller
from tests import standin

from .conda_installer import CondaInstallerContract

NAMES = ("micromamba", "conda")
TOOLS = [
    *((name, versions[name]) for name in NAMES for versions in (standin.NEWEST, standin.OLDEST)),
    *(
        pytest.param((name, ""), marks=pytest.mark.real_tools, id=f"real-{name}")
        for name in NAMES
        if shutil.which(name)
    ),
]


@pytest.fixture(scope="module", name="worker")
def _worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RATTLER_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        worker = Worker()
        worker.begin()
        yield worker
    worker.close()


class TestRattler(CondaInstallerContract):
    """The default."""

    @pytest.fixture(name="installer")
    def _installer(self, worker: Worker, tmp_path: Path) -> CondaInstaller:
        return RattlerInstaller(worker, packages=tmp_path / "packages")


class TestPrograms(CondaInstallerContract):
    """micromamba and conda, the newest and the oldest."""

    @pytest.fixture(name="installer", params=TOOLS, ids="-".join)
    def _installer(self, request: pytest.FixtureRequest, tmp_path: Path) -> CondaInstaller:
        name, version = request.param
        environ = dict(os.environ)
        if version:
            standin.put(tmp_path / "bin", name, version=version)
            environ = {"PATH": str(tmp_path / "bin")}
        return ProgramInstaller(
            lambda: conda_program.find(name, environ, distribution=None, known=tmp_path / "versions"),
            KeptArchives(tmp_path / "fetched", (), HttpFetcher()),
            tmp_path / "programs",
        )

    def test_it_sees_no_network_and_no_list_of_environments(
        self,
        installer: CondaInstaller,
        packages: tuple[CondaPackage, ...],
        places: tuple[Path, Path],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """It is told to stay offline, and the user's own folder stays as it was."""
        home = tmp_path / "home"
        home.mkdir()
        monkeypatch.setenv("HOME", str(home))

        installer.install(packages, *places, Reporter())

        assert list(home.iterdir()) == []
        for program in (tmp_path / "bin").glob("*.calls"):
            for words in standin.calls(Path(str(program).removesuffix(".calls"))):
                assert "--offline" in words or words == ["--version"]
