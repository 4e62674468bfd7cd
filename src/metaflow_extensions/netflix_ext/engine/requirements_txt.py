"""Read requirements.txt: pip's lines and options, and ours (``--conda-pkg``, ``--sys-pkg``, ``--package-index``, ...).

Local paths are taken from the folder of the file that names them: a file means the same wherever a command runs.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import quote

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)

from .ask import Ask, package_index
from .asked_file import (
    AskedFile,
    FileContext,
    Part,
    join,
    read_conda,
    read_index,
    read_python,
    read_virtual,
    with_options,
)
from .options import HashedRequirement, PypiOptions
from .place import Faults, Line, Place, decode, read_text, split_lines
from .requirement import PypiRequirement
from .torch import check_backend

_COMMENT = re.compile(r"(?:^|\s+)#.*$")
_WHOLE_COMMENT = re.compile(r"\s*#")
_OPTIONS_BEGIN = re.compile(r"(?:^|(?<=\s))--?[A-Za-z]")
_WORD = re.compile(r"""(?:[^\s"']|"[^"]*"|'[^']*')+""")
_PYTHON = re.compile(r"\s*python(?=\s*$|\s*[=<>!~\d*])(?P<constraint>.*)")
_NAMED = re.compile(r"\s*[A-Za-z0-9][\w.\-]*\s*(?:\[[^\]]*\]\s*)?(?:@|==|>=|<=|!=|~=|[<>(])")
_ARCHIVE = re.compile(r"\.(?:whl|zip|tar\.gz|tgz|tar\.bz2|tar\.xz)(?:\[[^\]]*\])?$", re.IGNORECASE)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:")
_HASH = re.compile(r"sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}")

_SHORT = {
    "-i": "--index-url",
    "-r": "--requirement",
    "-c": "--constraint",
    "-f": "--find-links",
    "-e": "--editable",
    "-C": "--config-settings",
}
_EDITABLE = "install it as it is now: write 'name @ file:///where/it/is' (a change needs resolving again)"
_REFUSED: Mapping[str, str] = {
    "--editable": _EDITABLE,
    "--require-hashes": "remove the line: hashes that are given are checked, and every file is pinned by its own",
    **dict.fromkeys(
        ("--no-binary", "--only-binary", "--prefer-binary"),
        "remove it: a wheel is taken where there is one; what is to be built is written 'name @ url'",
    ),
    **dict.fromkeys(
        ("--config-settings", "--config-setting", "--global-option", "--build-option", "--install-option"),
        "remove it, or build the wheel yourself and write 'name @ file:///...whl'",
    ),
    **dict.fromkeys(("--use-feature", "--all-releases", "--only-final", "--uploaded-prior-to"), "remove the line"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The file that a line stands in, how it came to be read, and what was read before."""

    file: str
    context: FileContext
    within: tuple[str, ...] = ()
    constraining: bool = False
    done: set[tuple[str, bool]] = field(default_factory=set)

    @property
    def folder(self) -> str:
        """The absolute folder of the file."""
        return os.path.normpath(os.path.join(self.context.folder, os.path.dirname(self.file)))


def load_requirements(file: str, context: FileContext) -> AskedFile:
    """Read *file* and what it includes; raise InputError."""
    return parse_requirements(read_text(file, context.read), file=file, context=context)


def parse_requirements(text: str, *, file: str, context: FileContext) -> AskedFile:
    """Read the text of *file*; raise FileError, or FaultsError where several lines are at fault."""
    return join(_parts(text, Scope(file=file, context=context, within=(os.path.normpath(file),))))


def _parts(text: str, scope: Scope) -> list[Part]:
    faults, found = Faults(), []
    for line in _logical_lines(text, scope.file):
        with faults.gather():
            found += read_line(line, scope)
    faults.settle()
    return found


def _logical_lines(text: str, file: str) -> Iterator[Line]:
    """Yield lines with their continuations; a comment ends a line, and a backslash in it is no continuation."""
    pending: list[Line] = []
    for number, written in enumerate(split_lines(text), start=1):
        line = Line.at(Place(file=file, line=number, text=written), written)
        continues = written.endswith("\\") and not _WHOLE_COMMENT.match(written)
        pending.append(line.cut(0, len(written) - 1) if continues else line)
        if not continues:
            yield Line.joined(pending)
            pending = []
    if pending:
        yield Line.joined(pending)


def read_line(line: Line, scope: Scope) -> list[Part]:
    """Read one line, continuations included; give what it asks for, each with its place."""
    comment = _COMMENT.search(line.text)
    line = (line.cut(0, comment.start()) if comment else line).expanded(scope.context.variables).strip()
    begin = _OPTIONS_BEGIN.search(line.text)
    head = (line.cut(0, begin.start()) if begin else line).strip()
    options = list(_options(line.cut(begin.start()))) if begin else []
    if head.text:
        return [(line.place(), _requirement(head, options, scope))]
    return [part for option in options for part in _option(option, scope)]


@dataclass(frozen=True, slots=True)
class _Option:
    name: str
    line: Line
    value: Line


def _options(line: Line) -> Iterator[_Option]:
    """Yield the options of a line with their values, ``--opt value``, ``--opt=value``, ``-r value`` and ``-rvalue``."""
    words = _words(line)
    while words:
        word = words.pop(0)
        if not word.text.startswith("-"):
            raise word.fault(f"'{word.text}' is neither an option nor the value of one", "write one requirement a line")
        match = re.fullmatch(r"(--[^=]*|-.)(=?)(.*)", word.text, re.DOTALL)
        if match is None:
            raise word.fault("'-' is no option", "remove it")
        name = _SHORT.get(match[1], match[1])
        if name in _REFUSED:
            raise word.fault(f"the option '{match[1]}' is not supported", _REFUSED[name])
        values = [word.cut(match.start(3))] if match[2] or match[3] else []
        if name in _FLAGS:
            if values:
                raise word.fault(f"'{name}' takes no value", f"write '{name}' alone")
        elif name in _VALUES or name == "--hash":
            while words and (not values or name in _WIDE) and not words[0].text.startswith("--"):
                values.append(words.pop(0))
            if not any(value.text for value in values):
                raise word.fault(f"'{match[1]}' lacks its value", f"write '{match[1]} value'")
        else:
            raise word.fault(f"the option '{match[1]}' is not known", f"use one of {', '.join([*_FLAGS, *_VALUES])}")
        yield _Option(name, word, _unquoted(_spaced(values)))


def _words(line: Line) -> list[Line]:
    rest = _WORD.sub(lambda match: " " * len(match.group()), line.text)
    if rest.strip():
        raise line.fault("this quote is not closed", "close it", offset=len(rest) - len(rest.lstrip()))
    return [line.cut(*match.span()) for match in _WORD.finditer(line.text)]


def _spaced(words: list[Line]) -> Line:
    if not words:
        return Line.at(Place(file=""), "")
    return Line.joined(part for word in words for part in (word, Line.at(word.place(), " ", fixed=True))).strip()


def _unquoted(value: Line) -> Line:
    quoted = re.fullmatch(r"(['\"]).*\1", value.text)
    return value.cut(1, len(value.text) - 1) if quoted and value.text.count(quoted[1]) == 2 else value


def _option(option: _Option, scope: Scope) -> list[Part]:
    if option.name in _FLAGS:
        return [(option.line.place(), _FLAGS[option.name])]
    if option.name in ("--requirement", "--constraint"):
        return _include(option.value, scope, constraining=scope.constraining or option.name == "--constraint")
    if option.name == "--hash":
        raise option.line.fault("'--hash' belongs to no requirement", "write it on the line of the requirement")
    if scope.constraining and option.name in _OURS:
        raise option.line.fault(
            f"'{option.name}' has no place in a file of constraints", "write it in the file of requirements"
        )
    return [(option.line.place(), _VALUES[option.name](option.value, scope))]


def _include(value: Line, scope: Scope, *, constraining: bool) -> list[Part]:
    if "://" in value.text:
        raise value.fault("a file on another machine cannot be included", "download it, and name the copy")
    file = os.path.normpath(os.path.join(os.path.dirname(scope.file), value.text))
    if file in scope.within:
        chain = " -> ".join((*scope.within[scope.within.index(file) :], file))
        raise value.fault(f"the file includes itself: {chain}", "remove one of these lines")
    if (file, constraining) in scope.done:
        return []
    scope.done.add((file, constraining))
    try:
        data = scope.context.read(file)
    except OSError as error:
        raise value.fault(
            f"'{file}' cannot be read: {error.strerror or error}", "names are taken from the folder of this file"
        ) from None
    inner = replace(scope, file=file, within=(*scope.within, file), constraining=constraining)
    return _parts(decode(data, file), inner)


def _conda_package(value: Line, _: Scope) -> AskedFile:
    requirement = read_conda(value)
    if requirement.name == "python":
        raise value.fault("Python is not chosen by '--conda-pkg'", "write a line such as 'python==3.11'")
    return AskedFile(ask=Ask(conda_only=(requirement,)))


def _find_links(value: Line, scope: Scope) -> AskedFile:
    return with_options(PypiOptions(find_links=(_absolute(value.text, scope.folder),)))


def _package_index(value: Line, _: Scope) -> AskedFile:
    name, _space, index = value.text.partition(" ")
    if not index.strip():
        raise value.fault(f"'{value.text}' names no package and index", "write '--package-index NAME URL'")
    with value.blame():
        return with_options(PypiOptions(package_indexes=(package_index(name, index, "--package-index"),)))


def _torch_backend(value: Line, _: Scope) -> AskedFile:
    with value.blame():
        return with_options(PypiOptions(torch_backend=check_backend(value.text)))


_FLAGS: Mapping[str, AskedFile] = {
    "--pre": with_options(PypiOptions(pre=True)),
    "--no-index": with_options(PypiOptions(no_index=True)),
}
_VALUES: Mapping[str, Callable[[Line, Scope], AskedFile]] = {
    "--requirement": lambda *_: AskedFile(),
    "--constraint": lambda *_: AskedFile(),
    "--index-url": lambda value, _: AskedFile(index=read_index(value)),
    "--extra-index-url": lambda value, _: AskedFile(ask=Ask(indexes=(read_index(value),))),
    "--find-links": _find_links,
    "--trusted-host": lambda value, _: with_options(PypiOptions(trusted_hosts=(value.text,))),
    "--package-index": _package_index,
    "--torch-backend": _torch_backend,
    "--conda-pkg": _conda_package,
    "--conda-channel": lambda value, _: AskedFile(ask=Ask(channels=(value.text,))),
    "--sys-pkg": lambda value, _: AskedFile(ask=Ask(virtual=(read_virtual(value),))),
}
_OURS = ("--conda-pkg", "--conda-channel", "--sys-pkg", "--package-index", "--torch-backend")
_WIDE = ("--conda-pkg", "--sys-pkg", "--package-index")


def _requirement(head: Line, options: list[_Option], scope: Scope) -> AskedFile:
    for option in options:
        if option.name != "--hash":
            raise option.line.fault(f"'{option.name}' cannot follow a requirement", "write it on a line of its own")
    python = _PYTHON.fullmatch(head.text)
    if python and scope.constraining:
        raise head.fault("'python' has no place in a file of constraints", "write it in the file of requirements")
    if python and not options:
        return read_python(head, python["constraint"])
    requirement = read_requirement(head, scope.folder)
    hashes = tuple(_hash(option.value) for option in options)
    hashed = (HashedRequirement(requirement, hashes),) if hashes else ()
    if not scope.constraining:
        return AskedFile(ask=Ask(pypi=(requirement,), options=PypiOptions(hashed=hashed)))
    if requirement.extras:
        raise head.fault("a constraint cannot have extras", "write them where the package is required")
    return with_options(PypiOptions(constraints=(requirement,), hashed=hashed))


def _hash(value: Line) -> str:
    if not _HASH.fullmatch(value.text.lower()):
        raise value.fault(
            f"'{value.text}' is not a hash", "write sha256:, sha384: or sha512: and the hexadecimal digits"
        )
    return value.text.lower()


def read_requirement(line: Line, folder: str) -> PypiRequirement:
    """Read one PEP 508 requirement, or a URL or path that tells its name; paths are taken from *folder*."""
    text = _with_name(line) if _is_bare(line.text) else line.text
    try:
        Requirement(text)
    except InvalidRequirement as error:
        offset = 0 if text != line.text else max(str(error).splitlines()[-1].find("^") - 4, 0)
        with line.blame(offset):
            PypiRequirement.parse(text)
    requirement = PypiRequirement.parse(text)
    if requirement.name == "python":
        raise line.fault("Python is no package of an index", "say its version in a line of its own: python==3.11")
    if not requirement.url:
        return requirement
    url, egg, rest = _fragment(requirement.url)
    egg = canonicalize_name(egg.partition("[")[0] or requirement.name)
    if egg != requirement.name:
        raise line.fault(f"'{requirement.name}' and 'egg={egg}' are two names", "remove '#egg=...'")
    return replace(requirement, url=_absolute(url, folder) + rest)


def _is_bare(text: str) -> bool:
    if _NAMED.match(text):
        return False
    target = re.split(r"\s|;", text, maxsplit=1)[0]
    return "/" in target or re.match(r"\.\.?(?:\[|$)", target) is not None or _ARCHIVE.search(target) is not None


def _with_name(line: Line) -> str:
    """Return a URL or a path as ``name @ url``: the name is that of ``#egg=``, or of the archive."""
    match = re.fullmatch(r"(?P<target>\S+)(?:\s+;(?P<marker>.*))?", line.text)
    if match is None:
        hint = "write spaces in it as %20, and white space before ';'"
        raise line.fault(f"'{line.text}' is neither a requirement nor a URL or path", hint)
    url, egg, rest = _fragment(match["target"])
    with_extras = re.fullmatch(r"(?P<url>.+)\[(?P<extras>[^\]]*)\]", url)
    url, extras = (with_extras["url"], f"[{with_extras['extras']}]") if with_extras else (url, "")
    name = egg or _archive_name(url)
    if not name:
        guess = re.sub(r"\.git$", "", re.sub(r"@[^/]*$", "", url.rstrip("/")).rpartition("/")[2])
        guess = guess if re.fullmatch(r"\w[\w\-]*", guess) else "name"
        hint = f"write its name too, for example: {guess}{extras} @ {url}{rest}"
        raise line.fault("which package this is cannot be told from it", hint)
    marker = f" ; {match['marker']}" if match["marker"] else ""
    return f"{name}{extras} @ {url}{rest}{marker}"


def _archive_name(url: str) -> str:
    file = re.sub(r"[?#].*", "", url).rpartition("/")[2]
    try:
        return str(parse_wheel_filename(file)[0] if file.endswith(".whl") else parse_sdist_filename(file)[0])
    except (InvalidWheelFilename, InvalidSdistFilename):
        return ""


def _fragment(url: str) -> tuple[str, str, str]:
    """Return a URL without its fragment, the name after ``egg=`` in it, and the rest of it."""
    target, _, fragment = url.partition("#")
    items = fragment.split("&")
    egg = next((item[4:] for item in items if item.startswith("egg=")), "")
    rest = "&".join(item for item in items if not item.startswith("egg="))
    return target, egg, f"#{rest}" if rest else ""


def _absolute(target: str, folder: str) -> str:
    """Return a URL as it is, and a path as a ``file://`` URL."""
    path = re.sub(r"^file:(?=[^/]|/[^/])", "", target)
    if _SCHEME.match(path):
        return target
    return "file://" + quote(os.path.normpath(os.path.join(folder, path)), safe="/%+@~!,=:")
