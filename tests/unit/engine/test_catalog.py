"""What is known of environments."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from metaflow_extensions.netflix_ext.adapters.folder import FolderStore
from metaflow_extensions.netflix_ext.engine.alias import Alias
from metaflow_extensions.netflix_ext.engine.catalog import Catalog, Pointer, read
from metaflow_extensions.netflix_ext.engine.errors import AliasError, StoreError
from metaflow_extensions.netflix_ext.engine.identity import EnvID
from metaflow_extensions.netflix_ext.engine.layout import alias_key, environment_key, latest_by_key, latest_key
from metaflow_extensions.netflix_ext.engine.resolved import ResolvedEnvironment
from tests.fakes import MemoryStore, conda_package, resolved

ONE, TWO = resolved(), resolved(conda_package("numpy"))


@pytest.fixture(name="store")
def _store() -> MemoryStore:
    return MemoryStore()


def test_an_environment_is_found_by_id_and_by_spec(store: MemoryStore) -> None:
    """What was added last is what its spec resolves to; the one before is still there by id."""
    catalog = Catalog(store)
    catalog.add(ONE)
    catalog.add(TWO)

    assert catalog.find(ONE.env_id) == ONE
    assert catalog.find(TWO.env_id) == TWO
    assert catalog.default("a" * 40, "linux-64") == TWO


def test_adding_without_default_leaves_the_default(store: MemoryStore) -> None:
    """An environment can be kept without becoming what its spec resolves to."""
    catalog = Catalog(store)
    catalog.add(ONE)
    catalog.add(TWO, default=False)

    assert catalog.default("a" * 40, "linux-64") == ONE


def test_what_is_unknown_is_none(store: MemoryStore) -> None:
    """An unknown id, spec or platform is None."""
    catalog = Catalog(store)
    catalog.add(ONE)

    assert catalog.find(TWO.env_id) is None
    assert catalog.default("b" * 40, "linux-64") is None
    assert catalog.default("a" * 40, "osx-64") is None


def test_a_document_in_a_wrong_place_is_refused(store: MemoryStore) -> None:
    """A sound document under the id of another environment does not pass for it."""
    store.put(environment_key(TWO.env_id), ONE.to_bytes())

    with pytest.raises(StoreError, match="holds another environment"):
        Catalog(store).find(TWO.env_id)


@pytest.mark.parametrize("pointer", [b"", b"{", b"3", b"{}", b"\xff", b'{"full_id": "../../x"}', b'{"full_id": "c"}'])
def test_a_damaged_pointer_is_as_good_as_none(store: MemoryStore, pointer: bytes) -> None:
    """Where the pointer is damaged, or points at nothing, the spec is resolved again."""
    store.put(latest_key("a" * 40, "linux-64"), pointer)

    assert Catalog(store).default("a" * 40, "linux-64") is None


def test_a_damaged_document_heals(store: MemoryStore) -> None:
    """A damaged document is told by id, unknown by spec, and replaced when the spec is resolved again."""
    catalog = Catalog(store)
    catalog.add(ONE)
    store.put(environment_key(ONE.env_id), ONE.to_bytes()[:100], overwrite=True)

    with pytest.raises(StoreError):
        catalog.find(ONE.env_id)
    assert catalog.default("a" * 40, "linux-64") is None
    catalog.add(ONE)
    assert catalog.default("a" * 40, "linux-64") == ONE


def test_a_sound_document_is_never_overwritten(store: MemoryStore) -> None:
    """Resolving to the same packages again leaves the first document, byte for byte."""
    catalog = Catalog(store)
    catalog.add(ONE)
    store.put(environment_key(ONE.env_id), before := ONE.to_bytes().replace(b"someone", b"another"), overwrite=True)

    catalog.add(ONE)

    assert store.get(environment_key(ONE.env_id)) == before


def test_a_shared_store_serves_by_id_and_decides_nothing(store: MemoryStore) -> None:
    """What one user resolved is found by another by its id; what a spec resolves to stays each user's own."""
    shared = MemoryStore()
    Catalog(MemoryStore(), shared).add(ONE)
    other = Catalog(store, shared)

    assert other.find(ONE.env_id) == ONE
    assert other.default("a" * 40, "linux-64") is None
    assert shared.get(latest_key("a" * 40, "linux-64")) is not None


def pointer(environment: ResolvedEnvironment, by: str = "someone") -> Pointer:
    return Pointer(env_id=environment.env_id, by=by, on="2024-01-01T00:00:00+00:00")


def dated(environment: ResolvedEnvironment, on: str, by: str) -> ResolvedEnvironment:
    return replace(environment, provenance={"on": on, "by": by})


@pytest.fixture(name="both", params=["memory", "folder"])
def _both(request: pytest.FixtureRequest, tmp_path: Path) -> Catalog:
    """A catalog with a shared store, of either kind."""
    if request.param == "memory":
        return Catalog(MemoryStore(), MemoryStore())
    return Catalog(FolderStore(tmp_path / "local"), FolderStore(tmp_path / "shared"))


def test_a_sound_copy_serves_where_the_other_is_damaged(store: MemoryStore) -> None:
    """Damage in the near store does not hide a sound document in the far one, and is healed on its own."""
    shared = MemoryStore()
    catalog = Catalog(store, shared)
    catalog.add(ONE)
    store.put(environment_key(ONE.env_id), b"damaged", overwrite=True)
    shared.put(environment_key(ONE.env_id), ONE.to_bytes().replace(b"someone", b"another"), overwrite=True)

    found = catalog.find(ONE.env_id)
    assert found is not None
    assert found.provenance["by"] == "another"
    catalog.add(ONE)
    assert read(store, ONE.env_id) == ONE
    assert read(shared, ONE.env_id) == found


def test_fetching_keeps_here_and_leaves_the_shared_store_alone(store: MemoryStore) -> None:
    """What is fetched is the default here if that is wished, and nobody else's."""
    shared = MemoryStore()
    Catalog(shared).add(ONE, default=False)
    catalog = Catalog(store, shared)

    catalog.fetch(ONE, default=False)
    assert catalog.default("a" * 40, "linux-64") is None
    catalog.fetch(ONE, default=True)
    assert catalog.default("a" * 40, "linux-64") == ONE
    assert shared.get(latest_key("a" * 40, "linux-64")) is None
    assert Catalog(store).find(ONE.env_id) == ONE


def test_the_newest_is_that_of_whom_one_asks_for(store: MemoryStore) -> None:
    """Of those whom one trusts, who resolved last decides; of anybody, who published last."""
    first = dated(ONE, "2024-01-02T00:00:00+00:00", "ann")
    second = dated(TWO, "2024-01-01T00:00:00+00:00", "../bob")
    catalog = Catalog(store, MemoryStore())
    for environment in (first, second):
        Catalog(MemoryStore(), catalog.shared).add(environment)

    def newest(users: list[str] | None) -> EnvID | None:
        found = catalog.newest("a" * 40, "linux-64", users)
        return found.env_id if found is not None else None

    assert newest(None) == TWO.env_id
    assert newest(["ann", "../bob"]) == ONE.env_id
    assert newest(["../bob", "nobody"]) == TWO.env_id
    assert newest(["nobody"]) is None
    assert newest([]) is None
    assert Catalog(store).newest("a" * 40, "linux-64", None) is None


@pytest.mark.parametrize("damage", ["pointer", "document"])
def test_the_newest_that_is_sound(damage: str) -> None:
    """A damaged pointer, or one to a damaged document, gives way to the next."""
    shared = MemoryStore()
    Catalog(MemoryStore(), shared).add(dated(ONE, "2024-01-01T00:00:00+00:00", "ann"))
    Catalog(MemoryStore(), shared).add(dated(TWO, "2024-01-02T00:00:00+00:00", "bob"))
    bob = latest_by_key("a" * 40, "linux-64", "bob")
    shared.put(bob if damage == "pointer" else environment_key(TWO.env_id), b"{", overwrite=True)

    found = Catalog(MemoryStore(), shared).newest("a" * 40, "linux-64", ["ann", "bob"])

    assert found is not None
    assert found.env_id == ONE.env_id


@pytest.mark.parametrize("user", ["", ".", "..", "../../x", "a/b", "ä b", "@"])
def test_pointers_of_users_stay_among_pointers(user: str) -> None:
    """Whatever a user is called, the pointer lies beside those of others, and is found."""
    shared = MemoryStore()
    Catalog(MemoryStore(), shared).add(dated(ONE, "2024", user))

    folder = f"envs/linux-64/{'a' * 40}/latest-by"
    assert len(list(shared.list(folder))) == 1
    assert Catalog(MemoryStore(), shared).newest("a" * 40, "linux-64", [user]) is not None


def test_an_alias_means_what_was_published(both: Catalog) -> None:
    """It is found on its platform, in both stores, with who set it; on another there is none."""
    alias = Alias("team/one", "v1")
    both.publish(alias, pointer(ONE))

    assert both.alias(alias, "linux-64") == pointer(ONE)
    assert both.alias(alias, "osx-64") is None
    assert both.alias(Alias("team", "one"), "linux-64") is None
    assert both.arches(alias) == ("linux-64",)
    assert [Catalog(store).alias(alias, "linux-64") for store in both.stores] == [pointer(ONE)] * 2


def test_a_final_alias_stays(both: Catalog) -> None:
    """Publishing it again for the same environment is fine, for another one is refused and changes nothing."""
    alias = Alias("one", "v1")
    both.publish(alias, pointer(ONE))
    both.publish(alias, pointer(ONE, by="another"))

    with pytest.raises(AliasError, match=r"final, and on linux-64 it means .* set by someone") as caught:
        both.publish(alias, pointer(TWO))
    assert "latest, candidate and stable" in caught.value.hint
    assert both.alias(alias, "linux-64") == pointer(ONE)


def test_a_final_alias_may_get_another_platform(both: Catalog) -> None:
    """Each platform is final by itself."""
    mac = resolved(arch="osx-arm64")
    for environment in (ONE, mac):
        both.publish(Alias("one", "v1"), pointer(environment))

    assert both.arches(Alias("one", "v1")) == ("linux-64", "osx-arm64")
    assert both.alias(Alias("one", "v1"), "osx-arm64") == pointer(mac)


def test_what_moves_means_what_the_shared_store_says(store: MemoryStore) -> None:
    """The last one wins for all; a name that only this machine knows is not lost."""
    shared = MemoryStore()
    mine, others = Catalog(store, shared), Catalog(MemoryStore(), shared)
    mine.publish(Alias("one"), pointer(ONE))
    others.publish(Alias("one"), pointer(TWO))
    Catalog(store).publish(Alias("mine"), pointer(ONE))

    assert mine.alias(Alias("one"), "linux-64") == pointer(TWO)
    assert Catalog(store).alias(Alias("one"), "linux-64") == pointer(ONE)
    assert mine.alias(Alias("mine"), "linux-64") == pointer(ONE)


def test_the_shared_store_is_written_first() -> None:
    """Of two who publish a final alias, the one who is second there keeps nothing at home."""
    local, shared = MemoryStore(), MemoryStore()
    Catalog(MemoryStore(), shared).publish(Alias("one", "v1"), pointer(ONE))

    with pytest.raises(AliasError):
        Catalog(local, shared).publish(Alias("one", "v1"), pointer(TWO))
    assert list(local.list("")) == []


@pytest.mark.parametrize(
    "record", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"full_id": "a", "req_id": 1}']
)
def test_a_damaged_alias_is_told(both: Catalog, record: bytes) -> None:
    """Where the record of an alias is damaged, its place is named; final or not, it is no unknown name."""
    for tag in ("latest", "v1"):
        key = alias_key("one", tag, "linux-64")
        both.store.put(key, record)
        with pytest.raises(StoreError, match="not a pointer") as caught:
            both.alias(Alias("one", tag), "linux-64")
        assert both.store.where(key) in caught.value.message

    both.publish(Alias("one"), pointer(ONE))
    assert both.alias(Alias("one"), "linux-64") == pointer(ONE)
    with pytest.raises(StoreError, match="not a pointer"):
        Catalog(both.store).publish(Alias("one", "v1"), pointer(ONE))


def test_all_aliases(both: Catalog) -> None:
    """Each is listed once a platform; a tag is no part of another name; what nobody could ask for is passed over."""
    expected = {
        (Alias("team", "project"), "linux-64"),
        (Alias("team/project"), "linux-64"),
        (Alias("team/project"), "osx-64"),
        (Alias("team/project/sub", "v1"), "linux-64"),
    }
    for alias, arch in expected:
        both.publish(alias, pointer(resolved(arch=arch)))
    for key in ("stray", "team/stray", "Bad/@latest/linux-64", "@latest/linux-64", "bad/@V 1/linux-64", "a/@b/c/d"):
        both.store.put(f"envs/aliases/{key}", b"{}")

    assert sorted(both.aliases()) == sorted(expected)


def test_all_ids(both: Catalog) -> None:
    """Each is listed once, of all platforms, one, or one spec; what is no environment is passed over."""
    mac = resolved(arch="osx-arm64")
    other = resolved(req_id="b" * 40)
    for environment in (ONE, TWO, mac):
        both.add(environment)
    Catalog(both.stores[1]).add(other)
    both.publish(Alias("a", "b"), pointer(ONE))
    for key in (
        "stray",
        "linux-64/stray",
        f"linux-64/{'c' * 40}/stray/env",
        "odd place/x/y/env",
        f"x/{'a' * 40}/{'b' * 40}/env",
    ):
        both.store.put(f"envs/{key}", b"{}")

    assert set(both.ids()) == {ONE.env_id, TWO.env_id, mac.env_id, other.env_id}
    assert len(list(both.ids())) == 4
    assert set(both.ids("osx-arm64")) == {mac.env_id}
    assert set(both.ids(req_id="a" * 40)) == {ONE.env_id, TWO.env_id, mac.env_id}
    assert set(both.ids("linux-64", "b" * 40)) == {other.env_id}
    assert list(both.ids("osx-64")) == []


def test_a_pointer_survives_being_stored() -> None:
    """A pointer says after storing what it said before, and a pointer of before, without its spec, is read."""
    key = latest_key("a" * 40, "linux-64")
    assert Pointer.from_bytes(pointer(ONE).to_bytes(), key, req_id="", arch="linux-64") == pointer(ONE)
    old = f'{{"full_id": "{ONE.env_id.full_id}", "by": null}}'.encode()
    assert Pointer.from_bytes(old, key, req_id="a" * 40, arch="linux-64") == Pointer(env_id=ONE.env_id)


def test_a_damaged_default_is_told_to_who_asks_for_the_pointer(store: MemoryStore) -> None:
    """The spec is resolved again, and a list can name the file."""
    store.put(latest_key("a" * 40, "linux-64"), b"{")

    assert Catalog(store).default("a" * 40, "linux-64") is None
    with pytest.raises(StoreError, match=r"memory:envs/linux-64/a+/latest: not a pointer"):
        Catalog(store).default_pointer("a" * 40, "linux-64")


def test_a_document_of_a_newer_version_stays(store: MemoryStore) -> None:
    """What a newer version has written under an id is not taken for damaged, and not written over."""
    newer = ONE.to_bytes().replace(b'"schema": 2', b'"schema": 3')
    store.put(environment_key(ONE.env_id), newer)

    Catalog(store).add(ONE)

    assert store.get(environment_key(ONE.env_id)) == newer
