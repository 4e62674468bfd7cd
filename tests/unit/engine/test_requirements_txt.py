"""requirements.txt beyond its cases: encodings, includes and who reads them, and text that nobody meant."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path

import pytest

from metaflow_extensions.netflix_ext.engine.asked_file import AskedFile, FileContext
from metaflow_extensions.netflix_ext.engine.errors import InputError
from metaflow_extensions.netflix_ext.engine.place import FileError, Line, Place
from metaflow_extensions.netflix_ext.engine.requirements_txt import (
    load_requirements,
    parse_requirements,
    read_requirement,
)

FILES = Path(__file__).parents[2] / "cases" / "files"


def context(files: Mapping[str, bytes] | None = None, read: list[str] | None = None) -> FileContext:
    """Return a context that knows *files*, and notes what is *read*."""

    def give(name: str) -> bytes:
        if read is not None:
            read.append(name)
        try:
            return (files or {})[name]
        except KeyError:
            raise FileNotFoundError(2, "No such file or directory", name) from None

    return FileContext(read=give, folder="/home/project")


def names(asked: AskedFile) -> list[str]:
    """Return the PyPI requirements of *asked* as texts."""
    return [str(item) for item in asked.ask.pypi]


@pytest.mark.parametrize("text", ["\ufeffa==1\r\nb\\\r\n>=2\r\n", "a==1\rb\\\r>=2", "\ta==1\t\n \tb\\\n\t>=2"])
def test_line_ends_marks_and_tabs(text: str) -> None:
    """A byte order mark, line ends of Windows and tabs change nothing."""
    assert ["a==1", "b>=2"] == names(parse_requirements(text, file="r.txt", context=context()))


def test_what_powershell_writes_is_read() -> None:
    """A redirected `pip freeze` of Windows is UTF-16, in an include as well."""
    files = {"r.txt": "a\r\n-r s.txt\r\n".encode("utf-16"), "s.txt": "b\r\n".encode("utf-16")}

    assert ["a", "b"] == names(load_requirements("r.txt", context(files)))


def test_a_missing_file_is_an_input_error() -> None:
    """The file itself may be missing too."""
    with pytest.raises(InputError, match=r"'r\.txt' cannot be read"):
        load_requirements("r.txt", context())


def test_an_include_that_is_not_text_names_the_file_included() -> None:
    """The place of a byte that is no UTF-8 is in the file that holds it."""
    with pytest.raises(FileError) as caught:
        load_requirements("r.txt", context({"r.txt": b"-r s.txt", "s.txt": b"a\n\xff\xfe"}))

    assert "s.txt:2:1" == str(caught.value.place)


def test_a_file_included_often_is_read_once() -> None:
    """Thirty files that each include the next one twice are thirty readings, not two to the thirtieth."""
    files = {f"{n}.txt": f"p{n}\n-r {n + 1}.txt\n-r ./{n + 1}.txt\n".encode() for n in range(30)} | {"30.txt": b"end"}
    read: list[str] = []

    asked = load_requirements("0.txt", context(files, read))

    assert len(read) == 31
    assert [f"p{n}" for n in range(30)] + ["end"] == names(asked)


def test_includes_are_named_from_the_folder_of_the_file() -> None:
    """The reader gets names that start where the first file's name does."""
    read: list[str] = []
    files = {
        "deps/r.txt": b"-r ../common/c.txt",
        "common/c.txt": b"-r /abs/x.txt\n./w/six-1.0.tar.gz",
        "/abs/x.txt": b"",
    }

    asked = load_requirements("deps/r.txt", context(files, read))

    assert ["deps/r.txt", "common/c.txt", "/abs/x.txt"] == read
    assert ["six @ file:///home/project/common/w/six-1.0.tar.gz"] == names(asked)


def test_without_includes_nothing_is_read() -> None:
    """Text that includes nothing needs no reader."""
    read: list[str] = []
    parse_requirements("a\n--find-links x\nb @ ./b\n", file="r.txt", context=context(read=read))

    assert [] == read


def test_secrets_of_variables_are_in_no_message() -> None:
    """What a variable holds is shown by no error: of a value, an include, two lines that contradict each other."""
    text = "-i https://i.example/${TOKEN}/a\n-i https://i.example/${TOKEN}/b\n"
    faults = "-i x${TOKEN}\n-r ${TOKEN}\n--conda-pkg ${TOKEN}!\na===${TOKEN} ${TOKEN}\n./${TOKEN}\n"
    faults += "--${TOKEN}\n--sys-pkg ${TOKEN}\n"
    for written in (text, *faults.splitlines()):
        asked = FileContext(read=context().read, folder="/p", variables={"TOKEN": "s3cret"})
        with pytest.raises(InputError) as caught:
            parse_requirements(written, file="r.txt", context=asked)
        assert "s3cret" not in str(caught.value)
        assert "${TOKEN}" in str(caught.value)


def test_a_requirement_elsewhere_is_read_the_same() -> None:
    """Other files use the same reader for their requirements, with their own places."""
    line = Line.at(Place(file="f", line=7, column=5, text="    ./six-1.0.tar.gz"), "./six-1.0.tar.gz")

    assert "six @ file:///p/six-1.0.tar.gz" == str(read_requirement(line, "/p"))


def test_whatever_is_written_there_is_an_answer_or_one_error() -> None:
    """Damaged files never crash the reader: each gives an ask, or an InputError with a hint and a place."""
    dice = random.Random(7)
    texts = [path.read_text("utf-8") for path in sorted(FILES.glob("requirements/*/*.txt"))]
    refused = []
    for _ in range(3000):
        text = list(dice.choice(texts))
        for _ in range(dice.randint(1, 4)):
            text.insert(dice.randint(0, len(text)), dice.choice("-=[]@:;#\\\"'${} \t\nap1.*<>!~&/"))
        try:
            parse_requirements("".join(text), file="r.txt", context=context())
        except InputError as error:
            refused.append(error)

    assert all(error.hint and "r.txt:" in error.message for error in refused)
    assert 500 < len(refused) < 3000
