"""Environments as they are shown: lines for programs, JSON, and text for people; `docs/reference/json.md`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import IO, TYPE_CHECKING, Any

from ...engine.legacy_spec import UNTRANSLATED
from ...engine.package import AnyPackage, CondaPackage, Interpreter, PypiPackage
from .inventory import Entry, Facts

if TYPE_CHECKING:
    from rich.console import Console

_NONE = "NONE"
NOT_FOUND = "NOT_FOUND"
# The version of the form of what commands answer in JSON.
_SCHEMA = 1
_SHORT = 8
_WIDTH_WITHOUT_TERMINAL = 160
# The width that a column of words keeps on a narrow terminal.
_WORDS = 24
_NAME = re.compile(r"[\w.-]+(?:::[\w.-]+)?(?:\[[^\]]*\])?")
_PACKAGES = {CondaPackage: "conda", PypiPackage: "pypi", Interpreter: "python"}
_AGES = (("year", 365 * 86400), ("month", 30 * 86400), ("day", 86400), ("hour", 3600), ("minute", 60))

Row = Sequence[str]


def json_text(document: Mapping[str, Any]) -> str:
    """Return what a command prints of *document*, with the version of its form; without the end of the last line."""
    return json.dumps({"schema": _SCHEMA, **document}, indent=1, sort_keys=True)


def console(file: IO[str] | None = None) -> Console:
    """Return what prints for people, to *file* or else to standard output: texts as they are."""
    from rich.console import Console

    found = Console(file=file, highlight=False, markup=False, emoji=False)
    if file is not None or not found.is_terminal:
        found.width = _WIDTH_WITHOUT_TERMINAL
    return found


def line(item: Entry | Facts) -> str:
    """Return the line of ``--quiet``: twelve fields, each free of spaces, and none empty.

    In a field, values are separated by commas; in a value, ``%``, spaces, commas and control characters are
    percent-encoded, as in URLs. A field without values is ``NONE``; the two of packages begin with their kind instead.
    """
    entry = item.entry if isinstance(item, Facts) else item
    outline, known = entry.outline, entry.known
    conda = (f"{name}=={version}-{build}" for name, version, build in sorted(outline.conda))
    return " ".join(
        [
            outline.env_id.req_id,
            outline.env_id.full_id,
            _field(f"{alias}{'(m)' if alias.moves else ''}" for alias in known.aliases),
            outline.env_id.arch,
            _field([outline.on]),
            _field([outline.by]),
            _field(known.arches),
            _field(outline.requirements),
            _field(outline.sources),
            f"conda:{_values(conda)}",
            f"pypi:{_values(f'{name}=={version}' for name, version in sorted(outline.pypi))}",
            _field(map(str, known.prefixes)),
        ]
    )


def _field(values: Iterable[str]) -> str:
    return _values(value for value in values if value) or _NONE


def _values(values: Iterable[str]) -> str:
    return ",".join("".join(map(_encoded, value)) if not value.isalnum() else value for value in values)


def _encoded(character: str) -> str:
    if character not in "%," and character.isprintable() and not character.isspace():
        return character
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogateescape"))


def summary(item: Entry | Facts) -> dict[str, Any]:
    """Return the JSON object of an environment in a list."""
    entry = item.entry if isinstance(item, Facts) else item
    outline, known = entry.outline, entry.known
    return {
        "req_id": outline.env_id.req_id,
        "full_id": outline.env_id.full_id,
        "arch": outline.env_id.arch,
        "kind": outline.kind,
        "python": outline.python,
        "default": known.default,
        "aliases": [str(alias) for alias in known.aliases],
        "arches": list(known.arches),
        "resolved": {
            "on": outline.on,
            "by": outline.by,
            "tools": dict(outline.tools),
            "extends": outline.extends,
        },
        "size": outline.size,
        "package_count": outline.count,
        "stores": list(known.stores),
        "prefixes": [str(path) for path in known.prefixes],
    }


def document(facts: Facts) -> dict[str, Any]:
    """Return the JSON object of an environment: its summary, what was asked for, and every package."""
    environment = facts.environment
    return {
        **summary(facts),
        "spec": dict(environment.spec),
        "virtual": list(environment.virtual),
        "packages": [
            {
                "kind": _PACKAGES[type(package)],
                "name": package.name,
                "version": package.version,
                "build": package.build if isinstance(package, CondaPackage) else "",
                "filename": package.filename,
                "url": package.url,
                "size": package.size,
                "sha256": package.sha256,
                "md5": package.md5 if isinstance(package, CondaPackage) else "",
                "source": _source(package),
                "origin": package.origin if isinstance(package, PypiPackage) else "",
            }
            for package in _packages(facts)
        ],
    }


def _source(package: AnyPackage) -> str:
    """Return the channel or the index of *package*."""
    if isinstance(package, CondaPackage):
        return package.channel
    return package.index if isinstance(package, PypiPackage) else ""


def _packages(facts: Facts) -> list[Any]:
    found = facts.environment
    every = (*found.conda, *found.pypi, *((found.interpreter,) if found.interpreter is not None else ()))
    return sorted(every, key=lambda package: (package.name, package.filename))


def show(console: Console, facts: Facts, title: str = "") -> None:
    """Print an environment for people: what it is, then a table of its packages."""
    if title:
        _head(console, title)
    for name, text in _lines(facts):
        console.out(f"{name:<10}{text}", highlight=False)
    console.out("")
    rows = [
        (
            package.name,
            package.version,
            package.build if isinstance(package, CondaPackage) else "",
            _told_source(package),
            size(package.size),
        )
        for package in _packages(facts)
    ]
    _table(console, ("Package", "Version", "Build", "Source", ">Size"), rows)


def _told_source(package: AnyPackage) -> str:
    if isinstance(package, Interpreter):
        return f"uv, {package.url} on this machine alone" if package.installed else f"uv, {package.url}"
    return f"PyPI {package.index}".strip() if isinstance(package, PypiPackage) else package.channel


def _lines(facts: Facts) -> list[tuple[str, str]]:
    outline, known = facts.entry.outline, facts.known
    tools = ", ".join(f"{name} {version}" for name, version in sorted(outline.tools.items()))
    who = f"by {outline.by}" if outline.by else ""
    when = f"{outline.on} ({age(outline.on)})" if outline.on else ""
    stored = ", ".join(known.stores) or ("in the manifest of 1.x" if facts.environment.legacy else "nowhere yet")
    untold = ", ".join(facts.environment.spec.get(UNTRANSLATED, ()))
    elsewhere = [arch for arch in known.arches if arch != outline.env_id.arch]
    lines = (
        ("Id", ":".join(outline.env_id[:2])),
        ("Names", ", ".join(map(str, known.aliases))),
        ("Platform", outline.env_id.arch + (f"; also for {', '.join(elsewhere)}" if elsewhere else "")),
        (
            "Python",
            f"{outline.python}, {outline.kind}, {outline.count} packages, {size(outline.size) or 'of unknown size'}",
        ),
        ("Resolved", ", ".join(part for part in (" ".join(filter(None, (when, who))), tools) if part)),
        ("Extends", outline.extends),
        ("Asked for", _shown(outline.requirements)),
        ("Of 1.x", f"{untold}: not asked for where it is resolved anew" if untold else ""),
        ("Sources", _shown(outline.sources)),
        ("Stored", f"{stored}{'; what its requirements resolve to here' if known.default else ''}"),
        ("Created", ", ".join(map(str, known.prefixes)) or "not on this machine"),
    )
    return [(name, text) for name, text in lines if text]


def _shown(values: Iterable[str]) -> str:
    """Return requirements or sources for people, without the world in front of each."""
    return ", ".join(value.partition("::")[2] + (" (PyPI)" if value.startswith("pypi::") else "") for value in values)


def _names(requirements: Iterable[str]) -> Iterator[str]:
    """Yield the names of the packages among *requirements*, Python apart."""
    for text in requirements:
        world, _, requirement = text.partition("::")
        found = _NAME.match(requirement)
        if found is not None and world != "sys" and found[0] != "python":
            yield found[0]


def listing(console: Console, entries: Sequence[Entry]) -> None:
    """Print a list of environments for people, a row each."""
    short = _SHORT if console.is_terminal else 40
    rows = [
        (
            ", ".join(map(str, entry.known.aliases)) or "-",
            f"{entry.outline.env_id.req_id[:short]}:{entry.outline.env_id.full_id[:short]}",
            entry.outline.env_id.arch,
            entry.outline.python,
            str(entry.outline.count),
            size(entry.outline.size),
            age(entry.outline.on) or "-",
            "yes" if entry.known.prefixes else "no",
            ", ".join(entry.known.stores) or "1.x",
            ", ".join(dict.fromkeys(_names(entry.outline.requirements))),
        )
        for entry in entries
    ]
    heads = ("Names", "Id", "Platform", "Python", ">Packages", ">Size", "Resolved", "Created", "Stored", "Asked for")
    table = _fitting(heads, rows, console.width) if console.is_terminal else (heads, rows)
    # A row is as high as its names and what was asked for need; what lies between is short.
    _table(console, *table, whole=heads[1:-1])


def _fitting(heads: Row, rows: Sequence[Row], width: int) -> tuple[Row, Sequence[Row]]:
    """Return a table without the columns that people miss least, as many of them as *width* has no room for."""
    widths = {head: max(map(len, column), default=0) for head, *column in zip(heads, *rows, strict=True)}
    for head in (heads[0], heads[-1]):
        widths[head] = min(widths[head], _WORDS)
    widths = {head: max(found, len(head)) + 2 for head, found in widths.items()}
    for head in (">Size", ">Packages", "Stored", "Python", "Created", "Platform"):
        if sum(widths.values()) - 2 > width:
            del widths[head]
    kept = [number for number, head in enumerate(heads) if head in widths]
    return [heads[number] for number in kept], [[row[number] for number in kept] for row in rows]


def _head(console: Console, text: str) -> None:
    from rich.text import Text

    console.print(Text(text, style="bold"), soft_wrap=True)


def _table(console: Console, heads: Row, rows: Sequence[Row], *, whole: Row = ()) -> None:
    """Print a table; a column whose head begins with ``>`` is of numbers. Without a terminal, nothing is shortened.

    A terminal shows a value on several lines where it must, but for the columns *whole*.
    """
    if console.is_terminal:
        _rich_table(console, heads, rows, whole)
        return
    # A table of rich's takes longer to lay out than it takes to read five hundred documents.
    every = [[head.lstrip(">") for head in heads], *rows]
    widths = [max(map(len, column)) for column in zip(*every, strict=True)]
    for row in every:
        cells = (
            cell.rjust(width) if head.startswith(">") else cell.ljust(width)
            for head, cell, width in zip(heads, row, widths, strict=True)
        )
        console.file.write(f"{'  '.join(cells).rstrip()}\n")


def _rich_table(console: Console, heads: Row, rows: Sequence[Row], whole: Row) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in heads:
        table.add_column(
            head.lstrip(">"),
            justify="right" if head.startswith(">") else "left",
            overflow="fold",
            no_wrap=head in whole,
        )
    for row in rows:
        table.add_row(*row)
    console.print(table)


def size(number: int) -> str:
    """Return a number of bytes for people; an empty text for none."""
    value, unit = float(number), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 999.5:
            break
        value, unit = value / 1000, larger
    if not number:
        return ""
    return f"{value:.1f} {unit}" if unit != "B" and value < 9.95 else f"{value:.0f} {unit}"


def age(on: str, now: datetime | None = None) -> str:
    """Return how long ago the time *on* (ISO 8601) was; an empty text where it is none."""
    try:
        then = datetime.fromisoformat(on.replace("Z", "+00:00"))
    except ValueError:
        return ""
    then = then if then.tzinfo else then.replace(tzinfo=timezone.utc)
    seconds = ((now or datetime.now(timezone.utc)) - then).total_seconds()
    for unit, length in _AGES:
        number = int(seconds // length)
        if number >= 1:
            return f"{number} {unit}{'s' if number > 1 else ''} ago"
    return "just now"
