"""Ids: the same for the same, another for anything else, and pinned for good."""

from __future__ import annotations

import json
import random

import pytest

from metaflow_extensions.netflix_ext.engine.identity import EnvID, digest, full_id, parse_env_id

FILES = [("conda", f"package{number}-1.0-0.conda", f"{number:064x}") for number in range(8)]
FILES += [("pypi", "wheel-1.0-py3-none-any.whl", "f" * 64)]


def test_ids_are_pinned() -> None:
    """What was hashed once hashes the same in every version to come."""
    assert digest({"b": [1, "é"], "a": None}) == "f8f17faab95c024891d173fa43442b0e52007736"
    assert full_id(FILES, "linux-64") == "5376ce1d75bea9bb470bf9d18c84e17cc0def6e6"


def test_order_does_not_count() -> None:
    """The same files in any order have the same id."""
    source = random.Random(3)
    expected = full_id(FILES, "linux-64")

    for _ in range(50):
        files = source.sample(FILES, len(FILES))
        assert expected == full_id(files, "linux-64")


def test_every_byte_counts() -> None:
    """Any changed character of any file, a missing file and another platform give another id."""
    seen = {full_id(FILES, "linux-64"), full_id(FILES, "osx-64")}
    count = 2
    for number, file in enumerate(FILES):
        changed = [FILES[:number] + FILES[number + 1 :]]
        for part, text in enumerate(file):
            for place in range(len(text)):
                other = text[:place] + ("0" if text[place] != "0" else "1") + text[place + 1 :]
                changed.append([*FILES[:number], (*file[:part], other, *file[part + 1 :]), *FILES[number + 1 :]])
        count += len(changed)
        seen.update(full_id(files, "linux-64") for files in changed)

    assert count == len(seen)


def test_fields_do_not_run_into_each_other() -> None:
    """Moving a character from one field to the next gives another id."""
    assert full_id([("conda", "ab", "c")], "x") != full_id([("conda", "a", "bc")], "x")


def test_an_id_is_read_as_written() -> None:
    """What task metadata holds is read back, as text or as a list."""
    env_id = EnvID("a" * 40, "b" * 40, "linux-64")

    assert env_id == parse_env_id(json.dumps(env_id))
    assert env_id == parse_env_id(list(env_id))
    assert f"metaflow_{'a' * 40}_{'b' * 40}" == env_id.prefix_name


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "null",
        "{",
        "[]",
        '["a","b","c"]',
        3,
        ["a" * 40, "b" * 40],
        ["a" * 40, "B" * 40, "x"],
        ["a" * 40, 1, "x"],
    ],
)
def test_what_is_no_id_is_refused(value: object) -> None:
    """Anything else is a ValueError, never a half-read id."""
    with pytest.raises(ValueError, match=r"not an environment id|Expecting"):
        parse_env_id(value)
