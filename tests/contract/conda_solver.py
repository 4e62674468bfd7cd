"""What every `CondaSolver` promises; a test of one of them inherits these and gives the fixture ``solver``."""

from __future__ import annotations

import dataclasses
import socket
from pathlib import Path

import pytest

from metaflow_extensions.netflix_ext.adapters.conda import RattlerSolver
from metaflow_extensions.netflix_ext.adapters.worker import Worker
from metaflow_extensions.netflix_ext.engine.errors import ResolveError, SourceError
from metaflow_extensions.netflix_ext.engine.package import CondaPackage
from metaflow_extensions.netflix_ext.engine.platform import VirtualPackage, virtual_packages
from metaflow_extensions.netflix_ext.engine.ports import CondaRequest, CondaSolver
from metaflow_extensions.netflix_ext.engine.requirement import CondaRequirement
from tests.channel import serve

from .channels import generic, make, make_more


def asking(
    *requirements: str, channels: tuple[object, ...], arch: str = "linux-64", **virtual: VirtualPackage
) -> CondaRequest:
    """Return a request; *virtual* are virtual packages other than the usual ones."""
    return CondaRequest(
        requirements=tuple(map(CondaRequirement.parse, requirements)),
        channels=tuple(map(str, channels)),
        arch=arch,
        virtual=virtual_packages(arch, virtual.values()),
    )


def extending(base: tuple[CondaPackage, ...], *more: str, channels: tuple[Path, ...]) -> CondaRequest:
    """Return a request for *more* on top of *base*."""
    asked = asking(*(package.name for package in base), *more, channels=channels)
    return dataclasses.replace(asked, pinned=base)


def names(packages: tuple[CondaPackage, ...]) -> list[str]:
    """Return ``name version`` of each."""
    return [f"{package.name} {package.version}" for package in packages]


class CondaSolverContract:
    """The promises, on two channels below the folder ``root``; ``worker`` is one for the reference."""

    @pytest.fixture(scope="class", name="root")
    @staticmethod
    def _root(tmp_path_factory: pytest.TempPathFactory) -> Path:
        return make(tmp_path_factory.mktemp("channels"))

    @pytest.fixture(name="base")
    def _base(self, reference: RattlerSolver, root: Path) -> tuple[CondaPackage, ...]:
        """An environment to extend: a Python without pip, and old versions of the first channel."""
        return reference.solve(asking("alpha=1", "python=3.9", channels=(root / "first",)))

    @pytest.fixture(name="reference")
    def _reference(self, worker: Worker) -> RattlerSolver:
        return RattlerSolver(worker)

    def test_packages_are_those_of_the_channel(self, solver: CondaSolver, reference: RattlerSolver, root: Path) -> None:
        """All is told of each, as the channel tells it, dependencies first; nothing is made."""
        request = asking("alpha", channels=(root / "first",))

        found = solver.solve(request)

        assert names(found) == ["beta 1.0", "alpha 2.0"]
        assert found == reference.solve(request)
        assert found[1].sha256
        assert found[1].url == f"{(root / 'first').as_uri()}/noarch/alpha-2.0-0.conda"

    def test_constraints_and_builds_are_obeyed(self, solver: CondaSolver, root: Path) -> None:
        """In every form that requirements are written in."""
        for text in ("alpha ==1.0", "alpha <2", "alpha 1.0.*", "alpha >=1,!=2.0", "alpha 1.*|0.9", "alpha=1.0=0"):
            assert "alpha 1.0" in names(solver.solve(asking(text, channels=(root / "first",)))), text

    def test_channels_are_served_too(self, solver: CondaSolver, root: Path) -> None:
        """A channel on a server is a channel."""
        with serve(root) as server:
            found = solver.solve(asking("alpha", channels=(f"{server.url}/first",)))

        assert {package.channel for package in found} == {f"{server.url}/first/"}

    def test_the_first_channel_that_has_a_package_is_the_only_one(self, solver: CondaSolver, root: Path) -> None:
        """Channel priority is strict: a newer version further back does not count."""
        both = (root / "first", root / "second")

        assert "alpha 2.0" in names(solver.solve(asking("alpha", "only-second", channels=both)))
        assert "alpha 9.0" in names(solver.solve(asking("alpha", channels=both[::-1])))
        with pytest.raises(ResolveError):
            solver.solve(asking("alpha >=9", channels=both))

    def test_a_requirement_may_name_its_channel(self, solver: CondaSolver, root: Path) -> None:
        """A channel that a requirement names is used for it, in the list or not."""
        first, second = root / "first", root / "second"

        outside = solver.solve(asking(f"{second}::alpha", "beta", channels=(first,)))
        inside = solver.solve(asking(f"{first.as_uri()}::alpha=1.0=0", channels=(second, first)))

        assert sorted(names(outside)) == ["alpha 9.0", "beta 1.0"]
        assert names(inside) == ["beta 1.0", "alpha 1.0"]

    def test_pip_comes_along_where_there_is_one(self, solver: CondaSolver, root: Path) -> None:
        """A channel with pip gives it with Python, and the records say nothing that the channel does not."""
        found = solver.solve(asking("python", channels=(root / "second",)))

        assert names(found) == ["python 3.12.1", "pip 24.0"]
        assert found[0].depends == ()

    def test_a_channel_without_pip_for_a_python_gives_the_python_alone(self, solver: CondaSolver, root: Path) -> None:
        """A pip is wished for, and never the reason why nothing is found."""
        found = solver.solve(asking("python=3.10", channels=(root / "first", root / "second")))

        assert names(found) == ["python 3.10.2"]

    def test_another_platform_is_solved_from_here(self, solver: CondaSolver, root: Path) -> None:
        """Nothing of this machine enters a solution."""
        found = solver.solve(asking("gamma", channels=(root / "first",), arch="osx-arm64"))

        assert [(package.name, package.subdir) for package in found] == [("gamma", "osx-arm64")]

    def test_the_environment_of_the_process_does_not_count(
        self, solver: CondaSolver, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What a shell has set for conda changes no solution."""
        monkeypatch.setenv("CONDA_SUBDIR", "osx-arm64")
        monkeypatch.setenv("CONDA_OVERRIDE_GLIBC", "2.99")
        monkeypatch.setenv("CONDA_CHANNELS", str(root / "second"))

        assert names(solver.solve(asking("alpha", channels=(root / "first",)))) == ["beta 1.0", "alpha 2.0"]
        with pytest.raises(ResolveError):
            solver.solve(asking("needs-glibc", channels=(root / "first",)))

    def test_virtual_packages_are_those_of_the_target(self, solver: CondaSolver, root: Path, tmp_path: Path) -> None:
        """Those that conda has variables for, and any other."""
        more = make_more(
            tmp_path / "more", generic("needs-cuda", depends=("__cuda >=12",)), generic("odd", depends=("__odd >=7",))
        )
        given = {"glibc": VirtualPackage("__glibc", "2.99"), "cuda": VirtualPackage("__cuda", "12.4")}
        odd = VirtualPackage("__odd", "7.1")

        assert names(solver.solve(asking("needs-glibc", channels=(root / "first",), **given))) == ["needs-glibc 1.0"]
        assert names(solver.solve(asking("needs-cuda", channels=(more,), **given))) == ["needs-cuda 1.0"]
        assert names(solver.solve(asking("odd", channels=(more,), odd=odd))) == ["odd 1.0"]
        with pytest.raises(ResolveError):
            solver.solve(asking("needs-cuda", channels=(more,)))

    def test_pinned_packages_stay_as_they_are(
        self, solver: CondaSolver, root: Path, base: tuple[CondaPackage, ...]
    ) -> None:
        """Whatever channels come first or have newer ones, and though the pinned Python has no pip."""
        found = solver.solve(extending(base, "only-second", channels=(root / "second", root / "first")))

        assert {*base} < {*found}
        assert ["only-second"] == [package.name for package in found if package not in base]

    def test_a_pinned_package_needs_no_channel(
        self, solver: CondaSolver, base: tuple[CondaPackage, ...], tmp_path: Path
    ) -> None:
        """What has gone from every channel is kept too, and so is what a package of a channel needs of it."""
        channel = "https://gone.example/channel"
        url = f"{channel}/noarch/vanished-1.0-0.conda"
        beta = next(package for package in base if package.name == "beta")
        gone = dataclasses.replace(beta, name="vanished", filename="vanished-1.0-0.conda", channel=channel, url=url)
        newer = make_more(tmp_path / "newer", generic("more", depends=("vanished >=1", "alpha <2")))

        found = solver.solve(extending((*base, gone), "more", channels=(newer,)))

        assert {*base, gone} < {*found}
        assert len(found) == len(base) + 2

    def test_an_extension_that_cannot_be_says_so(
        self, solver: CondaSolver, root: Path, base: tuple[CondaPackage, ...]
    ) -> None:
        """The message says that packages are kept."""
        with pytest.raises(ResolveError) as caught:
            solver.solve(extending(base, "alpha >=2", channels=(root / "first",)))

        assert "the environment to extend are kept as they are" in caught.value.message

    def test_explanations_tell_what_the_channels_have(self, solver: CondaSolver, root: Path) -> None:
        """Unknown names, other platforms and other versions each get their sentence."""
        first = root / "first"

        def refusal(requirement: str) -> str:
            with pytest.raises(ResolveError) as caught:
                solver.solve(asking(requirement, channels=(first,)))
            assert caught.value.hint
            return caught.value.message

        assert f"no channel has a package named alpa (looked in '{first}'); names like it: alpha" in refusal("alpa")
        assert "gamma is there for 'osx-arm64' alone, not for linux-64" in refusal("gamma")
        assert "versions of alpha there: 1.0, 2.0" in refusal("alpha >=3")
        assert "__glibc" in refusal("needs-glibc")

    def test_a_channel_that_cannot_be_read_is_named(self, solver: CondaSolver, root: Path) -> None:
        """One that is not there, and one whose server is not."""
        with serve(root) as server:
            gone = f"{server.url}/nothing"
            with pytest.raises(SourceError, match=f"channel '{gone}' is not a conda channel"):
                solver.solve(asking("alpha", channels=(f"{server.url}/first", gone)))
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            closed = f"http://127.0.0.1:{taken.getsockname()[1]}/first"
            with pytest.raises(SourceError, match=f"channel '{closed}' cannot be reached"):
                solver.solve(asking("alpha", channels=(closed,)))

    def test_it_names_its_version(self, solver: CondaSolver) -> None:
        """What has solved is written into the environment."""
        assert all(name and version for name, version in solver.versions().items())
        assert solver.versions()
