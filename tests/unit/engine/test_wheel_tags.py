"""Which wheels fit a target, and which fits best."""

from __future__ import annotations

import pytest

from metaflow_extensions.netflix_ext.engine.errors import InputError
from metaflow_extensions.netflix_ext.engine.platform import VirtualPackage
from metaflow_extensions.netflix_ext.engine.wheel_tags import best_wheel, python_version, target_tags


def tags(python: str = "3.11.7", arch: str = "linux-64", version: str = "") -> list[str]:
    name = "__osx" if arch.startswith("osx") else "__glibc"
    version = version or ("13.0" if name == "__osx" else "2.28")
    return [str(tag) for tag in target_tags(python, arch, [VirtualPackage(name, version)])]


def best(files: list[str], python: str = "3.11.7", arch: str = "linux-64", version: str = "") -> str | None:
    name = "__osx" if arch.startswith("osx") else "__glibc"
    version = version or ("13.0" if name == "__osx" else "2.28")
    return best_wheel(files, target_tags(python, arch, [VirtualPackage(name, version)]))


CP = "p-1-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"
ABI3 = "p-1-cp38-abi3-manylinux_2_28_x86_64.whl"
PURE = "p-1-py3-none-any.whl"


@pytest.mark.parametrize(
    ("files", "expected"),
    [([PURE, ABI3, CP], CP), ([PURE, ABI3], ABI3), ([PURE], PURE), ([], None)],
    ids=["exact first", "then the stable interface", "then pure", "none"],
)
def test_the_most_specific_wheel_wins(files: list[str], expected: str | None) -> None:
    """A wheel for exactly this Python beats the stable interface, which beats a pure one, in any order."""
    assert best(files) == expected
    assert best(files[::-1]) == expected


@pytest.mark.parametrize(
    ("glibc", "expected"),
    [
        ("2.35", "p-1-cp311-cp311-manylinux_2_31_x86_64.whl"),
        ("2.28", "p-1-cp311-cp311-manylinux2014_x86_64.whl"),
        ("2.16", "p-1-cp311-cp311-manylinux2010_x86_64.whl"),
        ("2.11", "p-1-cp311-cp311-manylinux1_x86_64.whl"),
        ("2.4", None),
    ],
)
def test_the_newest_manylinux_that_the_target_reaches_wins(glibc: str, expected: str | None) -> None:
    """Newer than the target never fits; of those that fit the newest is taken, legacy names included."""
    names = ("manylinux_2_31", "manylinux2014", "manylinux2010", "manylinux1")
    assert best([f"p-1-cp311-cp311-{name}_x86_64.whl" for name in names], version=glibc) == expected


def test_a_legacy_name_stands_beside_its_modern_one() -> None:
    """The manylinux2014 tag follows manylinux_2_17 directly."""
    found = [tag for tag in tags() if tag.startswith("cp311-cp311-")]
    assert found[found.index("cp311-cp311-manylinux_2_17_x86_64") + 1] == "cp311-cp311-manylinux2014_x86_64"


@pytest.mark.parametrize(
    ("arch", "expected"),
    [
        ("linux-aarch64", "p-1-cp311-cp311-manylinux_2_17_aarch64.whl"),
        ("osx-64", "p-1-cp311-cp311-macosx_10_9_x86_64.whl"),
        ("osx-arm64", "p-1-cp311-cp311-macosx_11_0_arm64.whl"),
    ],
)
def test_every_platform_takes_its_own(arch: str, expected: str) -> None:
    """Of wheels for all platforms, each target takes its own."""
    platforms = ("manylinux_2_17_aarch64", "manylinux_2_17_x86_64", "macosx_10_9_x86_64", "macosx_11_0_arm64")
    assert best([f"p-1-cp311-cp311-{name}.whl" for name in platforms], arch=arch) == expected


@pytest.mark.parametrize("arch", ["osx-64", "osx-arm64"])
def test_universal_wheels_fit_both_macs(arch: str) -> None:
    """A universal2 wheel fits Intel and Apple silicon, and a thin one is preferred at the same version."""
    fat = "p-1-cp311-cp311-macosx_12_0_universal2.whl"
    thin = f"p-1-cp311-cp311-macosx_12_0_{'arm64' if arch == 'osx-arm64' else 'x86_64'}.whl"
    assert best([fat], arch=arch) == fat
    assert best([fat, thin], arch=arch) == thin


def test_a_newer_mac_does_not_fit_an_older_target() -> None:
    """The deployment target bounds the wheels."""
    assert best(["p-1-py3-none-macosx_14_0_arm64.whl"], arch="osx-arm64", version="13.5") is None
    assert best(["p-1-py3-none-macosx_14_0_arm64.whl"], arch="osx-arm64", version="14") is not None


@pytest.mark.parametrize(
    ("python", "fits", "not_fits"),
    [
        ("3.7.16", "p-1-cp37-cp37m-manylinux1_x86_64.whl", "p-1-cp37-cp37-manylinux1_x86_64.whl"),
        ("3.8", "p-1-cp38-cp38-manylinux1_x86_64.whl", "p-1-cp38-cp38m-manylinux1_x86_64.whl"),
        ("3.13.0", "p-1-cp313-cp313-manylinux1_x86_64.whl", "p-1-cp313-cp313t-manylinux1_x86_64.whl"),
        ("3.13.2t", "p-1-cp313-cp313t-manylinux1_x86_64.whl", "p-1-cp313-cp313-manylinux1_x86_64.whl"),
        ("3.13.2t", "p-1-cp313-none-any.whl", "p-1-cp313-abi3-manylinux1_x86_64.whl"),
        ("3.14.0rc1", "p-1-cp314-cp314-manylinux1_x86_64.whl", "p-1-cp315-cp315-manylinux1_x86_64.whl"),
        ("3.11.7", "p-1-py2.py3-none-any.whl", "p-1-py2-none-any.whl"),
    ],
)
def test_each_python_has_its_abi(python: str, fits: str, not_fits: str) -> None:
    """Python 3.7 has the ``m`` in its name, no later one has, and a free-threaded build is another Python."""
    assert best([fits], python=python) == fits
    assert best([not_fits], python=python) is None


def test_the_higher_build_number_decides_between_equals() -> None:
    """Of two builds of one wheel the later one is taken, by number and not by letter."""
    assert best(["p-1-9-py3-none-any.whl", "p-1-10-py3-none-any.whl", PURE]) == "p-1-10-py3-none-any.whl"


def test_names_that_are_no_wheels_are_passed_over() -> None:
    """Garbage among the names of an index does not stop the choice."""
    assert best(["p-1.tar.gz", "what.whl", "p-not!a!version-py3-none-any.whl", PURE]) == PURE


@pytest.mark.parametrize("python", ["3", "three", "3.11.*"])
def test_a_python_that_is_no_version_is_refused(python: str) -> None:
    """The error quotes what was given."""
    with pytest.raises(InputError, match=r"is no exact version"):
        python_version(python)


def test_a_target_without_a_libc_is_refused() -> None:
    """Wheels for Linux cannot be chosen without a glibc version."""
    with pytest.raises(InputError, match="__glibc"):
        target_tags("3.11", "linux-64", [])
