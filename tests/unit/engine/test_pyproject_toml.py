"""pyproject.toml beyond its cases: where values are found, and damage."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from metaflow_extensions.netflix_ext.engine.asked_file import AskedFile, FileContext
from metaflow_extensions.netflix_ext.engine.errors import InputError
from metaflow_extensions.netflix_ext.engine.place import FileError
from metaflow_extensions.netflix_ext.engine.pyproject_toml import Wanted, load_pyproject, parse_pyproject

FILES = Path(__file__).parents[2] / "cases" / "files"


def missing(name: str) -> bytes:
    """Know no file at all."""
    raise FileNotFoundError(2, "No such file or directory", name)


CONTEXT = FileContext(read=missing, folder="/project")


def parse(text: str, *, extras: tuple[str, ...] = (), groups: tuple[str, ...] = ()) -> AskedFile:
    """Return what *text* asks for."""
    return parse_pyproject(text, file="p.toml", wanted=Wanted(extras=extras, groups=groups), context=CONTEXT)


def place(text: str) -> str:
    """Return the place of the error in *text*."""
    with pytest.raises(FileError) as caught:
        parse(text)
    return str(caught.value.place)


def test_marks_and_line_ends_of_windows() -> None:
    """A byte order mark and CRLF change nothing."""
    asked = parse("\ufeff[project]\r\nname = 'x'\r\ndependencies = [\r\n 'a',\r\n]\r\n")

    assert ["a"] == [str(item) for item in asked.ask.pypi]


def test_a_missing_file_is_an_input_error() -> None:
    """The message names the file."""
    with pytest.raises(InputError, match=r"'no\.toml' cannot be read: No such file"):
        load_pyproject("no.toml", wanted=Wanted(), context=CONTEXT)


def test_places_are_found_in_the_right_table() -> None:
    """The same text in an earlier table is not taken for the one at fault."""
    text = "[tool.x]\ndependencies = ['a b']\n[project]\nname='x'\ndependencies = ['ok', 'a b']\n"

    assert "p.toml:5:26" == place(text)


def test_places_of_dotted_and_inline_tables() -> None:
    """Tables may be written in one line, or as dotted keys."""
    assert "p.toml:1:39" == place("project = {name='x', dependencies=['a b']}\n")
    assert "p.toml:2:28" == place("project.name = 'x'\nproject.dependencies = ['a b']\n")


def test_a_text_that_is_escaped_has_the_place_of_its_key() -> None:
    """A value that is written otherwise than it reads is told where its key is."""
    assert "p.toml:3:1" == place("[project]\nname='x'\ndependencies=['ok', \"a\\u0020b\"]\n")


def test_several_faults_are_told_together() -> None:
    """Tables and requirements at fault are one error."""
    text = "[project]\nname='x'\nrequires-python='x'\ndependencies=['a b', 'c d']\n[tool.uv]\nresolution='lowest'\n"

    with pytest.raises(InputError) as caught:
        parse(text)
    for line in ("p.toml:3:18", "p.toml:4:18", "p.toml:4:25", "p.toml:6:1"):
        assert line in caught.value.message


def test_depth_is_no_crash() -> None:
    """Ten thousand brackets are an error like any other."""
    with pytest.raises(InputError):
        parse("x = " + "[" * 10000 + "]" * 10000)


def test_what_python_cannot_read_is_one_error_too() -> None:
    """A number of too many digits is no error of TOML's, and no crash."""
    with pytest.raises(FileError, match="this is not TOML"):
        parse("x = 2026-02-31\n")


def test_an_extra_is_not_taken_unless_asked_for() -> None:
    """Extras and groups are taken by name alone."""
    text = "[project]\nname='x'\ndependencies=['a']\n[project.optional-dependencies]\ne=['b']\n"
    text += "[dependency-groups]\ndev=['c']\n"

    def names(asked: AskedFile) -> list[str]:
        return [str(item) for item in asked.ask.pypi]

    assert ["a"] == names(parse(text))
    assert ["a", "b"] == names(parse(text, extras=("E",)))
    assert ["a", "c"] == names(parse(text, groups=("dev",)))


def test_whatever_is_written_there_is_an_answer_or_one_error() -> None:
    """Damaged files never crash the reader: each gives an ask, or an InputError with a hint."""
    dice = random.Random(7)
    texts = [path.read_text("utf-8") for path in sorted(FILES.glob("pyproject/*/project.toml"))]
    words = ["'a b'", "1", "{}", "[]", "true", "''", "'x[a]'", "{git=1}", "-", "\n", "[[", "=", "."]
    refused = []
    for _ in range(1500):
        text = dice.choice(texts)
        parts = text.split("'")
        spot = dice.randrange(len(parts))
        parts[spot] = dice.choice(words) if dice.random() < 0.5 else parts[spot] + dice.choice(words)
        try:
            parse("'".join(parts), extras=("a",), groups=("dev",))
            parse("'".join(parts))
        except InputError as error:
            refused.append(error)

    assert all(error.hint for error in refused)
    assert 500 < len(refused) <= 1500
