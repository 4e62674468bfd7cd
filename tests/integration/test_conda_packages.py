"""Packages that the user's own conda has on this machine: taken once they are checked, and left as they are."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from rattler import package_streaming

from metaflow_extensions.netflix_ext.adapters.archives import KeptArchives
from metaflow_extensions.netflix_ext.adapters.conda import RattlerSolver
from metaflow_extensions.netflix_ext.adapters.conda_packages import Adopting, CondaPackages
from metaflow_extensions.netflix_ext.adapters.http import HttpFetcher
from metaflow_extensions.netflix_ext.adapters.rattler_installer import RattlerInstaller
from metaflow_extensions.netflix_ext.adapters.worker import Worker
from metaflow_extensions.netflix_ext.engine.events import Reporter
from metaflow_extensions.netflix_ext.engine.package import CondaPackage
from tests import standin
from tests.channel import Server, ensure
from tests.contract.channels import make
from tests.contract.conda_solver import asking
from tests.project import FLOWS, Project


@pytest.fixture(name="packages")
def _packages(worker: Worker, tmp_path: Path) -> tuple[CondaPackage, ...]:
    """A package of each format, with a channel that has gone by now."""
    channels = make(tmp_path / "channels")
    return RattlerSolver(worker).solve(asking("alpha", channels=(channels / "first",)))


def unpack(archive: Path, package: CondaPackage, folder: Path) -> Path:
    """Unpack as conda does: beside the archive, with what the channel says of it."""
    stem = package.filename.removesuffix(".conda").removesuffix(".tar.bz2")
    package_streaming.extract(archive, folder / stem)
    record = {"fn": package.filename, "url": package.url, "sha256": package.sha256, "name": package.name}
    (folder / stem / "info" / "repodata_record.json").write_text(json.dumps(record))
    return folder / stem


def archive_of(package: CondaPackage) -> Path:
    return Path(package.url.removeprefix("file://"))


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_conda_has_unpacked_is_linked(worker: Worker, packages: tuple[CondaPackage, ...], tmp_path: Path) -> None:
    """Though nothing has the archives any more; a copy, so that no prefix shares a file with conda's."""
    theirs, cache, stage = tmp_path / "pkgs", tmp_path / "cache", tmp_path / "stage"
    stage.mkdir()
    for package in packages:
        unpack(archive_of(package), package, theirs)
        archive_of(package).unlink()
    before = files(theirs)
    installer = Adopting(RattlerInstaller(worker, packages=cache), CondaPackages([tmp_path / "no", theirs]), cache)

    assert all(installer.unpacked(package) for package in packages)
    installer.install(packages, stage, tmp_path / "final", Reporter())

    assert (stage / "etc" / "where.txt").read_text() == f"at {tmp_path}/final/x"
    assert (stage / "share" / "beta.txt").is_file()
    assert files(theirs) == before
    assert all(path.stat().st_nlink == 1 for path in theirs.rglob("*") if path.is_file())


@pytest.mark.parametrize("how", ["changed", "missing", "another", "bare"])
def test_what_is_not_the_package_is_left(how: str, packages: tuple[CondaPackage, ...], tmp_path: Path) -> None:
    """A file that was changed or has gone, another package of the same name, one that does not say what it is."""
    package, theirs, cache = packages[1], tmp_path / "pkgs", tmp_path / "cache"
    folder = unpack(archive_of(package), package, theirs)
    if how == "changed":
        (folder / "share" / "alpha.txt").write_bytes(b"evil")
    elif how == "missing":
        (folder / "share" / "alpha.txt").unlink()
    elif how == "another":
        record = json.loads((folder / "info" / "repodata_record.json").read_text())
        (folder / "info" / "repodata_record.json").write_text(json.dumps({**record, "sha256": "0" * 64}))
    else:
        (folder / "info" / "paths.json").unlink()

    assert not CondaPackages([theirs]).adopt(package, cache)
    assert [path.name for path in cache.glob("*") if path.is_dir()] == []


def test_archives_that_conda_has_kept_are_taken(packages: tuple[CondaPackage, ...], tmp_path: Path) -> None:
    """If their bytes are those that were resolved."""
    theirs = tmp_path / "pkgs"
    theirs.mkdir()
    good, bad = packages
    archive_of(good).rename(theirs / good.filename)
    (theirs / bad.filename).write_bytes(b"evil")
    archives = KeptArchives(tmp_path / "fetched", (), HttpFetcher(), conda=CondaPackages([theirs]))

    assert archives.here(good) == theirs / good.filename
    assert archives.here(bad) is None


@pytest.mark.slow
@pytest.mark.parametrize("installer", ["rattler", "micromamba"])
def test_a_flow_fetches_nothing_that_conda_has(installer: str, fresh: Project, own: Server, tmp_path: Path) -> None:
    """Its packages come from the folder that CONDA_PKGS_DIRS names, and none from the channel."""
    theirs = tmp_path / "pkgs"
    theirs.mkdir()
    for archive in (ensure("tests") / "conda").glob("*/*.conda"):
        (theirs / archive.name).symlink_to(archive)
    standin.put(tmp_path / "bin", "micromamba")
    variables = {
        "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "METAFLOW_CONDA_CHANNELS": own.channel,
        "METAFLOW_CONDA_INSTALLER": installer,
        "RATTLER_CACHE_DIR": str(tmp_path / "rattler"),
        "CONDA_PKGS_DIRS": str(theirs),
        "SPEC": "[conda(packages={'click': ''})]",
        "IMPORTS": "click",
    }

    fresh.run(FLOWS / "one.py", variables=variables)

    assert fresh.latest("OneFlow", "list(run['start'].task.data.saw)") == ["click"]
    assert [path for path in own.counts() if path.endswith((".conda", ".tar.bz2"))] == []


@pytest.mark.slow
@pytest.mark.parametrize(("installer", "preferred"), [("micromamba", ".tar.bz2"), ("conda", ".conda")])
def test_a_preferred_format_goes_with_each_installer(
    installer: str, preferred: str, fresh: Project, tmp_path: Path
) -> None:
    """What the store has in another format, and in both, is installed here as it was resolved."""
    standin.put(tmp_path / "bin", installer)
    variables = {
        "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "METAFLOW_CONDA_LOCALROOT": str(tmp_path / "shared"),
        "METAFLOW_CONDA_PREFERRED_FORMAT": preferred,
        "METAFLOW_CONDA_INSTALLER": installer,
        "SPEC": "[conda(packages={'itsdangerous': '', 'legacy-archive': ''})]",
        "FLOW_SPEC": "[conda_base(python='3.11')]",
        "IMPORTS": "itsdangerous",
    }

    fresh.run(FLOWS / "one.py", variables=variables)

    assert fresh.latest("OneFlow", "list(run['start'].task.data.saw)") == ["itsdangerous"]
    stored = {path.name for path in (tmp_path / "shared" / "packages").rglob("*") if path.is_file()}
    assert any(name.startswith("legacy-archive") and name.endswith(preferred) for name in stored)
