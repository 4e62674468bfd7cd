"""What a list reads of documents."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from metaflow_extensions.netflix_ext.engine.outline import Outline
from metaflow_extensions.netflix_ext.engine.resolved import ResolvedEnvironment
from tests.fakes import conda_package, resolved, wheel

GOLDEN = Path(__file__).parents[2] / "golden" / "environment-schema-2.json"
SPEC = {
    "python": "3.11.*",
    "conda": ["numpy >=1.2,<2", "conda-forge::mkl 2024.*", "zlib 1.2 h1_0", "any", "x * h2"],
    "conda_only": ["git"],
    "pypi": ["click>=8 ; python_version < '3.12'"],
    "channels": ["conda-forge"],
    "indexes": ["default", "https://example.org/simple"],
    "virtual": ["__glibc=2.28=0"],
    "options": {"constraints": ["a<3"], "pre": True},
}
TRICKY = replace(
    resolved(
        conda_package("numpy", depends=("name", '"size": 7', "version"), license='"name": "x",', timestamp=17),
        conda_package("old", sha256="", md5="0" * 32, size=0),
        pypi=[wheel("click"), wheel("idna")],
    ),
    spec=SPEC,
    provenance={"by": 'the "name": of\n somebody', "on": "2024-01-01", "uv": "0.9", "extends": "a:b", "schema": "2"},
)


def outline_of(environment: ResolvedEnvironment) -> Outline | None:
    return Outline.from_bytes(environment.to_bytes(), environment.env_id)


@pytest.mark.parametrize("environment", [TRICKY, resolved(), resolved(pypi=[wheel("click")])])
def test_what_a_document_tells(environment: ResolvedEnvironment) -> None:
    """Packages, their count and size are those of the environment, however its texts look."""
    outline = outline_of(environment)

    assert outline == Outline.from_document(environment.to_dict(), environment.env_id)
    assert outline.conda == tuple((item.name, item.version, item.build) for item in environment.conda)
    assert outline.pypi == tuple((item.name, item.version) for item in environment.pypi)
    assert outline.size == environment.size
    assert outline.count == len(environment.conda) + len(environment.pypi)
    assert outline.python == "3.11.7"


def test_the_golden_document() -> None:
    """The form that is read is the one that is kept in golden files."""
    data = GOLDEN.read_bytes()
    environment = ResolvedEnvironment.from_bytes(data, "golden")

    assert Outline.from_bytes(data, environment.env_id) == Outline.from_document(
        environment.to_dict(), environment.env_id
    )


def test_what_was_asked_for() -> None:
    """Requirements are in 1.x's form, and none holds a space where conda reads it without one."""
    outline = outline_of(TRICKY)

    assert outline is not None
    assert outline.requirements == (
        "conda::python==3.11.*",
        "conda::numpy>=1.2,<2",
        "conda::conda-forge::mkl==2024.*",
        "conda::zlib==1.2=h1_0",
        "conda::any",
        "conda::x * h2",
        "conda::git",
        "pypi::click>=8 ; python_version < '3.12'",
        "sys::__glibc==2.28=0",
    )
    assert outline.sources == ("conda::conda-forge", "pypi::default", "pypi::https://example.org/simple")
    assert outline.kind == "mixed"
    assert outline.tools == {"uv": "0.9"}
    assert (outline.extends, outline.on) == ("a:b", "2024-01-01")


@pytest.mark.parametrize(
    ("spec", "kind"), [({}, "conda-only"), ({"pypi": ["a"]}, "pypi-only"), ({"pypi": ["a"], "conda": ["b"]}, "mixed")]
)
def test_kinds(spec: dict[str, object], kind: str) -> None:
    """The kind follows from what was asked for."""
    outline = outline_of(replace(resolved(), spec=spec))

    assert outline is not None
    assert outline.kind == kind


def test_what_is_no_such_document() -> None:
    """What we did not write for this id is left to those who read all of it, and say what is wrong."""
    data = TRICKY.to_bytes()
    damaged = ({"spec": None}, {"conda": [{}]}, {"pypi": 3}, {"provenance": []}, {"conda": None})
    others = {
        "cut": data[:-20],
        "cut in a package": data[:300],
        "one line": json.dumps(TRICKY.to_dict(), sort_keys=True).encode(),
        "unsorted": json.dumps(dict(reversed(TRICKY.to_dict().items())), indent=1).encode(),
        "newer": data.replace(b'"schema": 2,\n "spec"', b'"schema": 3,\n "spec"'),
        "no version": data.replace(b'\n   "version"', b'\n   "virsion"', 1),
        "no name": data.replace(b'\n   "name"', b'\n   "nome"', 1),
        "no size": data.replace(b'   "size": ', b'   "size": x', 1),
        "a size of words": data.replace(b'   "size": ', b'   "size": "x", "y": ', 1),
        "a list for a mapping": data.replace(b'"provenance": {', b'"provenance": [', 1),
        "a list": b"[]",
        "nested deep": b"[" * 100_000,
        "empty": b"",
        "no text": b"\xff" + data,
        **{
            str(damage): json.dumps({**TRICKY.to_dict(), **damage}, indent=1, sort_keys=True).encode()
            for damage in damaged
        },
    }

    assert [name for name, text in others.items() if text == data] == []
    assert [name for name, text in others.items() if Outline.from_bytes(text, TRICKY.env_id) is not None] == []
    assert Outline.from_bytes(data, resolved().env_id) is None
