"""One resolved package, to plain values and back."""

from __future__ import annotations

import pytest

from metaflow_extensions.netflix_ext.engine.errors import StoreError
from metaflow_extensions.netflix_ext.engine.package import (
    CondaPackage,
    PypiPackage,
    package_from_dict,
    package_to_dict,
)
from tests.fakes import conda_package, wheel

FULL = conda_package(
    "a", depends=("python >=3.11", "__glibc >=2.17"), constrains=("b >=1",), purls=("pkg:pypi/a",), size=7
)


def test_packages_go_and_come_back() -> None:
    """What is written is read again, field by field."""
    assert package_from_dict(CondaPackage, package_to_dict(FULL), "x") == FULL
    assert package_from_dict(PypiPackage, package_to_dict(wheel("a")), "x") == wheel("a")


def test_defaults_are_not_written() -> None:
    """A field that holds its default takes no room; a required one is always there."""
    written = package_to_dict(conda_package("a"))

    assert not {"md5", "depends", "license"} & set(written)
    assert written["build_number"] == 0


def test_the_digest_is_sha256_or_says_that_it_is_not() -> None:
    """A channel that gives only MD5 leads to a digest that can never equal a SHA-256."""
    assert conda_package("a", sha256="f" * 64, md5="e" * 32).digest == "f" * 64
    assert conda_package("a", sha256="", md5="e" * 32).digest == "md5:" + "e" * 32
    assert wheel("a").digest == wheel("a").sha256


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"name": None}, "x[3].name"),
        ({"size": "7"}, "x[3].size"),
        ({"size": True}, "x[3].size"),
        ({"depends": "python"}, "x[3].depends"),
        ({"depends": [1]}, "x[3].depends"),
        ({"sha256": 5}, "x[3].sha256"),
    ],
)
def test_damage_is_told_with_its_path(change: dict[str, object], path: str) -> None:
    """A field of another type is a StoreError that names the field."""
    with pytest.raises(StoreError) as caught:
        package_from_dict(CondaPackage, {**package_to_dict(FULL), **change}, "x[3]")

    assert path in str(caught.value)


@pytest.mark.parametrize("field", ["name", "version", "filename", "url", "build"])
def test_a_missing_field_is_told_with_its_path(field: str) -> None:
    """A required field that is not there is a StoreError that names it."""
    data = package_to_dict(FULL)
    del data[field]

    with pytest.raises(StoreError, match=rf"x\.{field}: missing"):
        package_from_dict(CondaPackage, data, "x")


def test_what_newer_versions_add_is_passed_over() -> None:
    """An unknown field changes nothing; a package that is no object is refused."""
    assert package_from_dict(CondaPackage, {**package_to_dict(FULL), "new": 1}, "x") == FULL
    with pytest.raises(StoreError, match="expected an object, found list"):
        package_from_dict(CondaPackage, [], "x")
