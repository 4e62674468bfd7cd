"""Test the loopback server and its faults."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.channel.server import Rule, Server, serve

DATA = b"0123456789"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Serve a folder with one file and one page."""
    (tmp_path / "conda").mkdir()
    (tmp_path / "conda" / "data.bin").write_bytes(DATA)
    (tmp_path / "simple").mkdir()
    (tmp_path / "simple" / "index.html").write_text("page")
    with serve(tmp_path) as running:
        yield running


def _get(server: Server, path: str = "/conda/data.bin", **headers: str) -> requests.Response:
    plain = {name.replace("_", "-"): value for name, value in headers.items()}
    return requests.get(server.url + path, headers=plain, timeout=10)


def test_serves_files_and_pages(server: Server) -> None:
    """Files, folders with a page and missing paths are answered and recorded."""
    assert _get(server).content == DATA
    assert _get(server, "/simple").text == "page"
    assert _get(server, "/none").status_code == 404
    assert server.counts() == {"/conda/data.bin": 1, "/simple": 1, "/simple/": 1, "/none": 1}


def test_stays_in_its_folder(server: Server) -> None:
    """A path that leads out of the folder is not found."""
    assert _get(server, "/%2e%2e/%2e%2e/etc/passwd").status_code == 404


def test_head_has_a_length_and_no_body(server: Server) -> None:
    """HEAD tells the size without sending the file."""
    answer = requests.head(f"{server.url}/conda/data.bin", timeout=10)
    assert (answer.headers["Content-Length"], answer.content) == ("10", b"")


@pytest.mark.parametrize(
    ("asked", "status", "body"),
    [
        ("bytes=2-4", 206, b"234"),
        ("bytes=7-", 206, b"789"),
        ("bytes=-3", 206, b"789"),
        ("bytes=20-", 416, b""),
        ("lines=1-2", 200, DATA),
    ],
)
def test_range(server: Server, asked: str, status: int, body: bytes) -> None:
    """A range of bytes is served, and one outside the file refused."""
    answer = _get(server, Range=asked)
    assert (answer.status_code, answer.content) == (status, body)


def test_unchanged_file_is_not_sent_again(server: Server) -> None:
    """A client that shows the tag or the time it has gets 304."""
    first = _get(server)
    assert _get(server, If_None_Match=first.headers["ETag"]).status_code == 304
    assert _get(server, If_Modified_Since=first.headers["Last-Modified"]).status_code == 304
    assert _get(server, If_None_Match='"other"').status_code == 200


def test_rule_is_used_up(server: Server) -> None:
    """A rule with a number of times acts that often, then the file is served."""
    retry = (("Retry-After", "1"),)
    server.rules.append(Rule(r"data\.bin$", status=429, times=2, headers=retry))
    answers = [_get(server) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [429, 429, 200]
    assert answers[0].headers["Retry-After"] == "1"


def test_rule_replaces_the_body(server: Server) -> None:
    """A rule with a body and no status answers 200 with that body."""
    server.rules.append(Rule("data", body=b"garbage"))
    assert (_get(server).status_code, _get(server).content) == (200, b"garbage")


def test_rule_requires_a_token(server: Server) -> None:
    """Without its token a path answers 401, with it the file is served."""
    server.rules.append(Rule("^/conda/", require_token="sesame"))
    assert _get(server).status_code == 401
    assert _get(server, Authorization="Bearer sesame").content == DATA


def test_rule_cuts_the_answer_off(server: Server) -> None:
    """A truncated answer ends before the length it promised."""
    server.rules.append(Rule("data", truncate=4, times=1))
    with pytest.raises(requests.exceptions.RequestException):
        _get(server)
    assert _get(server).content == DATA


def test_rule_delays(server: Server) -> None:
    """A delayed answer comes after a client's patience ends."""
    server.rules.append(Rule("data", delay=0.5, times=1))
    with pytest.raises(requests.exceptions.ReadTimeout):
        requests.get(f"{server.url}/conda/data.bin", timeout=0.1)


def test_clear_forgets(server: Server) -> None:
    """Clearing drops the rules and the requests."""
    server.rules.append(Rule("data", status=500))
    assert _get(server).status_code == 500
    server.clear()
    assert (server.rules, server.requests) == ([], [])
    assert _get(server).status_code == 200
