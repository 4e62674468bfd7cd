"""Real records of conda-forge, solved for every platform from this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from metaflow_extensions.netflix_ext.adapters.conda import RattlerSolver
from metaflow_extensions.netflix_ext.adapters.pypi import UvSolver
from metaflow_extensions.netflix_ext.adapters.worker import Worker
from metaflow_extensions.netflix_ext.engine.errors import ResolveError
from metaflow_extensions.netflix_ext.engine.events import Reporter
from metaflow_extensions.netflix_ext.engine.options import PypiOptions
from metaflow_extensions.netflix_ext.engine.platform import ARCHES, VirtualPackage
from metaflow_extensions.netflix_ext.engine.request import Request
from metaflow_extensions.netflix_ext.engine.requirement import CondaRequirement, PypiRequirement
from metaflow_extensions.netflix_ext.engine.resolve import Resolver, resolve
from metaflow_extensions.netflix_ext.engine.resolved import ResolvedEnvironment
from metaflow_extensions.netflix_ext.engine.spec import EnvSpec
from metaflow_netflixext_names import PYPI_NAMES
from tests.indexes import Made

RECORDS = Path(__file__).parents[1] / "data" / "conda-forge.json"
SYSTEM_LIBRARY = {"linux-64": "libgcc", "linux-aarch64": "libgcc", "osx-64": "libcxx", "osx-arm64": "libcxx"}


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a folder that is a channel of the records."""
    folder = tmp_path_factory.mktemp("conda-forge")
    for subdir, records in json.loads(RECORDS.read_text()).items():
        (folder / subdir).mkdir()
        old = {name: record for name, record in records.items() if name.endswith(".tar.bz2")}
        new = {name: record for name, record in records.items() if name.endswith(".conda")}
        repodata = {"info": {"subdir": subdir}, "packages": old, "packages.conda": new, "repodata_version": 1}
        (folder / subdir / "repodata.json").write_text(json.dumps(repodata))
    return folder.as_uri()


@pytest.fixture(scope="module")
def resolver() -> Iterator[Resolver]:
    """Return the real solvers."""
    worker = Worker()
    yield Resolver(
        conda=RattlerSolver(worker), pypi=UvSolver(), author="tester", now=lambda: "now", pypi_names=lambda: PYPI_NAMES
    )
    worker.close()


def spec(channel: str, python: str, *conda: str, pypi: tuple[str, ...] = (), **sys: str) -> EnvSpec:
    return EnvSpec.make(
        python=python,
        conda=tuple(CondaRequirement.parse(text) for text in conda),
        pypi=tuple(PypiRequirement.parse(text) for text in pypi),
        channels=(channel,),
        indexes=("default",) if pypi else (),
        virtual=tuple(VirtualPackage.from_pair(f"__{name}", version) for name, version in sys.items()),
    )


def solved(resolver: Resolver, asked: EnvSpec, *arches: str) -> dict[str, ResolvedEnvironment]:
    requests = {Request(spec=asked, arch=arch): "step start" for arch in arches}
    return {request.arch: found for request, found in resolve(requests, resolver, Reporter()).items()}


def test_one_spec_for_every_platform(resolver: Resolver, channel: str) -> None:
    """One spec has one req_id on all platforms, and on each the packages of that platform."""
    found = solved(resolver, spec(channel, "3.9.*", "pandas"), *ARCHES)

    assert 1 == len({environment.env_id.req_id for environment in found.values()})
    assert 4 == len({environment.env_id.full_id for environment in found.values()})
    for arch, environment in found.items():
        packages = {package.name: package for package in environment.conda}
        assert {arch, "noarch"} == {package.subdir for package in environment.conda}
        assert arch == packages["numpy"].subdir
        assert SYSTEM_LIBRARY[arch] in packages
        assert environment.python_version.startswith("3.9.")


def test_same_request_same_answer(resolver: Resolver, channel: str) -> None:
    """Solving again gives the same ids, whatever the order of requirements."""
    first = solved(resolver, spec(channel, "3.11.*", "numpy", "pandas"), "osx-arm64")
    again = solved(resolver, spec(channel, "3.11.*", "pandas", "numpy"), "osx-arm64")

    assert first["osx-arm64"].env_id == again["osx-arm64"].env_id


def test_missing_for_one_platform(resolver: Resolver, channel: str) -> None:
    """What one platform lacks is an error that names the platform."""
    with pytest.raises(ResolveError, match="linux-aarch64"):
        solved(resolver, spec(channel, "3.11.*", "pandas"), "linux-aarch64")


def test_older_glibc_than_packages_need(resolver: Resolver, channel: str) -> None:
    """Virtual packages are those asked for, not those of this machine."""
    with pytest.raises(ResolveError, match="__glibc"):
        solved(resolver, spec(channel, "3.11.*", "pandas", glibc="2.5"), "linux-64")


def record(name: str, version: str, build: str, *depends: str, **more: object) -> dict[str, object]:
    return {"name": name, "version": version, "build": build, "build_number": 0, "depends": depends, **more}


@pytest.fixture(name="free", scope="module")
def _free(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A channel with both builds of a Python, told apart as conda-forge does it."""
    folder = tmp_path_factory.mktemp("free")
    for arch in ARCHES:
        records = [
            record("python", "3.13.2", f"h_0_{abi}", f"python_abi 3.13.* *_{abi}", **more)
            for abi, more in (("cp313", {}), ("cp313t", {"track_features": "py_freethreading"}))
        ]
        records += [record("python_abi", "3.13", f"0_{abi}", "python 3.13.* *_" + abi) for abi in ("cp313", "cp313t")]
        named = {f"{one['name']}-{one['version']}-{one['build']}.conda": one for one in records}
        files = {file: {**one, "subdir": arch, "sha256": "0" * 64, "size": 1} for file, one in named.items()}
        (folder / arch).mkdir()
        document = {"info": {"subdir": arch}, "packages": {}, "packages.conda": files, "repodata_version": 1}
        (folder / arch / "repodata.json").write_text(json.dumps(document))
    (folder / "noarch").mkdir()
    (folder / "noarch" / "repodata.json").write_text(json.dumps({"packages": {}, "packages.conda": {}}))
    return folder.as_uri()


@pytest.mark.parametrize("arch", ARCHES)
@pytest.mark.parametrize(("python", "abi"), [("3.13.*t", "cp313t"), ("3.13.*", "cp313")])
def test_wheels_are_for_the_python_that_the_channel_gives(
    resolver: Resolver, free: str, tmp_path: Path, arch: str, python: str, abi: str
) -> None:
    """A free-threaded Python takes free-threaded wheels, for every platform from this one; the usual one never does."""
    platforms = {"linux-64": "manylinux_2_28_x86_64", "linux-aarch64": "manylinux_2_28_aarch64"}
    platform = platforms.get(arch, "macosx_11_0_universal2")
    for tag in ("cp313-cp313t", "cp313-cp313", "cp38-abi3"):
        Made("native", "1.0", f"{tag}-{platform}").write(tmp_path)
    asked = replace(
        spec(free, python, pypi=("native",)), options=PypiOptions(find_links=(tmp_path.as_uri(),), no_index=True)
    )
    environment = solved(resolver, asked, arch)[arch]
    assert [f"native-1.0-cp313-{abi}-{platform}.whl"] == [wheel.filename for wheel in environment.pypi]
    assert environment.cache_tag == f"cpython-313{abi[5:]}"


@pytest.mark.parametrize("arch", ARCHES)
def test_mixed_from_records_and_wheels(resolver: Resolver, channel: str, tmp_path: Path, arch: str) -> None:
    """Wheels fit the target, need what conda has there, and bring nothing that conda has."""
    platforms = ("manylinux_2_17_x86_64", "manylinux_2_28_aarch64", "macosx_11_0_x86_64", "macosx_11_0_arm64")
    for platform in platforms:
        Made("native", "1.0", f"cp39-cp39-{platform}", ("numpy", "pure ; sys_platform == 'darwin'")).write(tmp_path)
    Made("pure").write(tmp_path)
    Made("numpy", "99.0").write(tmp_path)
    asked = replace(
        spec(channel, "3.9.*", "numpy", pypi=("native",)),
        options=PypiOptions(find_links=(tmp_path.as_uri(),), no_index=True),
    )
    environment = solved(resolver, asked, arch)[arch]
    names = [wheel.filename for wheel in environment.pypi]
    assert names[0] == f"native-1.0-cp39-cp39-{platforms[ARCHES.index(arch)]}.whl"
    assert names[1:] == (["pure-1.0-py3-none-any.whl"] if arch.startswith("osx") else [])


@pytest.mark.network
@pytest.mark.parametrize(
    ("arch", "tag"),
    [("linux-64", "x86_64"), ("linux-aarch64", "aarch64"), ("osx-64", "x86_64"), ("osx-arm64", "arm64")],
)
def test_mixed_for_another_platform(resolver: Resolver, channel: str, arch: str, tag: str) -> None:
    """A mixed spec gives conda packages and wheels of the platform, and none twice."""
    asked = spec(channel, "3.12.*", "requests", pypi=("markupsafe", "urllib3"))
    environment = solved(resolver, asked, arch)[arch]
    wheels = {wheel.name: wheel.filename for wheel in environment.pypi}

    assert ["markupsafe"] == list(wheels)
    assert wheels["markupsafe"].endswith(f"{tag}.whl")
    assert {arch, "noarch"} == {package.subdir for package in environment.conda}
