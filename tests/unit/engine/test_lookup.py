"""What names mean."""

from __future__ import annotations

import pytest

from metaflow_extensions.netflix_ext.engine.alias import Alias, Pathspec
from metaflow_extensions.netflix_ext.engine.catalog import Catalog, Pointer
from metaflow_extensions.netflix_ext.engine.errors import AliasError, StoreError, UnknownError
from metaflow_extensions.netflix_ext.engine.identity import EnvID
from metaflow_extensions.netflix_ext.engine.layout import alias_key
from metaflow_extensions.netflix_ext.engine.lookup import Lookup
from tests.fakes import MemoryStore, conda_package, resolved

ONE, TWO = resolved(), resolved(conda_package("numpy"))  # of one spec
OTHER = resolved(req_id="b" * 40)
MAC = resolved(arch="osx-arm64", req_id="c" * 40)
LINUX = "linux-64"


@pytest.fixture(name="catalog")
def _catalog() -> Catalog:
    catalog = Catalog(MemoryStore())
    for environment in (ONE, TWO, OTHER, MAC):
        catalog.add(environment)
    catalog.publish(Alias("team/one", "v1"), Pointer(env_id=ONE.env_id))
    catalog.publish(Alias("team/mac"), Pointer(env_id=MAC.env_id))
    return catalog


@pytest.fixture(name="lookup")
def _lookup(catalog: Catalog) -> Lookup:
    def task_env_id(pathspec: Pathspec) -> EnvID:
        if pathspec.flow == "Mac":
            return MAC.env_id
        raise UnknownError(f"there is no '{pathspec}'", "look elsewhere")

    return Lookup(catalog=catalog, task_env_id=task_env_id)


def test_an_alias_and_whole_ids(lookup: Lookup) -> None:
    """An alias means what it was published for, whole ids mean themselves."""
    assert lookup.find("team/one:v1", LINUX) == ONE
    assert lookup.find(":".join(OTHER.env_id[:2]), LINUX) == OTHER
    assert lookup.find("team/mac", "osx-arm64") == MAC


def test_the_beginning_of_an_id(lookup: Lookup) -> None:
    """Enough digits of either id, or of both, mean the one environment that they begin."""
    assert lookup.find("bbbb", LINUX) == OTHER
    assert lookup.find("b" * 40, LINUX) == OTHER
    assert lookup.find(TWO.env_id.full_id[:8], LINUX) == TWO
    assert lookup.find(f"aaaa:{ONE.env_id.full_id[:8]}", LINUX) == ONE


def test_a_spec_means_its_default(lookup: Lookup, catalog: Catalog) -> None:
    """Of several environments of one spec, its id means what it resolves to."""
    assert lookup.find("aaaa", LINUX) == TWO
    catalog.add(ONE)
    assert lookup.find("aaaa", LINUX) == ONE


def test_an_ambiguous_beginning(catalog: Catalog) -> None:
    """What begins several ids is refused with all of them, or the first few and their number."""
    lookup = Lookup(catalog=catalog, task_env_id=lambda _: MAC.env_id)
    for number in range(8):
        catalog.add(resolved(conda_package("x", f"{number}"), req_id=f"beef{number:036}"))

    with pytest.raises(UnknownError, match="begins the ids of 8 environments for linux-64") as caught:
        lookup.find("beef", LINUX)

    assert caught.value.message.count("beef0") == 6
    assert "and 2 more" in caught.value.message
    assert "more of the id" in caught.value.hint


def test_digits_of_several_full_ids_do_not_mean_a_default() -> None:
    """The default of a spec is meant where the spec is named, not where digits begin two of its environments."""
    catalog = Catalog(MemoryStore())
    by_digit: dict[str, list[EnvID]] = {}
    number = 0
    while all(len(found) < 2 for found in by_digit.values()):
        environment = resolved(conda_package("x", str(number := number + 1)))
        by_digit.setdefault(environment.env_id.full_id[:4], []).append(environment.env_id)
        catalog.add(environment)
    digits = next(digits for digits, found in by_digit.items() if len(found) == 2)
    lookup = Lookup(catalog=catalog, task_env_id=lambda _: MAC.env_id)

    for text in (digits, f"aaaa:{digits}"):
        with pytest.raises(UnknownError, match="begins the ids of 2"):
            lookup.find(text, LINUX)


def test_an_alias_goes_before_an_id(lookup: Lookup, catalog: Catalog) -> None:
    """A name of hexadecimal digits means what it was given to, whatever ids it begins."""
    catalog.publish(Alias("bbbb"), Pointer(env_id=ONE.env_id))

    assert lookup.find("bbbb", LINUX) == ONE
    assert lookup.find("bbbbb", LINUX) == OTHER


def test_another_platform(lookup: Lookup) -> None:
    """What is there for another platform only is told with that platform and what to do."""
    with pytest.raises(UnknownError, match="for osx-arm64, and there is none for linux-64") as caught:
        lookup.find("team/mac", LINUX)
    assert "resolve --from team/mac:latest --arch linux-64" in caught.value.hint

    with pytest.raises(UnknownError, match="it is there for osx-arm64"):
        lookup.find(":".join(MAC.env_id[:2]), LINUX)


def test_a_step_has_its_own_platform(lookup: Lookup) -> None:
    """A pathspec means what the task ran in, wherever that was."""
    assert lookup.find("step:Mac/1/start", LINUX) == MAC
    with pytest.raises(UnknownError, match="there is no 'Other/1/start'"):
        lookup.find("step:Other/1/start", LINUX)


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("team/ome:v1", "no environment is called 'team/ome:v1'", "team/one:v1"),
        ("nothing/like/it", "no environment is called", "--pathspec"),
        ("nothing/like/it:v1", "no environment is called", "metaflow environment list"),
        ("zzzz", "no environment is called", "metaflow environment list"),
        ("ffff0000", "no environment is called", "metaflow environment list"),
        (f"{'a' * 40}:{'0' * 40}", "no store that was asked has it", "--conda-root"),
    ],
)
def test_unknown_names(lookup: Lookup, text: str, said: str, hint: str) -> None:
    """What means nothing is told with what may help."""
    with pytest.raises(UnknownError, match=said) as caught:
        lookup.find(text, LINUX)

    assert hint in caught.value.hint
    assert ("--pathspec" in caught.value.hint) == (hint == "--pathspec")
    assert "it is there for" not in caught.value.message


@pytest.mark.parametrize("text", ["Team", "a b", "../x", ""])
def test_illegal_names(lookup: Lookup, text: str) -> None:
    """What cannot be a name is refused as that."""
    with pytest.raises(AliasError):
        lookup.find(text, LINUX)


def test_a_name_of_what_is_gone(catalog: Catalog, lookup: Lookup) -> None:
    """An alias whose environment no store has is told with the ids that it means."""
    gone = EnvID("d" * 40, "e" * 40, LINUX)
    catalog.publish(Alias("gone"), Pointer(env_id=gone))

    with pytest.raises(UnknownError, match="d" * 40):
        lookup.find("gone", LINUX)


def test_a_damaged_alias(catalog: Catalog, lookup: Lookup) -> None:
    """An alias that cannot be read is an error that names its file, not an unknown name."""
    catalog.store.put(alias_key("bad", "latest", LINUX), b"{")

    with pytest.raises(StoreError, match="memory:envs/aliases/bad/@latest/linux-64"):
        lookup.find("bad", LINUX)


def test_platforms_of_a_name(catalog: Catalog, lookup: Lookup) -> None:
    """A name's platforms are those it was published for; of ids, those where they begin one."""
    catalog.publish(Alias("team/mac"), Pointer(env_id=ONE.env_id))

    assert lookup.arches("team/mac") == (LINUX, "osx-arm64")
    assert lookup.arches("cccc") == ("osx-arm64",)
    assert lookup.arches("a" * 40) == (LINUX,)
    assert lookup.arches("unknown") == ()
    assert lookup.arches("Not A Name") == ()
