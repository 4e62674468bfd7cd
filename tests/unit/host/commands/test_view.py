"""Environments as they are shown."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from urllib.parse import unquote

import pytest
from rich.console import Console

from metaflow_extensions.netflix_ext.engine.alias import Alias
from metaflow_extensions.netflix_ext.engine.resolved import ResolvedEnvironment
from metaflow_extensions.netflix_ext.host.commands import view
from metaflow_extensions.netflix_ext.host.commands.inventory import Facts, Known
from tests.fakes import conda_package, resolved, wheel

MANY = replace(
    resolved(conda_package("numpy", "1.26.4"), conda_package("[bold]"), pypi=[wheel("click", "8.1")]),
    spec={
        "python": "3.11.*",
        "conda": ["numpy >=1.2,<2"],
        "pypi": ["click>=8 ; python_version < '4'"],
        "channels": ["conda-forge"],
        "indexes": ["default"],
        "virtual": ["__glibc=2.28=0"],
    },
    provenance={"on": "2024-01-01T00:00:00+00:00", "by": "A B, 100% *", "uv": "0.9", "extends": "a:b"},
)
KNOWN = Known(
    aliases=(Alias("a", "latest"), Alias("team/b", "v1")),
    arches=("linux-64", "osx-64"),
    default=True,
    stores=("local", "shared"),
    prefixes=(Path("/home/a b/metaflow"), Path("/x,y")),
)


def facts(environment: ResolvedEnvironment = MANY, known: Known = KNOWN) -> Facts:
    return Facts(environment=environment, known=known)


def printed(*, terminal: bool, width: int = 100, item: Facts | None = None, title: str = "") -> str:
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=terminal, highlight=False, markup=False, color_system=None)
    view.show(console, item or facts(), title)
    return file.getvalue()


def test_the_line_has_twelve_fields() -> None:
    """The fields come apart at single spaces, the values at commas, and nothing of them is lost."""
    fields = view.line(facts()).split(" ")

    assert fields[:2] == list(MANY.env_id[:2])
    assert fields[2:5] == ["a:latest(m),team/b:v1", "linux-64", "2024-01-01T00:00:00+00:00"]
    values = [[unquote(value) for value in field.split(",")] for field in fields[5:]]
    assert values == [
        ["A B, 100% *"],
        ["linux-64", "osx-64"],
        [
            "conda::python==3.11.*",
            "conda::numpy>=1.2,<2",
            "pypi::click>=8 ; python_version < '4'",
            "sys::__glibc==2.28=0",
        ],
        ["conda::conda-forge", "pypi::default"],
        ["conda:[bold]==1.0-0", "numpy==1.26.4-0", "python==3.11.7-0"],
        ["pypi:click==8.1"],
        ["/home/a b/metaflow", "/x,y"],
    ]
    assert "*" in fields[7]


def test_a_line_of_nearly_nothing() -> None:
    """What has no value is said so: there are twelve fields still, none of them empty."""
    bare = ResolvedEnvironment.make(
        req_id="a" * 40, arch="linux-64", spec={}, virtual=(), conda=(), pypi=(), provenance={}
    )
    fields = view.line(facts(bare, Known())).split(" ")

    assert fields[2:] == ["NONE", "linux-64", *["NONE"] * 5, "conda:", "pypi:", "NONE"]


@pytest.mark.parametrize("text", ["a\nb", "a\tb", "a\u00a0b", "a\u2028b", "a\x1b[31mb", "ä", "a%2Cb", "\udcff"])
def test_no_value_breaks_a_line(text: str) -> None:
    """Control characters, spaces of all kinds and bytes that are no text are encoded; letters stay."""
    line = view.line(facts(replace(MANY, provenance={"by": text})))

    assert len(line.split()) == len(line.split(" ")) == 12
    assert line.isprintable()
    assert unquote(line.split(" ")[5], errors="surrogateescape") == text


def test_json_is_plain_and_complete() -> None:
    """An environment's object has each package with all keys, and is a summary and more."""
    document = view.document(facts())

    assert json.loads(json.dumps(document)) == document
    assert {key: document[key] for key in view.summary(facts())} == view.summary(facts().entry)
    assert document["resolved"] == {
        "on": "2024-01-01T00:00:00+00:00",
        "by": "A B, 100% *",
        "tools": {"uv": "0.9"},
        "extends": "a:b",
    }
    assert [package["name"] for package in document["packages"]] == ["[bold]", "click", "numpy", "python"]
    click, numpy = document["packages"][1:3]
    assert click.keys() == numpy.keys()
    assert (click["kind"], click["source"], click["build"], click["md5"]) == ("pypi", "default", "", "")
    assert (numpy["kind"], numpy["source"], numpy["size"]) == ("conda", "https://example.org/channel", 20)
    assert (document["package_count"], document["size"], document["default"]) == (4, MANY.size, True)


@pytest.mark.parametrize("terminal", [True, False])
def test_people_see_all(terminal: bool) -> None:
    """Everything that is known is shown, with asterisks and brackets as they are, on a terminal and without."""
    text = printed(terminal=terminal, title="team/b:v1")
    flat = " ".join(text.split())

    wanted = ["team/b:v1", ":".join(MANY.env_id[:2]), "linux-64; also for osx-64", "3.11.7, mixed, 4 packages"]
    wanted += ["by A B, 100% *", "uv 0.9", "Extends a:b", "python==3.11.*", "conda-forge, default (PyPI)"]
    wanted += ["local, shared", "/home/a b/metaflow", "[bold]", "numpy 1.26.4 0 https://example.org/channel 20 B"]
    assert [words for words in wanted if words not in flat] == []


def test_without_a_terminal_nothing_is_cut_or_coloured() -> None:
    """A package is a line however narrow the console is, without escapes."""
    long = conda_package("n" * 200, "1" * 50)
    text = printed(terminal=False, width=20, item=facts(resolved(long)), title="t" * 100)

    assert any(f"{long.name}  {long.version}" in line for line in text.splitlines())
    assert "t" * 100 in text.splitlines()
    assert "\x1b" not in text


@pytest.mark.parametrize("width", [80, 60, 40])
def test_a_narrow_terminal_loses_nothing(width: int) -> None:
    """Names, versions and sources that are too long go on in further lines."""
    long = conda_package("n" * 50, "1" * 40)
    text = printed(terminal=True, width=width, item=facts(resolved(long)))
    heads, *rows = text[text.index("\nPackage") + 1 :].splitlines()

    assert heads.split() == ["Package", "Version", "Build", "Source", "Size"]
    assert "".join(rows).count("n") >= 50
    assert "".join(rows).count("1") >= 40


def test_a_list() -> None:
    """A row tells names, ids, and what one looks for; ids are whole without a terminal and short on one."""
    for terminal in (True, False):
        file = io.StringIO()
        console = Console(file=file, width=150, force_terminal=terminal, color_system=None)
        view.listing(console, [facts().entry, facts(MANY, Known()).entry])
        first, second = file.getvalue().splitlines()[1:]
        assert first.startswith("a:latest, team/b:v1 ")
        assert second.startswith("- ")
        for words in ("linux-64", "3.11.7", " 4 ", "years ago", " yes ", "local, shared"):
            assert words in first
        assert first.rstrip().endswith("numpy, click")
        assert " no " in second
        assert (MANY.env_id.full_id in first) != terminal
        assert MANY.env_id.full_id[:8] in first


def test_a_list_on_a_narrow_terminal() -> None:
    """Columns go where there is no room for them; what an environment is called, is, and was asked for stays."""
    heads, lines = {}, {}
    for width in (150, 100, 80, 40):
        file = io.StringIO()
        view.listing(Console(file=file, width=width, force_terminal=True, color_system=None), [facts().entry])
        heads[width], *lines[width] = file.getvalue().splitlines()

    assert [head in heads[150] for head in ("Size", "Packages", "Stored", "Python", "Created")] == [True] * 5
    assert [head in heads[80] for head in ("Size", "Packages", "Stored", "Python")] == [False] * 4
    for width in (150, 100, 80):
        assert [head in heads[width] for head in ("Names", "Id", "Resolved", "Asked for")] == [True] * 4
        assert f"{MANY.env_id.req_id[:8]}:{MANY.env_id.full_id[:8]}" in lines[width][0]
        assert len(lines[width]) == 1
    assert "Platform" not in heads[40]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, ""),
        (1, "1 B"),
        (999, "999 B"),
        (9, "9 B"),
        (1000, "1.0 kB"),
        (9_949, "9.9 kB"),
        (9_960, "10 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (123_456_789, "123 MB"),
        (1_500_000_000, "1.5 GB"),
        (2_000_000_000_000, "2.0 TB"),
        (5_000_000_000_000_000, "5000 TB"),
    ],
)
def test_sizes(number: int, text: str) -> None:
    """A size has two or three digits and a unit."""
    assert view.size(number) == text


@pytest.mark.parametrize(
    ("on", "text"),
    [
        ("2024-06-15T11:59:30+00:00", "just now"),
        ("2024-06-15T11:58:30+00:00", "1 minute ago"),
        ("2024-06-15T09:00:00+00:00", "3 hours ago"),
        ("2024-06-13T12:00:00", "2 days ago"),
        ("2024-04-10", "2 months ago"),
        ("2022-01-01T00:00:00Z", "2 years ago"),
        ("2030-01-01T00:00:00+00:00", "just now"),
        ("", ""),
        ("yesterday", ""),
    ],
)
def test_ages(on: str, text: str) -> None:
    """An age is a number of the largest unit; what is no time has none."""
    assert view.age(on, datetime(2024, 6, 15, 12, tzinfo=timezone.utc)) == text
