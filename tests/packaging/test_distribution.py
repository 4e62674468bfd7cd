"""The source archive and the wheel: what is in them, and that the same state of the project always gives the same."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from uv import find_uv_bin

from tests.packaging.conftest import ROOT, Release, build
from tests.projects import repository

pytestmark = [pytest.mark.slow, pytest.mark.network]

WRITTEN_BY_SETUPTOOLS = {"METADATA", "RECORD", "WHEEL", "top_level.txt"}
BESIDE_SOURCES = {"CHANGELOG.md", "LICENSE", "MANIFEST.in", "README.md", "pyproject.toml"}
OF_THE_SDIST = {"PKG-INFO", "setup.cfg"}
EGG_INFO = {"PKG-INFO", "SOURCES.txt", "dependency_links.txt", "requires.txt", "top_level.txt"}


def tracked(*where: str) -> list[str]:
    command = ["git", "ls-files", "-z", "--", *where]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.split("\0") if name]


def files(release: Release) -> dict[str, bytes]:
    """Return the files of the source archive, without the folder that has its name."""
    with tarfile.open(release.sdist) as archive:
        members = [(item, archive.extractfile(item)) for item in archive if item.isfile()]
        return {item.name.partition("/")[2]: file.read() for item, file in members if file}


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def test_wheel_has_the_sources_and_nothing_else(release: Release) -> None:
    """Every tracked file below ``src``, byte for byte, and what describes the distribution."""
    with zipfile.ZipFile(release.wheel) as archive:
        found = {name: archive.read(name) for name in archive.namelist()}
    info = next(name.partition("/")[0] for name in found if ".dist-info/" in name)
    sources = {name.partition("/")[2]: (ROOT / name).read_bytes() for name in tracked("src")}

    assert set(found) == {*sources, *(f"{info}/{name}" for name in (*WRITTEN_BY_SETUPTOOLS, "licenses/LICENSE"))}
    assert {name: found[name] for name in sources} == sources
    assert found[f"{info}/licenses/LICENSE"] == (ROOT / "LICENSE").read_bytes()


def test_sdist_has_what_the_wheel_is_built_from(release: Release) -> None:
    """The same sources, the pages that go with them, and no tests, which need the repository."""
    found = files(release)
    egg = {f"src/metaflow_netflixext.egg-info/{name}" for name in EGG_INFO}
    kept = [*tracked("src"), *BESIDE_SOURCES]

    assert set(found) == {*kept, *OF_THE_SDIST, *egg}
    assert {name: found[name] for name in kept} == {name: (ROOT / name).read_bytes() for name in kept}


def test_types_are_there_where_they_are_claimed(release: Release) -> None:
    """Each package that we own says that it is typed, as the classifier does."""
    with zipfile.ZipFile(release.wheel) as archive:
        names = archive.namelist()
        [metadata] = (archive.read(name).decode() for name in names if name.endswith(".dist-info/METADATA"))
    owned = {
        re.match(r"metaflow_extensions/\w+|\w+", name)[0]  # type: ignore[index]
        for name in names
        if name.endswith(".py")
    }

    assert "Classifier: Typing :: Typed" in metadata.splitlines()
    assert {name.rpartition("/")[0] for name in names if name.endswith("/py.typed")} == owned


def test_same_sources_give_the_same_bytes(release: Release, tmp_path: Path) -> None:
    """In another folder, with other times, modes and leftovers, by somebody who shares nothing with others."""
    epoch = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=ROOT, capture_output=True, text=True, check=True)
    other = tmp_path / "elsewhere"
    with umask(0o077):
        for name in tracked("src", "scripts", *BESIDE_SOURCES):
            (other / name).parent.mkdir(parents=True, exist_ok=True)
            (other / name).write_bytes((ROOT / name).read_bytes())
            os.utime(other / name, (86400 * 365 * 20, 86400 * 365 * 20))
        repository(other)
        for left in ("src/metaflow_netflixext_names/left.py", "src/metaflow_netflixext_names/__pycache__/a.pyc"):
            (other / left).parent.mkdir(exist_ok=True)
            (other / left).write_text("left behind\n")
        build(other, tmp_path / "again", SOURCE_DATE_EPOCH=epoch.stdout.strip(), TZ="Pacific/Auckland")

    again = Release(tmp_path / "again")
    for one, two in ((release.sdist, again.sdist), (release.wheel, again.wheel)):
        assert one.name == two.name
        assert hashlib.sha256(one.read_bytes()).digest() == hashlib.sha256(two.read_bytes()).digest(), one.name


def test_index_takes_them(release: Release) -> None:
    """The description renders and the metadata is what an index accepts, by the command that CONTRIBUTING.md gives."""
    [words] = re.findall(r"`\.venv/bin/uv (tool run twine check .*) dist/\*`", (ROOT / "CONTRIBUTING.md").read_text())
    command = [find_uv_bin(), *words.split(), str(release.sdist), str(release.wheel)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("PASSED") == 2


def test_version_is_the_same_wherever_it_is_written(release: Release) -> None:
    """In the names of the files, at the end of README.md and at the top of the changelog."""
    _, version, *_ = release.wheel.name.split("-")
    heading = re.search(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.M)

    assert release.sdist.name == f"metaflow_netflixext-{version}.tar.gz"
    assert (ROOT / "README.md").read_text().splitlines()[-1].startswith(f"Version {version}.")
    assert heading is not None
    assert re.fullmatch(rf"Unreleased \({version}\)|{version} \(\d{{4}}-\d\d-\d\d\)", heading[1])
