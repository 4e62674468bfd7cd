"""Files over loopback HTTP, with all that can go wrong on the way."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from metaflow_extensions.netflix_ext.adapters.http import HttpFetcher
from metaflow_extensions.netflix_ext.engine.errors import PackageError
from tests.channel import Rule, Server, serve

DATA = b"0123456789abcdef" * 200_000
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture(name="source")
def _source(tmp_path: Path) -> Iterator[Server]:
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "a.bin").write_bytes(DATA)
    with serve(folder) as running:
        yield running


@pytest.fixture(name="fetcher")
def _fetcher() -> HttpFetcher:
    return HttpFetcher(pause=0.01)


def left(path: Path) -> list[str]:
    return [item.name for item in path.parent.iterdir()] if path.parent.exists() else []


def test_a_file_is_fetched_and_checked(source: Server, fetcher: HttpFetcher, tmp_path: Path) -> None:
    """The bytes arrive, and nothing lies beside the file."""
    path = tmp_path / "new" / "a.bin"
    fetcher.fetch(f"{source.url}/a.bin", SHA256, path)
    fetcher.fetch(f"{source.url}/a.bin", f"md5:{hashlib.md5(DATA).hexdigest()}", path)

    assert path.read_bytes() == DATA
    assert left(path) == ["a.bin"]


def test_a_folder_is_a_source(tmp_path: Path, fetcher: HttpFetcher) -> None:
    """A ``file://`` URL is read, and told where it is missing."""
    (tmp_path / "a b.bin").write_bytes(DATA)
    path = tmp_path / "new" / "a.bin"
    fetcher.fetch((tmp_path / "a b.bin").as_uri(), SHA256, path)

    assert path.read_bytes() == DATA
    with pytest.raises(PackageError, match="cannot be read: No such file"):
        fetcher.fetch((tmp_path / "none").as_uri(), SHA256, path)


def test_other_bytes_are_refused(source: Server, fetcher: HttpFetcher, tmp_path: Path) -> None:
    """A file that does not hash to what is expected is an error with both hashes, and is not kept."""
    path = tmp_path / "new" / "a.bin"
    with pytest.raises(PackageError, match=f"expected sha256 {'0' * 64}, got {SHA256}"):
        fetcher.fetch(f"{source.url}/a.bin", "0" * 64, path)

    assert left(path) == []


@pytest.mark.parametrize("rule", [Rule("a.bin", status=503, times=2), Rule("a.bin", truncate=1000, times=2)])
def test_it_tries_again(source: Server, fetcher: HttpFetcher, tmp_path: Path, rule: Rule) -> None:
    """A server that is busy, or breaks off, is asked again."""
    source.rules.append(rule)
    path = tmp_path / "new" / "a.bin"
    fetcher.fetch(f"{source.url}/a.bin", SHA256, path)

    assert path.read_bytes() == DATA
    assert source.counts()["/a.bin"] == 3


def test_it_gives_up(source: Server, fetcher: HttpFetcher, tmp_path: Path) -> None:
    """After four tries there is one error with the cause, and nothing is left."""
    source.rules.append(Rule("a.bin", truncate=1000))
    path = tmp_path / "new" / "a.bin"
    with pytest.raises(PackageError, match="tried 4 times"):
        fetcher.fetch(f"{source.url}/a.bin", SHA256, path)

    assert source.counts()["/a.bin"] == 4
    assert left(path) == []


@pytest.mark.parametrize(("status", "hint"), [(404, "has it no more"), (403, "credentials"), (401, "credentials")])
def test_a_refusal_is_final(source: Server, fetcher: HttpFetcher, tmp_path: Path, status: int, hint: str) -> None:
    """What the server refuses is not asked for again, and the remedy fits."""
    source.rules.append(Rule("a.bin", status=status))
    with pytest.raises(PackageError, match=f"answers {status}") as caught:
        fetcher.fetch(f"{source.url}/a.bin", SHA256, tmp_path / "a.bin")

    assert hint in caught.value.hint
    assert source.counts()["/a.bin"] == 1


def test_credentials_are_sent_and_not_told(source: Server, tmp_path: Path) -> None:
    """The credentials of a source open it; without them, and in errors, they do not show."""
    secret = source.url.replace("http://", "http://user:hunter2@")
    source.rules.append(Rule("a.bin", require_token="dXNlcjpodW50ZXIy"))
    HttpFetcher({source.url: secret}).fetch(f"{source.url}/a.bin", SHA256, tmp_path / "a.bin")

    assert (tmp_path / "a.bin").read_bytes() == DATA
    with pytest.raises(PackageError, match="401") as caught:
        HttpFetcher({source.url: secret.replace("hunter2", "hunter3")}).fetch(
            f"{source.url}/a.bin", SHA256, tmp_path / "b.bin"
        )
    assert "hunter3" not in str(caught.value)


def test_nobody_listens(tmp_path: Path) -> None:
    """A host that is not there is one error with the cause."""
    with pytest.raises(PackageError, match="refused"):
        HttpFetcher(tries=2, pause=0.01).fetch("http://127.0.0.1:9/a.bin", SHA256, tmp_path / "a.bin")
