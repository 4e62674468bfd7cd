"""What a list reads of documents."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from metaflow_extensions.netflix_ext.engine.errors import StoreError
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


def skim(environment: ResolvedEnvironment) -> Outline | None:
    return Outline.skim(environment.to_bytes(), environment.env_id)


@pytest.mark.parametrize("environment", [TRICKY, resolved(), resolved(pypi=[wheel("click")])])
def test_skimming_reads_what_is_there(environment: ResolvedEnvironment) -> None:
    """Skimming a document gives what reading it all gives, however its texts look."""
    whole = Outline.from_document(environment.to_dict(), environment.env_id, "doc")

    assert skim(environment) == whole
    assert whole.size == environment.size
    assert whole.count == len(environment.conda) + len(environment.pypi)
    assert whole.python == "3.11.7"


def test_skimming_the_golden_document() -> None:
    """The form that is skimmed is the one that is kept in golden files."""
    data = GOLDEN.read_bytes()
    environment = ResolvedEnvironment.from_bytes(data, "golden")

    assert Outline.skim(data, environment.env_id) == Outline.from_document(
        environment.to_dict(), environment.env_id, "golden"
    )


def test_what_was_asked_for() -> None:
    """Requirements are in 1.x's form, and none holds a space where conda reads it without one."""
    outline = skim(TRICKY)

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
    outline = skim(replace(resolved(), spec=spec))

    assert outline is not None
    assert outline.kind == kind


def test_other_forms_are_not_skimmed() -> None:
    """What is not in the very form that we write is left to those who read all of it."""
    data = TRICKY.to_bytes()
    others = {
        "cut": data[:-20],
        "cut in a package": data[:300],
        "one line": json.dumps(TRICKY.to_dict(), sort_keys=True).encode(),
        "unsorted": json.dumps(dict(reversed(TRICKY.to_dict().items())), indent=1).encode(),
        "newer": data.replace(b'"schema": 2,\n "spec"', b'"schema": 3,\n "spec"'),
        "no version": data.replace(b'\n   "version"', b'\n   "virsion"', 1),
        "no name": data.replace(b'\n   "name"', b'\n   "nome"', 1),
        "a size of words": data.replace(b'   "size": ', b'   "size": x', 1),
        "an escape": data.replace(b'"name": "numpy"', b'"name": "num\\"py"', 1),
        "a list for a mapping": data.replace(b'"provenance": {', b'"provenance": [', 1),
        "empty": b"",
        "no text": b"\xff" + data,
    }

    assert [name for name, text in others.items() if text == data] == []
    assert [name for name, text in others.items() if Outline.skim(text, TRICKY.env_id) is not None] == []
    assert Outline.skim(data, resolved().env_id) is None


@pytest.mark.parametrize("damage", [{"spec": None}, {"conda": [{}]}, {"pypi": 3}, {"provenance": []}])
def test_damage_is_named(damage: dict[str, object]) -> None:
    """What cannot be read is an error with the place in it."""
    with pytest.raises(StoreError, match="doc: not an environment document"):
        Outline.from_document({**TRICKY.to_dict(), **damage}, TRICKY.env_id, "doc")
