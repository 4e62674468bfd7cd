"""Package files from a store, before they are installed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from metaflow_extensions.netflix_ext.adapters.prefixes import PrefixFolder
from metaflow_extensions.netflix_ext.engine.create import create
from metaflow_extensions.netflix_ext.engine.errors import PackageError, StoreError
from metaflow_extensions.netflix_ext.engine.fetch import at_hand, shown_key
from metaflow_extensions.netflix_ext.engine.layout import package_key
from metaflow_extensions.netflix_ext.engine.package import CondaPackage
from metaflow_extensions.netflix_ext.engine.resolved import ResolvedEnvironment
from tests.fakes import FakeArchives, Recorder, conda_package, creator, resolved, wheel

NUMPY = conda_package("numpy")
BUILT = replace(wheel("built"), url="https://_fake/example.org/built/1234abcd")
PLAIN = wheel("plain")
STORED = {item.filename: f"packages/{item.filename}" for item in (NUMPY, BUILT, PLAIN)}


def environment() -> ResolvedEnvironment:
    return replace(resolved(NUMPY, pypi=[BUILT, PLAIN]), stored=STORED)


def nothing(_: CondaPackage) -> bool:
    return False


def archives(folder: Path, *keys: str) -> FakeArchives:
    return FakeArchives({key: folder / key.rpartition("/")[2] for key in keys or STORED.values()})


def test_what_a_store_has_is_installed_from_this_machine(tmp_path: Path) -> None:
    """Packages that a store keeps get the URL of their file; all else about them stays, and so do the others."""
    report = Recorder()

    conda, pypi, _ = at_hand(environment(), archives(tmp_path), nothing, report, report.note)

    assert conda == (replace(NUMPY, url=(tmp_path / NUMPY.filename).as_uri()), environment().conda[1])
    assert pypi == tuple(replace(item, url=(tmp_path / item.filename).as_uri(), index="") for item in (BUILT, PLAIN))
    assert report.tasks == [("fetch packages from the store", "3 packages")]
    assert report.notes == []


def test_what_is_gone_from_the_store_is_fetched_from_its_source(tmp_path: Path) -> None:
    """A package that a store should have and has not keeps its URL, and people are told."""
    report = Recorder()

    conda, pypi, _ = at_hand(environment(), archives(tmp_path, STORED[BUILT.filename]), nothing, report, report.note)

    assert conda == environment().conda
    assert pypi[1] == PLAIN
    assert report.notes == [
        f"Not in the store, and fetched from where they come from: {NUMPY.filename}, {PLAIN.filename}"
    ]


def test_what_is_nowhere_is_refused(tmp_path: Path) -> None:
    """A package that was in a store alone, and is not there, is named with its key."""
    report = Recorder()

    with pytest.raises(PackageError) as caught:
        at_hand(environment(), archives(tmp_path, STORED[PLAIN.filename]), nothing, report, report.note)

    assert f"{BUILT.filename}: packages/{BUILT.filename}" in caught.value.message
    assert PLAIN.filename not in caught.value.message
    assert report.notes == []


def test_what_no_store_has_is_left_to_its_source(tmp_path: Path) -> None:
    """An environment that no store has anything of is taken as it is, without a word."""
    report = Recorder()
    plain = resolved(NUMPY, pypi=[PLAIN])

    assert at_hand(plain, FakeArchives(), nothing, report, report.note) == (plain.conda, plain.pypi, None)
    assert report.notes == []


def test_what_is_here_needs_no_store(tmp_path: Path) -> None:
    """A package that lies unpacked here stays as it is; of one whose file is here no store is asked."""
    report = Recorder()
    plain = resolved(NUMPY, pypi=[PLAIN])
    file = tmp_path / PLAIN.filename
    broken = FakeArchives(at_hand={PLAIN.filename: file}, error=StoreError("it cannot be reached", "look"))

    conda, pypi, _ = at_hand(plain, broken, lambda _: True, report, report.note)

    assert conda == plain.conda
    assert pypi == (replace(PLAIN, url=file.as_uri(), index=""),)
    assert report.notes == []


def test_packages_of_a_store_lie_where_their_url_tells(tmp_path: Path) -> None:
    """Without a word of it in the document, a package is looked for under the key that its URL gives."""
    report = Recorder()
    plain = resolved(NUMPY)
    file = tmp_path / NUMPY.filename
    some = FakeArchives({package_key("conda", NUMPY.url, NUMPY.filename, NUMPY.digest): file})

    conda, _, _ = at_hand(plain, some, nothing, report, report.note)

    assert conda[0].url == file.as_uri()
    # All of an environment is in a store that has some of it.
    assert report.notes == [f"Not in the store, and fetched from where they come from: {conda[1].filename}"]


def test_a_store_that_cannot_be_reached_is_told(tmp_path: Path) -> None:
    """What has a source is fetched from there then; what has none is the store's error."""
    report = Recorder()
    broken = FakeArchives(error=StoreError("'s3://x' cannot be reached", "look"))

    assert at_hand(resolved(NUMPY), broken, nothing, report, report.note)[0] == resolved(NUMPY).conda
    assert report.notes == ["'s3://x' cannot be reached. Packages are fetched from where they come from"]
    with pytest.raises(StoreError, match="cannot be reached"):
        at_hand(environment(), broken, nothing, report, report.note)


def test_source_archives_are_refused(tmp_path: Path) -> None:
    """What 1.x left to be built when an environment is created is told before anything is fetched."""
    source = replace(wheel("a"), filename="a-1.0.tar.gz")
    report = Recorder()

    with pytest.raises(PackageError, match=r"only wheels are installed, and the environment has a-1\.0\.tar\.gz"):
        at_hand(resolved(NUMPY, pypi=[source]), archives(tmp_path), nothing, report, report.note)
    assert report.tasks == []


def test_creating_tells_what_is_fetched_elsewhere(tmp_path: Path) -> None:
    """The note reaches whoever is told of the creation, and a refusal leaves no prefix."""
    report = Recorder()
    some = archives(tmp_path, STORED[BUILT.filename])

    create(environment(), creator(PrefixFolder(tmp_path / "envs"), archives=some), report)
    assert any(NUMPY.filename in note for note in report.notes)

    other = replace(environment(), env_id=environment().env_id._replace(full_id="9" * 40))
    with pytest.raises(PackageError, match="in no store that was asked"):
        create(other, creator(PrefixFolder(tmp_path / "envs")), report)
    assert [path.name for path in (tmp_path / "envs").glob("metaflow_*")] == [environment().env_id.prefix_name]


def test_keys_are_shown_without_credentials() -> None:
    """The user that 1.x has put before a host does not reach a message."""
    assert shown_key("packages/conda/joe:pw@e.org/c/x@1.conda") == "packages/conda/e.org/c/x@1.conda"
    assert shown_key("packages/pypi/_fake/joe:pw@e.org/x") == "packages/pypi/_fake/e.org/x"
