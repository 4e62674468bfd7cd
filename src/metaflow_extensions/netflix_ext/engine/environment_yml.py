"""Read environment.yml: conda's file, with our ``sys:`` list and ``pypi-indices``, and the selectors of other tools.

Only nodes are read, no object is ever built from the text: every node knows its place, and no tag can do anything.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, StreamMark
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from .ask import Ask
from .asked_file import AskedFile, FileContext, Part, join, read_conda, read_index, read_python, read_virtual
from .place import Faults, FileError, Line, Place, read_text, split_lines
from .platform import check_arch, is_platform
from .requirement import PypiRequirement
from .requirements_txt import Scope, read_line

_TEXT = "tag:yaml.org,2002:str"
_LOOSE = re.compile(r"(?P<name>[A-Za-z0-9][\w.\-]*\s*(?:\[[^\]]*\])?)\s*=(?!=)(?P<version>.*)")
_SELECTOR = re.compile(r"sel\((?P<word>[^()]*)\)")
_COMMENT_SELECTOR = re.compile(r"\s+#\s*\[(?P<word>[\w\-]+)\]\s*$")
_WORDS: Mapping[str, tuple[str, ...]] = {
    "linux-64": ("linux", "linux64", "unix", "linux-64"),
    "linux-aarch64": ("linux", "aarch64", "unix", "linux-aarch64"),
    "osx-64": ("osx", "osx64", "unix", "osx-64"),
    "osx-arm64": ("osx", "arm64", "unix", "osx-arm64"),
}
_ELSEWHERE = ("win", "win64", "win-64", "win-arm64", "win32", "ppc64le", "linux-ppc64le", "linux32", "s390x")
_ANY_WORD = frozenset(_ELSEWHERE).union(*_WORDS.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Document:
    lines: tuple[str, ...]
    arch: str
    scope: Scope

    def place(self, mark: StreamMark) -> Place:
        text = self.lines[mark.line] if mark.line < len(self.lines) else ""
        return Place(file=self.scope.file, line=mark.line + 1, text=text).moved(mark.column)

    def line(self, node: Node) -> Line:
        place = self.place(node.start_mark)
        if not isinstance(node, ScalarNode):
            return Line.at(place, "", fixed=True)
        many = node.start_mark.line != node.end_mark.line
        return Line.at(place.moved(1 if node.style in ("'", '"') else 0), node.value, fixed=many)


def load_environment(file: str, *, arch: str, context: FileContext) -> AskedFile:
    """Read *file* for the platform *arch*; raise InputError."""
    return parse_environment(read_text(file, context.read), file=file, arch=arch, context=context)


def parse_environment(text: str, *, file: str, arch: str, context: FileContext) -> AskedFile:
    """Read the text of *file* for the platform *arch*; raise FileError, or FaultsError for several faults.

    ``platforms`` is the same for every *arch*; the selectors ``sel(linux): a`` and ``- a  # [linux]`` are not.
    """
    scope = Scope(file=file, context=context, within=(os.path.normpath(file),))
    document = _Document(lines=tuple(split_lines(text)), arch=check_arch(arch), scope=scope)
    root = _compose(text.removeprefix("\ufeff"), document)
    faults, parts = Faults(), []
    for key, value in _pairs(root, document):
        with faults.gather():
            parts += _key(key)(value, document)
    faults.settle()
    if "dependencies" not in {key.value for key, _ in root.value}:
        raise document.line(root).fault("the file has no 'dependencies'", "list the packages below 'dependencies:'")
    return join(parts)


def _compose(text: str, document: _Document) -> MappingNode:
    begin = Place(file=document.scope.file, text=document.lines[0])
    try:
        root = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = ", ".join(filter(None, (error.context, error.problem)))
        hint = "indent with spaces alone" if "\\t" in problem else "see the line above it too: YAML goes by indentation"
        raise FileError(document.place(mark) if mark else begin, f"this is not YAML: {problem}", hint) from None
    except ReaderError as error:
        before = split_lines(text[: error.position])
        place = Place(file=document.scope.file, line=len(before), text=before[-1]).moved(len(before[-1]))
        raise FileError(place, f"this is not YAML: {error.reason}", "remove the character at the caret") from None
    except RecursionError:
        raise FileError(begin, "lists are nested too deeply", "write lists of packages") from None
    if not isinstance(root, MappingNode):
        place = document.place(root.start_mark) if root is not None else begin
        raise FileError(place, "the file has no keys", "write 'dependencies:' and the packages in a list below it")
    return root


def _pairs(node: MappingNode, document: _Document) -> Iterator[tuple[Line, Node]]:
    seen: dict[str, Line] = {}
    for key, value in node.value:
        line = document.line(key)
        if line.text in seen:
            first = seen[line.text].place().line
            raise line.fault(f"'{line.text}' stands here twice, first in line {first}", "make one list of the two")
        seen[line.text] = line
        yield line, value


def _key(key: Line) -> Callable[[Node, _Document], list[Part]]:
    if key.text not in _KEYS:
        raise key.fault(
            f"'{key.text}' is not supported",
            f"remove it; what is read: {', '.join(_KEYS)} (name and prefix are ignored)",
        )
    return _KEYS[key.text]


def _ignored(_: Node, __: _Document) -> list[Part]:
    return []


def _channels(node: Node, document: _Document) -> list[Part]:
    return [
        (
            line.place(),
            AskedFile(no_default_channels=True)
            if line.text == "nodefaults"
            else AskedFile(ask=Ask(channels=(line.text.strip(),))),
        )
        for line in _texts(node, document)
    ]


def _indexes(node: Node, document: _Document) -> list[Part]:
    return [(line.place(), AskedFile(ask=Ask(indexes=(read_index(line),)))) for line in _texts(node, document)]


def _platforms(node: Node, document: _Document) -> list[Part]:
    found = []
    for line in _texts(node, document):
        if not is_platform(line.text):
            raise line.fault(f"'{line.text}' is not a platform of conda", "write for example linux-64 or osx-arm64")
        found.append((line.place(), AskedFile(platforms=(line.text,))))
    return found


def _dependencies(node: Node, document: _Document) -> list[Part]:
    faults, found = Faults(), []
    for item in _items(node, document):
        with faults.gather():
            if isinstance(item, MappingNode):
                found += _nested(item, document)
            else:
                found += _conda(_text(item, document))
    faults.settle()
    return found


def _conda(line: Line) -> list[Part]:
    requirement = read_conda(line)
    if requirement.name != "python":
        return [(line.place(), AskedFile(ask=Ask(conda=(requirement,))))]
    if requirement.channel or requirement.build:
        raise line.fault(
            "of Python only the version can be chosen",
            "write for example 'python=3.11', and its channel first in 'channels'",
        )
    return [(line.place(), read_python(line, requirement.constraint))]


def _nested(node: MappingNode, document: _Document) -> list[Part]:
    faults, found = Faults(), []
    for key, value in _pairs(node, document):
        selector = _SELECTOR.fullmatch(key.text)
        with faults.gather():
            if selector:
                if _selected(key, selector["word"].strip(), document.arch):
                    found += _selected_packages(value, document)
            elif key.text in _LISTS:
                for item in _listed(key, value, document):
                    with faults.gather():
                        found += _LISTS[key.text](_text(item, document), document)
            else:
                hint = "write 'a: 1.2' as 'a=1.2'; lists within are 'pip:', 'sys:' and 'sel(linux):'"
                raise key.fault(f"'{key.text}:' is not supported among the dependencies", hint)
    faults.settle()
    return found


def _selected_packages(node: Node, document: _Document) -> list[Part]:
    lines = _texts(node, document) if isinstance(node, SequenceNode) else [_text(node, document)]
    return [part for line in lines for part in _conda(line)]


def _selected(line: Line, word: str, arch: str) -> bool:
    if word not in _ANY_WORD:
        raise line.fault(f"'{word}' is not a platform to select", "write sel(linux), sel(osx), sel(unix) or sel(win)")
    return word in _WORDS[arch]


def _pip(line: Line, document: _Document) -> list[Part]:
    loose = _LOOSE.fullmatch(line.text.strip())
    if loose is None:
        return read_line(line, document.scope)
    # 'tensorflow = 2.7.4' is what 1.x documented; PEP 508 has no single '='.
    with line.blame():
        requirement = PypiRequirement.from_pair(loose["name"].strip(), loose["version"].strip())
    return [(line.place(), AskedFile(ask=Ask(pypi=(requirement,))))]


def _system(line: Line, _: _Document) -> list[Part]:
    return [(line.place(), AskedFile(ask=Ask(virtual=(read_virtual(line),))))]


_KEYS: Mapping[str, Callable[[Node, _Document], list[Part]]] = {
    "name": _ignored,
    "prefix": _ignored,
    "channels": _channels,
    "dependencies": _dependencies,
    "pypi-indices": _indexes,
    "platforms": _platforms,
}
_LISTS: Mapping[str, Callable[[Line, _Document], list[Part]]] = {"pip": _pip, "sys": _system}


def _texts(node: Node, document: _Document) -> list[Line]:
    return [_text(item, document) for item in _items(node, document)]


def _listed(key: Line, node: Node, document: _Document) -> Iterator[Node]:
    if _is_empty(node):
        raise key.fault(f"'{key.text}:' has no list", "write one '- item' a line below it, indented further")
    return _items(node, document)


def _is_empty(node: Node) -> bool:
    return isinstance(node, ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def _items(node: Node, document: _Document) -> Iterator[Node]:
    """Yield the items of a list that a comment such as ``# [linux]`` does not keep for other platforms."""
    if _is_empty(node):
        return
    if not isinstance(node, SequenceNode):
        raise document.line(node).fault("this is not a list", "write one '- item' a line below it, indented further")
    for item in node.value:
        rest = document.place(item.end_mark)
        comment = _COMMENT_SELECTOR.match(rest.text, rest.column - 1)
        if (
            not isinstance(item, ScalarNode)
            or comment is None
            or comment["word"] not in _ANY_WORD
            or comment["word"] in _WORDS[document.arch]
        ):
            yield item


def _text(node: Node, document: _Document) -> Line:
    line = document.line(node)
    if not isinstance(node, ScalarNode):
        raise line.fault("a list or a mapping stands where a text should", "write one text an item")
    if not line.text.strip():
        raise line.fault("this item is empty", "remove it")
    if not (node.tag or "").startswith("tag:yaml.org,2002:"):
        raise line.fault(f"the tag '{node.tag}' is not supported", "remove it")
    if node.tag != _TEXT:
        raise line.fault(f"{line.text} is not text to YAML", f"put it in quotes: '{line.text}'")
    return line
