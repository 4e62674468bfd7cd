"""Specs to resolved environments, with canned solvers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from metaflow_extensions.netflix_ext.engine.ask import Ask, ask_of
from metaflow_extensions.netflix_ext.engine.errors import InputError, ResolveError, SourceError
from metaflow_extensions.netflix_ext.engine.events import Reporter
from metaflow_extensions.netflix_ext.engine.options import HashedRequirement, PypiOptions
from metaflow_extensions.netflix_ext.engine.package import CondaPackage
from metaflow_extensions.netflix_ext.engine.ports import CondaRequest
from metaflow_extensions.netflix_ext.engine.request import Extension, Request, Surroundings, request_for
from metaflow_extensions.netflix_ext.engine.requirement import CondaRequirement, PypiRequirement
from metaflow_extensions.netflix_ext.engine.resolve import Resolver, resolve
from metaflow_extensions.netflix_ext.engine.resolved import ResolvedEnvironment
from tests.fakes import PYTHON, FakeCondaSolver, FakePypiSolver, Recorder, conda_package, resolved, wheel

NUMPY = conda_package("numpy", "1.26.4", depends=("python >=3.11",))
INDEX = {"python": PYTHON, "numpy": NUMPY, "zlib": conda_package("zlib")}


def request(name: str = "conda", arch: str = "linux-64", **words: object) -> Request:
    return request_for(ask_of(name, words), Surroundings(python="3.11.*", channels=("c",)), arch=arch)


def resolver(conda: FakeCondaSolver, pypi: FakePypiSolver) -> Resolver:
    return Resolver(
        conda=conda,
        pypi=pypi,
        author="me",
        now=lambda: "2024-01-01T00:00:00+00:00",
        pypi_names=lambda: {"torch": "tor"},
    )


def test_conda_alone_asks_no_index() -> None:
    """A spec of conda packages is solved from its channels for its platform; nobody asks an index."""
    conda, pypi = FakeCondaSolver(INDEX), FakePypiSolver()
    asked = request(packages={"numpy": ">=1"})

    found = resolve({asked: "step start"}, resolver(conda, pypi), Reporter())[asked]

    assert found.conda == (NUMPY, PYTHON)
    assert found.env_id.req_id == asked.spec.req_id
    assert dict(found.provenance) == {"by": "me", "on": "2024-01-01T00:00:00+00:00", "fake-conda": "1"}
    assert [str(item) for item in conda.asked[0].requirements] == ["python 3.11.*", "numpy >=1"]
    assert (conda.asked[0].channels, conda.asked[0].arch) == (("c",), "linux-64")
    assert "__glibc=2.28=0" in found.virtual
    assert pypi.asked == []


def test_mixed_tells_pypi_what_conda_brings() -> None:
    """Conda is solved first; the index is asked for the rest, for conda's Python, and told what is there already."""
    conda, pypi = FakeCondaSolver(INDEX), FakePypiSolver()
    asked = request(packages={"numpy": "1.26"}, pip_packages={"a": "1", "numpy": ">=1"})

    found = resolve({asked: "step start"}, resolver(conda, pypi), Reporter())[asked]

    assert pypi.asked[0].provided == (("numpy", "1.26.4"),)
    assert (pypi.asked[0].python, pypi.asked[0].indexes) == ("3.11.7", ("default",))
    assert [package.name for package in found.pypi] == ["a"]
    assert found.provenance["fake-pypi"] == "2"


def test_all_are_resolved_at_once_for_their_platforms() -> None:
    """Every request has its answer, for its own platform."""
    requests = {request(arch=arch, packages={"numpy": ""}): arch for arch in ("linux-64", "osx-arm64")}

    found = resolve(requests, resolver(FakeCondaSolver(INDEX), FakePypiSolver()), Reporter())

    assert {asked: environment.env_id.arch for asked, environment in found.items()} == {
        asked: asked.arch for asked in requests
    }
    assert resolve({}, resolver(FakeCondaSolver(INDEX), FakePypiSolver()), Reporter()) == {}


def test_a_failure_names_steps_and_platform() -> None:
    """What cannot be resolved says for whom and where, keeps its hint and class, and is reported; the rest goes on."""
    bad, good = request(packages={"nothing": ""}), request(packages={"numpy": ""})
    conda, report = FakeCondaSolver(INDEX), Recorder()

    with pytest.raises(ResolveError) as caught:
        resolve({bad: "steps start, end", good: "step middle"}, resolver(conda, FakePypiSolver()), report)

    assert caught.value.message == "steps start, end, for linux-64: nothing provides nothing"
    assert caught.value.hint == "ask for something else"
    assert ("Resolving steps start, end for linux-64", "failed") in report.tasks
    assert ("Resolving step middle for linux-64", "2 conda, 0 PyPI packages") in report.tasks


def test_errors_of_the_index_keep_their_class() -> None:
    """An unreachable index is a SourceError still, once the step is named."""
    pypi = FakePypiSolver(error=SourceError("gone", "try later"))
    asked = request("pypi", packages={"a": "1"})

    with pytest.raises(SourceError, match="step s, for linux-64: gone"):
        resolve({asked: "step s"}, resolver(FakeCondaSolver(INDEX), pypi), Reporter())


@pytest.mark.parametrize(("kind", "told"), [("pypi", True), ("conda", False)])
def test_who_needs_only_python_of_a_channel_is_told_of_the_other_way(kind: str, told: bool) -> None:
    """Without a channel in reach, PyPI packages alone can do with uv's Python."""
    asked = request(kind, packages={"a": "1"})
    conda = FakeCondaSolver(INDEX, error=SourceError("gone", "try later"))

    with pytest.raises(SourceError) as caught:
        resolve({asked: "step s"}, resolver(conda, FakePypiSolver()), Reporter())

    assert caught.value.hint.startswith("try later")
    assert ("METAFLOW_CONDA_PYPI_PYTHON=uv" in caught.value.hint) == told


def test_an_answer_without_python_is_refused() -> None:
    """Channels that give no Python cannot run a step."""
    asked = request()
    without = FakeCondaSolver({"python": conda_package("pypy")})

    with pytest.raises(ResolveError, match="no Python"):
        resolve({asked: "step s"}, resolver(without, FakePypiSolver()), Reporter())


def files(pypi: str, *, extends: ResolvedEnvironment | None = None, **words: Any) -> Request:
    """Return a request for *pypi* with options as a file says them, or the same on top of an environment."""
    asked = tuple(PypiRequirement.parse(text) for text in pypi.split())
    whole = request_for(Ask(pypi=asked, **words), Surroundings(python="3.11.*", channels=("c",)), arch="linux-64")
    return whole if extends is None else replace(whole, extension=Extension(base=extends))


def hashed(*hashes: str) -> PypiOptions:
    return PypiOptions(hashed=(HashedRequirement(PypiRequirement("numpy"), hashes),))


HELLO = conda_package("hello")


def test_conda_packages_beside_pypi_s_come_along() -> None:
    """Those that bring no Python are solved with it, and the index is asked for the rest."""
    conda, pypi = FakeCondaSolver({**INDEX, "hello": HELLO}), FakePypiSolver()
    asked = files("a", conda_only=(CondaRequirement("hello"),))

    found = resolve({asked: "step s"}, resolver(conda, pypi), Reporter())[asked]

    assert (PYTHON, HELLO) == (next(p for p in found.conda if p.name == "python"), found.conda[0])
    assert ["a"] == [package.name for package in found.pypi]
    assert "pypi-only" == asked.spec.kind


def test_a_conda_package_that_brings_python_cannot_stand_beside_pypi_s() -> None:
    """It is told by name, and the others are not blamed."""

    class Bringing(FakeCondaSolver):
        """Lets `numpy` bring Python."""

        def solve(self, request: CondaRequest) -> tuple[CondaPackage, ...]:
            found = super().solve(request)
            return (*found, PYTHON) if NUMPY in found else found

    conda = Bringing({**INDEX, "hello": HELLO})
    asked = files("a", conda_only=(CondaRequirement("hello"), CondaRequirement("numpy")))

    with pytest.raises(InputError, match="step s, for linux-64: 'numpy' needs conda's Python") as caught:
        resolve({asked: "step s"}, resolver(conda, FakePypiSolver()), Reporter())

    assert "'hello'" not in str(caught.value)
    assert "ask for 'numpy' by @conda" in caught.value.hint


def test_options_reach_the_index() -> None:
    """What a file says of how wheels are picked is asked of the solver of wheels."""
    options = PypiOptions(pre=True, constraints=(PypiRequirement("numpy", specifier="<3"),))
    asked, pypi = files("a", options=options), FakePypiSolver()

    resolve({asked: "step s"}, resolver(FakeCondaSolver(INDEX), pypi), Reporter())

    assert options == pypi.asked[0].options


@pytest.mark.parametrize("extending", [False, True])
def test_a_constraint_holds_for_what_is_there_already(extending: bool) -> None:
    """What conda or a base has put there is installed too, though nobody asks the index for it."""
    options = PypiOptions(constraints=(PypiRequirement("numpy", specifier="<1"),))
    asked = files("" if extending else "a", options=options, extends=resolved(NUMPY) if extending else None)
    asked = asked if extending else replace(asked, spec=replace(asked.spec, conda=(CondaRequirement("numpy"),)))

    with pytest.raises(ResolveError, match=r"the constraint 'numpy<1' is not met by numpy 1\.26\.4"):
        resolve({asked: "step s"}, resolver(FakeCondaSolver(INDEX), FakePypiSolver()), Reporter())


@pytest.mark.parametrize(
    "constraint",
    [
        PypiRequirement("numpy", specifier=">=1"),
        PypiRequirement("numpy", specifier="<1", marker="python_version < '3'"),
        PypiRequirement("other", specifier="<1"),
    ],
    ids=str,
)
def test_a_constraint_that_says_nothing_of_it_is_no_obstacle(constraint: PypiRequirement) -> None:
    """One that is met, one for another Python, and one for what is not there."""
    asked = files("", options=PypiOptions(constraints=(constraint,)), extends=resolved(NUMPY))

    found = resolve({asked: "step s"}, resolver(FakeCondaSolver(INDEX), FakePypiSolver()), Reporter())

    assert resolved(NUMPY) == found[asked]


def test_conda_does_not_stand_in_for_a_file_with_a_hash() -> None:
    """A hash is never dropped in silence because conda has the package."""
    asked = files("numpy", options=hashed("sha256:00"))
    asked = replace(asked, spec=replace(asked.spec, conda=(CondaRequirement("numpy"),)))

    with pytest.raises(ResolveError, match=r"'numpy' is asked for with the hashes .* conda supplies 1\.26\.4"):
        resolve({asked: "step s"}, resolver(FakeCondaSolver(INDEX), FakePypiSolver()), Reporter())


def test_a_wheel_of_the_base_is_held_to_the_hashes_that_are_given() -> None:
    """The right hash is accepted, and so is what the base was held to; another is refused with both."""
    held = PypiOptions.to_dict(hashed("sha512:11"))
    base = resolved(pypi=[wheel("numpy")])
    again = replace(base, spec={**base.spec, "options": held})
    parts = resolver(FakeCondaSolver(INDEX), FakePypiSolver())

    for asked in (
        files("", options=hashed(f"sha256:{wheel('numpy').sha256}"), extends=base),
        files("", options=hashed("sha512:11"), extends=again),
    ):
        assert resolve({asked: "step s"}, parts, Reporter())[asked].pypi == base.pypi
    refused = files("", options=hashed("sha256:00"), extends=base)
    with pytest.raises(ResolveError, match=r"numpy-1\.0-py3.* expected sha256:00, found sha256:6e756d"):
        resolve({refused: "step s"}, parts, Reporter())
