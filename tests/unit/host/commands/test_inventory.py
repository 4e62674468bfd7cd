"""What is known of environments on this machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from metaflow_extensions.netflix_ext.adapters.prefixes import PrefixFolder
from metaflow_extensions.netflix_ext.engine.create import create
from metaflow_extensions.netflix_ext.engine.errors import StoreError
from metaflow_extensions.netflix_ext.engine.events import Reporter
from metaflow_extensions.netflix_ext.engine.layout import environment_key
from metaflow_extensions.netflix_ext.engine.resolved import ResolvedEnvironment
from metaflow_extensions.netflix_ext.host.commands.inventory import Inventory, Known
from metaflow_extensions.netflix_ext.host.workbench import Workbench
from tests.fakes import conda_package, creator, resolved

ONE, TWO = resolved(), resolved(conda_package("numpy"))


@pytest.fixture(name="bench")
def _bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workbench:
    """The parts for a user's folder, with nothing shared."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("METAFLOW_DATASTORE_SYSROOT_LOCAL", str(tmp_path))
    values = {"CONDA_ENVS_ROOT": str(tmp_path / "envs")}
    bench = Workbench(lambda *_, **__: None, values=values, local_only=True)
    bench.wiring.catalog.add(ONE)
    return bench


def known(bench: Workbench, environment: ResolvedEnvironment) -> Known:
    return Inventory(bench).facts(environment).known


def test_prefixes_under_any_name(bench: Workbench, tmp_path: Path) -> None:
    """A prefix counts for the environment that its marker names, under its own name or a given one."""
    prefixes = PrefixFolder(tmp_path / "envs")
    create(ONE, creator(prefixes), Reporter())
    create(ONE, creator(prefixes), Reporter(), name="mine")
    create(TWO, creator(prefixes), Reporter(), name="other")

    found = known(bench, ONE).prefixes

    assert found == (prefixes.path(ONE.env_id.prefix_name), prefixes.path("mine"))
    assert known(bench, TWO).prefixes == (prefixes.path("other"),)
    assert [entry.outline.env_id for entry in Inventory(bench).entries(created=True)] == [ONE.env_id]


def test_what_is_no_complete_prefix(bench: Workbench, tmp_path: Path) -> None:
    """Folders without a sound marker, halves of prefixes, and one in the place of another do not count."""
    envs = tmp_path / "envs"
    sound = json.dumps({"id": list(ONE.env_id), "variables": {}})
    for name, marker in {
        ONE.env_id.prefix_name: sound[:-5],
        TWO.env_id.prefix_name: sound,
        f"{ONE.env_id.prefix_name}.partial-7": sound,
        ".hidden": sound,
        "a-list": "[]",
        "no-id": json.dumps({"variables": {}}),
        "numbers": json.dumps({"id": list(ONE.env_id), "variables": {"A": 1}}),
    }.items():
        (envs / name).mkdir(parents=True)
        (envs / name / ".metaflowenv").write_text(marker)
    (envs / "empty").mkdir()
    (envs / "file").write_text("")

    assert known(bench, ONE).prefixes == ()
    assert known(bench, TWO).prefixes == ()


def test_what_is_not_kept(bench: Workbench) -> None:
    """Of an environment that no store has, that is said; its spec's platforms hold its own."""
    other = resolved(req_id="b" * 40, arch="osx-64")
    found = known(bench, other)

    assert (found.stores, found.default, found.aliases, found.arches) == ((), False, (), ("osx-64",))
    assert known(bench, ONE).stores == ("local",)
    assert known(bench, ONE).default


def test_an_empty_place_is_no_environment(bench: Workbench, tmp_path: Path) -> None:
    """The folder that a killed writer has left is passed over, without a word."""
    store = tmp_path / ".metaflow" / "conda_v2"
    (store / environment_key(TWO.env_id)).parent.mkdir(parents=True)
    told: list[StoreError] = []

    entries = Inventory(bench, told.append).entries()

    assert [entry.outline.env_id for entry in entries] == [ONE.env_id]
    assert told == []


def test_documents_in_another_form(bench: Workbench, tmp_path: Path) -> None:
    """A document that says the same with other spaces is listed; one whose packages are others is told."""
    path = tmp_path / ".metaflow" / "conda_v2" / environment_key(ONE.env_id)
    path.write_text(json.dumps(ONE.to_dict()))
    told: list[StoreError] = []

    assert [entry.outline.count for entry in Inventory(bench, told.append).entries()] == [1]
    path.write_text(json.dumps({**ONE.to_dict(), "conda": []}))
    assert Inventory(bench, told.append).entries() == []
    assert [str(path) in error.message for error in told] == [True]
