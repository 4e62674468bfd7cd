"""Environments whose Python comes from uv, and from no channel."""

from __future__ import annotations

from pathlib import Path

import pytest

from metaflow_extensions.netflix_ext.adapters.prefixes import PrefixFolder
from metaflow_extensions.netflix_ext.engine.ask import Ask, ask_of
from metaflow_extensions.netflix_ext.engine.create import create
from metaflow_extensions.netflix_ext.engine.errors import InputError
from metaflow_extensions.netflix_ext.engine.events import Reporter
from metaflow_extensions.netflix_ext.engine.extend import extend
from metaflow_extensions.netflix_ext.engine.fetch import at_hand
from metaflow_extensions.netflix_ext.engine.layout import package_keys
from metaflow_extensions.netflix_ext.engine.outline import Outline
from metaflow_extensions.netflix_ext.engine.request import Request, Surroundings, request_for
from metaflow_extensions.netflix_ext.engine.resolve import Resolver, resolve
from metaflow_extensions.netflix_ext.engine.resolved import ResolvedEnvironment
from metaflow_extensions.netflix_ext.engine.spec import PYPI_ONLY, UV, UV_MANAGED, EnvSpec
from tests.fakes import (
    FakeArchives,
    FakeCondaSolver,
    FakeInstaller,
    FakePypiSolver,
    FakePythons,
    creator,
    interpreter,
    resolved,
    wheel,
)

AROUND = Surroundings(python="3.11.*", channels=("c",), needs={"requests": ">=2"}, interpreter=UV)


def request(name: str = "pypi", around: Surroundings = AROUND, **words: object) -> Request:
    return request_for(ask_of(name, words), around, arch="linux-64")


def test_what_asks_for_no_conda_package_has_its_python_from_uv() -> None:
    """It asks no channel, Metaflow's needs come from the index, and the spec says where Python comes from."""
    spec = request(packages={"a": ""}).spec
    assert (spec.interpreter, spec.kind, spec.channels) == (UV, PYPI_ONLY, ())
    assert [str(item) for item in spec.pypi] == ["a", "requests>=2"]
    nothing = request_for(Ask(), AROUND, arch="linux-64").spec
    assert (nothing.interpreter, [str(item) for item in nothing.pypi]) == (UV, ["requests>=2"])
    assert EnvSpec.from_dict(spec.to_dict(), "here") == spec


@pytest.mark.parametrize(
    "asked",
    [
        request("conda", packages={"a": ""}),
        request(conda_only={"a": ""}),
        request(around=Surroundings(python="3", channels=())),
    ],
)
def test_all_else_has_it_from_a_channel(asked: Request) -> None:
    """With a package of a channel, beside PyPI's too, and where nothing is set."""
    assert asked.spec.interpreter == ""
    assert "interpreter" not in asked.spec.to_dict()


def test_where_it_comes_from_is_a_part_of_the_spec() -> None:
    """Another setting is another id."""
    others = [Surroundings(python="3.11.*", channels=("c",), interpreter=word) for word in ("", UV, UV_MANAGED)]
    assert len({request(packages={"a": ""}, around=around).spec.req_id for around in others}) == 3


@pytest.mark.parametrize("managed", [False, True])
def test_it_is_resolved_without_channels(managed: bool) -> None:
    """The index is asked for that Python; no channel is; the document holds it and gives it back."""
    conda, pypi, pythons = FakeCondaSolver(), FakePypiSolver(), FakePythons(interpreter())
    solver = Resolver(conda=conda, pypi=pypi, author="me", now=lambda: "now", pypi_names=dict, pythons=pythons)
    around = Surroundings(python="3.11.*", channels=("c",), interpreter=UV_MANAGED if managed else UV)
    asked = request(packages={"a": ""}, around=around)

    found = resolve({asked: "it"}, solver, Reporter())[asked]

    assert (conda.asked, pythons.asked) == ([], [("3.11.*", "linux-64", managed)])
    assert pypi.asked[0].python == "3.11.9"
    assert (found.python_version, found.cache_tag, found.conda) == ("3.11.9", "cpython-311", ())
    assert "fake-conda" not in found.provenance
    again = ResolvedEnvironment.from_bytes(found.to_bytes(), "here")
    assert again.interpreter == found.interpreter == interpreter()
    outline = Outline.from_bytes(found.to_bytes(), found.env_id)
    assert outline is not None
    assert (outline.python, outline.kind) == ("3.11.9", PYPI_ONLY)


def test_its_bytes_are_a_part_of_the_id() -> None:
    """Another interpreter is another environment."""
    ids = {resolved(interpreter=item).env_id for item in (None, interpreter(), interpreter("3.11.8"))}
    assert len(ids) == 3


def test_a_build_is_a_file_among_others_and_an_installed_one_is_none() -> None:
    """It is cached and fetched as packages are, under a key of its own."""
    build, installed = interpreter(), interpreter(installed=True)
    assert resolved(pypi=[wheel("a")], interpreter=build).packages[-1] == build
    assert resolved(interpreter=installed).packages == ()
    assert package_keys(build, {}) == (
        f"packages/python/example.org/{build.filename}/{build.filename}/{build.sha256}/{build.filename}",
    )
    assert (build.fetchable, installed.fetchable) == (True, False)


def test_it_is_found_on_this_machine_first(tmp_path: Path) -> None:
    """Its file has the URL of this machine then."""
    build = interpreter()
    (tmp_path / build.filename).touch()
    archives = FakeArchives(at_hand={build.filename: tmp_path / build.filename})
    _, _, found = at_hand(resolved(interpreter=build), archives, lambda _: False, Reporter(), print)
    assert found is not None
    assert found.url == (tmp_path / build.filename).as_uri()


def test_it_takes_the_place_of_conda_packages(tmp_path: Path) -> None:
    """A prefix is made of it and of wheels; what links conda packages is not asked."""
    conda = FakeInstaller()
    parts = creator(PrefixFolder(tmp_path), conda=conda)
    build = interpreter()
    prefix = create(resolved(pypi=[wheel("a")], interpreter=build), parts, Reporter())
    assert (prefix.path / build.filename).read_text() == build.url
    assert conda.calls == 0


def test_only_an_index_extends_it() -> None:
    """Its Python stays; a package of a channel is refused by name."""
    base = resolved(interpreter=interpreter(), pypi=[wheel("requests", "2.9")])
    found = extend(base, ask_of("pypi", {"packages": {"a": ""}}), AROUND, {})
    assert found is not None
    assert found.extension is not None
    assert [str(item) for item in found.extension.pypi] == ["a"]
    with pytest.raises(InputError, match="z is asked for from a channel"):
        extend(base, ask_of("conda", {"packages": {"z": ""}}), AROUND, {})
