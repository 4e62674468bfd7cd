"""Flows whose steps run in containers: Metaflow's own commands, unchanged, in clean roots that reach a store alone."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from metaflow_extensions.netflix_ext.engine.layout import byte_code_key, package_keys
from metaflow_extensions.netflix_ext.engine.resolved import ResolvedEnvironment
from metaflow_extensions.netflix_ext.host.store import MetaflowStore
from tests.channel import Server, ensure, serve
from tests.configuration import forget_configuration
from tests.project import FLOWS, Project, somebody, store_python
from tests.remote import Container, isolated, ports_of
from tests.remote.capture import airflow_commands, play_states, step_functions, step_functions_commands
from tests.remote.cluster import cluster
from tests.remote.fixtures import MakeRoot, container_for, remote_root, s3_container, s3_only
from tests.remote.reading import read
from tests.remote.replay import Played, Workflow, deploy, replay
from tests.servers import Relay, StoreServer, s3
from tests.servers.relay import relayed

__all__ = ["remote_root", "s3_container", "s3_only"]
pytestmark = pytest.mark.slow

ENV = FLOWS / "remote_env.py"
CONTAINED = FLOWS / "contained.py"
LAUNCHING = FLOWS / "launching.py"
BOOTSTRAP = re.compile(r"python -m \S+\.bootstrap .*? && \. \S+activate")
BOOTSTRAPPED = re.compile(r"\[ *(\d+\.\d) s\] Environment bootstrapped")


@pytest.fixture(name="ada")
def _ada(tmp_path: Path, store_channel: Server, s3_server: StoreServer) -> Project:
    """Somebody whose flows are deployed from a machine with channel and index, where all share their environments."""
    found = somebody(tmp_path / "ada", store_channel, s3_server)
    found.variables.update(NEWEST=store_python(), METAFLOW_CONDA_S3ROOT=shared_root(s3_server))
    return found


def shared_root(server: StoreServer) -> str:
    """Return where environments and tools lie, which are stored by the first deployment to *server*, and found then."""
    return f"{server.root}/environments"


@dataclass(frozen=True)
class Shipped:
    """`ENV`, deployed once by way of a relay, and what its tasks run in, which reaches the relay alone."""

    project: Project
    workflow: Workflow
    container: Container
    relay: Relay
    store: MetaflowStore

    def keys(self, name: str) -> tuple[str, str]:
        """Return where the package *name* lies that the code package names, and its byte code."""
        (packaged,) = self.project.catalog.glob("code/*/conda_v2.cnd")
        document = json.loads(packaged.read_text())
        environment = ResolvedEnvironment.from_dict(document["environments"][0], packaged.name)
        (package,) = [package for package in environment.packages if package.name == name]
        sha256 = document["bytecode"][environment.env_id.full_id][package.digest]
        code = byte_code_key(environment.cache_tag, package.digest, f"{sha256}.zip")
        return package_keys(package, environment.stored)[-1], code


@pytest.fixture(scope="module", name="deployment")
def _deployment(
    tmp_path_factory: pytest.TempPathFactory, store_channel: Server, s3_server: StoreServer, remote_root: MakeRoot
) -> Iterator[Shipped]:
    root = remote_root()
    folder = tmp_path_factory.mktemp("shipped")
    with pytest.MonkeyPatch.context() as patch, relayed(s3_server.variables["METAFLOW_S3_ENDPOINT_URL"]) as relay:
        forget_configuration(patch)
        server = s3.at(relay.url)
        project = somebody(folder / "ada", store_channel, server)
        project.variables.update(NEWEST=store_python(), METAFLOW_CONDA_S3ROOT=shared_root(s3_server))
        workflow = deploy(project, ENV, "--environment=conda")
        with isolated(ports_of(server)) as network:
            container = container_for(server, root, network)
            store = MetaflowStore("s3", shared_root(s3_server))
            yield Shipped(project, workflow, container, relay, store)


@pytest.fixture(name="shipped")
def _shipped(deployment: Shipped, s3_server: StoreServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shipped]:
    """The deployment that tests share, with a relay that passes everything on."""
    s3_server.use(monkeypatch)
    yield deployment
    deployment.relay.spoil = lambda *_: None


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


def test_a_workflow_in_clean_roots(
    ada: Project, s3_server: StoreServer, s3_container: Container, tmp_path: Path
) -> None:
    """Conda alone, conda with PyPI on another Python than the container's, disabled, chosen at execution, and plain.

    They share a volume: what one task has created, the next one finds.
    """
    chosen = resolve(ada, "team/special:chosen", "3.11")
    workflow = deploy(ada, CONTAINED, "--environment=conda")
    volume = tmp_path / "volume"
    volume.mkdir()

    played = replay(workflow, replace(s3_container, folders={str(ada.envs): volume}), parameters={"word": "special"})

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
    assert [task.step for task in played.tasks if "The environment is there already" in task.output] == ["each", "end"]
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
        played = replay(workflow, container_for(server, root, network), last="start")

    assert played.succeeded, played.output
    found = saw(user, played, kind)
    assert (found["saw"], found["cached"]) == (["click", "itsdangerous", "3.13"], [True, True])
    assert re.search(r"\] Fetched \d+\.\d MB\n", played.of("start")[0].output)
    assert "] Warning: " not in played.output


def saw(project: Project, played: Played, kind: str = "s3") -> dict[str, Any]:
    found = read(project, played, "{name: run['start'].task[name].data for name in ('saw', 'cached', 'prefix')}", kind)
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("kind", ["kubernetes", "batch"])
def test_a_run_with_its_steps_elsewhere(
    kind: str, ada: Project, s3_container: Container, remote_root: MakeRoot, tmp_path: Path
) -> None:
    """The jobs of `run --with kubernetes` or `batch` are Metaflow's own, each in the root that is chosen for its step.

    One step runs in its environment, one in its container's own Python, a newer one.
    """
    words = ("--environment=conda", "--datastore=s3", "--metadata=local", "run", "--with", kind, "--word", "a b")
    other = replace(s3_container, root=remote_root("trixie"))
    with cluster(tmp_path, lambda step: other if step == "end" else s3_container) as machine:
        done = ada.command(str(ENV), *words, variables=machine.variables)

    assert done.returncode == 0, done.output
    assert [("start", 0), ("end", 0)] == [(job.step, job.status) for job in machine.jobs]
    assert f"start ran on Python {store_python()} and the word is a b" in done.output
    saw, *recorded = ada.latest(  # type: ignore[misc]
        "EnvFlow",
        "[run['start'].task['saw'].data, *(run[s].task.metadata_dict[name] for s in ('start', 'end') "
        "for name in ('conda_env_id', 'python_version'))]",
    )
    assert saw == ["click", "itsdangerous", store_python()]
    assert json.loads(recorded[0])[2] == "linux-64"
    assert recorded[2] == ""
    assert recorded[1].startswith(store_python())
    assert recorded[3].startswith("3.13")
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
    """Step Functions and Airflow get the same commands, with the values quoted; a disabled step gets none of them.

    The jobs of Step Functions run one after the other, and each knows its parameters and what came before.
    """
    with cluster(tmp_path, s3_container, parallel=0) as machine:
        machines = step_functions(ada, machine, ENV, "--environment=conda")
        states = step_functions_commands(machines)
        graph = airflow_commands(ada, machine, ENV, "--environment=conda", "--with", "kubernetes")
    for commands in (states, graph):
        text = " ".join(commands["start"])
        assert re.search(
            r"conda\.bootstrap start s3 s3://\S+/environments linux-64 id=[0-9a-f]{40}:[0-9a-f]{40}:linux-64", text
        )
        assert "&& . ./.mf_conda/activate && " in text
        assert "$CONDA_PREFIX/bin/python" in text
        assert "bootstrap" not in " ".join(commands["end"])

    played = play_states(machines, s3_container, parameters={"word": "a b"})

    assert played.succeeded, played.output
    assert [task.step for task in played.tasks] == ["start", "end"]
    assert f"start ran on Python {store_python()} and the word is a b" in played.tasks[1].output
    assert saw(ada, played)["saw"] == ["click", "itsdangerous", store_python()]


def test_byte_code_and_prefixes_are_there_already(shipped: Shipped, s3_server: StoreServer, tmp_path: Path) -> None:
    """Modules come with their byte code; on a volume, the second task finds the prefix and fetches nothing."""
    volume = tmp_path / "volume"
    volume.mkdir()
    ada = shipped.project
    # The configuration of who deploys reaches the container: the volume is mounted where that says.
    shared = replace(shipped.container, folders={str(ada.envs): volume})

    first, second = (replay(shipped.workflow, shared, last="start") for _ in range(2))

    assert first.succeeded, first.output
    assert second.succeeded, second.output
    found = saw(ada, first)
    assert found["cached"] == [True, True]
    assert "The environment is there already" not in first.output
    assert "Linking packages as they come ..." in first.output
    assert "Packages are fetched first" not in first.output
    assert "The environment is there already: " + found["prefix"] in second.output
    assert "Fetch" not in second.of("start")[0].output
    (prefix,) = volume.glob("metaflow_*")
    shutil.rmtree(prefix)
    third = replay(shipped.workflow, shared, last="start")
    assert third.succeeded, third.output
    # Conda packages lie there unpacked, and the wheel is fetched.
    assert re.search(r"Fetching 1 of \d+ packages, and ", third.of("start")[0].output)
    # What opened the store is written neither into the prefix nor into the cache of packages.
    records = [
        path for path in volume.rglob("*.json") if "conda-meta" in path.parts or path.name == "repodata_record.json"
    ]
    written = [path.read_text() for path in records]
    assert any("/environments/packages/conda/" in text for text in written)
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


def test_faults_in_a_container(shipped: Shipped) -> None:
    """Each fault is one message that names what it is about; a task that was killed is simply run again."""
    workflow, container, store = shipped.workflow, shipped.container, shipped.store

    def failed(where: Container = container) -> str:
        played = replay(workflow, where)
        assert [(task.step, task.status) for task in played.tasks] == [("start", 1)], played.output
        return played.output

    (wheel, code), (linked, _) = shipped.keys("itsdangerous"), shipped.keys("click")
    with changed(store, wheel, b"something else"):
        said = failed()
    assert f"'{store.where(wheel)}' is not the file that was resolved: expected" in said
    assert "Traceback" not in said
    with changed(store, linked, b"something else"):
        said = failed()
    assert "Packages are fetched first: " in said
    assert f"'{store.where(linked)}' is not the file that was resolved: expected" in said
    shipped.relay.spoil = lambda _method, path: "cut" if "/packages/" in path and "/click-" in path else None
    said = failed()
    assert "Packages are fetched first: click-" in said
    assert f"'{store.where(linked)}' in S3 cannot be read: it cannot be reached" in said
    assert said.count("hint: ") == 1
    shipped.relay.spoil = lambda *_: None
    # Metaflow's own programs, which write the logs, have no room either.
    assert "No space left on device" in failed(replace(container, disk="120m"))
    killed = replay(workflow, container, kill_at={"start": "Fetching"})
    assert not killed.succeeded
    assert [("start", 137, True)] == [(task.step, task.status, task.ended.killed) for task in killed.tasks]
    assert killed.tasks[0].pathspec.startswith("EnvFlow/argo-run/start/t-")

    # What breaks off and goes on, and byte code that was changed, stop no task.
    turns = iter(["cut"] * 5)
    shipped.relay.spoil = lambda method, path: (
        next(turns, None) if method == "GET" and "/environments/" in path else None
    )
    with changed(store, code, b"something else"):
        played = replay(workflow, container, last="start")
    assert played.succeeded, played.output
    assert next(turns, None) is None
    assert f"Warning: '{store.where(code)}' is not the file that was resolved" in played.output


def test_a_deployment_from_python(shipped: Shipped) -> None:
    """`Deployer` makes of the flow what the command makes of it: containers start in the same environment."""
    program = (
        "import json\n"
        "from metaflow import Deployer\n"
        "words = {'environment': 'conda', 'datastore': 's3', 'metadata': 'local', 'show_output': False}\n"
        f"made = Deployer({str(ENV)!r}, **words).argo_workflows(name='replayed').create(only_json=True)\n"
        "print('ANSWER' + json.dumps(made.deployer.additional_info['workflow_template']))\n"
    )
    done = shipped.project.command("-c", program)

    assert done.returncode == 0, done.output
    found = Workflow(json.loads(done.stdout.rpartition("ANSWER")[2]))
    assert BOOTSTRAP.findall(shipped.workflow.command("start"))
    for step in ("start", "end"):
        assert BOOTSTRAP.findall(found.command(step)) == BOOTSTRAP.findall(shipped.workflow.command(step))
