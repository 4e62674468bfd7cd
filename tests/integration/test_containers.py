"""Flows whose steps run in containers: Metaflow's own commands, unchanged, in clean roots that reach a store alone."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from metaflow_extensions.netflix_ext.host.store import MetaflowStore
from tests.channel import Server, ensure, serve
from tests.project import FLOWS, Project, somebody, store_python
from tests.remote import Container, isolated, ports_of
from tests.remote.capture import airflow_commands, step_functions, step_functions_commands
from tests.remote.cluster import cluster
from tests.remote.fixtures import MakeRoot, container_for, remote_root, s3_container, s3_only
from tests.remote.reading import read
from tests.remote.replay import Played, deploy, replay
from tests.servers import Relay, StoreServer, s3

__all__ = ["remote_root", "s3_container", "s3_only"]
pytestmark = pytest.mark.slow

ENV = FLOWS / "remote_env.py"
CONTAINED = FLOWS / "contained.py"
LAUNCHING = FLOWS / "launching.py"
BOOTSTRAPPED = re.compile(r"\[ *(\d+\.\d) s\] Environment bootstrapped")


@pytest.fixture(name="ada")
def _ada(tmp_path: Path, store_channel: Server, s3_server: StoreServer) -> Project:
    """Somebody whose flows are deployed from a machine with channel and index."""
    found = somebody(tmp_path / "ada", store_channel, s3_server)
    found.variables["NEWEST"] = store_python()
    return found


def resolve(project: Project, alias: str, python: str) -> list[str]:
    """Resolve an environment of *python* under *alias*, with what Metaflow needs on S3; return its id."""
    words = ("--python", python, "--alias", alias, "--json")
    done = project.metaflow("environment", "--datastore", "s3", "resolve", *words)
    assert done.returncode == 0, done.output
    found = json.loads(done.stdout)["environments"][0]["environment"]
    return [found["req_id"], found["full_id"], found["arch"]]


def last_artifacts(project: Project, played: Played, *names: str) -> dict[str, Any]:
    """Return what the task of step end has under *names*."""
    found = read(project, played, f"{{name: run['end'].task[name].data for name in {names!r}}}")
    assert isinstance(found, dict)
    return found


def test_a_workflow_in_clean_roots(ada: Project, s3_server: StoreServer, s3_container: Container) -> None:
    """Conda alone, conda with PyPI on another Python than the container's, disabled, chosen at execution, and plain."""
    chosen = resolve(ada, "team/special:chosen", "3.11")
    workflow = deploy(ada, CONTAINED, "--environment=conda")

    played = replay(workflow, s3_container, parameters={"word": "special"})

    assert played.succeeded, played.output
    found = last_artifacts(ada, played, "start_saw", "each_saw", "join_saw", "chosen_saw", "end_saw")
    assert (found["start_saw"]["python"], found["start_saw"]["inside"], found["start_saw"]["click"]) == (
        "3.11",
        True,
        "click",
    )
    assert [one["double"] for one in found["each_saw"]] == [2, 4]
    assert {(one["python"], one["inside"], one["wheel"]) for one in found["each_saw"]} == {
        (store_python(), True, "itsdangerous")
    }
    assert found["join_saw"] == {"python": "3.11", "inside": False, "id": None}
    assert (found["chosen_saw"]["id"], found["chosen_saw"]["inside"]) == (chosen, True)
    assert found["end_saw"]["inside"]
    assert [bool(BOOTSTRAPPED.search(task.output)) for task in played.tasks] == [
        task.step != "join" for task in played.tasks
    ]
    assert s3_container.network is not None
    assert set(s3_container.network.opened) == ports_of(s3_server)


@pytest.mark.parametrize("kind", ["azure", "gs"])
def test_a_workflow_on_another_store(
    kind: str, request: pytest.FixtureRequest, remote_root: MakeRoot, tmp_path: Path
) -> None:
    """Azure and Google: environments with what Metaflow needs there, from a store that is all there is; byte code too.

    Nothing signs requests there: packages are fetched first.
    """
    server: StoreServer = request.getfixturevalue(f"{kind}_server")
    root = remote_root("bookworm", kind)
    with serve(ensure("clouds")) as channel:
        user = somebody(tmp_path / "user", channel, server)
        user.variables["NEWEST"] = "3.13"
        workflow = deploy(user, ENV, "--environment=conda", kind=kind)

    with isolated(ports_of(server)) as network:
        played = replay(workflow, container_for(server, root, network))

    assert played.succeeded, played.output
    found = saw(user, played, kind)
    assert (found["saw"], found["cached"]) == (["click", "itsdangerous", "3.13"], [True, True])
    assert re.search(r"\] Fetched \d+\.\d MB\n", played.of("start")[0].output)
    assert "] Warning: " not in played.output
    assert not BOOTSTRAPPED.search(played.of("end")[0].output)


def saw(project: Project, played: Played, kind: str = "s3") -> dict[str, Any]:
    found = read(project, played, "{name: run['start'].task[name].data for name in ('saw', 'cached', 'prefix')}", kind)
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("kind", ["kubernetes", "batch"])
def test_a_run_with_its_steps_elsewhere(kind: str, ada: Project, s3_container: Container, tmp_path: Path) -> None:
    """The job of `run --with kubernetes` or `batch` is Metaflow's own, and its step runs in its environment."""
    words = ("--environment=conda", "--datastore=s3", "--metadata=local", "run", "--with", kind)
    with cluster(tmp_path, s3_container) as machine:
        done = ada.command(str(ENV), *words, variables=machine.variables)

    assert done.returncode == 0, done.output
    assert ada.latest("EnvFlow", "run['start'].task['saw'].data") == ["click", "itsdangerous", store_python()]
    recorded = ada.latest("EnvFlow", "[run[s].task.metadata_dict['conda_env_id'] for s in ('start', 'end')]")
    assert isinstance(recorded, list)
    assert json.loads(recorded[0])[2] == "linux-64"
    assert recorded[1] == ""
    assert BOOTSTRAPPED.search(done.output)


def test_a_flow_that_a_task_launches(ada: Project, s3_container: Container) -> None:
    """A step in a container launches a flow whose environments are known: the container's Python creates them."""
    ada.variables["METAFLOW_CONDA_USE_REMOTE_LATEST"] = ":any:"
    done = ada.command(str(ENV), "--environment=conda", "--datastore=s3", "environment", "resolve")
    assert done.returncode == 0, done.output
    workflow = deploy(ada, LAUNCHING, "--environment=conda")

    played = replay(workflow, s3_container)

    assert played.succeeded, played.output
    assert last_artifacts(ada, played, "inner") == {"inner": ["click", "itsdangerous", store_python()]}


def test_what_other_schedulers_are_given(ada: Project, s3_container: Container, tmp_path: Path) -> None:
    """Step Functions and Airflow get the same commands, with the values quoted; a disabled step gets none of them."""
    with cluster(tmp_path, s3_container, parallel=0) as machine:
        states = step_functions_commands(step_functions(ada, machine, ENV, "--environment=conda"))
        graph = airflow_commands(ada, machine, ENV, "--environment=conda", "--with", "kubernetes")
    for commands in (states, graph):
        text = " ".join(commands["start"])
        assert re.search(
            r"conda\.bootstrap start s3 s3://\S+/conda_env linux-64 id=[0-9a-f]{40}:[0-9a-f]{40}:linux-64", text
        )
        assert "&& . ./.mf_conda/activate && " in text
        assert "$CONDA_PREFIX/bin/python" in text
        assert "bootstrap" not in " ".join(commands["end"])


def test_byte_code_and_prefixes_are_there_already(
    ada: Project, s3_server: StoreServer, s3_container: Container, tmp_path: Path
) -> None:
    """Modules come with their byte code; on a volume, the second task finds the prefix and fetches nothing."""
    volume = tmp_path / "volume"
    volume.mkdir()
    # The configuration of who deploys reaches the container: the volume is mounted where that says.
    shared = replace(s3_container, folders={str(ada.envs): volume})
    workflow = deploy(ada, ENV, "--environment=conda")

    first, second = (replay(workflow, shared) for _ in range(2))

    assert first.succeeded, first.output
    assert second.succeeded, second.output
    found = saw(ada, first)
    assert found["cached"] == [True, True]
    assert "The environment is there already" not in first.output
    assert "Linking packages as they come ..." in first.output
    assert "Packages are fetched first" not in first.output
    assert "The environment is there already: " + found["prefix"] in second.output
    assert "Fetch" not in second.of("start")[0].output
    # What opened the store is written neither into the prefix nor into the cache of packages.
    records = [
        path for path in volume.rglob("*.json") if "conda-meta" in path.parts or path.name == "repodata_record.json"
    ]
    written = [path.read_text() for path in records]
    assert any("/conda_env/packages/conda/" in text for text in written)
    secret = s3_server.variables["AWS_SECRET_ACCESS_KEY"]
    assert [text for text in written if "AWS4-HMAC" in text or "x-amz" in text.lower() or secret in text] == []


@contextmanager
def changed(store: MetaflowStore, key: str, data: bytes) -> Iterator[None]:
    """Let the store have other bytes under *key*."""
    before = store.get(key)
    assert before is not None
    store.put(key, data, overwrite=True)
    yield
    store.put(key, before, overwrite=True)


@pytest.fixture(name="relayed_container")
def _relayed_container(s3_relay: Relay, remote_root: MakeRoot) -> Iterator[Container]:
    """What a task on S3 runs in that is deployed, and reaches S3, by way of the relay."""
    server = s3.at(s3_relay.url)
    with isolated(ports_of(server)) as network:
        yield container_for(server, remote_root(), network)


def test_faults_in_a_container(
    ada: Project,
    s3_server: StoreServer,
    s3_relay: Relay,
    relayed_container: Container,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Each fault is one message that names what it is about; a task that was killed is simply run again."""
    s3_server.use(monkeypatch)
    ada.variables.update(s3.at(s3_relay.url).variables)
    workflow = deploy(ada, ENV, "--environment=conda")
    store = MetaflowStore("s3", f"{s3_server.root}/{tmp_path.name}/conda_env")

    def failed(container: Container = relayed_container) -> str:
        played = replay(workflow, container)
        assert [(task.step, task.status) for task in played.tasks] == [("start", 1)], played.output
        return played.output

    wheel = of(store, "packages/", "itsdangerous")
    with changed(store, wheel, b"something else"):
        said = failed()
    assert f"'{store.where(wheel)}' is not the file that was resolved: expected" in said
    assert "Traceback" not in said
    linked = of(store, "packages/", "click")
    with changed(store, linked, b"something else"):
        said = failed()
    assert "Packages are fetched first: " in said
    assert f"'{store.where(linked)}' is not the file that was resolved: expected" in said
    s3_relay.spoil = lambda _method, path: "cut" if "/packages/" in path and "/click-" in path else None
    said = failed()
    assert "Packages are fetched first: click-" in said
    assert f"'{store.where(linked)}' in S3 cannot be read: it cannot be reached" in said
    assert said.count("hint: ") == 1
    s3_relay.spoil = lambda *_: None
    # Metaflow's own programs, which write the logs, have no room either.
    assert "No space left on device" in failed(replace(relayed_container, disk="120m"))
    killed = replay(workflow, relayed_container, kill_at={"start": "Fetching"})
    assert [task.status for task in killed.tasks] == [137]

    # What breaks off and goes on, and byte code that was changed, stop no task.
    turns = iter(["cut"] * 5)
    s3_relay.spoil = lambda method, path: next(turns, None) if method == "GET" and "/conda_env/" in path else None
    code = next(key for key in below(store, "bytecode/") if key.endswith(".zip"))
    with changed(store, code, b"something else"):
        played = replay(workflow, relayed_container)
    assert played.succeeded, played.output
    assert next(turns, None) is None
    assert f"Warning: '{store.where(code)}' is not the file that was resolved" in played.output


def test_a_python_that_is_too_old(ada: Project, s3_container: Container, remote_root: MakeRoot) -> None:
    """It is told which one the container has, which the tools need, and what else would do."""
    workflow = deploy(ada, ENV, "--environment=conda")

    played = replay(workflow, replace(s3_container, root=remote_root("bullseye")))

    assert not played.succeeded
    assert "the Python of this container is 3.9, and the tools that create environments need 3.10" in played.output
    assert "METAFLOW_CONDA_REMOTE_INSTALLER" in played.output


def test_another_installer(
    ada: Project, s3_server: StoreServer, s3_container: Container, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A program of the user's makes the prefix, from packages in the format that it needs, and uv adds the wheels."""
    s3_server.use(monkeypatch)
    store = MetaflowStore("s3", f"{s3_server.root}/{tmp_path.name}/conda_env")
    store.put("installers/mamba-linux-64", (Path(__file__).parent / "installer.py").read_bytes())
    ada.variables.update(
        METAFLOW_CONDA_REMOTE_INSTALLER="mamba-{arch}",
        METAFLOW_CONDA_REMOTE_INSTALLER_DIRNAME="installers",
        METAFLOW_CONDA_PREFERRED_FORMAT=".tar.bz2",
    )
    workflow = deploy(ada, ENV, "--environment=conda")

    played = replay(workflow, s3_container)

    assert played.succeeded, played.output
    assert saw(ada, played)["saw"] == ["click", "itsdangerous", store_python()]
    store.put("installers/mamba-linux-64", b"another", overwrite=True)
    played = replay(workflow, s3_container)
    assert "installers/mamba-linux-64' is not the file that was resolved" in played.output


def below(store: MetaflowStore, folder: str) -> Iterator[str]:
    """Yield all keys below *folder*."""
    for key in store.list(folder):
        if key.endswith("/"):
            yield from below(store, key)
        else:
            yield key


def of(store: MetaflowStore, folder: str, name: str) -> str:
    """Return the key of the one file below *folder* whose name begins with *name*."""
    (found,) = [key for key in below(store, folder) if key.rpartition("/")[2].startswith(name)]
    return found
