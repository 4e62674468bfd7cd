"""Text that knows which line and column it was written at, so that every error about a file shows the place."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

from .errors import ExtensionError, InputError
from .secret import redact

Reader = Callable[[str], bytes]

_VARIABLE = re.compile(r"\$\{(\w+)\}", re.ASCII)
_MARKS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A place in a file: line and column count from 1; ``text`` is the whole line."""

    file: str
    line: int = 1
    column: int = 1
    text: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"

    def moved(self, by: int) -> Place:
        """Return the place *by* columns to the right, at most the end of its line."""
        return replace(self, column=max(1, min(self.column + by, len(self.text) + 1)))

    @property
    def excerpt(self) -> str:
        """The line without its credentials, and a caret below the column."""
        shown = redact(self.text)
        before = redact(self.text[: self.column - 1])
        same = next((i for i, (a, b) in enumerate(zip(before, shown, strict=False)) if a != b), len(before))
        # A tab is as wide as the terminal likes: one space each keeps the caret below its character.
        return f"    {shown}".replace("\t", " ").rstrip() + f"\n    {' ' * min(same, len(shown))}^"


class FileError(InputError):
    """Something in a file cannot be understood; the message shows where."""

    def __init__(self, place: Place, message: str, hint: str) -> None:
        super().__init__(f"{place}: {message}\n{place.excerpt}", hint)
        self.place = place


class FaultsError(InputError):
    """Several things in files cannot be understood."""

    def __init__(self, errors: tuple[FileError, ...]) -> None:
        hints = dict.fromkeys(error.hint for error in errors)
        super().__init__("\n".join(error.message for error in errors), "\n      ".join(hints))
        self.errors = errors


class Faults:
    """Gather the errors of a file, so that they are raised together."""

    def __init__(self) -> None:
        self._found: list[FileError] = []

    @contextmanager
    def gather(self) -> Iterator[None]:
        """Keep an error of the block for later."""
        try:
            yield
        except FaultsError as several:
            self._found.extend(several.errors)
        except FileError as error:
            self._found.append(error)

    def settle(self) -> None:
        """Raise what was gathered, if anything was."""
        if len(self._found) == 1:
            raise self._found[0]
        if self._found:
            raise FaultsError(tuple(self._found))


@dataclass(frozen=True, slots=True)
class _Piece:
    start: int
    place: Place
    fixed: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """Text that knows where each of its characters was written, over continuations and variables."""

    text: str
    pieces: tuple[_Piece, ...]
    hidden: tuple[tuple[str, str], ...] = ()

    @classmethod
    def at(cls, place: Place, text: str, *, fixed: bool = False) -> Line:
        """Return *text* as written at *place*; *fixed* where its characters do not stand side by side there."""
        return cls(text, (_Piece(0, place, fixed),))

    @classmethod
    def joined(cls, lines: Iterable[Line]) -> Line:
        """Return *lines* as one."""
        text, pieces, hidden = "", (), ()  # type: tuple[str, tuple[_Piece, ...], tuple[tuple[str, str], ...]]
        for line in lines:
            pieces += tuple(replace(piece, start=piece.start + len(text)) for piece in line.pieces)
            text, hidden = text + line.text, hidden + line.hidden
        return cls(text, pieces, hidden)

    def cut(self, start: int, end: int | None = None) -> Line:
        """Return the characters from *start* up to *end*."""
        first = _Piece(0, self.place(start), self._piece(start).fixed)
        later = (piece for piece in self.pieces if start < piece.start < (len(self.text) if end is None else end))
        return Line(
            self.text[start:end],
            (first, *(replace(piece, start=piece.start - start) for piece in later)),
            self.hidden,
        )

    def strip(self) -> Line:
        """Return the line without white space around it."""
        start = len(self.text) - len(self.text.lstrip())
        return self.cut(start, start + len(self.text.strip()))

    def place(self, offset: int = 0) -> Place:
        """Return where the character at *offset* was written."""
        piece = self._piece(offset)
        return piece.place if piece.fixed else piece.place.moved(offset - piece.start)

    def _piece(self, offset: int) -> _Piece:
        return next((piece for piece in reversed(self.pieces) if piece.start <= offset), self.pieces[0])

    def fault(self, message: str, hint: str, *, offset: int = 0) -> FileError:
        """Return the error to raise for the character at *offset*; values of variables do not show in it."""
        for value, name in self.hidden:
            message, hint = message.replace(value, name), hint.replace(value, name)
        return FileError(self.place(offset), message, hint)

    @contextmanager
    def blame(self, offset: int = 0) -> Iterator[None]:
        """Give an error of the block this line's place."""
        try:
            yield
        except (FileError, FaultsError):
            raise
        except ExtensionError as error:
            raise self.fault(error.message, error.hint, offset=offset) from None

    def expanded(self, variables: Mapping[str, str]) -> Line:
        """Return the line with ``${NAME}`` replaced; raise FileError for a variable that is not set."""
        parts, last = [], 0
        for match in _VARIABLE.finditer(self.text):
            name, value = match.group(1), variables.get(match.group(1))
            if value is None:
                hint = f"set it where the command runs: export {name}=..."
                raise self.fault(f"the environment variable '{name}' is not set", hint, offset=match.start())
            hidden = ((value, match.group()),) if value else ()
            parts += [self.cut(last, match.start()), Line(value, (_Piece(0, self.place(match.start()), True),), hidden)]
            last = match.end()
        return Line.joined([*parts, self.cut(last)]) if parts else self


def decode(data: bytes, file: str) -> str:
    """Return the text of a file: UTF-8, or UTF-16 where it opens with a byte order mark (as PowerShell writes it)."""
    mark, encoding = next(((mark, name) for mark, name in _MARKS if data.startswith(mark)), (b"", "utf-8"))
    try:
        return data[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        before = data[len(mark) : len(mark) + error.start].decode(encoding, "replace")
        lines = split_lines(before)
        place = Place(file=file, line=len(lines), column=len(lines[-1]) + 1, text=lines[-1])
        raise FileError(place, "what follows is not text in UTF-8", "save the file as UTF-8") from None


def read_text(file: str, read: Reader) -> str:
    """Return the text of *file*; raise InputError where it is missing, unreadable or not text."""
    try:
        return decode(read(file), file)
    except OSError as error:
        raise InputError(
            f"'{file}' cannot be read: {error.strerror or error}", "check the name of the file, and who may read it"
        ) from None


def split_lines(text: str) -> list[str]:
    """Return the lines of *text*, whichever system wrote it, without a byte order mark."""
    return re.split(r"\r\n|\r|\n", text.removeprefix("\ufeff"))
