"""Credentials in the addresses of sources: used, and written nowhere."""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote_plus, urlsplit

import boto3
import pytest

from tests.channel import Rule, Server, ensure, serve, with_token
from tests.project import FLOWS, Project, project_at, somebody, store_python
from tests.refusal import ONE, check_refusal
from tests.remote.replay import deploy
from tests.servers import StoreServer
from tests.settled import settled

pytestmark = pytest.mark.slow

SECRET = "s3cr3tw0rd"
BASIC = base64.b64encode(f"user:{SECRET}".encode()).decode()
SPEC = "[conda(packages={'click': ''}%s), pypi(packages={'itsdangerous': ''}%s)]"


@pytest.fixture(name="private", scope="module")
def _private(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A channel behind a token, and an index behind a password."""
    root = tmp_path_factory.mktemp("private")
    with_token(built, root, SECRET)
    with serve(root) as running:
        running.rules.append(Rule(r"^/(?!t/)", require_token=BASIC, headers=(("WWW-Authenticate", "Basic"),)))
        yield running


@pytest.fixture(name="closed")
def _closed(private: Server, tmp_path: Path) -> Project:
    """A user's folder with nothing cached, so that every file is asked for."""
    project = project_at(tmp_path, private, tmp_path / ".envs")
    project.variables["RATTLER_CACHE_DIR"] = str(tmp_path / "rattler")
    project.variables["UV_CACHE_DIR"] = str(tmp_path / "uv")
    return project


def with_secret(url: str) -> str:
    return url.replace("://", f"://user:{SECRET}@")


def holders(folder: Path, secrets: tuple[str, ...]) -> list[str]:
    """Return the files below *folder* that hold one of *secrets*, packed artifacts of Metaflow too."""
    found = []
    read = set()
    for path in folder.rglob("*"):
        # What makes byte code renames files meanwhile, and a prefix has the files of a cache under a second name.
        with contextlib.suppress(FileNotFoundError):
            status = path.lstat()
            if not stat.S_ISREG(status.st_mode) or (status.st_dev, status.st_ino) in read:
                continue
            read.add((status.st_dev, status.st_ino))
            data = path.read_bytes()
            if data[:2] == b"\x1f\x8b":
                data = gzip.decompress(data)
            if any(secret.encode() in data for secret in secrets):
                found.append(str(path.relative_to(folder)))
    return found


def watched(
    project: Project, script: Path, variables: Mapping[str, str]
) -> tuple[subprocess.CompletedProcess[str], set[str]]:
    """Run the flow, and return how it ended and every command line that was seen meanwhile."""
    command = [sys.executable, str(script), "--environment=conda", "run"]
    before = set(Path("/proc").glob("[0-9]*"))
    with subprocess.Popen(
        command,
        cwd=project.root,
        env=project.environment(variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        seen: set[str] = set()
        while process.poll() is None:
            for entry in set(Path("/proc").glob("[0-9]*")) - before:
                try:
                    seen.add((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
                except OSError:
                    continue
            time.sleep(0.01)
        assert process.stdout is not None
        output = process.stdout.read()
    return subprocess.CompletedProcess(command, process.returncode, output, ""), seen


def _setting(closed: Project, private: Server) -> dict[str, str]:
    """A token and a password in the URLs of our own settings."""
    index = with_secret(private.simple)
    return {"METAFLOW_CONDA_CHANNELS": token(private), "METAFLOW_CONDA_DEFAULT_PYPI_SOURCE": index}


def _decorator(closed: Project, private: Server) -> dict[str, str]:
    """A channel and an index that are configured without credentials, and a decorator that has them."""
    words = f", channels=['{token(private)}']", f", extra_indices=['{with_secret(private.simple)}']"
    return {"SPEC": SPEC % words}


def _hosts(closed: Project, private: Server) -> dict[str, str]:
    """Credentials by host."""
    return {"METAFLOW_CONDA_SRCS_AUTH_INFO": json.dumps({urlsplit(private.url).netloc: ["user", SECRET]})}


def _netrc(closed: Project, private: Server) -> dict[str, str]:
    """One file that every tool reads."""
    _keep(closed.root / "user" / ".netrc", f"machine 127.0.0.1 login user password {SECRET}\n")
    return {}


def _stores(closed: Project, private: Server) -> dict[str, str]:
    """What rattler's programs keep for a channel, and the variables of an index that has a name."""
    file = _keep(closed.root / "user" / "auth.json", json.dumps({"127.0.0.1": _basic()}))
    named = {"UV_DEFAULT_INDEX": f"corp={private.simple}", "UV_INDEX_CORP_USERNAME": "user"}
    return {**_unset(), "RATTLER_AUTH_FILE": str(file), **named, "UV_INDEX_CORP_PASSWORD": SECRET}


def _tokens(closed: Project, private: Server) -> dict[str, str]:
    """What anaconda-client keeps for a server, and a password in pip's settings."""
    _keep(closed.root / "user" / "binstar" / "data" / f"{quote_plus(private.url)}.token", SECRET)
    pip = _keep(closed.root / "user" / "pip.conf", f"[global]\nindex-url = {with_secret(private.simple)}\n")
    binstar = str(closed.root / "user" / "binstar")
    return {**_unset(), "BINSTAR_CONFIG_DIR": binstar, "PIP_CONFIG_FILE": str(pip)}


def _conda_token(closed: Project, private: Server) -> dict[str, str]:
    """A token that rattler's programs keep, for a channel whose name is in conda's settings and in a decorator."""
    user = closed.root / "user"
    _keep(user / ".rattler" / "credentials.json", json.dumps({urlsplit(private.url).netloc: {"CondaToken": SECRET}}))
    _keep(user / ".condarc", f"custom_channels:\n  conda: {private.url}\n")
    index = with_secret(f"http://localhost:{urlsplit(private.url).port}/simple")
    return {
        "METAFLOW_CONDA_CHANNEL_SETTINGS": "all",
        "METAFLOW_CONDA_CHANNELS": "conda",
        "METAFLOW_CONDA_DEFAULT_PYPI_SOURCE": index,
        "SPEC": SPEC % (", channels=['conda']", ""),
    }


def _keyring(closed: Project, private: Server) -> dict[str, str]:
    """A bearer token that rattler's programs keep, and a password that the program keyring gives for a user."""
    _keep(closed.root / "user" / ".rattler" / "credentials.json", json.dumps({"127.0.0.1": {"BearerToken": BASIC}}))
    program = _keep(closed.root / "user" / "bin" / "keyring", f"#!/bin/sh\ntest $3 = user && echo {SECRET}\n")
    program.chmod(0o755)
    return {
        "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}",
        "PIP_KEYRING_PROVIDER": "subprocess",
        "METAFLOW_CONDA_DEFAULT_PYPI_SOURCE": private.simple.replace("://", "://user@"),
    }


def _stronger_hosts(closed: Project, private: Server) -> dict[str, str]:
    """Credentials by host, over wrong ones that rattler's programs and .netrc have."""
    wrong = {"BasicHTTP": {"username": "user", "password": "wr0ngw0rd"}}
    file = _keep(closed.root / "user" / "auth.json", json.dumps({"127.0.0.1": wrong}))
    _keep(closed.root / "user" / ".netrc", "machine 127.0.0.1 login user password wr0ngw0rd\n")
    return {**_hosts(closed, private), "RATTLER_AUTH_FILE": str(file)}


def _stronger_urls(closed: Project, private: Server) -> dict[str, str]:
    """URLs, over wrong credentials by host and in .netrc."""
    _keep(closed.root / "user" / ".netrc", "machine 127.0.0.1 login user password wr0ngw0rd\n")
    hosts = json.dumps({urlsplit(private.url).netloc: ["user", "wr0ngw0rd"]})
    return {
        "METAFLOW_CONDA_CHANNELS": with_secret(private.channel),
        "METAFLOW_CONDA_DEFAULT_PYPI_SOURCE": with_secret(private.simple),
        "METAFLOW_CONDA_SRCS_AUTH_INFO": hosts,
    }


def _unset() -> dict[str, str]:
    return {"METAFLOW_CONDA_DEFAULT_PYPI_SOURCE": ""}


def _basic() -> dict[str, dict[str, str]]:
    return {"BasicHTTP": {"username": "user", "password": SECRET}}


def _keep(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def token(private: Server) -> str:
    return f"{private.url}/t/{SECRET}/conda"


WAYS = {
    "setting": _setting,
    "decorator": _decorator,
    "hosts": _hosts,
    "netrc": _netrc,
    "stores": _stores,
    "tokens": _tokens,
    "token of rattler": _conda_token,
    "keyring": _keyring,
    "hosts over stores and netrc": _stronger_hosts,
    "URLs over hosts and netrc": _stronger_urls,
}


@pytest.mark.parametrize("way", WAYS)
def test_credentials_are_used_and_written_nowhere(closed: Project, private: Server, way: str, tmp_path: Path) -> None:
    """Each way to give them opens channel and index; no output, document, store, prefix or command line has them."""
    closed.variables["HOME"] = str(tmp_path / "user")
    variables = {"SPEC": SPEC % ("", ""), "IMPORTS": "click itsdangerous", **WAYS[way](closed, private)}
    # A store, for which every package is fetched once more without its tool.
    variables["METAFLOW_CONDA_LOCALROOT"] = str(tmp_path / "store")
    # A task keeps its variables as an artifact in this flow, and these are the user's own.
    script = tmp_path / "one.py"
    script.write_text(ONE.read_text().replace("self.variables = dict(os.environ)", "self.variables = {}"))
    done, seen = watched(closed, script, variables)

    assert done.returncode == 0, done.stdout
    assert SECRET not in done.stdout
    assert BASIC not in done.stdout
    assert any("rattler_worker" in line for line in seen)
    assert not [line for line in seen if SECRET in line or BASIC in line]
    script.unlink()
    shutil.rmtree(tmp_path / "user", ignore_errors=True)
    for prefix in closed.envs.glob("metaflow_*") if way == "setting" else ():
        settled(prefix)  # byte code is made of the same files whichever way they came: once will do
    assert list((tmp_path / "store" / "packages").glob("*/*"))
    assert holders(tmp_path, (SECRET, BASIC)) == []


def test_a_workflow_holds_no_credentials(
    tmp_path: Path, s3_server: StoreServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is deployed, stored and packaged for containers names the sources, and has nothing that opens them."""
    with serve(ensure("stores")) as running:
        running.rules.append(Rule("", require_token=BASIC, headers=(("WWW-Authenticate", "Basic"),)))
        ada = somebody(tmp_path / "ada", running, s3_server)
        host = urlsplit(running.url).netloc
        ada.variables.update(
            METAFLOW_CONDA_CHANNELS=with_secret(running.channel),
            METAFLOW_CONDA_CHANNEL_ALIAS=with_secret(running.url),
            METAFLOW_CONDA_DEFAULT_PYPI_SOURCE=with_secret(running.simple),
            METAFLOW_CONDA_SRCS_AUTH_INFO=json.dumps({host: ["user", SECRET]}),
            NEWEST=store_python(),
        )
        workflow = deploy(ada, FLOWS / "remote_env.py", "--environment=conda")

    text = json.dumps(workflow.document)
    assert running.channel in text
    assert "METAFLOW_CONDA_SRCS_AUTH_INFO" not in text
    assert not [secret for secret in (SECRET, BASIC) if secret in text]
    assert holders(ada.root, (SECRET, BASIC)) == []
    s3_server.use(monkeypatch)
    bucket, _, prefix = ada.variables["METAFLOW_DATASTORE_SYSROOT_S3"].removeprefix("s3://").partition("/")
    client = boto3.client("s3", endpoint_url=s3_server.variables["METAFLOW_S3_ENDPOINT_URL"])
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    stored = [entry["Key"] for page in pages for entry in page["Contents"]]
    assert any(key.endswith("/env") for key in stored)
    kept = tmp_path / "kept"
    for number, key in enumerate(stored):
        if not key.endswith((".conda", ".whl")):
            kept.mkdir(exist_ok=True)
            client.download_file(bucket, key, str(kept / str(number)))
    assert not [key for key in stored if SECRET in key]
    assert holders(kept, (SECRET, BASIC)) == []


@pytest.mark.parametrize("kind", ["channel", "index"])
def test_what_opens_no_source_is_told(closed: Project, private: Server, kind: str) -> None:
    """Without credentials the source that wants them is named, and how to give them."""
    closed.variables["HOME"] = str(closed.root / "user")
    good = _setting(closed, private)
    name = "METAFLOW_CONDA_CHANNELS" if kind == "channel" else "METAFLOW_CONDA_DEFAULT_PYPI_SOURCE"
    plain = private.channel if kind == "channel" else private.simple
    done = closed.flow(ONE, "run", variables={**good, name: plain, "SPEC": SPEC % ("", "")})
    message = check_refusal(done, "step start", plain.rstrip("/"), "METAFLOW_CONDA_SRCS_AUTH_INFO")
    assert SECRET not in message


@pytest.mark.parametrize("kind", ["conda", "pypi"])
def test_wrong_credentials_are_told_and_hidden(closed: Project, private: Server, kind: str) -> None:
    """A refused password is told with the address of the source, and masked."""
    wrong = "wr0ngw0rd"
    good = {
        "METAFLOW_CONDA_CHANNELS": with_secret(private.channel),
        "METAFLOW_CONDA_DEFAULT_PYPI_SOURCE": with_secret(private.simple),
    }
    name = "METAFLOW_CONDA_CHANNELS" if kind == "conda" else "METAFLOW_CONDA_DEFAULT_PYPI_SOURCE"
    variables = {**good, name: good[name].replace(SECRET, wrong), "SPEC": SPEC % ("", "")}
    done = closed.flow(ONE, "run", variables=variables)

    # What is known of the channel may be in a cache that is good for a while: then its packages are refused.
    check_refusal(done, "step start", private.url.partition("://")[2], "credentials")
    assert wrong not in done.output
    assert SECRET not in done.output
    assert holders(closed.root, (wrong,)) == []


def test_errors_of_words_hide_credentials(closed: Project, private: Server) -> None:
    """A word that cannot be read is shown without its credentials."""
    spec = f"[conda(channels='{with_secret(private.channel)}')]"
    done = closed.flow(ONE, "run", variables={"SPEC": spec})
    check_refusal(done, "step start: @conda: channels=", "is not a list of texts")
    assert SECRET not in done.output

    done = closed.flow(ONE, "run", variables={"METAFLOW_CONDA_DEFAULT_PYPI_SOURCE": f"htp://user:{SECRET}@x/simple"})
    check_refusal(done, "METAFLOW_CONDA_DEFAULT_PYPI_SOURCE is 'htp://****@x/simple'")
    assert SECRET not in done.output
