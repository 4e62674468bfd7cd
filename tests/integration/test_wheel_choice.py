"""Which wheel a target takes: as uv chooses, and as packaging's own tags say."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import packaging.tags
import pytest

from metaflow_extensions.netflix_ext.adapters.pypi import UvSolver
from metaflow_extensions.netflix_ext.engine.errors import ResolveError
from metaflow_extensions.netflix_ext.engine.options import PypiOptions
from metaflow_extensions.netflix_ext.engine.package import PypiPackage
from metaflow_extensions.netflix_ext.engine.platform import VirtualPackage, virtual_packages
from metaflow_extensions.netflix_ext.engine.ports import PypiRequest
from metaflow_extensions.netflix_ext.engine.requirement import PypiRequirement
from metaflow_extensions.netflix_ext.engine.wheel_tags import best_wheel, target_tags
from tests.indexes import Made

PYTHONS = ("cp310-cp310", "cp311-cp311", "cp313-cp313", "cp313-cp313t", "cp314-cp314t", "cp37-abi3", "cp311-abi3")
PYTHONS += ("cp313-abi3", "py3-none", "py2.py3-none", "cp311-none", "py311-none")
LINUX = ("manylinux1", "manylinux2010", "manylinux2014", "manylinux_2_17", "manylinux_2_28", "manylinux_2_34", "linux")
LINUX += ("musllinux_1_1", "musllinux_1_2")
PLATFORMS = (
    *(f"{name}_{machine}" for name in LINUX for machine in ("x86_64", "aarch64")),
    "manylinux_2_17_x86_64.manylinux2014_x86_64",
    *(f"macosx_{version}_x86_64" for version in ("10_9", "11_0", "13_0")),
    *(f"macosx_{version}_arm64" for version in ("11_0", "12_0", "14_0")),
    *(f"macosx_{version}_universal2" for version in ("10_9", "11_0", "15_0")),
    *("win_amd64", "any"),
)
TARGETS = [
    *(
        (arch, floor, python)
        for arch in ("linux-64", "linux-aarch64")
        for floor in ("2.17", "2.28", "2.35")
        for python in ("3.9.1", "3.11.7", "3.13.2", "3.13.2t", "3.14.0t")
    ),
    *(("osx-64", floor, python) for floor in ("10.15", "13.0") for python in ("3.10.0", "3.13.2", "3.13.2t")),
    *(("osx-arm64", floor, python) for floor in ("11.0", "13.0", "15.0") for python in ("3.11.7", "3.13.2t")),
]


@dataclass(frozen=True)
class Heap:
    """A folder of wheels, and the file names of each project in it."""

    folder: Path
    projects: dict[str, list[str]]


@pytest.fixture(name="heap", scope="module")
def _heap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Heap]:
    """Projects with wheels of all sorts, drawn by lot, always the same; each has one that fits everywhere."""
    folder, drawn, projects = tmp_path_factory.mktemp("heap"), random.Random(5), {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UV_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        for number in range(120):
            tags = {"py3-none-any"}
            for _ in range(drawn.randint(1, 8)):
                python, platform = drawn.choice(PYTHONS), drawn.choice(PLATFORMS)
                tags.add(f"{python}-{platform}" if platform != "any" or "none" in python else "py3-none-any")
            made = [Made(f"p{number}", "1.0", tag) for tag in sorted(tags)]
            for one in made:
                one.write(folder)
            projects[f"p{number}"] = [one.file for one in made]
        yield Heap(folder, projects)


def virtual(arch: str, floor: str) -> tuple[VirtualPackage, ...]:
    return virtual_packages(arch, [VirtualPackage("__osx" if arch.startswith("osx") else "__glibc", floor)])


def solve(folder: Path, arch: str, floor: str, python: str, *names: str) -> tuple[PypiPackage, ...]:
    request = PypiRequest(
        requirements=tuple(PypiRequirement(name) for name in names),
        provided=(),
        indexes=(),
        python=python,
        arch=arch,
        virtual=virtual(arch, floor),
        options=PypiOptions(find_links=(folder.as_uri(),), no_index=True),
    )
    return UvSolver().solve(request)


@pytest.mark.parametrize(("arch", "floor", "python"), TARGETS, ids="-".join)
def test_uv_chooses_the_same(heap: Heap, arch: str, floor: str, python: str) -> None:
    """Of each project the wheel is taken that the table of tags ranks first, free-threaded builds included."""
    tags = target_tags(python, arch, virtual(arch, floor))
    expected = {name: best_wheel(files, tags) for name, files in heap.projects.items()}
    assert {
        package.name: package.filename for package in solve(heap.folder, arch, floor, python, *heap.projects)
    } == expected
    assert len({(file or "").partition("-1.0-")[2] for file in expected.values()}) > 4


@pytest.mark.parametrize(
    ("tag", "python"),
    [
        ("cp313-cp313t-manylinux_2_17_x86_64", "3.13.2"),
        ("cp38-abi3-manylinux_2_17_x86_64", "3.13.2t"),
        ("py3-none-musllinux_1_2_x86_64", "3.13.2"),
        ("py3-none-manylinux_2_34_x86_64", "3.13.2"),
    ],
    ids=["free-threaded", "abi3 on free-threaded", "musl", "newer glibc"],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, tag: str, python: str) -> None:
    """Where no wheel fits, the target is told, and nothing is taken."""
    Made("only", "1.0", tag).write(tmp_path)
    with pytest.raises(ResolveError, match=r"with Python 3\.13\.2t? and glibc 2\.28"):
        solve(tmp_path, "linux-64", "2.28", python, "only")


@pytest.mark.parametrize(
    ("arch", "python", "expected"),
    [
        ("linux-64", "3.11.7", {"app", "linux", "x86", "old"}),
        ("linux-aarch64", "3.13.2t", {"app", "linux", "new"}),
        ("osx-64", "3.13.2", {"app", "mac", "x86", "new"}),
        ("osx-arm64", "3.11.7", {"app", "mac", "old"}),
    ],
)
def test_markers_are_the_targets(tmp_path: Path, arch: str, python: str, expected: set[str]) -> None:
    """System, processor and Python of markers are those of the target, wherever it is resolved."""
    markers = {
        "linux": "sys_platform == 'linux' and platform_system == 'Linux'",
        "mac": "sys_platform == 'darwin'",
        "x86": "platform_machine == 'x86_64'",
        "new": "python_version >= '3.12'",
        "old": "python_full_version < '3.12'",
    }
    Made("app", requires=tuple(f"{name} ; {marker}" for name, marker in markers.items())).write(tmp_path)
    for name in markers:
        Made(name).write(tmp_path)
    floor = "13.0" if arch.startswith("osx") else "2.28"
    assert {package.name for package in solve(tmp_path, arch, floor, python, "app")} == expected


@pytest.mark.skipif(sys.platform != "linux", reason="compares with this machine, a Linux")
def test_for_this_machine_the_table_is_packagings() -> None:
    """The tags of this interpreter, in packaging's words and order, are those of the same target described."""
    import packaging._manylinux as manylinux

    glibc = manylinux._get_glibc_version()
    machine = "linux-64" if packaging.tags.platform_tags().__next__().endswith("x86_64") else "linux-aarch64"
    python = ".".join(str(part) for part in sys.version_info[:3])
    own = list(target_tags(python, machine, virtual(machine, f"{glibc[0]}.{glibc[1]}")))
    theirs = [tag for tag in packaging.tags.sys_tags() if "musllinux" not in tag.platform]
    assert set(own) == set(theirs)
    # Where a plain linux wheel ranks, versions of packaging disagree; uv ranks it last.
    assert [tag for tag in own if "-linux_" not in str(tag)] == [tag for tag in theirs if "-linux_" not in str(tag)]


@pytest.mark.parametrize("floor", ["2.17", "2.28", "2.35"])
@pytest.mark.parametrize(("arch", "machine"), [("linux-64", "x86_64"), ("linux-aarch64", "aarch64")])
def test_platforms_of_linux_are_packagings(
    monkeypatch: pytest.MonkeyPatch, arch: str, machine: str, floor: str
) -> None:
    """For any glibc the platform tags are what packaging gives on a machine that has it."""
    import packaging._manylinux as manylinux

    major, minor = (int(part) for part in floor.split("."))
    monkeypatch.setattr(manylinux, "_get_glibc_version", lambda: (major, minor))
    monkeypatch.setattr(manylinux, "_have_compatible_abi", lambda *_: True)
    monkeypatch.setattr(manylinux, "_is_compatible", lambda _, version: version <= (major, minor))
    theirs = [*manylinux.platform_tags([machine]), f"linux_{machine}"]
    own = list(dict.fromkeys(tag.platform for tag in target_tags("3.11.7", arch, virtual(arch, floor))))
    assert [platform for platform in own if platform != "any"] == theirs
