"""Packages in the datastores of flows, on real servers: stored once, taken from there, and every fault."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from metaflow_extensions.netflix_ext.host.store import MetaflowStore
from tests.channel import Rule, Server, ensure, serve
from tests.project import Finished, Project, Serving, somebody, store_python
from tests.refusal import check_refusal
from tests.servers import Relay, StoreServer, s3

pytestmark = pytest.mark.slow

NAME = "team/cached:v1"
# Nobody listens there.
NOWHERE = {
    "METAFLOW_CONDA_CHANNELS": "http://127.0.0.1:9/conda",
    "METAFLOW_CONDA_DEFAULT_PYPI_SOURCE": "http://127.0.0.1:9/simple",
}


def resolve(project: Project, kind: str, *words: str, **variables: str) -> Finished:
    """Resolve Python and a wheel, under `NAME`."""
    project.write("requirements.txt", "itsdangerous\n")
    command = ("environment", "--datastore", kind, "resolve", "-r", "requirements.txt", "--python", store_python())
    return project.metaflow(*command, "--skip-metaflow-deps", "--alias", NAME, "--json", *words, variables=variables)


def resolved(project: Project, kind: str) -> dict[str, Any]:
    done = resolve(project, kind)
    assert done.returncode == 0, done.output
    found = json.loads(done.stdout)["environments"][0]["environment"]
    assert isinstance(found, dict)
    return found


def create(project: Project, kind: str, **variables: str) -> Finished:
    return project.metaflow("environment", "--datastore", kind, "create", NAME, "--name", "it", variables=variables)


def check_created(project: Project, done: Finished) -> None:
    assert done.returncode == 0, done.output
    python = project.envs / "it" / "bin" / "python"
    assert project.command("-c", f"import subprocess; subprocess.run(['{python}', '-c', 'import itsdangerous'])")


@pytest.fixture(name="store")
def _store(s3_server: StoreServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> MetaflowStore:
    """The store that the users of this test share in S3."""
    s3_server.use(monkeypatch)
    return MetaflowStore("s3", f"{s3_server.root}/{tmp_path.name}/conda_env")


def below(store: MetaflowStore, folder: str) -> Iterator[str]:
    """Yield all keys below *folder*."""
    for key in store.list(folder):
        if key.endswith("/"):
            yield from below(store, key)
        else:
            yield key


def of(store: MetaflowStore, name: str) -> str:
    """Return the key of the one package whose file name begins with *name*."""
    (found,) = [key for key in below(store, "packages/") if key.rpartition("/")[2].startswith(name)]
    return found


@pytest.mark.parametrize("kind", ["s3", "azure", "gs"])
def test_a_store_is_all_that_another_machine_needs(
    serving: Serving, kind: str, store_channel: Server, tmp_path: Path
) -> None:
    """What one has resolved, another creates without channel and index, on each provider."""
    server = serving(kind)
    ada, grace = (somebody(tmp_path / name, store_channel, server) for name in ("ada", "grace"))
    count = resolved(ada, kind)["package_count"]

    done = create(grace, kind, **NOWHERE)

    check_created(grace, done)
    assert f"Creating the environment {NAME}" in done.stderr or f"{count} packages" in done.stderr


def test_what_is_cached_costs_one_look(
    s3_relay: Relay, s3_server: StoreServer, store_channel: Server, tmp_path: Path
) -> None:
    """Resolved again by force, packages cost a listing, and none is stored; for another user too.

    Where the environment is known and there, they cost nothing.
    """
    ada, grace = (somebody(tmp_path / name, store_channel, s3_server) for name in ("ada", "grace"))
    for one in (ada, grace):
        one.variables.update(s3.at(s3_relay.url).variables)
    resolved(ada, "s3")
    assert s3_relay.below("/conda_env/packages/")
    for one in (ada, grace):
        s3_relay.clear()
        done = resolve(one, "s3", "--force")
        assert done.returncode == 0, done.output
        asked = s3_relay.below("conda_env/packages/")
        assert 1 <= len(asked) <= 3
        assert {method for method, _ in asked} <= {"GET", "HEAD"}
    s3_relay.clear()
    done = resolve(ada, "s3")
    assert done.returncode == 0, done.output
    assert s3_relay.below("conda_env/packages/") == []


def test_a_changed_package_is_refused(
    store: MetaflowStore, s3_server: StoreServer, store_channel: Server, tmp_path: Path
) -> None:
    """A package whose bytes changed in the store is named with both hashes, and no prefix is made."""
    ada, grace = (somebody(tmp_path / name, store_channel, s3_server) for name in ("ada", "grace"))
    resolved(ada, "s3")
    key = of(store, "itsdangerous")
    store.put(key, b"something else", overwrite=True)

    done = create(grace, "s3")

    check_refusal(done, store.where(key), "is not the package that was resolved: expected sha256")
    assert not (grace.envs / "it").exists()


def test_a_removed_package_comes_from_its_source(store: MetaflowStore, s3_server: StoreServer, tmp_path: Path) -> None:
    """A package that was removed from the store is told, and fetched from where it came from, while that answers.

    Its environment's document is still there: resolved again by force, it is stored again.
    """
    with serve(ensure("stores")) as channel:
        ada, grace, mary = (somebody(tmp_path / name, channel, s3_server) for name in ("ada", "grace", "mary"))
        resolved(ada, "s3")
        key = of(store, "itsdangerous")
        remove(s3_server, tmp_path.name, key)

        done = create(grace, "s3")
        check_created(grace, done)
        assert f"Not in the store, and fetched from where they come from: {key.rpartition('/')[2]}" in done.stderr
        assert key not in set(below(store, "packages/"))

        done = resolve(ada, "s3", "--force")
        assert done.returncode == 0, done.output
        assert key in set(below(store, "packages/"))
        remove(s3_server, tmp_path.name, key)

    check_refusal(create(mary, "s3"), "itsdangerous", "cannot be fetched")
    assert not (mary.envs / "it").exists()


def remove(server: StoreServer, folder: str, key: str) -> None:
    """Remove *key* from the store below *folder*, behind our back."""
    client = boto3.session.Session().client("s3", endpoint_url=server.variables["METAFLOW_S3_ENDPOINT_URL"])
    client.delete_object(Bucket=server.root.removeprefix("s3://"), Key=f"{folder}/conda_env/{key}")


def test_what_breaks_off_is_tried_again(
    s3_relay: Relay, s3_server: StoreServer, store: MetaflowStore, tmp_path: Path
) -> None:
    """Downloads from the index and uploads to the store that break off are begun again; the bytes are whole."""
    with serve(ensure("stores")) as channel:
        ada, grace = (somebody(tmp_path / name, channel, s3_server) for name in ("ada", "grace"))
        ada.variables.update(s3.at(s3_relay.url).variables)
        broken = Rule(pattern=r"itsdangerous-.*\.whl$", truncate=1000, times=2)
        channel.rules.append(broken)
        turns = iter(["cut", 503, "cut"])
        s3_relay.spoil = lambda method, path: next(turns, None) if method == "PUT" and "/packages/" in path else None

        resolved(ada, "s3")

        assert channel.applied(broken) == 2
    assert next(turns, None) is None
    check_created(grace, create(grace, "s3", **NOWHERE))


def test_what_goes_on_breaking_off_is_one_error(s3_server: StoreServer, store: MetaflowStore, tmp_path: Path) -> None:
    """A package that never arrives whole is named, and nothing points at what is not there."""
    with serve(ensure("stores")) as channel:
        ada = somebody(tmp_path / "ada", channel, s3_server)
        channel.rules.append(Rule(pattern=r"itsdangerous-.*\.whl$", truncate=1000))

        check_refusal(resolve(ada, "s3"), "itsdangerous", "cannot be fetched", "4 times")

        assert list(below(store, "envs/")) == []
        channel.clear()
        done = resolve(ada, "s3")
        assert done.returncode == 0, done.output
        assert "known already" in done.stderr


@pytest.mark.parametrize("how", [403, 500])
def test_nothing_points_at_what_is_not_there(
    how: int, s3_relay: Relay, s3_server: StoreServer, store: MetaflowStore, store_channel: Server, tmp_path: Path
) -> None:
    """Where one package cannot be stored, no document, pointer or alias is; run again, the rest alone is stored."""
    ada = somebody(tmp_path / "ada", store_channel, s3_server)
    ada.variables.update(s3.at(s3_relay.url).variables)
    s3_relay.spoil = lambda method, path: how if method == "PUT" and "/itsdangerous-" in path else None

    done = resolve(ada, "s3")

    check_refusal(done, "itsdangerous", "")
    assert list(below(store, "envs/")) == []
    before = set(below(store, "packages/"))
    assert before

    s3_relay.spoil = lambda *_: None
    s3_relay.clear()
    done = resolve(ada, "s3")
    assert done.returncode == 0, done.output
    assert "known already" in done.stderr
    stored = [path for method, path in s3_relay.below("/conda_env/packages/") if method == "PUT"]
    assert len(stored) == len(set(below(store, "packages/")) - before) == 1
