"""environment.yml beyond its cases: bytes, depth, damage."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from metaflow_extensions.netflix_ext.engine.asked_file import AskedFile, FileContext
from metaflow_extensions.netflix_ext.engine.environment_yml import load_environment, parse_environment
from metaflow_extensions.netflix_ext.engine.errors import InputError
from metaflow_extensions.netflix_ext.engine.place import FileError

FILES = Path(__file__).parents[2] / "cases" / "files"


def missing(name: str) -> bytes:
    """Know no file at all."""
    raise FileNotFoundError(2, "No such file or directory", name)


CONTEXT = FileContext(read=missing, folder="/project")


def parse(text: str, arch: str = "linux-64") -> AskedFile:
    """Return what *text* asks for."""
    return parse_environment(text, file="e.yml", arch=arch, context=CONTEXT)


def test_marks_and_line_ends_of_windows() -> None:
    """A byte order mark and CRLF change nothing, the selector of a comment included."""
    asked = parse("\ufeffdependencies:\r\n  - a  # [linux]\r\n  - b  # [osx]\r\n")

    assert ["a"] == [str(item) for item in asked.ask.conda]


def test_a_missing_file_is_an_input_error() -> None:
    """The message names the file."""
    with pytest.raises(InputError, match=r"'no\.yml' cannot be read: No such file"):
        load_environment("no.yml", arch="linux-64", context=CONTEXT)


def test_an_unknown_arch_is_refused() -> None:
    """Selectors need a platform that is one."""
    with pytest.raises(InputError, match="unknown architecture 'beos-64'"):
        parse("dependencies: [a]", arch="beos-64")


def test_depth_is_no_crash() -> None:
    """Ten thousand brackets are an error like any other."""
    with pytest.raises(FileError, match="nested too deeply"):
        parse("dependencies: " + "[" * 10000)


def test_a_character_that_yaml_forbids_is_pointed_at() -> None:
    """Control characters are no text to YAML."""
    with pytest.raises(FileError) as caught:
        parse("dependencies:\n  - a\x07b\n")

    assert ("e.yml:2:6", True) == (str(caught.value.place), "this is not YAML" in caught.value.message)


def test_nothing_is_built_or_expanded() -> None:
    """Aliases of aliases stay what they are: no billion laughs, no recursion."""
    laughs = "a: &a [x]\n" + "".join(
        f"{new}: &{new} [*{old}, *{old}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    )

    with pytest.raises(InputError, match="'a' is not supported"):
        parse(laughs + "dependencies: *i\n")
    with pytest.raises(InputError, match="a list or a mapping stands where a text should"):
        parse("dependencies: &d [*d]\n")


def test_an_included_file_is_that_of_the_pip_list() -> None:
    """A missing include is told at its item."""
    with pytest.raises(FileError) as caught:
        parse("dependencies:\n  - pip:\n    - '-r more.txt'\n")

    assert "e.yml:3:11" == str(caught.value.place)


def test_a_text_over_several_lines_keeps_its_first_place() -> None:
    """A folded text is one requirement; an error in it is told where it begins."""
    with pytest.raises(FileError) as caught:
        parse("dependencies:\n  - pip:\n    - >-\n      foo\n      bar\n")

    assert "e.yml:3:7" == str(caught.value.place)


def test_whatever_is_written_there_is_an_answer_or_one_error() -> None:
    """Damaged files never crash the reader: each gives an ask, or an InputError with a hint and a place."""
    dice = random.Random(7)
    texts = [path.read_text("utf-8") for path in sorted(FILES.glob("environment/*/environment.yml"))]
    refused = []
    for _ in range(1500):
        text = list(dice.choice(texts))
        for _ in range(dice.randint(1, 4)):
            text.insert(dice.randint(0, len(text)), dice.choice("-=[]@:;#\\\"'{}&*!|> \t\nap1.<,?%"))
        try:
            parse("".join(text))
        except InputError as error:
            refused.append(error)

    assert all(error.hint and "e.yml:" in error.message for error in refused)
    assert 500 < len(refused) < 1500
