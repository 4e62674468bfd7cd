"""Places, excerpts, variables and encodings of files."""

from __future__ import annotations

import pytest

from metaflow_extensions.netflix_ext.engine.errors import InputError
from metaflow_extensions.netflix_ext.engine.place import FileError, Line, Place, decode, read_text, split_lines

PLACE = Place(file="f", line=3, column=1, text="abc def")


def test_the_caret_stands_below_its_column_after_masked_credentials() -> None:
    """A password is masked, and the caret still points at the same character."""
    place = Place(file="f", line=1, column=29, text="a @ https://user:pass@host/x bad")

    assert "    a @ https://****@host/x bad\n" + " " * 27 + "^" == place.excerpt


def test_a_caret_inside_of_credentials_does_not_reveal_them() -> None:
    """Where the place is within a password, the caret stands where the mask begins or later, and nothing leaks."""
    text = "https://user:pass@host"
    shown = {Place(file="f", column=column, text=text).excerpt for column in range(1, len(text) + 2)}

    assert all("pass" not in excerpt and "user" not in excerpt for excerpt in shown)


def test_tabs_keep_the_caret_in_its_column() -> None:
    """A tab counts as one column, and is shown as one space."""
    assert "    a b\n      ^" == Place(file="f", column=3, text="a\tb").excerpt


def test_values_of_variables_are_not_told() -> None:
    """An error shows the name of the variable where its value was."""
    line = Line.at(PLACE, "x ${TOKEN}").expanded({"TOKEN": "s3cret"})

    assert "x s3cret" == line.text
    assert "got x ${TOKEN}" in line.fault("got x s3cret", "look").message
    assert "s3cret" not in str(line.fault("got x s3cret", "s3cret"))


def test_places_survive_variables_and_cuts() -> None:
    """Characters after a variable keep the column they were written at."""
    text = "a ${X} b"
    line = Line.at(Place(file="f", text=text), text).expanded({"X": "long value"})

    assert "a long value b" == line.text
    assert 3 == line.place(line.text.index("value")).column
    assert 8 == line.place(line.text.index("b")).column
    assert 8 == line.cut(line.text.index("b")).place().column


def test_an_unset_variable_is_an_error_at_its_place() -> None:
    """A variable that is not set is told by name."""
    with pytest.raises(FileError) as caught:
        Line.at(PLACE, "ab ${NO_SUCH}").expanded({})

    assert caught.value.message.startswith("f:3:4: the environment variable 'NO_SUCH' is not set")


@pytest.mark.parametrize(
    "data",
    [
        "é".encode(),
        b"\xef\xbb\xbf" + "é".encode(),
        b"\xff\xfe" + "é".encode("utf-16-le"),
        "\ufeffé".encode("utf-16-be"),
    ],
)
def test_text_with_and_without_a_byte_order_mark(data: bytes) -> None:
    """UTF-8 and UTF-16 with a mark are read, and the mark is no part of the text."""
    assert "é" == decode(data, "f")


def test_what_is_not_text_is_refused_at_its_place() -> None:
    """Bytes of another encoding are an error with line and column."""
    with pytest.raises(FileError) as caught:
        decode(b"abc\nd\xe9f\n", "latin.txt")

    assert caught.value.message.startswith("latin.txt:2:2: ")


def test_a_missing_file_is_one_message() -> None:
    """A file that is not there is an InputError with its name."""

    def missing(name: str) -> bytes:
        raise FileNotFoundError(2, "No such file or directory", name)

    with pytest.raises(InputError, match=r"'no\.txt' cannot be read: No such file or directory"):
        read_text("no.txt", missing)


def test_lines_of_every_system() -> None:
    """Line ends of Windows, Unix and old Macs are one line end each."""
    assert ["a", "b", "c", "d"] == split_lines("\ufeffa\r\nb\nc\rd")
