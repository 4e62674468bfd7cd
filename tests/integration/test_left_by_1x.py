"""What 1.x has left in a store, in a manifest or in a code package: shown, created, run in; never written."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from metaflow.client import filecache

from metaflow_extensions.netflix_ext.engine.identity import EnvID
from metaflow_extensions.netflix_ext.host.client import from_package
from tests.channel import Server
from tests.left_by_1x import FULL, HOST, REQ, Left, left, state
from tests.project import Finished, Project
from tests.refusal import check_refusal, half_made

pytestmark = pytest.mark.slow

FLOW = """\
from metaflow import FlowSpec, named_env, step


class OldFlow(FlowSpec):
    @named_env(name="team/old:v1")
    @step
    def start(self):
        import itsdangerous

        self.found = itsdangerous.__version__
        self.next(self.end)

    @named_env(name="team/old:v1")
    @step
    def end(self):
        pass


if __name__ == "__main__":
    OldFlow()
"""
USE = "import click, itsdangerous, requests; print(itsdangerous.__version__, requests.__version__)"


@pytest.fixture(name="store")
def _store(tmp_path: Path, built: Path, server: Server) -> Left:
    """A store as 1.x has left it, whose packages are to be had nowhere else."""
    return left(tmp_path / "store", built, server.channel, server.simple)


@pytest.fixture(name="user")
def _user(fresh: Project, store: Left, tmp_path: Path) -> Project:
    """A user of that store, with package caches of his own: nothing comes from elsewhere unnoticed."""
    fresh.variables.update(
        METAFLOW_CONDA_LOCALROOT=str(store.root),
        RATTLER_CACHE_DIR=str(tmp_path / "rattler"),
        UV_CACHE_DIR=str(tmp_path / "uv"),
    )
    return fresh


def environment(project: Project, *words: str) -> Finished:
    return project.metaflow("environment", *words)


def answer(project: Project, *words: str) -> dict[str, Any]:
    done = environment(project, *words)
    assert done.returncode == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_it_is_shown_and_listed(user: Project, store: Left) -> None:
    """By its name, its ids and the beginning of one; credentials that 1.x has kept are not told."""
    store.publish("team/old/v1", "team/old/latest")
    before = state(store.root)

    for name in ("team/old:v1", "team/old", f"{REQ}:{FULL}", FULL[:12]):
        shown = answer(user, "show", "--json", name)["environments"][0]["environment"]
        assert (shown["req_id"], shown["full_id"], shown["resolved"]["by"]) == (REQ, FULL, "joe")
        assert len(shown["packages"]) == 10
    readable = environment(user, "show", "team/old:v1")
    assert "itsdangerous" in readable.stdout
    assert "Of 1.x    pypi::--use-deprecated=legacy-resolver: not asked for" in readable.stdout
    listed = environment(user, "list")
    assert "team/old:v1" in listed.stdout
    quiet = environment(user, "--quiet", "show", "team/old:v1")
    assert not any("s3cr3t" in done.output for done in (readable, listed, quiet))
    assert state(store.root) == before


def test_it_is_created_from_the_packages_in_the_store(user: Project, store: Left) -> None:
    """Both formats of conda archives, packages for any Python, scripts and wheels: all come from the store alone."""
    store.publish("team/old/v1")
    before = state(store.root)

    made = answer(user, "create", "--json", "team/old:v1")

    prefix = Path(made["path"])
    done = subprocess.run([made["python"], "-c", USE], capture_output=True, text=True, check=False)
    assert done.stdout == "2.1.2 2.32.5\n", done.stderr
    assert {path.name for path in (prefix / "share").iterdir()} >= {"both-archives", "legacy-archive"}
    assert json.loads((prefix / ".metaflowenv").read_text())["id"] == [REQ, FULL, "linux-64"]
    assert state(store.root) == before


def test_a_flow_runs_in_it(user: Project, store: Left) -> None:
    """A step that names it runs in it as it is, and the run tells so afterwards."""
    store.publish("team/old/v1")
    before = state(store.root)

    user.run(user.write("old.py", FLOW))

    assert user.latest("OldFlow", "run['start'].task['found'].data") == "2.1.2"
    ids = user.latest("OldFlow", "run['start'].task.metadata_dict['conda_env_id']")
    assert json.loads(str(ids)) == [REQ, FULL, "linux-64"]
    assert state(store.root) == before

    run = user.latest("OldFlow", "run.pathspec")
    shown = answer(user, "show", "--json", "--pathspec", f"{run}/start")["environments"][0]["environment"]
    assert shown["full_id"] == FULL


def test_it_is_extended_and_asked_for_again(user: Project, store: Left) -> None:
    """Its packages stay what they are, from the store; its requirements can be resolved anew."""
    store.publish("team/old/v1")
    before = state(store.root)
    user.write("requirements.txt", "--conda-pkg activate-demo\n")
    words = ("resolve", "--json", "--using", "team/old:v1", "-r", "requirements.txt", "--alias", "team/new:v1")

    extended = answer(user, *words)["environments"][0]["environment"]

    assert {item["filename"] for item in extended["packages"]} > {
        "requests-2.32.5-py_0.conda",
        "itsdangerous-2.1.2-py3-none-any.whl",
        "activate-demo-1.0.0-0.conda",
    }
    made = answer(user, "create", "--json", "team/new:v1")
    done = subprocess.run([made["python"], "-c", USE], capture_output=True, text=True, check=False)
    assert done.stdout == "2.1.2 2.32.5\n", done.stderr
    again = answer(user, "resolve", "--json", "--from", "team/old:v1", "--alias", "team/again:v1")
    spec = again["environments"][0]["environment"]["spec"]
    assert "itsdangerous==2.1.2" in spec["pypi"]
    assert "requests >=2.21.0" in spec["conda"]
    after = state(store.root)
    assert {name: after[name] for name in before} == before


def test_it_is_fetched(user: Project, store: Left) -> None:
    """What was fetched is known here, without its store, and the store has nothing new."""
    store.publish("team/old/v1")
    before = state(store.root)

    answer(user, "get", "--json", "team/old:v1")

    assert state(store.root) == before
    del user.variables["METAFLOW_CONDA_LOCALROOT"]
    assert answer(user, "show", "--json", f"{REQ}:{FULL}")["environments"][0]["environment"]["full_id"] == FULL


@pytest.mark.parametrize("name", ["legacy-archive-1.0.0-0.tar.bz2", "itsdangerous-2.1.2-py3-none-any.whl"])
def test_other_bytes_are_refused(user: Project, store: Left, name: str) -> None:
    """A package in the store that is not what was resolved is named with its key, and no prefix is made."""
    store.publish("team/old/v1")
    file = store.file(name)
    file.write_bytes(file.read_bytes()[:-1] + b"x")

    message = check_refusal(
        environment(user, "create", "team/old:v1"), str(file), "is not the package that was resolved: expected"
    )

    assert "found" in message
    assert half_made(user.envs) == []


def test_a_package_that_is_nowhere_is_named(user: Project, store: Left) -> None:
    """A wheel built from a repository that the store has no more is an error that says so."""
    store.publish("team/old/v1")
    store.file("itsdangerous-2.1.2-py3-none-any.whl").unlink()

    check_refusal(
        environment(user, "create", "team/old:v1"),
        "in no store that was asked",
        f"itsdangerous-2.1.2-py3-none-any.whl: packages/pypi/_fake/{HOST}/someone",
        "resolve --from",
    )
    assert half_made(user.envs) == []


def test_a_package_that_is_gone_is_fetched_from_its_source(user: Project, tmp_path: Path, built: Path) -> None:
    """What the store has no more comes from its URL, checked by its hash, and people are told."""
    store = Left(tmp_path / "other", built)
    channel = user.variables["METAFLOW_CONDA_CHANNELS"]
    for place in ("linux-64/python-3.11.7-0_cpython.conda", "noarch/click-8.5.1-py_0.conda"):
        store.conda(place, base=channel)
    store.publish("team/old/v1")
    store.file("click-8.5.1-py_0.conda").unlink()
    user.variables["METAFLOW_CONDA_LOCALROOT"] = str(store.root)

    done = environment(user, "create", "team/old:v1")

    assert done.returncode == 0, done.output
    assert "Not in the store, and fetched from where they come from: click-8.5.1-py_0.conda" in done.stderr


def test_a_manifest_of_this_machine(user: Project, store: Left) -> None:
    """What only the local manifest knows is found by name and id, and created from the store; the file stays."""
    manifest = user.root / ".metaflow" / "conda_v2.cnd"
    manifest.parent.mkdir()
    manifest.write_text(json.dumps(store.manifest({"team/mine/v1": [REQ, FULL]})))
    before = state(store.root), manifest.read_bytes(), manifest.stat().st_mtime_ns

    shown = answer(user, "show", "--json", "team/mine:v1")["environments"][0]["environment"]
    assert shown["full_id"] == FULL
    made = answer(user, "create", "--json", "team/mine:v1")

    assert subprocess.run([made["python"], "-c", USE], check=False).returncode == 0
    assert (state(store.root), manifest.read_bytes(), manifest.stat().st_mtime_ns) == before


def test_a_damaged_manifest_is_named(user: Project, store: Left) -> None:
    """What else is known is shown; a list names the file, and so does a name that means nothing."""
    store.publish("team/old/v1")
    manifest = user.root / ".metaflow" / "conda_v2.cnd"
    manifest.parent.mkdir()
    manifest.write_text('{"version": 9}')

    answer(user, "show", "--json", "team/old:v1")
    listed = environment(user, "list")
    assert listed.returncode == 0, listed.output
    assert "team/old:v1" in listed.stdout
    assert f"{manifest}: version 9" in listed.stderr
    check_refusal(environment(user, "create", "team/mine:v1"), "no environment is called", str(manifest))


@pytest.mark.parametrize("place", ["conda_v2.cnd", ".mf_meta/conda_v2.cnd"])
def test_a_code_package_of_1_x(store: Left, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of a past task is found in the manifest that its code package carries."""
    data = json.dumps(store.manifest()).encode()
    blob = io.BytesIO()
    with tarfile.open(fileobj=blob, mode="w:gz") as archive:
        entry = tarfile.TarInfo(place)
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
    monkeypatch.setattr(filecache.FileCache, "get_data", lambda *_: ("", blob.getvalue()))
    facts = json.dumps({"ds_type": "local", "sha": "0", "location": "/x"})  # as older versions of Metaflow wrote it

    found = from_package("OldFlow", facts, EnvID(REQ, FULL, "linux-64"))

    assert found is not None
    assert (found.env_id.full_id, found.python_version) == (FULL, "3.11.7")
    assert from_package("OldFlow", facts, EnvID(REQ, "3" * 40, "linux-64")) is None
