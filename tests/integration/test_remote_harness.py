"""Remote tasks as they are tested: workflows replayed pod by pod, jobs run on a cluster of one machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.project import FLOWS
from tests.remote import Container, Network
from tests.remote.capture import airflow_commands, step_functions, step_functions_commands
from tests.remote.cluster import cluster
from tests.remote.fixtures import bare, remote_root, s3_container, s3_only, user_of
from tests.remote.placeholders import UnsupportedError, filled, items, needed
from tests.remote.reading import read
from tests.remote.replay import deploy, replay
from tests.servers import StoreServer

__all__ = ["bare", "remote_root", "s3_container", "s3_only"]
SHAPES = FLOWS / "remote_shapes.py"
LINE = FLOWS / "remote_line.py"
STEPS = ("start", "end")
ON_S3 = ("--datastore=s3", "--metadata=local")


# --- workflows


def test_placeholders() -> None:
    """They are replaced by values, coded where the workflow says so; what has no value is an error."""
    values = {"workflow.name": "w", "inputs.parameters.a-b": "é", "item": "3"}

    assert filled("x-{{workflow.name}}/{{ inputs.parameters.a-b }}", values) == "x-w/é"
    assert filled("{{=toBase64(inputs.parameters['a-b'])}}", values) == "w6k="
    with pytest.raises(UnsupportedError, match=r"tasks\.a\.status"):
        filled("{{tasks.a.status}}", values)
    with pytest.raises(UnsupportedError):
        filled("{{=workflow.name}}", values)


def test_fans_and_dependencies() -> None:
    """A task fans out over a list or a sequence, and waits for all that it names."""
    assert items({}, {}) is None
    assert items({"withParam": "{{n}}"}, {"n": "[0, 1]"}) == [0, 1]
    assert items({"withSequence": {"count": "{{n}}"}}, {"n": "2"}) == ["0", "1"]
    assert items({"withSequence": {"start": "3", "end": "4"}}, {}) == ["3", "4"]
    assert needed({"name": "x", "depends": "(a.Succeeded && b-c.Succeeded)"}) == {"a", "b-c"}
    assert needed({"name": "x", "depends": ""}) == set()
    with pytest.raises(UnsupportedError, match="depends on"):
        needed({"name": "x", "depends": "a.Succeeded || b.Succeeded"})
    with pytest.raises(UnsupportedError, match="condition"):
        needed({"name": "x", "when": "1==1"})


@pytest.mark.slow
def test_a_workflow_as_it_stands(s3_server: StoreServer, s3_container: Container, tmp_path: Path) -> None:
    """Branches, a foreach in a foreach, joins and parameters: each pod by itself, with the store alone in reach."""
    user = user_of(s3_server, tmp_path)
    workflow = deploy(user, SHAPES)

    played = replay(workflow, s3_container, parameters={"word": "a b", "count": 1}, parallel=2)

    assert played.succeeded, played.output
    names = ["start", "left", "right", "both", "fan", "outer", "inner_join", "outer_join", "end"]
    assert sorted([*names, "inner", "inner", "after", "after"]) == sorted(task.step for task in played.tasks)
    assert "labels: 0a! 0b!" in played.of("end")[0].output
    assert "start runs on run-start-0" in played.of("start")[0].output
    wanted = "[run.successful, run.data.said, run['both'].task.data.sides, run['start'].task.data.python]"
    assert read(user, played, wanted) == [True, "a b 1", ["left", "right"], "3.11.2"]
    assert {int(s3_server.variables["METAFLOW_S3_ENDPOINT_URL"].rpartition(":")[2])} == set(network_of(s3_container))


def network_of(container: Container) -> dict[int, int]:
    """Return how often each port was reached."""
    assert isinstance(container.network, Network)
    return dict(container.network.opened)


# --- clusters


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["kubernetes", "batch"])
def test_a_job_that_is_killed(kind: str, s3_server: StoreServer, s3_container: Container, tmp_path: Path) -> None:
    """The run fails as on a cluster: with local metadata, which is lost, it cannot say why."""
    user = user_of(s3_server, tmp_path)

    with cluster(tmp_path, s3_container, kill_at={"start": "Task is starting"}) as machine:
        done = user.command(str(LINE), *ON_S3, "run", "--with", kind, variables=machine.variables)

    assert done.returncode == 1
    assert [("start", 137)] == [(job.step, job.status) for job in machine.jobs]
    assert "No completed attempts of the task was found" in done.output


@pytest.mark.parametrize("kind", ["kubernetes", "batch"])
def test_jobs_that_are_only_looked_at(kind: str, s3_server: StoreServer, bare: Container, tmp_path: Path) -> None:
    """A cluster that runs nothing has the command and the variables of the first job, and a volume's place."""
    user = user_of(s3_server, tmp_path)
    volume = {"kubernetes": 'persistent_volume_claims={"shelf":"/mnt/shelf"}', "batch": "host_volumes=/data:/mnt/shelf"}

    with cluster(tmp_path, bare, parallel=0) as machine:
        words = ("run", "--with", f"{kind}:{volume[kind]}")
        done = user.command(str(LINE), *ON_S3, *words, variables=machine.variables)

    assert done.returncode == 1
    (job,) = machine.jobs
    assert ["bash", "-c"] == job.command[:2]
    assert "step start" in job.command[2]
    assert "s3" == job.pod.variables["METAFLOW_DEFAULT_DATASTORE"]
    assert "/mnt/shelf" in [mount["mountPath"] for mount in job.pod.spec["volumeMounts"]]


def test_commands_of_other_schedulers(s3_server: StoreServer, bare: Container, tmp_path: Path) -> None:
    """Those of Step Functions and Airflow can be looked at, those inside of branches and a foreach too."""
    user = user_of(s3_server, tmp_path)

    with cluster(tmp_path, bare, parallel=0) as machine:
        states = step_functions_commands(step_functions(user, machine, SHAPES))
        graph = airflow_commands(user, machine, LINE)

    assert {"start", "left", "outer", "inner", "after", "inner_join", "end"} < set(states)
    assert all(command[:2] == ["bash", "-c"] for command in (*states.values(), *graph.values()))
    assert "step inner " in states["inner"][2]
    assert "step end " in graph["end"][2]
