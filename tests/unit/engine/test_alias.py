"""Names: what is one, what it is taken for, and what variables in it become."""

from __future__ import annotations

import pytest

from metaflow_extensions.netflix_ext.engine.alias import (
    Alias,
    IdName,
    Pathspec,
    check_name,
    fill,
    id_name,
    of_a_task,
    variables_in,
)
from metaflow_extensions.netflix_ext.engine.errors import AliasError, InputError
from metaflow_extensions.netflix_ext.engine.layout import alias_key, check_key

REQ, FULL = "0123456789" * 4, "abcdef0123" * 4


@pytest.mark.parametrize(
    ("text", "alias"),
    [
        ("a", Alias("a", "latest")),
        ("team/project:v1", Alias("team/project", "v1")),
        ("a-b_c.d/e:1.2-rc_3", Alias("a-b_c.d/e", "1.2-rc_3")),
        ("beef", Alias("beef")),
        ("_/_", Alias("_/_")),
        ("x" * 200, Alias("x" * 200)),
    ],
)
def test_names(text: str, alias: Alias) -> None:
    """A name has parts of small letters, digits and a few signs; without a tag it is the latest."""
    assert Alias.parse(text) == alias
    assert Alias.parse(str(alias)) == alias


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            ":",
            ":v1",
            "a:",
            "a:b:c",
            "/a",
            "a/",
            "a//b",
            "../a",
            "a/../b",
            "./a",
            "a/.",
            ".a",
            "-a",
            "a:.b",
            "a:-b",
        ),
        *("A", "a:V1", "a b", "a:b c", "ä", "a\n", "a:v1\n", "a@b", "a:@b", "a/@latest", "a:x/y", "a\\b", "a\0"),
        *(REQ, f"{REQ}:v1", "x" * 201, f"a:{'x' * 201}"),
    ],
)
def test_what_cannot_be_a_name(text: str) -> None:
    """What would lead elsewhere in a store, look like an id, or is too long for a file, is refused with its rule."""
    with pytest.raises(AliasError) as caught:
        Alias.parse(text)

    assert caught.value.hint


@pytest.mark.parametrize("text", ["a", "a/b/c:v1", "a..b", "_..-"])
def test_a_name_is_a_key(text: str) -> None:
    """The key of each legal name is one that stores take, and lies among the aliases."""
    alias = Alias.parse(text)
    key = check_key(alias_key(alias.name, alias.tag, "linux-64"))

    assert key == f"envs/aliases/{alias.name}/@{alias.tag}/linux-64"


def test_a_pathspec_for_a_name_is_told() -> None:
    """Who writes a pathspec where a name is wanted learns of --pathspec."""
    with pytest.raises(AliasError) as caught:
        Alias.parse("MyFlow/12/start")

    assert "--pathspec" in caught.value.hint


@pytest.mark.parametrize(("tag", "moves"), [("latest", True), ("candidate", True), ("stable", True), ("v1", False)])
def test_tags_that_move(tag: str, moves: bool) -> None:
    """Three tags move, the others are final."""
    assert Alias("a", tag).moves is moves


@pytest.mark.parametrize("text", ["Flow/1/start", "step:Flow/1/start", "Flow/1/start/12"])
def test_pathspecs(text: str) -> None:
    """A step or a task; the word `step:` before it is no part of it."""
    assert str(Pathspec.parse(text)) == text.removeprefix("step:")


@pytest.mark.parametrize("text", ["", "Flow", "Flow/1", "Flow/1/start/12/x", "Flow//start", "Flow/1/ start", "a/b/c:d"])
def test_what_is_no_pathspec(text: str) -> None:
    """Anything but three or four names is refused."""
    with pytest.raises(InputError, match="names no step"):
        Pathspec.parse(text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"{REQ}:{FULL}", IdName(REQ, FULL)),
        (REQ, IdName(REQ)),
        ("0123", IdName("0123")),
        ("0123:abcd", IdName("0123", "abcd")),
        ("012", None),
        ("0123:abc", None),
        ("0123:", None),
        (f"{REQ}0", None),
        ("ABCD", None),
        ("wxyz", None),
        ("0123\n", None),
    ],
)
def test_ids(text: str, found: IdName | None) -> None:
    """Four digits and more of one id or both are ids; anything else is not."""
    assert id_name(text) == found
    assert found is None or str(found) == text


def test_what_ids_match() -> None:
    """Alone, digits may begin either id; in a pair, each begins its own."""
    assert IdName("0123").matches(REQ, FULL)
    assert IdName("abcd").matches(REQ, FULL)
    assert not IdName("1234").matches(REQ, FULL)
    assert IdName("0123", "abcd").matches(REQ, FULL)
    assert not IdName("abcd", "0123").matches(REQ, FULL)
    assert IdName(REQ, FULL).whole
    assert not IdName(REQ, FULL[:39]).whole


def test_variables_are_filled_in() -> None:
    """Each variable becomes its value, once: a value is not read again."""
    assert fill("a/@{X}:@{Y}", {"X": "x", "Y": "@{X}"}) == "a/x:@{X}"
    assert fill("a/$X{X}@X", {}) == "a/$X{X}@X"
    assert variables_in("a@{X}/@{Y_1}") == ("X", "Y_1")
    assert variables_in("a@{}@X{X}@{-}") == ()


@pytest.mark.parametrize(
    ("name", "hint"),
    [("TEAM", "export TEAM="), ("METAFLOW_RUN_ID", "fetch_at_exec"), ("METAFLOW_INIT_ALPHA", "name of the parameter")],
)
def test_a_variable_that_is_not_set(name: str, hint: str) -> None:
    """A variable without a value is an error that tells where it could come from."""
    with pytest.raises(InputError, match=name) as caught:
        fill(f"a/@{{{name}}}", {})

    assert hint in caught.value.hint


def test_variables_of_a_task() -> None:
    """The run, the task and parameters are known when a task starts, other variables before."""
    assert [name for name in ("METAFLOW_RUN_ID", "METAFLOW_INIT_X", "METAFLOW_STEP_NAME", "X") if of_a_task(name)] == [
        "METAFLOW_RUN_ID",
        "METAFLOW_INIT_X",
    ]


@pytest.mark.parametrize("text", ["a:v1", "0123:abcd", REQ, "step:Flow/1/start"])
def test_what_may_name_an_environment(text: str) -> None:
    """Aliases, ids and steps may, without asking whether there is such a one."""
    check_name(text)


@pytest.mark.parametrize("text", ["A", "step:Flow/1", f"{REQ}:x:y"])
def test_what_may_not(text: str) -> None:
    """Anything else is refused before a store is asked."""
    with pytest.raises(InputError):
        check_name(text)
