"""What 1.x has left, through the catalog and the lookup."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from metaflow_extensions.netflix_ext.engine.alias import Alias, Pathspec
from metaflow_extensions.netflix_ext.engine.catalog import Catalog, Pointer
from metaflow_extensions.netflix_ext.engine.errors import StoreError, UnknownError
from metaflow_extensions.netflix_ext.engine.history import ManifestFile
from metaflow_extensions.netflix_ext.engine.identity import EnvID
from metaflow_extensions.netflix_ext.engine.layout import environment_key
from metaflow_extensions.netflix_ext.engine.lookup import Lookup
from metaflow_extensions.netflix_ext.engine.resolved import ResolvedEnvironment
from tests.fakes import MemoryStore, resolved

GOLDEN = Path(__file__).parents[2] / "golden" / "1x"
REQ, FIRST, SECOND = "5" * 40, "6" * 40, "7" * 40
STORED = EnvID("1" * 40, "2" * 40, "linux-64")
MINE = resolved()
NAME, MOVING = "envs/aliases/generic/team/stored/v1", "envs/aliases/generic/team/stored/latest"


class Counting(MemoryStore):
    """Counts how often something is read."""

    reads = 0

    def get(self, key: str) -> bytes | None:
        self.reads += 1
        return super().get(key)


@pytest.fixture(name="shared")
def _shared() -> MemoryStore:
    """A store as 1.x has left it."""
    store = MemoryStore()
    for arch in ("linux-64", "osx-arm64"):
        store.put(environment_key(STORED._replace(arch=arch)), (GOLDEN / "mixed-1.2.2.json").read_bytes())
    store.put(NAME, json.dumps(STORED[:2]).encode())
    store.put(MOVING, json.dumps(STORED[:2]).encode())
    store.put(f"envs/aliases/full-id/{STORED.full_id}", json.dumps(STORED[:2]).encode())
    return store


@pytest.fixture(name="folder")
def _folder() -> Counting:
    """A folder with a manifest of 1.x."""
    store = Counting()
    store.put("conda_v2.cnd", (GOLDEN / "conda_v2.cnd").read_bytes())
    return store


@pytest.fixture(name="catalog")
def _catalog(shared: MemoryStore, folder: Counting) -> Catalog:
    return Catalog(MemoryStore(), shared, ManifestFile(folder, "/home/joe/conda_v2.cnd"))


def no_task(pathspec: Pathspec) -> EnvID:
    raise UnknownError(f"there is no '{pathspec}'", "look")


def content(store: MemoryStore) -> dict[str, bytes]:
    return dict(store._items)


def test_environments_are_found_in_stores_and_manifest(catalog: Catalog) -> None:
    """A document without schema is read under the id of its key; what no store has is found in the manifest."""
    for env_id in (STORED, STORED._replace(arch="osx-arm64"), EnvID(REQ, FIRST, "osx-arm64")):
        found = catalog.find(env_id)
        assert found is not None
        assert (found.env_id, found.legacy) == (env_id, True)
    assert catalog.find(EnvID(REQ, FIRST, "osx-64")) is None


def test_names_of_1_x_mean_what_they_meant(catalog: Catalog) -> None:
    """A name means its environment for each platform that has one of the same ids."""
    stored, manifest = Alias("team/stored", "v1"), Alias("team/project", "v1")

    assert catalog.alias(stored, "osx-arm64") == Pointer(env_id=STORED._replace(arch="osx-arm64"))
    assert catalog.alias(stored, "osx-64") is None
    assert catalog.arches(stored) == ("linux-64", "osx-arm64")
    assert catalog.alias(manifest, "linux-64") == Pointer(env_id=EnvID(REQ, FIRST, "linux-64"))
    assert catalog.arches(manifest) == ("linux-64", "osx-arm64")
    assert catalog.alias(Alias("team/project", "v2"), "linux-64") is None


def test_everything_is_listed_once(catalog: Catalog) -> None:
    """Environments and names of 1.x are listed with ours, each once; what only stands for an id is no name."""
    catalog.add(MINE)
    catalog.publish(Alias("mine"), Pointer(env_id=MINE.env_id))
    catalog.publish(Alias("team/stored", "v1"), Pointer(env_id=STORED))

    both = ("linux-64", "osx-arm64")
    assert sorted(catalog.aliases()) == sorted(
        [
            (Alias("mine"), "linux-64"),
            (Alias("team/project"), "linux-64"),
            *((Alias("team/project", "v1"), arch) for arch in both),
            *((Alias("team/stored"), arch) for arch in both),
            *((Alias("team/stored", "v1"), arch) for arch in both),
        ]
    )
    every = list(catalog.ids())
    assert sorted(every) == sorted(
        [
            MINE.env_id,
            *(STORED._replace(arch=arch) for arch in both),
            *(EnvID(REQ, FIRST, arch) for arch in both),
            EnvID(REQ, SECOND, "linux-64"),
        ]
    )


def test_a_name_of_ours_wins(catalog: Catalog) -> None:
    """A name that was given anew means what it means now, where it was given."""
    catalog.add(MINE)
    catalog.publish(Alias("team/stored"), Pointer(env_id=MINE.env_id))

    assert catalog.alias(Alias("team/stored"), "linux-64") == Pointer(env_id=MINE.env_id)
    assert catalog.alias(Alias("team/stored"), "osx-arm64") == Pointer(env_id=STORED._replace(arch="osx-arm64"))


def test_a_name_that_moves_means_what_the_shared_store_says(shared: MemoryStore) -> None:
    """Of two stores, the farther one says where a moving name points, the nearer one what a final name means."""
    near = MemoryStore()
    for key in (NAME, MOVING):
        near.put(key, json.dumps([REQ, FIRST]).encode())
    catalog = Catalog(near, shared)

    assert catalog.alias(Alias("team/stored"), "linux-64") == Pointer(env_id=STORED)
    assert catalog.alias(Alias("team/stored", "v1"), "linux-64") == Pointer(env_id=EnvID(REQ, FIRST, "linux-64"))


def test_the_manifest_is_read_late_and_once(catalog: Catalog, folder: Counting) -> None:
    """While stores of ours answer, the manifest is left alone; then it is read one time."""
    catalog.add(MINE)
    assert catalog.find(MINE.env_id) == MINE
    assert catalog.default(MINE.env_id.req_id, "linux-64") == MINE
    assert catalog.default("9" * 40, "linux-64") is None
    assert folder.reads == 0

    for _ in range(3):
        assert catalog.find(EnvID(REQ, FIRST, "linux-64")) is not None
        assert catalog.alias(Alias("nobody"), "linux-64") is None
    assert folder.reads == 1


def test_nothing_of_1_x_is_written(catalog: Catalog, shared: MemoryStore, folder: Counting) -> None:
    """Keeping what 1.x resolved fills the local store alone; it is read there as before."""
    before = content(shared), content(folder)
    for env_id in (STORED, EnvID(REQ, FIRST, "linux-64")):
        found = catalog.find(env_id)
        assert found is not None
        catalog.add(found)
        local = Catalog(catalog.store)
        assert local.find(env_id) == found
        assert local.default(env_id.req_id, "linux-64") == found

    assert (content(shared), content(folder)) == before


def test_a_spec_of_ours_may_come_to_what_1_x_resolved(catalog: Catalog, shared: MemoryStore) -> None:
    """Pointers below the ids of 1.x stay out of the shared store, those below ours do not."""
    found = catalog.find(STORED)
    assert found is not None

    catalog.add(found, req_id="9" * 40)

    assert any(key.startswith(f"envs/linux-64/{'9' * 40}/") for key in content(shared))
    assert catalog.default("9" * 40, "linux-64") == found


@pytest.mark.parametrize("data", [b"{", b'{"version": 7}', b'{"version": 1, "aliases": 3}'])
def test_a_damaged_manifest_hides_nothing_else(shared: MemoryStore, data: bytes) -> None:
    """All else is found and listed; where a name means nothing, the file is named."""
    folder = MemoryStore()
    folder.put("conda_v2.cnd", data)
    catalog = Catalog(MemoryStore(), shared, ManifestFile(folder, "/home/joe/conda_v2.cnd"))
    lookup = Lookup(catalog=catalog, task_env_id=no_task)

    assert lookup.find("team/stored:v1", "linux-64").env_id == STORED
    assert len(list(catalog.ids())) == 2
    assert len(list(catalog.aliases())) == 4
    for text in ("team/project:v1", f"{REQ}:{FIRST}", REQ[:10]):
        with pytest.raises(UnknownError) as caught:
            lookup.find(text, "linux-64")
        assert "/home/joe/conda_v2.cnd" in caught.value.hint


@pytest.mark.parametrize("data", [b"{", b"3", b'["x", "y"]', b'["1"]', b"\xff"])
def test_a_damaged_alias_is_named(shared: MemoryStore, data: bytes) -> None:
    """A name whose file is damaged is an error with its place, and is not listed; the others are."""
    shared.put(NAME, data, overwrite=True)
    catalog = Catalog(MemoryStore(), shared)

    with pytest.raises(StoreError, match=NAME):
        catalog.alias(Alias("team/stored", "v1"), "linux-64")
    assert {alias for alias, _ in catalog.aliases()} == {Alias("team/stored")}


def test_lookups(catalog: Catalog) -> None:
    """Names, ids and the beginnings of ids of 1.x are looked up like ours."""
    lookup = Lookup(catalog=catalog, task_env_id=no_task)

    assert lookup.find("team/project", "linux-64").env_id == EnvID(REQ, SECOND, "linux-64")
    assert lookup.find(f"{REQ}:{FIRST}", "osx-arm64").env_id == EnvID(REQ, FIRST, "osx-arm64")
    assert lookup.find(STORED.full_id[:6], "linux-64").env_id == STORED
    with pytest.raises(UnknownError, match="is an environment for linux-64, and there is none for osx-arm64"):
        lookup.find("team/project", "osx-arm64")
    with pytest.raises(UnknownError, match="begins the ids of 2 environments"):
        lookup.find(REQ[:8], "linux-64")


def test_a_step_that_only_the_manifest_knows(catalog: Catalog) -> None:
    """Where the metadata of a run is gone, the manifest tells what a step ran in; else the first error stands."""
    lookup = Lookup(catalog=catalog, task_env_id=no_task)

    assert lookup.find("step:Flow/12/start", "osx-arm64").env_id == EnvID(REQ, FIRST, "osx-arm64")
    assert lookup.find("step:Flow/12/start/3", "linux-aarch64").env_id == EnvID(REQ, FIRST, "linux-64")
    with pytest.raises(UnknownError, match="there is no 'Flow/12/end'"):
        lookup.find("step:Flow/12/end", "linux-64")


def test_a_step_whose_code_package_has_it() -> None:
    """An environment that no store has any more is taken from the code package of the task."""
    asked: list[tuple[Pathspec, EnvID]] = []

    def packaged(pathspec: Pathspec, env_id: EnvID) -> ResolvedEnvironment | None:
        asked.append((pathspec, env_id))
        return MINE if pathspec.step == "start" else None

    lookup = Lookup(catalog=Catalog(MemoryStore()), task_env_id=lambda _: MINE.env_id, packaged=packaged)

    assert lookup.find("step:Flow/12/start", "linux-64") == MINE
    assert asked == [(Pathspec("Flow", "12", "start"), MINE.env_id)]
    with pytest.raises(UnknownError, match="no store that was asked has it"):
        lookup.find("step:Flow/12/end", "linux-64")

    lookup.catalog.add(MINE)
    asked.clear()
    assert lookup.find("step:Flow/12/end", "linux-64") == MINE
    assert asked == []  # code packages lie far away
