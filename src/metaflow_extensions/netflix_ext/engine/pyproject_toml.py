"""Read pyproject.toml: a project's dependencies, extras and groups by name, and the sources that uv and poetry know.

TOML's reader in the standard library gives no positions; a value is looked for in the text below its table and key.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from packaging.utils import canonicalize_name

from .ask import Ask
from .asked_file import AskedFile, FileContext, Part, join, read_python, with_options
from .errors import InputError
from .options import PypiOptions
from .place import Faults, FileError, Line, Place, read_text, split_lines
from .requirement import PypiRequirement
from .requirements_txt import read_requirement
from .secret import is_url
from .toml import read_toml

_PLACE_IN_MESSAGE = re.compile(r"\s*\(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)")
_KINDS: Mapping[type, str] = {dict: "a table", list: "a list", str: "a text", bool: "true or false"}
# What changes which packages uv would choose. The rest of its table (caches, workspaces, publishing) is nothing to us.
_UV_REFUSED = (
    "override-dependencies",
    "exclude-dependencies",
    "dependency-metadata",
    "exclude-newer",
    "exclude-newer-package",
    "index-strategy",
    "no-binary",
    "no-binary-package",
    "no-build",
    "no-build-package",
    "no-sources",
    "resolution",
    "config-settings",
    "config-settings-package",
    "no-build-isolation",
    "no-build-isolation-package",
    "extra-build-dependencies",
)
_PLACES = {"git", "url", "path", "workspace", "marker", "extra", "group", "editable"}
_IN_PROJECT = "write [project] and dependencies = ['name>=1', ...] in it, as uv and poetry 2 do"
_PRE = {"allow": True, "disallow": False, "if-necessary": False, "if-necessary-or-explicit": False, "explicit": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The extras and dependency groups to take beside the dependencies of the project, by name."""

    extras: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Document:
    text: str
    data: Mapping[str, Any]
    file: str
    context: FileContext

    @property
    def folder(self) -> str:
        return os.path.normpath(os.path.join(self.context.folder, os.path.dirname(self.file)))

    def get(self, kind: type, *path: str) -> Any:
        """Return what stands at *path*, an empty *kind* where nothing does; raise FileError where it is no *kind*."""
        found: Any = self.data
        for depth, key in enumerate(path, start=1):
            wanted = kind if depth == len(path) else dict
            found = found.get(key, wanted())
            if not isinstance(found, wanted):
                name = ".".join(path[:depth])
                raise self.key(*path[:depth]).fault(f"'{name}' is not {_KINDS[wanted]}", f"write {_KINDS[wanted]}")
        return found

    def texts(self, *path: str) -> list[Line]:
        """Return the texts of the list at *path* with their places."""
        found = []
        for item in self.get(list, *path):
            if not isinstance(item, str):
                name = ".".join(path)
                raise self.key(*path).fault(f"'{name}' holds {item!r}, which is not a text", "write texts in it")
            found.append(self.line(item, *path))
        return found

    def key(self, *path: str) -> Line:
        """Return the key at *path* as a line."""
        start, end = self._key(path)
        return self._at(start, self.text[start:end])

    def line(self, value: str, *path: str) -> Line:
        """Return the text *value*, which stands below *path*, as a line."""
        start, end = self._key(path)
        quoted = re.compile(rf"(?P<quote>[\"']){re.escape(value)}(?P=quote)")
        match = quoted.search(self.text, end)
        return self._at(match.start() + 1, value) if match else replace(self._at(start, value, fixed=True), text=value)

    def _key(self, path: tuple[str, ...]) -> tuple[int, int]:
        span, found = (0, 0), self.data  # type: tuple[tuple[int, int], Any]
        for depth, key in enumerate(path, start=1):
            if not isinstance(found, dict) or key not in found:
                break
            found = found[key]
            table = r"\s*\.\s*".join(rf"[\"']?{re.escape(part)}[\"']?" for part in path[:depth])
            header = re.compile(rf"^[ \t]*\[{{1,2}}\s*(?P<key>{table})\s*\]", re.MULTILINE).search(self.text)
            word = re.compile(rf"(?<![\w\-])(?P<key>{re.escape(key)})(?![\w\-])").search(self.text, span[1])
            match = header or word
            span = match.span("key") if match else span
        return span

    def _at(self, position: int, text: str, *, fixed: bool = False) -> Line:
        before = split_lines(self.text[:position])
        whole = split_lines(self.text)[len(before) - 1]
        place = Place(file=self.file, line=len(before), text=whole).moved(len(before[-1]))
        return Line.at(place, text, fixed=fixed)


def load_pyproject(file: str, *, wanted: Wanted, context: FileContext) -> AskedFile:
    """Read *file*; raise InputError."""
    return parse_pyproject(read_text(file, context.read), file=file, wanted=wanted, context=context)


def parse_pyproject(text: str, *, file: str, wanted: Wanted, context: FileContext) -> AskedFile:
    """Read the text of *file*: its dependencies, and the extras and groups *wanted*; raise FileError or FaultsError."""
    text = text.removeprefix("\ufeff")
    document = _Document(text=text, data=_tables(text, file), file=file, context=context)
    faults = Faults()
    parts: list[Part] = []
    for read in (_python, _sources, _constraints):
        with faults.gather():
            parts += read(document)
    lines: list[Line] = []
    with faults.gather():
        lines = list(_asked(document, wanted))
    for line in lines:
        with faults.gather():
            parts.append((line.place(), _sourced(line, document)))
    faults.settle()
    return join(parts)


def _tables(text: str, file: str) -> Mapping[str, Any]:
    try:
        return read_toml(text)
    except ValueError as error:  # TOMLDecodeError is one, and so is what a number of 5000 digits gives
        message, lines = str(error), split_lines(text)
        found = _PLACE_IN_MESSAGE.search(message)
        number = int(found["line"]) if found and found["line"] else len(lines) if found else 1
        shown = lines[min(number, len(lines)) - 1]
        column = int(found["column"]) if found and found["column"] else len(shown) + 1 if found else 1
        place = Place(file=file, line=number, text=shown).moved(column - 1)
        problem = _PLACE_IN_MESSAGE.sub("", message)
        raise FileError(place, f"this is not TOML: {problem}", "texts are quoted, and a key stands once") from None
    except RecursionError:
        raise InputError(f"'{file}' is nested too deeply", "write the dependencies as a list of texts") from None


def _python(document: _Document) -> list[Part]:
    constraint = document.get(str, "project", "requires-python")
    if not constraint:
        return []
    line = document.line(constraint, "project", "requires-python")
    return [(line.place(), read_python(line, constraint))]


def _asked(document: _Document, wanted: Wanted) -> Iterator[Line]:
    """Yield the requirements of the project, then those of the extras and groups."""
    if "dependencies" not in document.get(dict, "project"):
        _refuse_poetry(document)
    if "project" not in document.data and not wanted.groups:
        raise document.key().fault("there is no [project] table", _IN_PROJECT)
    dynamic = {line.text: line for line in document.texts("project", "dynamic")}
    for key in ("dependencies", "optional-dependencies"):
        if key in dynamic and (key == "dependencies" or wanted.extras):
            hint = "write them in [project], or in a requirements.txt"
            raise dynamic[key].fault(f"the {key} of this project are known only when it is built", hint)
    yield from _expanded(document, document.texts("project", "dependencies"), ())
    for extra in wanted.extras:
        yield from _extra(document, extra, ())
    for group in wanted.groups:
        yield from _group(document, group, ())


def _refuse_poetry(document: _Document) -> None:
    if document.get(dict, "tool", "poetry", "dependencies").keys() - {"python"}:
        key = document.key("tool", "poetry", "dependencies")
        raise key.fault("poetry's own table of dependencies is not supported", _IN_PROJECT)


def _extra(document: _Document, name: str, within: tuple[str, ...]) -> Iterator[Line]:
    path = ("project", "optional-dependencies")
    key = _named(document, name, path, "extra")
    if key in within:
        raise document.key(*path, key).fault(f"the extra '{name}' includes itself", "remove one of these entries")
    yield from _expanded(document, document.texts(*path, key), (*within, key))


def _expanded(document: _Document, lines: list[Line], within: tuple[str, ...]) -> Iterator[Line]:
    """Yield *lines*, with the project's own name replaced by what its extras ask for: ``all = ["mine[a,b]"]``."""
    own = canonicalize_name(document.get(str, "project", "name"))
    for line in lines:
        match = re.fullmatch(r"\s*(?P<name>[\w.\-]+)\s*\[(?P<extras>[^\]]*)\]\s*", line.text)
        if match is None or canonicalize_name(match["name"]) != own:
            yield line
            continue
        for extra in match["extras"].split(","):
            with line.blame():
                yield from _extra(document, extra.strip(), within)


def _group(document: _Document, name: str, within: tuple[str, ...]) -> Iterator[Line]:
    """Yield the requirements of a dependency group (PEP 735), the groups it includes, and uv's older ``dev`` list."""
    old = document.texts("tool", "uv", "dev-dependencies") if name == "dev" else []
    if old and "dev" not in document.get(dict, "dependency-groups"):
        yield from old
        return
    key = _named(document, name, ("dependency-groups",), "dependency group")
    here = document.key("dependency-groups", key)
    if key in within:
        raise here.fault(f"the dependency group '{key}' includes itself", "remove one of the includes")
    for item in document.get(list, "dependency-groups", key):
        if isinstance(item, str):
            yield document.line(item, "dependency-groups", key)
        elif isinstance(item, dict) and list(item) == ["include-group"] and isinstance(item["include-group"], str):
            yield from _group(document, item["include-group"], (*within, key))
        else:
            hint = "write a requirement, or {include-group = 'name'}"
            raise here.fault(f"the dependency group '{key}' holds {item!r}, which is neither", hint)
    yield from old


def _named(document: _Document, name: str, path: tuple[str, ...], what: str) -> str:
    found = document.get(dict, *path)
    key = next((key for key in found if canonicalize_name(key) == canonicalize_name(name)), None)
    if key is not None:
        return str(key)
    poetry = document.get(dict, "tool", "poetry", "group" if what == "dependency group" else "extras")
    if name in poetry:
        line = document.key("tool", "poetry", "group" if what == "dependency group" else "extras", name)
        raise line.fault(f"poetry's own {what} is not supported", f"write it in [{'.'.join(path)}]")
    names = f"it has {', '.join(map(str, found))}" if found else "it has none"
    raise document.key(*path).fault(f"there is no {what} '{name}'", f"{names}; look at [{'.'.join(path)}]")


def _sources(document: _Document) -> list[Part]:
    faults, found = Faults(), []
    uv = document.get(dict, "tool", "uv")
    for key in _UV_REFUSED:
        with faults.gather():
            if uv.get(key):
                hint = "remove it, or resolve with uv and give its requirements.txt"
                raise document.key("tool", "uv", key).fault(f"uv's setting '{key}' is not supported", hint)
    for path in (("tool", "uv", "index"), ("tool", "poetry", "source")):
        for table in document.get(list, *path):
            with faults.gather():
                found += _index(document, table, path)
    with faults.gather():
        found += _older(document)
    faults.settle()
    return found


def _index(document: _Document, table: Any, path: tuple[str, ...]) -> list[Part]:
    if not isinstance(table, dict) or not isinstance(table.get("url"), str):
        raise document.key(*path).fault("an index without a url", "write url = 'https://...' in it")
    url = _checked(document.line(table["url"], *path))
    if table.get("explicit") is True or table.get("priority") == "explicit":
        # It serves only packages that name it.
        return []
    if table.get("format", "simple") == "flat":
        return [(url.place(), with_options(PypiOptions(find_links=(url.text,))))]
    default = table.get("default") is True or table.get("priority") == "default"
    return [(url.place(), AskedFile(index=url.text) if default else AskedFile(ask=Ask(indexes=(url.text,))))]


def _older(document: _Document) -> list[Part]:
    """Return what uv's settings from before ``[[tool.uv.index]]`` say."""
    uv, path = document.get(dict, "tool", "uv"), ("tool", "uv")
    found = []
    if uv.get("index-url"):
        url = _checked(document.line(document.get(str, *path, "index-url"), *path, "index-url"))
        found.append((url.place(), AskedFile(index=url.text)))
    for url in map(_checked, document.texts(*path, "extra-index-url")):
        found.append((url.place(), AskedFile(ask=Ask(indexes=(url.text,)))))
    for url in map(_checked, document.texts(*path, "find-links")):
        found.append((url.place(), with_options(PypiOptions(find_links=(url.text,)))))
    hosts = tuple(line.text for line in document.texts(*path, "allow-insecure-host"))
    pre = document.get(str, *path, "prerelease") if "prerelease" in uv else "explicit"
    if pre not in _PRE:
        raise document.key(*path, "prerelease").fault(f"prerelease = '{pre}' is not known", "write allow or disallow")
    no_index = document.get(bool, *path, "no-index")
    place = document.key(*path).place()
    return [*found, (place, with_options(PypiOptions(trusted_hosts=hosts, pre=_PRE[pre], no_index=no_index)))]


def _checked(line: Line) -> Line:
    if not is_url(line.text):
        raise line.fault(f"'{line.text}' is not a URL", "write https://, http:// or file:// and where it is")
    return line


def _constraints(document: _Document) -> list[Part]:
    lines = document.texts("tool", "uv", "constraint-dependencies")
    return [
        (line.place(), with_options(PypiOptions(constraints=(read_requirement(line, document.folder),))))
        for line in lines
    ]


def _sourced(line: Line, document: _Document) -> AskedFile:
    """Return the requirement at *line*, from where uv's or poetry's table says it comes from."""
    requirement = read_requirement(line, document.folder)
    for path, word in ((("tool", "uv", "sources"), "index"), (("tool", "poetry", "dependencies"), "source")):
        for name, source in document.get(dict, *path).items():
            if canonicalize_name(name) != requirement.name or isinstance(source, str):
                continue
            key = document.key(*path, name)
            if isinstance(source, dict) and isinstance(source.get(word), str) and not source.keys() & _PLACES:
                own = (requirement.name, _named_index(source[word], document))
                return AskedFile(ask=Ask(pypi=(requirement,), options=PypiOptions(package_indexes=(own,))))
            return AskedFile(ask=Ask(pypi=(_from_source(requirement, source, key, document),)))
    return AskedFile(ask=Ask(pypi=(requirement,)))


def _named_index(name: str, document: _Document) -> str:
    """Return the URL of the index *name*, or the name where only settings outside of the file can know it."""
    for path in (("tool", "uv", "index"), ("tool", "poetry", "source")):
        for table in document.get(list, *path):
            if isinstance(table, dict) and table.get("name") == name and isinstance(table.get("url"), str):
                return str(table["url"]).rstrip("/")
    return name


def _from_source(requirement: PypiRequirement, source: Any, key: Line, document: _Document) -> PypiRequirement:
    refused = key.fault(
        f"this source of '{requirement.name}' is not supported",
        "write one of {index = ...}, {git = ..., rev = ...}, {url = ...} and {path = ...}; no workspace, marker or "
        "editable",
    )
    if not isinstance(source, dict):
        raise refused
    said = {name: value for name, value in source.items() if value is not False}
    if said.keys() <= {"version", "optional"}:
        return requirement
    kinds = said.keys() & {"git", "url", "path"}
    others = said.keys() - kinds - {"version", "optional", "subdirectory"}
    if len(kinds) != 1 or others - ({"rev", "tag", "branch"} if kinds == {"git"} else set()) or len(others) > 1:
        raise refused
    if not all(isinstance(value, str) for name, value in said.items() if name != "optional"):
        raise refused
    target = said[kinds.pop()]
    if "git" in said:
        target = f"git+{target.removeprefix('git+')}" + "".join(f"@{said[name]}" for name in others)
    fragment = f"#subdirectory={said['subdirectory']}" if "subdirectory" in said else ""
    placed = read_requirement(replace(key, text=f"{requirement.name} @ {target}{fragment}"), document.folder)
    return replace(requirement, url=placed.url, specifier="")
