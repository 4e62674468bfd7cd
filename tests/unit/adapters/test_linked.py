"""Requirements with direct links, before uv sees them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from metaflow_extensions.netflix_ext.adapters.linked import keep_linked, linked
from metaflow_extensions.netflix_ext.engine.errors import InputError, ResolveError
from metaflow_extensions.netflix_ext.engine.options import HashedRequirement, PypiOptions
from metaflow_extensions.netflix_ext.engine.origin import Link, Origin
from metaflow_extensions.netflix_ext.engine.package import PypiPackage
from metaflow_extensions.netflix_ext.engine.platform import virtual_packages
from metaflow_extensions.netflix_ext.engine.ports import PypiRequest
from metaflow_extensions.netflix_ext.engine.requirement import PypiRequirement
from tests.fakes import wheel

PIN = "ab" * 32


@dataclass
class FakeBuilds:
    """Pins everything to one state, and builds a wheel of that name."""

    tag: str = "py3-none-any"
    built: dict[str, Origin] = field(default_factory=dict)
    kept: list[tuple[str, Path]] = field(default_factory=list)

    def pinned(self, name: str, link: Link) -> Origin:
        return Origin.of(link, PIN)

    def keep(self, package: PypiPackage, path: Path) -> None:
        self.kept.append((package.name, path))

    def prefix(self) -> Any:
        raise AssertionError("no link needs it")

    def wheels(
        self, origins: Mapping[str, Origin], variables: Mapping[str, str]
    ) -> dict[str, tuple[PypiPackage, Path]]:
        self.built.update(origins)
        return {name: (wheel(name, tag=self.tag), Path("/built", f"{name}.whl")) for name in origins}


def request(*requirements: str, **more: Any) -> PypiRequest:
    return PypiRequest(
        requirements=tuple(PypiRequirement.parse(text) for text in requirements),
        provided=(),
        indexes=("default",),
        python="3.11.7",
        arch="linux-64",
        virtual=virtual_packages("linux-64"),
        **more,
    )


def test_what_is_to_be_built_becomes_a_wheel() -> None:
    """Links to sources lead to the wheels that were built; other requirements stay as they are."""
    builds = FakeBuilds()

    found = linked(request("p @ git+https://x.example/p", "q>=1", "r @ file:///r"), {}, builds, {})

    assert [str(item) for item in found.request.requirements] == [
        "p @ file:///built/p.whl",
        "q>=1",
        "r @ file:///built/r.whl",
    ]
    assert {url: package.name for url, package in found.built.items()} == {
        "file:///built/p.whl": "p",
        "file:///built/r.whl": "r",
    }


def test_only_files_of_this_machine_are_kept() -> None:
    """What is linked to elsewhere, or comes from an index, can be fetched again."""
    builds = FakeBuilds()
    asked = request("p @ file:///some/p-1-py3-none-any.whl", "q @ https://x.example/q-1-py3-none-any.whl", "r")
    keep_linked([wheel("p"), wheel("q"), wheel("r")], asked, builds)
    assert builds.kept == [("p", Path("/some/p-1-py3-none-any.whl"))]


def test_what_the_target_does_not_need_is_not_built() -> None:
    """Markers are those of the target, not of this machine."""
    builds = FakeBuilds()
    asked = request("p @ git+https://x.example/p ; sys_platform == 'darwin'", "q @ file:///q ; python_version < '3.12'")

    found = linked(asked, {}, builds, {})

    assert list(builds.built) == ["q"]
    assert found.request.requirements[0] == asked.requirements[0]


@pytest.mark.parametrize("link", ["git+https://code.example/p", "https://x.example/p-1.tar.gz", "file:///some/folder"])
def test_without_builds_a_source_is_refused_by_name(link: str) -> None:
    """The message names the package and says that nothing is built."""
    with pytest.raises(InputError, match=r"'p @ .* is no link to a wheel, and nothing is built"):
        linked(request(f"p @ {link}"), {}, None, {})


@pytest.mark.parametrize("builds", [None, FakeBuilds()])
def test_a_link_to_a_wheel_of_another_platform_is_refused(builds: FakeBuilds | None) -> None:
    """The message names the package and the platform."""
    with pytest.raises(ResolveError, match=r"'p' has no wheel for linux-64 \(glibc 2\.28\)"):
        linked(request("p @ https://x.example/p-1-cp311-cp311-win_amd64.whl"), {}, builds, {})


def test_a_build_that_does_not_fit_is_refused() -> None:
    """A project that builds for another Python than it was given is told by name."""
    with pytest.raises(ResolveError, match=r"'p' has no wheel for linux-64"):
        linked(request("p @ file:///p"), {}, FakeBuilds(tag="cp39-cp39-linux_x86_64"), {})


def test_a_link_to_what_is_there_already_is_refused() -> None:
    """Two files for one distribution cannot both be meant."""
    with pytest.raises(ResolveError, match=r"1\.0 of it is there already, from conda or from the environment"):
        linked(request("p @ https://x.example/p-1-py3-none-any.whl"), {"p": "1.0"}, None, {})


def test_a_fitting_link_is_accepted_with_quoted_characters_and_a_fragment() -> None:
    """A local version is quoted in URLs, and hashes come as fragments."""
    asked = request("p @ https://x.example/p-1%2Bcpu-py3-none-any.whl#sha256=00")
    assert linked(asked, {}, None, {}).request == asked


def test_a_wheel_that_is_missing_is_told() -> None:
    """The path is in the message."""
    with pytest.raises(InputError, match=r"'p': there is no file '/no/p-1-py3-none-any\.whl'"):
        linked(request("p @ file:///no/p-1-py3-none-any.whl"), {}, None, {})


@pytest.mark.parametrize(
    ("link", "error", "said"),
    [
        ("https://x.example/p-1.zip", ResolveError, rf"p-1\.zip: found sha256:{PIN}"),
        ("git+https://x.example/p", InputError, "asked for with the hash of a file"),
    ],
)
def test_hashes_hold_for_what_is_built(link: str, error: type[Exception], said: str) -> None:
    """An archive must be the one whose hash is given; a repository has none that could be given."""
    item = PypiRequirement.parse(f"p @ {link}")

    def options(digest: str) -> PypiOptions:
        return PypiOptions(hashed=(HashedRequirement(item, (f"sha256:{digest}",)),))

    with pytest.raises(error, match=said):
        linked(request(str(item), options=options("cd" * 32)), {}, FakeBuilds(), {})
    if error is ResolveError:
        assert linked(request(str(item), options=options(PIN)), {}, FakeBuilds(), {}).built
