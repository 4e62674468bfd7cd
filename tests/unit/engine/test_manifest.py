"""The manifest of 1.x."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from metaflow_extensions.netflix_ext.engine.errors import StoreError
from metaflow_extensions.netflix_ext.engine.identity import EnvID
from metaflow_extensions.netflix_ext.engine.manifest import Manifest, find_carried
from metaflow_extensions.netflix_ext.engine.resolved import package_document
from tests.fakes import resolved

FILE = Path(__file__).parents[2] / "golden" / "1x" / "conda_v2.cnd"
REQ, FIRST, SECOND = "5" * 40, "6" * 40, "7" * 40


def manifest(**changes: Any) -> Manifest:
    return Manifest({**json.loads(FILE.read_text("utf-8")), **changes}, "conda_v2.cnd")


def test_environments_are_found_by_id() -> None:
    """An environment is found by its id, for its platform; words among the ids name none."""
    found = manifest()
    env_id = EnvID(REQ, FIRST, "linux-64")

    environment = found.find(env_id)

    assert environment is not None
    assert (environment.env_id, environment.provenance["by"]) == (env_id, "joe")
    assert found.find(EnvID(REQ, "9" * 40, "linux-64")) is None
    assert found.find(EnvID(REQ, FIRST, "osx-64")) is None
    assert set(found.ids()) == {env_id, EnvID(REQ, SECOND, "linux-64"), EnvID(REQ, FIRST, "osx-arm64")}
    assert list(found.ids("osx-arm64")) == [EnvID(REQ, FIRST, "osx-arm64")]
    assert found.arches(REQ, FIRST) == ("linux-64", "osx-arm64")


def test_names_mean_ids() -> None:
    """Aliases of both kinds and steps mean ids; those that are ids themselves are no names."""
    found = manifest()

    assert found.named("team/project", "v1") == (REQ, FIRST)
    assert found.named("team/project", "latest") == (REQ, SECOND)
    assert found.named("team/project", "v2") is None
    assert sorted(found.names()) == [("team/project", "latest"), ("team/project", "v1")]
    assert found.ran("Flow/12/start") == (REQ, FIRST)
    assert found.ran("Flow/12/end") is None


def test_a_name_may_be_written_with_its_colon() -> None:
    """The other way to write an alias is understood too."""
    found = manifest(aliases={"team/project:v1": [REQ, FIRST], "broken:v1": ["x"], "broken/v2": 3})

    assert found.named("team/project", "v1") == (REQ, FIRST)
    assert ("team/project", "v1") in list(found.names())
    assert found.named("broken", "v1") is None
    assert all(name != "broken" for name, _ in found.names())


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not a file of environments"),
        (b"{", "not a file of environments"),
        (b"\xff", "not a file of environments"),
        (b"3", "not a file of environments"),
        (b"{}", "not a file of environments"),
        (b'{"version": 2}', "version 2 is not the one"),
        (b'{"version": 1, "environments": []}', ".environments: expected an object, found list"),
        (b'{"version": 1, "environments": {"linux-64": 3}}', ".environments.linux-64: expected an object"),
        (b'{"version": 1, "environments": {"a": {"b": []}}}', ".environments.a.b: expected an object"),
        (b'{"version": 1, "aliases": []}', ".aliases: expected an object"),
        (b'{"version": 1, "mutable_aliases": ""}', ".mutable_aliases: expected an object"),
        (b'{"version": 1, "mappings": 1}', ".mappings: expected an object"),
    ],
)
def test_a_damaged_file(data: bytes, said: str) -> None:
    """The file and what is wrong in it are told, and that nothing else depends on it."""
    with pytest.raises(StoreError) as caught:
        Manifest.from_bytes(data, "/home/joe/conda_v2.cnd")

    assert caught.value.message.startswith("/home/joe/conda_v2.cnd")
    assert said in caught.value.message


def test_a_damaged_environment_leaves_the_others() -> None:
    """One environment that cannot be read is told when it is asked for, and only then."""
    values = json.loads(FILE.read_text("utf-8"))
    values["environments"]["linux-64"][REQ][FIRST] = {"packages": 3}
    found = Manifest(values, "conda_v2.cnd")

    assert found.find(EnvID(REQ, SECOND, "linux-64")) is not None
    with pytest.raises(StoreError, match=rf"conda_v2.cnd.environments.linux-64.{REQ}"):
        found.find(EnvID(REQ, FIRST, "linux-64"))


def test_what_a_code_package_carries() -> None:
    """The file in a code package is read in both forms; what is neither is told by its name."""
    ours = resolved()
    old = EnvID(REQ, FIRST, "linux-64")

    assert find_carried(package_document([ours], {}), ours.env_id, "x") == ours
    assert find_carried(package_document([ours], {}), old, "x") is None
    assert getattr(find_carried(FILE.read_bytes(), old, "x"), "env_id", None) == old
    assert find_carried(FILE.read_bytes(), ours.env_id, "x") is None
    with pytest.raises(StoreError, match="the-file"):
        find_carried(b"{", old, "the-file")
