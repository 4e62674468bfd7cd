"""What a file asks for, and where in the file it says so.

requirements.txt, environment.yml and pyproject.toml all become one AskedFile. Each reader works on Lines: text that
knows which line and column it was written at, so that every error shows the place with a caret.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from .ask import Ask, check_index, combine
from .errors import ExtensionError, InputError
from .platform import VirtualPackage
from .requirement import CondaRequirement, python_constraint
from .secret import redact

Reader = Callable[[str], bytes]

_VARIABLE = re.compile(r"\$\{(\w+)\}", re.ASCII)
_MARKS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_BRACKET_FIELD = re.compile(r"\s*(?P<key>\w+)\s*=\s*(?P<value>'[^']*'|\"[^\"]*\"|[^,'\"]*)\s*(?:,|$)")
_SUBDIR = re.compile(r"(?:linux|osx|win|emscripten|wasi|zos|freebsd)-\w+|noarch")


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedFile:
    """All that one file asks for, with what it includes.

    Attributes:
        ask: what it asks for; its indexes come before the default one
        index: the index in place of the default one (``--index-url``), if any
        platforms: the platforms that the file is meant for, by conda's names; empty where it does not say
        no_default_channels: whether its channels stand alone (``nodefaults``)
    """

    ask: Ask = field(default_factory=Ask)
    index: str | None = None
    platforms: tuple[str, ...] = ()
    no_default_channels: bool = False

    @property
    def urls(self) -> tuple[str, ...]:
        """Every source it names, as the user wrote it: with credentials."""
        return (*self.ask.urls, self.index) if self.index else self.ask.urls


@dataclass(frozen=True, slots=True, kw_only=True)
class FileContext:
    """What reading a file may use beside its text.

    ``folder`` is the absolute folder that relative file names start from, ``variables`` are those for ``${NAME}``,
    and ``read`` gives the bytes of an included file or raises OSError.
    """

    read: Reader
    folder: str = "/"
    variables: Mapping[str, str] = field(default_factory=dict)


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


def join(parts: Iterable[tuple[Place, AskedFile]]) -> AskedFile:
    """Merge what the lines of a file say; raise FileError at the second of two that contradict each other."""
    told = list(parts)
    _check_once(told)
    files = [part for _, part in told]
    return AskedFile(
        ask=combine(part.ask for part in files if part.ask != Ask()),
        index=next((part.index for part in files if part.index), None),
        platforms=tuple(dict.fromkeys(name for part in files for name in part.platforms)),
        no_default_channels=any(part.no_default_channels for part in files),
    )


def _check_once(parts: list[tuple[Place, AskedFile]]) -> None:
    faults, seen = Faults(), {}  # type: tuple[Faults, dict[str, tuple[Place, str]]]
    for place, part in parts:
        said = {"python": part.ask.python, "the default index": part.index}
        said.update({package.name: str(package) for package in part.ask.virtual})
        own = {f"the index of {name}": index for name, index in part.ask.options.package_indexes}
        said.update({**own, "torch_backend": part.ask.options.torch_backend or None})
        for what, value in said.items():
            if value is None:
                continue
            first, before = seen.setdefault(what, (place, value))
            with faults.gather():
                if value != before:
                    # The URL of an index may hold a secret out of a variable, in its path too.
                    values = "" if value == part.index or what in own else f": {before} and {value}"
                    message = f"{what} is said twice, with different values{values} (first at {first})"
                    raise FileError(place, message, f"say {what} once")
    faults.settle()


def read_python(line: Line, text: str) -> AskedFile:
    """Return what a line asks of Python; *text* is the constraint, empty for any."""
    with line.blame():
        return AskedFile(ask=Ask(python=python_constraint(text) if text.strip(" *") else None))


def read_conda(line: Line) -> CondaRequirement:
    """Read a match specification: ``a``, ``a=1.2=build``, ``a >=1,<2``, ``channel::a``, ``a[version='>=1']``."""
    text = line.text.strip()
    if re.match(r"[a-z]+://\S+\.(?:conda|tar\.bz2)$", text, re.IGNORECASE):
        raise line.fault("the URL of one conda package is not supported", "write its channel, name and version")
    # 'a = >=1' is what 1.x documented: the name, then the constraint.
    text = re.sub(r"^([^\s=<>!~]+)\s*=\s+(?=[<>=!~])", r"\1 ", text)
    with line.blame():
        requirement = CondaRequirement.parse(_without_brackets(line, text))
    if _SUBDIR.fullmatch(requirement.channel.rpartition("/")[2]):
        raise line.fault(
            f"the platform in '{requirement.channel}' cannot be chosen for one package",
            "name the channel alone; the platform is that of the environment",
        )
    return requirement


def _without_brackets(line: Line, text: str) -> str:
    match = re.fullmatch(r"(?P<head>[^\[\]]*)\[(?P<fields>[^\[\]]*)\]", text)
    if match is None:
        return text
    if re.search(r"[\s=<>!~]", match["head"].strip()) or not match["head"].strip():
        raise line.fault("before the brackets stands a name alone", "write for example a[version='>=1', build='py*']")
    fields, position = {}, 0
    while position < len(match["fields"]):
        item = _BRACKET_FIELD.match(match["fields"], position)
        if item is None:
            raise line.fault(
                f"'[{match['fields']}]' cannot be understood", "write for example [version='>=1', build='py*']"
            )
        fields[item["key"]] = item["value"].strip().strip("'\"")
        position = item.end()
    for key in fields.keys() - {"version", "build", "channel"}:
        raise line.fault(
            f"'{key}' in brackets is not supported",
            "write version, build and channel alone",
            offset=max(line.text.find(key), 0),
        )
    head = f"{fields['channel']}::{match['head']}" if "channel" in fields else match["head"]
    return " ".join([head, fields.get("version") or ("*" if "build" in fields else ""), fields.get("build", "")])


def read_index(line: Line) -> str:
    """Read the URL of an index."""
    with line.blame():
        return check_index(line.text)


def read_virtual(line: Line) -> VirtualPackage:
    """Read a virtual package and its version: ``__cuda=11.8``, ``__glibc == 2.28``, ``__archspec=1=x86_64``."""
    match = re.fullmatch(r"(?P<name>[^\s=<>!~]+)\s*(?P<version>.*)", line.text.strip())
    with line.blame():
        return VirtualPackage.from_pair(match["name"] if match else line.text, match["version"] if match else "")
