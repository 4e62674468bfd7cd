"""The page of licences says what the metadata of what we bring says."""

from __future__ import annotations

import re
from importlib import metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from scripts.audit import NAME, needed

from tests.packaging.conftest import ROOT

PAGE = ROOT / "docs" / "reference" / "licences.md"
# What older metadata says in words of its own.
IN_SPDX = {
    "Apache 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD 3-Clause License": "BSD-3-Clause",
    "Dual License": "Apache-2.0 OR BSD-3-Clause",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")


def licence(name: str) -> str:
    """Return the licence of an installed distribution: the expression, else the field, else the classifiers."""
    told = metadata.metadata(name)
    field = (told.get("License") or "").strip().partition("\n")[0]
    classifiers = [
        one.rpartition(" :: ")[2] for one in told.get_all("Classifier") or () if one.startswith("License ::")
    ]
    found = told.get("License-Expression") or field or " OR ".join(classifiers)
    if found == "BSD License":  # which of them, the text tells
        texts = [path.read_text() for path in metadata.files(name) or () if path.name.startswith("LICENSE")]
        found = "BSD-3-Clause" if any("Neither the name" in text for text in texts) else "BSD-2-Clause"
    return IN_SPDX.get(found, found)


def rows() -> dict[str, dict[str, str]]:
    """Return the tables of the page: under each heading, names and licences."""
    parts = PAGE.read_text().split("\n## ")[1:]
    cells = re.compile(r"^\| `([^`]+)` \| ([^|]+?) \|", re.M)
    return {part.partition("\n")[0]: dict(cells.findall(part)) for part in parts}


def brought(*extras: str) -> set[str]:
    """Return what is brought to some Python on Linux or macOS."""
    markers = [
        {"python_version": minor, "python_full_version": f"{minor}.1", "sys_platform": system, "platform_system": name}
        for minor in PYTHONS
        for system, name in (("linux", "Linux"), ("darwin", "Darwin"))
    ]
    return {name for each in markers for name in needed(NAME, each, frozenset(extras))}


def test_page_names_all_that_is_brought() -> None:
    """What we ask for ourselves, what that brings, and what the extra `formats` adds: each once, in its table."""
    lines = map(Requirement, metadata.requires(NAME) or ())
    asked = {canonicalize_name(line.name) for line in lines if "extra" not in str(line.marker)}
    without, found = brought(), rows()

    assert set(found["Asked for"]) == asked
    assert set(found["Brought by those"]) == without - asked
    assert set(found["With the extra `formats`"]) == brought("formats") - without


def test_page_tells_their_licences() -> None:
    """Of those that are installed here: all but the ones of another Python."""
    listed = {name: text for table in rows().values() for name, text in table.items()}
    installed = {canonicalize_name(item.metadata["Name"]) for item in metadata.distributions()}

    assert {name: licence(name) for name in listed if name in installed} == {
        name: text for name, text in listed.items() if name in installed
    }
    assert len(listed.keys() & installed) > len(listed) - 5
