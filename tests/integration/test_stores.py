"""Environments in the datastores of flows, on real servers: shared, found again, asked for seldom; and every fault."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import requests

from metaflow_extensions.netflix_ext.engine.errors import StoreError
from metaflow_extensions.netflix_ext.host.store import MetaflowStore
from tests.channel import Server
from tests.project import FLOWS, Serving, somebody, store_python
from tests.refusal import check_refusal
from tests.servers import Relay, StoreServer, gs, s3
from tests.servers.program import free_port
from tests.servers.relay import relayed

pytestmark = pytest.mark.slow

ONE = FLOWS / "one.py"


@pytest.fixture(name="relayed_s3")
def _relayed_s3(s3_relay: Relay, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> MetaflowStore:
    """A store of its own in S3, by way of the relay."""
    server = s3.at(s3_relay.url)
    server.use(monkeypatch)
    return MetaflowStore("s3", f"{server.root}/{tmp_path.name}")


@pytest.fixture(name="gs_relay")
def _gs_relay(gs_server: StoreServer) -> Iterator[Relay]:
    with relayed(gs_server.variables["STORAGE_EMULATOR_HOST"]) as relay:
        yield relay


def fault(work: Callable[[], object], *says: str, hint: str) -> str:
    """Check that *work* is one StoreError with all of *says*, and *hint* in what to do; return the message."""
    with pytest.raises(StoreError) as caught:
        work()
    assert [words for words in says if words not in caught.value.message] == [], caught.value.message
    assert hint in caught.value.hint
    return caught.value.message


# --- what is asked of the provider


def test_a_store_that_is_made_does_nothing() -> None:
    """Making one imports no provider's package and talks to nobody, whatever its root."""
    program = (
        "import sys; from metaflow_extensions.netflix_ext.host.store import MetaflowStore\n"
        "for kind in ('s3', 'azure', 'gs'): MetaflowStore(kind, 'nonsense')\n"
        "print([name for name in ('boto3', 'azure.core', 'azure.identity', 'google.auth') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_requests_are_few(relayed_s3: MetaflowStore, s3_relay: Relay, tmp_path: Path) -> None:
    """One request reads, writes, or puts a file; a listing tells of hundreds of keys; what is unknown costs no more."""
    (tmp_path / "file").write_bytes(b"1")
    keys = [f"packages/conda/host/forge/{number:03d}/x/{number}" for number in range(120)]
    for key in keys:
        relayed_s3.put_file(key, tmp_path / "file")
    assert len(s3_relay.requests) == len(keys)

    costs = []
    for work in (
        lambda: relayed_s3.get(keys[0]),
        lambda: relayed_s3.put("a", b"1", overwrite=True),
        lambda: relayed_s3.put("b", b"1"),
        lambda: relayed_s3.copy(keys[0], tmp_path / "out"),
        lambda: list(relayed_s3.list("packages/conda/host/forge")),
        lambda: relayed_s3.present(keys),
        lambda: relayed_s3.present([*keys, *(key.replace("forge", "mine") for key in keys)]),
        lambda: relayed_s3.present([f"{key}.other" for key in keys]),
    ):
        s3_relay.clear()
        work()
        costs.append(len(s3_relay.requests))
    assert costs[:7] == [1, 1, 1, 1, 1, 1, 2]
    assert costs[7] <= 2


def test_a_large_store_is_not_read_whole(relayed_s3: MetaflowStore, s3_relay: Relay) -> None:
    """Few keys among thousands of others cost no more requests than one a key."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda n: relayed_s3.put(f"packages/conda/host/forge/{n:04d}", b""), range(1200)))
    wanted = [f"packages/conda/host/forge/{number:04d}" for number in (3, 900, 1199, 5000)]
    s3_relay.clear()

    assert relayed_s3.present(wanted) == set(wanted[:3])
    assert len(s3_relay.requests) <= len(wanted)


# --- faults


@pytest.mark.parametrize(
    ("kind", "root", "name"),
    [
        ("s3", "s3://nobodys/x", "METAFLOW_CONDA_S3ROOT"),
        ("azure", "nobodys/x", "METAFLOW_CONDA_AZUREROOT"),
        ("gs", "gs://nobodys/x", "METAFLOW_CONDA_GSROOT"),
    ],
)
def test_a_missing_bucket(
    serving: Serving, kind: str, root: str, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The place is named, and the variable that says another one."""
    serving(kind).use(monkeypatch)
    store = MetaflowStore(kind, root)
    (tmp_path / "file").write_bytes(b"1")

    words = (f"'{root}/a/b' in ", "there is no such bucket or container")
    fault(lambda: store.put("a/b", b"1"), *words, "cannot be written", hint=f"{name}, which is '{root}'")
    fault(lambda: store.put_file("a/b", tmp_path / "file"), *words, hint=name)
    fault(lambda: list(store.list("a/b")), *words, "cannot be listed", hint=name)
    if kind != "gs":  # its stand-in says the same of a missing bucket and of a missing object
        fault(lambda: store.get("a/b"), *words, "cannot be read", hint=name)


def test_wrong_credentials_of_s3(s3_server: StoreServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong secret, a user nobody knows, and none at all; the secret is not told."""
    s3_server.use(monkeypatch)
    says = "the credentials are missing, or are not accepted"
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wr0ngsecret")
    message = fault(lambda: MetaflowStore("s3", s3_server.root).get("a"), says, hint="AWS_ACCESS_KEY_ID")
    assert "wr0ngsecret" not in message

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    fault(lambda: MetaflowStore("s3", s3_server.root).put("a", b""), says, hint="AWS_PROFILE")

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    fault(lambda: list(MetaflowStore("s3", s3_server.root).list("a")), says, hint="log in")


@pytest.mark.parametrize("minutes", [-20, 20])
def test_a_clock_that_is_wrong(minutes: int, s3_server: StoreServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is signed at another time than the server's is refused; the clock is told, and not the rights."""
    from botocore import auth

    s3_server.use(monkeypatch)
    now, off = auth.get_current_datetime, timedelta(minutes=minutes)
    monkeypatch.setattr(auth, "get_current_datetime", lambda *words, **more: now(*words, **more) + off)
    store = MetaflowStore("s3", s3_server.root)
    for work in (lambda: store.get("a"), lambda: store.put("a", b""), lambda: list(store.list("a"))):
        fault(work, "the clock of this machine is wrong", "RequestTimeTooSkewed", hint="set it")  # type: ignore[arg-type]


def test_wrong_credentials_of_azure(azure_server: StoreServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """No token to be had."""
    azure_server.use(monkeypatch)
    monkeypatch.setenv("IDENTITY_ENDPOINT", azure_server.variables["IDENTITY_ENDPOINT"].replace("/azure", "/refused"))
    says = "the credentials are missing, or are not accepted"
    fault(lambda: MetaflowStore("azure", azure_server.root).get("a"), says, hint="az login")


def test_wrong_credentials_of_google(gs_server: StoreServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """No credentials on this machine."""
    gs_server.use(monkeypatch)
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS")
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    says = "the credentials are missing, or are not accepted"
    fault(lambda: MetaflowStore("gs", gs_server.root).get("a"), says, hint="gcloud auth")


@pytest.mark.parametrize("kind", ["s3", "azure", "gs"])
def test_a_server_that_does_not_answer(serving: Serving, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told within seconds, with where it was looked for."""
    server = serving(kind)
    server.use(monkeypatch)
    nowhere = f"127.0.0.1:{free_port()}"
    for module, name, _ in server.attributes:
        gone = {"endpoint_url": f"http://{nowhere}"} if kind == "s3" else f"https://{nowhere}/tester"
        monkeypatch.setattr(f"{module}.{name}", {} if kind == "gs" else gone)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://{nowhere}")
    begun = time.monotonic()

    hint = "ENDPOINT" if kind != "gs" else "the proxy"
    fault(lambda: MetaflowStore(kind, server.root).get("a"), f"{server.root}/a", "it cannot be reached", hint=hint)

    assert time.monotonic() - begun < 20


def test_a_certificate_that_is_not_trusted(azure_server: StoreServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told at once: trying again does not help."""
    azure_server.use(monkeypatch)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    begun = time.monotonic()

    fault(lambda: MetaflowStore("azure", azure_server.root).get("a"), "CERTIFICATE_VERIFY_FAILED", hint="network")

    assert time.monotonic() - begun < 5


def test_access_denied_on_one_key(s3_server: StoreServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One key that may not be read or written is named; others work."""
    s3_server.use(monkeypatch)
    MetaflowStore("s3", s3_server.root).put("locked/a", b"1", overwrite=True)
    for name, value in s3.LIMITED.items():
        monkeypatch.setenv(name, value)
    store = MetaflowStore("s3", s3_server.root)

    store.put("open/a", b"1", overwrite=True)
    assert store.get("open/a") == b"1"
    says = (f"'{s3_server.root}/locked/a' in S3", "access is denied")
    fault(lambda: store.get("locked/a"), *says, "cannot be read", hint="s3:GetObject")
    fault(lambda: store.copy("locked/a", tmp_path / "out"), *says, hint="s3:GetObject")
    fault(lambda: store.put("locked/a", b"2"), *says, "cannot be written", hint="s3:PutObject")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("status", "says"), [(401, "the credentials are missing"), (403, "access is denied"), (400, "it failed")]
)
def test_refusals_of_google(
    gs_relay: Relay, gs_server: StoreServer, status: int, says: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What Google refuses is told for what it is, with the key."""
    server = gs.at(gs_relay.url, gs_server.variables["GOOGLE_APPLICATION_CREDENTIALS"])
    server.use(monkeypatch)
    store = MetaflowStore("gs", server.root)
    store.put("open", b"1")
    gs_relay.spoil = lambda _method, path: status if "locked" in path else None

    assert store.get("open") == b"1"
    fault(lambda: store.get("locked"), f"'{server.root}/locked' in Google Storage", says, hint="")
    fault(lambda: store.copy("locked", tmp_path / "out"), says, hint="")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("spoilt", [503, "cut"])
def test_what_passes_is_tried_again(
    relayed_s3: MetaflowStore, s3_relay: Relay, spoilt: int | str, tmp_path: Path
) -> None:
    """A server that is busy for a moment, and an answer that breaks off, cost another try; the bytes are whole."""
    data = os.urandom(3_000_000)
    relayed_s3.put("a", data)
    turns = iter([spoilt, spoilt])
    s3_relay.spoil = lambda method, _path: next(turns, None) if method == "GET" else None

    assert relayed_s3.copy("a", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == data


def test_what_goes_on_breaking_off_is_one_error(relayed_s3: MetaflowStore, s3_relay: Relay, tmp_path: Path) -> None:
    """After some tries it is told, and no file is left."""
    relayed_s3.put("a", b"1" * 100_000)
    s3_relay.spoil = lambda method, _path: "cut" if method == "GET" else None

    fault(lambda: relayed_s3.copy("a", tmp_path / "out"), "it cannot be reached", hint="check the network")
    assert not list(tmp_path.iterdir())


def test_google_is_tried_again(
    gs_relay: Relay, gs_server: StoreServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The same with Google Storage."""
    server = gs.at(gs_relay.url, gs_server.variables["GOOGLE_APPLICATION_CREDENTIALS"])
    server.use(monkeypatch)
    store = MetaflowStore("gs", server.root)
    data = os.urandom(1_000_000)
    store.put("again", data)
    turns: Iterator[int | str] = iter([503, "cut"])
    gs_relay.spoil = lambda _method, path: next(turns, None) if "again" in path else None

    assert store.copy("again", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == data


def test_an_old_server_that_knows_no_conditions(relayed_s3: MetaflowStore, s3_relay: Relay) -> None:
    """Where a condition is not implemented, it is looked first, and what is there stays."""
    seen: list[str] = []

    def spoil(method: str, path: str) -> int | None:
        seen.append(path)
        return 501 if method == "PUT" and seen.count(path) == 1 else None

    s3_relay.spoil = spoil
    relayed_s3.put("a", b"1")
    seen.clear()
    relayed_s3.put("a", b"2")

    assert relayed_s3.get("a") == b"1"


def test_a_package_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told what to install."""
    for name in ("boto3", "azure.storage.blob", "google.cloud.storage", "google.cloud"):
        monkeypatch.setitem(sys.modules, name, None)

    for kind, root, package in (
        ("s3", "s3://b/x", "boto3"),
        ("azure", "b/x", "azure-storage-blob"),
        ("gs", "gs://b/x", "google-cloud-storage"),
    ):
        store = MetaflowStore(kind, root)
        hint = f"pip install {package}" if kind == "s3" else package
        fault(lambda store=store: store.get("a"), "a package that talks to it is missing", hint=hint)  # type: ignore[misc]


# --- commands and flows


@pytest.mark.parametrize("kind", ["s3", "azure", "gs"])
def test_environments_are_shared(serving: Serving, kind: str, store_channel: Server, tmp_path: Path) -> None:
    """What one resolves, with an alias, another one lists, shows and fetches by name, from another machine."""
    server = serving(kind)
    ada, grace = somebody(tmp_path / "ada", store_channel, server), somebody(tmp_path / "grace", store_channel, server)
    words = ("--python", store_python(), "--skip-metaflow-deps", "--alias", "team/shared:v1", "--json")
    done = ada.metaflow("environment", "--datastore", kind, "resolve", *words)
    assert done.returncode == 0, done.output
    full_id = json.loads(done.stdout)["environments"][0]["environment"]["full_id"]

    for command in (("list",), ("show", "team/shared:v1"), ("get", "team/shared:v1")):
        done = grace.metaflow("environment", "--datastore", kind, *command, "--json")
        assert done.returncode == 0, done.output
        assert full_id in done.stdout
    assert len(list(grace.catalog.rglob("env"))) == 1

    mary = somebody(tmp_path / "mary", store_channel, server)
    done = mary.metaflow("environment", "--datastore", "local", "show", "team/shared:v1")
    assert done.returncode == 1, done.output


def test_another_root(s3_server: StoreServer, store_channel: Server, tmp_path: Path) -> None:
    """`--conda-root` and the variables for folders say where; what is there is found there alone."""
    ada = somebody(tmp_path / "ada", store_channel, s3_server)
    root = f"{s3_server.root}/{tmp_path.name}/elsewhere"
    names = {"METAFLOW_CONDA_ENVS_DIRNAME": "resolved"}
    group = ("environment", "--datastore", "s3", "--conda-root", root)
    words = ("--python", store_python(), "--skip-metaflow-deps", "--alias", "team/other")
    done = ada.metaflow(*group, "resolve", *words, variables=names)
    assert done.returncode == 0, done.output

    grace = somebody(tmp_path / "grace", store_channel, s3_server)
    assert grace.metaflow(*group, "show", "team/other", variables=names).returncode == 0
    assert grace.metaflow(*group, "show", "team/other").returncode == 1
    assert grace.metaflow("environment", "--datastore", "s3", "show", "team/other", variables=names).returncode == 1


def test_a_root_that_is_not_known(store_channel: Server, s3_server: StoreServer, tmp_path: Path) -> None:
    """A datastore without a root is refused, with the variables that give one."""
    ada = somebody(tmp_path / "ada", store_channel, s3_server)
    del ada.variables["METAFLOW_DATASTORE_SYSROOT_S3"]

    done = ada.metaflow("environment", "--datastore", "s3", "list")

    check_refusal(done, "METAFLOW_CONDA_S3ROOT is not set", "METAFLOW_DATASTORE_SYSROOT_S3")


def test_a_fault_in_a_command_is_one_message(store_channel: Server, s3_server: StoreServer, tmp_path: Path) -> None:
    """A command that may not use its store ends with one message; what was resolved is not lost with it."""
    ada = somebody(tmp_path / "ada", store_channel, s3_server)
    words = ("--python", store_python(), "--skip-metaflow-deps")
    group = ("environment", "--datastore", "s3", "--conda-root", "s3://nobodys/x")
    done = ada.metaflow(*group, "resolve", *words)

    check_refusal(done, "there is no such bucket", "METAFLOW_CONDA_S3ROOT, which is 's3://nobodys/x'")
    locked = ("environment", "--datastore", "s3", "--conda-root", f"{s3_server.root}/locked/{tmp_path.name}")
    done = ada.metaflow(*locked, "resolve", *words, variables=s3.LIMITED)
    check_refusal(done, f"{tmp_path.name}/envs/", "access is denied", "s3:GetObject, s3:PutObject")
    done = ada.metaflow(*locked, "resolve", *words, variables={"AWS_SECRET_ACCESS_KEY": "wrongsecret"})
    check_refusal(done, "the credentials are missing, or are not accepted", "AWS_PROFILE")
    assert "wrongsecret" not in done.output
    done = ada.metaflow("environment", "--datastore", "s3", "resolve", *words)
    assert done.returncode == 0, done.output
    assert "known already" in done.stderr


def test_a_flow_shares_and_a_second_run_asks_nothing(
    s3_relay: Relay, s3_server: StoreServer, store_channel: Server, tmp_path: Path
) -> None:
    """A flow on S3 publishes its environments, with a request a package; the next run costs one look."""
    ada = somebody(tmp_path / "ada", store_channel, s3_server)
    ada.variables.update(s3.at(s3_relay.url).variables, METAFLOW_DEFAULT_DATASTORE="s3")
    ada.variables["SPEC"] = f"[conda(python='{store_python()}', packages={{'click': ''}})]"
    ada.run(ONE)
    stored = [path for method, path in s3_relay.below("/conda_env/packages/") if method == "PUT"]
    assert stored
    assert len(set(stored)) == len(stored)
    assert len(s3_relay.below("/conda_env/")) <= len(stored) + 10
    s3_relay.clear()

    ada.run(ONE)

    assert len(s3_relay.below("/conda_env/")) == 1
    step = ada.latest("OneFlow", "run['start'].task.metadata_dict['conda_env_id']")
    grace = somebody(tmp_path / "grace", store_channel, s3_server)
    done = grace.metaflow("environment", "--datastore", "s3", "list", "--json")
    assert str(json.loads(str(step))[1]) in done.stdout, done.output


def test_a_flows_commands_share_too(s3_server: StoreServer, store_channel: Server, tmp_path: Path) -> None:
    """What a flow's `environment resolve` names can be had by name elsewhere, but with `--local-only`."""
    ada, grace = (
        somebody(tmp_path / "ada", store_channel, s3_server),
        somebody(tmp_path / "grace", store_channel, s3_server),
    )
    ada.variables["SPEC"] = f"[conda(python='{store_python()}', packages={{'click': ''}})]"
    words = ("--datastore=s3", "environment", "resolve", "start", "--json")

    done = ada.flow(ONE, *words, "--local-only", "--alias", "team/mine:v1")
    assert done.returncode == 0, done.output
    done = grace.metaflow("environment", "--datastore", "s3", "show", "team/mine:v1")
    assert done.returncode == 1, done.output
    done = ada.flow(ONE, *words, "--force", "--alias", "team/flow:v1")
    assert done.returncode == 0, done.output
    full_id = next(iter(json.loads(done.stdout)["steps"]["start"].values()))["environment"]["full_id"]
    done = grace.metaflow("environment", "--datastore", "s3", "show", "team/flow:v1", "--json")
    assert done.returncode == 0, done.output
    assert full_id in done.stdout
    done = ada.flow(ONE, "--datastore=s3", "environment", "show", "start", "--json")
    assert "cached" in next(iter(json.loads(done.stdout)["steps"]["start"].values()))["states"]


def test_another_program_reads_what_is_signed(
    s3_server: StoreServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """URL and headers give the bytes of a key, whose name may be odd; the URL alone gives none, and holds no secret."""
    s3_server.use(monkeypatch)
    store = MetaflowStore("s3", f"{s3_server.root}/{tmp_path.name}")
    key = "packages/conda/h:1/a+b=c@1!2.0/x-1-0.conda"
    store.put(key, b"data")

    found = store.signed(key)

    assert found is not None
    url, headers = found
    assert requests.get(url, headers=headers, timeout=30).content == b"data"
    assert requests.get(url, timeout=30).status_code == 403
    assert "testersecret" not in url + str(headers)
    # Signing is not sending: what comes after is sent.
    assert store.get(key) == b"data"
    assert MetaflowStore("local", str(tmp_path)).signed(key) is None
