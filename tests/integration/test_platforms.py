"""Real records of conda-forge, solved for every platform from this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from metaflow_extensions.netflix_ext.adapters.conda import RattlerSolver
from metaflow_extensions.netflix_ext.adapters.pypi import UvSolver
from metaflow_extensions.netflix_ext.adapters.worker import Worker
from metaflow_extensions.netflix_ext.engine.errors import ResolveError
from metaflow_extensions.netflix_ext.engine.events import Reporter
from metaflow_extensions.netflix_ext.engine.platform import ARCHES, VirtualPackage
from metaflow_extensions.netflix_ext.engine.request import Request
from metaflow_extensions.netflix_ext.engine.requirement import CondaRequirement, PypiRequirement
from metaflow_extensions.netflix_ext.engine.resolve import Resolver, resolve
from metaflow_extensions.netflix_ext.engine.resolved import ResolvedEnvironment
from metaflow_extensions.netflix_ext.engine.spec import EnvSpec
from metaflow_netflixext_names import PYPI_NAMES

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
        virtual=tuple(VirtualPackage.parse(f"__{name}", version) for name, version in sys.items()),
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
