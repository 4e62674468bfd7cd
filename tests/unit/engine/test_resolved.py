"""A resolved environment and its document."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from metaflow_extensions.netflix_ext.engine.errors import StoreError
from metaflow_extensions.netflix_ext.engine.resolved import ResolvedEnvironment, find_in_package, package_document
from tests.fakes import PYTHON, conda_package, resolved, wheel

GOLDEN = Path(__file__).parents[2] / "golden" / "environment-schema-2.json"
NUMPY = conda_package(
    "numpy", "1.26.4", depends=("python >=3.11,<3.12.0a0",), purls=("pkg:pypi/numpy",), license="BSD-3-Clause"
)
OLD = conda_package("old", sha256="", md5="0123456789abcdef0123456789abcdef", noarch="generic")
ENVIRONMENT = resolved(NUMPY, OLD, pypi=[wheel("requests", "2.32.0"), wheel("idna", "3.7")])


def document(**changes: Any) -> dict[str, Any]:
    """Return the golden document with other values for some of its keys."""
    return {**json.loads(GOLDEN.read_bytes()), **changes}


def test_the_document_is_golden() -> None:
    """An environment is written byte for byte as it always was, and what was written is read as it was."""
    assert ENVIRONMENT.to_bytes() == GOLDEN.read_bytes()
    assert ResolvedEnvironment.from_bytes(GOLDEN.read_bytes(), "x") == ENVIRONMENT


def test_the_order_of_packages_does_not_count() -> None:
    """The same packages in any order give the same id and the same bytes."""
    source = random.Random(7)
    conda, pypi = list(ENVIRONMENT.conda), list(ENVIRONMENT.pypi)

    for _ in range(20):
        source.shuffle(conda)
        source.shuffle(pypi)
        made = resolved(*[package for package in conda if package != PYTHON], pypi=pypi)
        assert made.to_bytes() == ENVIRONMENT.to_bytes()


def test_other_bytes_have_another_id() -> None:
    """Another hash, another file, another platform: another environment. Who resolved it when does not count."""
    ids = {
        ENVIRONMENT.env_id,
        resolved(NUMPY, OLD).env_id,
        resolved(NUMPY, conda_package("old", sha256="1" * 64), pypi=ENVIRONMENT.pypi).env_id,
        resolved(NUMPY, OLD, pypi=ENVIRONMENT.pypi, arch="osx-64").env_id,
    }
    later = ResolvedEnvironment.from_dict(document(provenance={"by": "another"}), "x")

    assert len(ids) == 4
    assert later.env_id == ENVIRONMENT.env_id


def test_python_version() -> None:
    """The version of Python is that of the package; without one it is empty."""
    assert ENVIRONMENT.python_version == "3.11.7"
    empty = ResolvedEnvironment.make(
        req_id="a" * 40, arch="linux-64", spec={}, virtual=(), conda=(), pypi=(), provenance={}
    )
    assert empty.python_version == ""


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"id": None}, "doc.id"),
        ({"id": ["a", "b"]}, "doc.id"),
        ({"spec": []}, "doc.spec"),
        ({"provenance": None}, "doc.provenance"),
        ({"virtual": 3}, "doc.virtual"),
        ({"virtual": [3]}, "doc.virtual"),
        ({"conda": {}}, "doc.conda"),
        ({"conda": [3]}, "doc.conda[0]"),
        ({"conda": [{"name": "a"}]}, "doc.conda[0].version"),
        ({"pypi": None}, "doc.pypi"),
        ({"pypi": [{"name": 3}]}, "doc.pypi[0].name"),
    ],
)
def test_damage_is_told_with_its_path(changes: dict[str, Any], path: str) -> None:
    """A damaged document is a StoreError that says where the fault lies."""
    with pytest.raises(StoreError) as caught:
        ResolvedEnvironment.from_dict(document(**changes), "doc")

    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    "data", [b"", b"{", b"\xff", b"[]", b"3", GOLDEN.read_bytes()[:-40] if GOLDEN.exists() else b""]
)
def test_what_is_no_document_is_refused(data: bytes) -> None:
    """Bytes that are no document, such as half of one, are a StoreError that names the place."""
    with pytest.raises(StoreError, match="doc: not an environment document"):
        ResolvedEnvironment.from_bytes(data, "doc")


@pytest.mark.parametrize("schema", [None, 1, 3, "2"])
def test_an_unknown_schema_is_refused_politely(schema: object) -> None:
    """A document of another schema is refused, with what to do."""
    with pytest.raises(StoreError, match="schema") as caught:
        ResolvedEnvironment.from_dict(document(schema=schema), "doc")

    assert "newer" in caught.value.hint


@pytest.mark.parametrize("field", ["sha256", "filename"])
def test_packages_must_hash_to_the_id(field: str) -> None:
    """A document whose packages were changed does not pass for the environment that it claims to be."""
    changed = document()
    changed["conda"][0][field] = "0" * 64

    with pytest.raises(StoreError, match="do not hash to the id"):
        ResolvedEnvironment.from_dict(changed, "doc")


def test_a_code_package_carries_its_environments() -> None:
    """The file of a code package is the same for the same environments, and each is found in it by id."""
    other = resolved(req_id="b" * 40)
    data = package_document([ENVIRONMENT, other], {})

    assert package_document([other, ENVIRONMENT], {}) == data
    assert find_in_package(data, other.env_id, "x") == other
    assert find_in_package(data, other.env_id._replace(arch="osx-64"), "x") is None


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"environments": 3}', b'{"environments": [{}]}'])
def test_a_damaged_code_package_is_refused(data: bytes) -> None:
    """A file that is none of ours is a StoreError that names it."""
    with pytest.raises(StoreError, match="conda_v2"):
        find_in_package(data, ENVIRONMENT.env_id, "conda_v2.cnd")


def test_a_code_package_names_the_tools_of_containers() -> None:
    """Tools stand beside the environments, which are found as without them."""
    tools = {"linux-64": [{"name": "uv", "file": "uv.whl", "sha256": "0" * 64}]}
    data = package_document([ENVIRONMENT], {"tools": tools})

    assert json.loads(data)["tools"] == tools
    assert find_in_package(data, ENVIRONMENT.env_id, "x") == ENVIRONMENT
