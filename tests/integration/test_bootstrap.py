"""The start of a task in a container, whose datastore is a real server: each fault of the store is one message."""

from __future__ import annotations

import datetime
import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from metaflow_extensions.netflix_ext.engine.layout import tool_key
from metaflow_extensions.netflix_ext.host import compat
from metaflow_extensions.netflix_ext.host.containers.container import main
from metaflow_extensions.netflix_ext.host.store import MetaflowStore
from tests.fakes import resolved, wheel
from tests.servers import Relay, StoreServer, s3
from tests.servers.program import free_port

pytestmark = pytest.mark.slow

ENVIRONMENT = resolved(pypi=[wheel("idna")])
TOOL = {"name": "packaging", "file": "packaging-1-py3-none-any.whl", "sha256": hashlib.sha256(b"a tool").hexdigest()}
Begin = Callable[[], str]


@pytest.fixture(name="root")
def _root(s3_server: StoreServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A root of environments that a user with few rights may not read, with a tool; it is used from now on."""
    s3_server.use(monkeypatch)
    root = f"{s3_server.root}/locked/{tmp_path.name}"
    MetaflowStore("s3", root).put(tool_key(TOOL["name"], TOOL["sha256"], TOOL["file"]), b"a tool")
    document = tmp_path / "conda_v2.cnd"
    document.write_text(json.dumps({"environments": [ENVIRONMENT.to_dict()], "tools": {"linux-64": [TOOL]}}))
    monkeypatch.setattr(compat, "package_member", lambda _name: str(document))
    monkeypatch.setattr(compat, "configured", lambda names: dict.fromkeys(names, ""))
    monkeypatch.chdir(tmp_path)
    return root


def failed(root: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Begin a task, which must fail; return what it says of that: one message, what to do, and no more."""
    assert main(["start", "s3", root, "linux-64", f"id={':'.join(ENVIRONMENT.env_id)}"]) == 1
    said = capsys.readouterr()
    assert "Environment bootstrapped" not in said.out
    assert "Traceback" not in said.err
    assert said.err.count("hint: ") == 1
    assert "secret" not in said.err
    return said.err


def test_what_the_store_refuses(
    root: str, s3_server: StoreServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Objects that may not be read, credentials that are not accepted, and a bucket that is not there."""
    with monkeypatch.context() as patch:
        for name, value in s3.LIMITED.items():
            patch.setenv(name, value)
        said = failed(root, capsys)
        assert f"'{root}/tools/packaging/" in said
        assert "cannot be read: access is denied" in said
        assert "s3:GetObject" in said
    with monkeypatch.context() as patch:
        patch.setenv("AWS_SECRET_ACCESS_KEY", "wrongsecret")
        said = failed(root, capsys)
        assert "the credentials are missing, or are not accepted" in said
        assert "AWS_ACCESS_KEY_ID" in said
    said = failed("s3://nobodys/x", capsys)
    assert "there is no such bucket or container" in said
    assert "METAFLOW_CONDA_S3ROOT" in said


@pytest.mark.parametrize("minutes", [-20, 20])
def test_a_clock_that_is_wrong(
    minutes: int, root: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The server refuses what was signed at another time than its own; that is told for what it is."""
    from botocore import auth

    now = auth.get_current_datetime
    monkeypatch.setattr(
        auth, "get_current_datetime", lambda *words, **more: now(*words, **more) + datetime.timedelta(minutes=minutes)
    )

    said = failed(root, capsys)

    assert "cannot be read: the clock of this machine is wrong (RequestTimeTooSkewed" in said
    assert "hint: set it" in said


def test_a_store_that_cannot_be_reached(
    root: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is told within seconds."""
    from metaflow import metaflow_config

    nowhere = {"endpoint_url": f"http://127.0.0.1:{free_port()}"}
    monkeypatch.setattr(metaflow_config, "DATATOOLS_CLIENT_PARAMS", nowhere)
    begun = time.monotonic()

    said = failed(root, capsys)

    assert "it cannot be reached" in said
    assert "METAFLOW_S3_ENDPOINT_URL" in said
    assert time.monotonic() - begun < 30


def test_answers_that_break_off(
    root: str, s3_relay: Relay, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each object is read up to four times, and then there is one error; what is whole in the end is used."""
    s3.at(s3_relay.url).use(monkeypatch)
    s3_relay.spoil = lambda method, path: "cut" if method == "GET" and "/tools/" in path else None

    assert "it cannot be reached" in failed(root, capsys)
    assert len(s3_relay.below("/tools/")) == 4

    turns = iter(["cut", 503, "cut"])
    s3_relay.clear()
    s3_relay.spoil = lambda method, path: next(turns, None) if method == "GET" and "/tools/" in path else None
    # The tool has come, whole: now it shows that it is none.
    assert "cannot be reached" not in failed(root, capsys)
    assert len(s3_relay.below("/tools/")) == 4
