"""Specs to resolved environments, with canned solvers."""

from __future__ import annotations

import pytest

from metaflow_extensions.netflix_ext.engine.ask import ask_of
from metaflow_extensions.netflix_ext.engine.errors import ResolveError, SourceError
from metaflow_extensions.netflix_ext.engine.events import Reporter
from metaflow_extensions.netflix_ext.engine.request import Request, Surroundings, request_for
from metaflow_extensions.netflix_ext.engine.resolve import Resolver, distributions, resolve
from tests.fakes import PYTHON, FakeCondaSolver, FakePypiSolver, Recorder, conda_package

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


def test_an_answer_without_python_is_refused() -> None:
    """Channels that give no Python cannot run a step."""
    asked = request()
    without = FakeCondaSolver({"python": conda_package("pypy")})

    with pytest.raises(ResolveError, match="no Python"):
        resolve({asked: "step s"}, resolver(without, FakePypiSolver()), Reporter())


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"name": "zlib"}, ()),
        ({"name": "Torch_X", "noarch": "python"}, (("torch-x", "1.0"),)),
        ({"name": "torch", "depends": ("python >=3.11",)}, (("tor", "1.0"),)),
        ({"name": "x", "depends": ("pythonic", "")}, ()),
        (
            {"name": "x", "purls": ("pkg:pypi/Real_Name@2.0?a=b", "pkg:pypi/two")},
            (("real-name", "2.0"), ("two", "1.0")),
        ),
        ({"name": "x", "purls": ("pkg:github/a/b",)}, ()),
        ({"name": "python", "depends": ("python >=3.11",)}, ()),
        ({"name": "python_abi", "depends": ("python 3.11.*",)}, ()),
    ],
)
def test_distributions_of_a_conda_package(facts: dict[str, object], expected: tuple[tuple[str, str], ...]) -> None:
    """``purls`` say which distributions a package holds; else one that needs Python is taken to be its namesake."""
    assert distributions(conda_package(**facts), {"torch": "tor"}) == expected  # type: ignore[arg-type]
