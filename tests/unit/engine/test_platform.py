"""Platforms by conda's names, and what a machine is able to do."""

from __future__ import annotations

import pytest

from metaflow_extensions.netflix_ext.engine.errors import InputError
from metaflow_extensions.netflix_ext.engine.platform import (
    ARCHES,
    DEFAULTS,
    VirtualPackage,
    arch_of,
    check_arch,
    satisfies,
    version_of,
    virtual_packages,
)


@pytest.mark.parametrize(
    ("system", "machine", "arch"),
    [
        ("Linux", "x86_64", "linux-64"),
        ("Linux", "aarch64", "linux-aarch64"),
        ("Darwin", "x86_64", "osx-64"),
        ("Darwin", "arm64", "osx-arm64"),
    ],
)
def test_arch_of(system: str, machine: str, arch: str) -> None:
    """Each supported machine has conda's name for it."""
    assert arch == check_arch(arch_of(system, machine))


def test_other_platforms_are_refused_by_name() -> None:
    """A platform we do not resolve for is refused, with those we do."""
    with pytest.raises(InputError, match="Windows AMD64") as caught:
        arch_of("Windows", "AMD64")
    with pytest.raises(InputError, match="'win-64'"):
        check_arch("win-64")

    assert all(arch in caught.value.hint for arch in ARCHES)


@pytest.mark.parametrize("text", ["2.28", "==2.28", "=2.28", " == 2.28 ", "2.28=0"])
def test_virtual_packages_are_exact(text: str) -> None:
    """Each way to say one exact version gives the same package."""
    assert str(VirtualPackage.from_pair("__glibc", text)) == "__glibc=2.28=0"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("glibc", "2.28"),
        ("__glibc", ""),
        ("__glibc", ">=2.28"),
        ("__glibc", "2.*"),
        ("__GLIBC", "2.28"),
        ("__cuda", "x"),
    ],
)
def test_what_is_no_exact_virtual_package_is_refused(name: str, text: str) -> None:
    """A name without two underscores, or a version that is not exact, is refused."""
    with pytest.raises(InputError, match="no virtual package"):
        VirtualPackage.from_pair(name, text)


def test_a_virtual_version_is_text() -> None:
    """A number is refused, since 2.30 would become 2.3."""
    with pytest.raises(InputError, match="not text"):
        VirtualPackage.from_pair("__glibc", 2.30)


@pytest.mark.parametrize("arch", ARCHES)
def test_defaults_are_replaced_by_name(arch: str) -> None:
    """What is asked stands in the place of the default of that name; the others stay, in one order."""
    asked = VirtualPackage("__linux" if arch.startswith("linux") else "__osx", "99.1")
    extra = VirtualPackage("__cuda", "12.4")

    found = virtual_packages(arch, [extra, asked])

    assert found == virtual_packages(arch, [asked, extra])
    assert version_of(found, asked.name) == "99.1"
    assert version_of(found, "__cuda") == "12.4"
    assert {package.name for package in DEFAULTS[arch]} | {"__cuda"} == {package.name for package in found}
    assert version_of(found, "__nothing") == ""


@pytest.mark.parametrize(
    ("version", "constraint", "expected"),
    [
        ("2.28", "", True),
        ("2.28", "*", True),
        ("2.28", ">=2.17", True),
        ("2.9", ">=2.17", False),
        ("2.28", ">=2.17,<3.0.a0", True),
        ("3.0", ">=2.17,<3.0.a0", False),
        ("2.28", "<2.28", False),
        ("2.28", "<=2.28.0", True),
        ("2.28", ">2.28.0", False),
        ("2.28", "==2.28.0", True),
        ("2.28", "2.28", True),
        ("2.28", "2.*", True),
        ("2.28", "=2", True),
        ("12.4", "=1", False),
        ("2.28", "!=2.28", False),
        ("2.28", "!=2.*", False),
        ("3.1", "!=2.*", True),
        ("3.1", ">=2.*", True),
        ("2.28", "1.0|>=2", True),
        ("2.28", "1.0|>=3", False),
        ("2.28", "~=2.1", True),
    ],
)
def test_satisfies(version: str, constraint: str, expected: bool) -> None:
    """The constraints that packages put on virtual packages are read as conda reads them."""
    assert expected == satisfies(version, constraint)
