"""Environments on top of others: what is asked, what is met already, and what cannot be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from metaflow_extensions.netflix_ext.engine.ask import Ask, ask_of, combine
from metaflow_extensions.netflix_ext.engine.errors import InputError, StoreError
from metaflow_extensions.netflix_ext.engine.events import Reporter
from metaflow_extensions.netflix_ext.engine.extend import clone, extend
from metaflow_extensions.netflix_ext.engine.platform import VirtualPackage
from metaflow_extensions.netflix_ext.engine.request import Request, Surroundings, request_for
from metaflow_extensions.netflix_ext.engine.resolve import Resolver, resolve
from metaflow_extensions.netflix_ext.engine.resolved import ResolvedEnvironment
from tests.fakes import PYTHON, FakeCondaSolver, FakePypiSolver, conda_package, wheel

THREADED = replace(PYTHON, version="3.13.2", build="h_0_cp313t")
NUMPY = conda_package("numpy", "1.26.4", depends=("python >=3.11",))
REQUESTS = conda_package("requests", "2.31.0", noarch="python")
ZLIB = conda_package("zlib", "1.3")
AROUND = Surroundings(python="3.12.*", channels=("configured",), needs={"requests": ">=2.21.0"})
NAMES = {"torch": "tor"}


def base(spec: Mapping[str, object] | None = None, **facts: object) -> ResolvedEnvironment:
    """Return a conda-only environment with numpy and requests."""
    found = ResolvedEnvironment.make(
        req_id="a" * 40,
        arch="linux-64",
        spec=spec or {"python": "3.11.*", "conda": ["numpy", "requests >=2.21.0"], "channels": ["own"]},
        virtual=("__glibc=2.28=0", "__unix=0=0"),
        conda=(PYTHON, NUMPY, REQUESTS),
        pypi=(),
        provenance={},
    )
    return replace(found, **facts)  # type: ignore[arg-type]


def pypi_base() -> ResolvedEnvironment:
    """Return a PyPI-only environment with click and requests."""
    spec = {"python": "3.11.*", "pypi": ["click", "requests>=2.21.0"], "indexes": ["https://own.example/simple"]}
    return base(spec, conda=(PYTHON,), pypi=(wheel("click", "8.1.7"), wheel("requests", "2.31.0")))


def asks(*decorators: tuple[str, Mapping[str, object]]) -> Ask:
    return combine(ask_of(name, words) for name, words in decorators)


def conda(**packages: str) -> Ask:
    return ask_of("conda", {"packages": packages})


def pypi(**packages: str) -> Ask:
    return ask_of("pypi", {"packages": packages})


def added(request: Request | None) -> tuple[list[str], list[str]]:
    """Return what an extension asks for on top of its base: conda's and PyPI's."""
    assert request is not None
    assert request.extension is not None
    return [str(item) for item in request.extension.conda], [str(item) for item in request.extension.pypi]


@pytest.mark.parametrize(
    "ask",
    [
        Ask(),
        conda(numpy=""),
        conda(numpy=">=1.26,<2"),
        conda(numpy="1.26.*"),
        pypi(numpy="~=1.26.0"),
        ask_of("conda", {"packages": {"channel::numpy": ""}}),
        ask_of("conda", {"python": "3.11"}),
        ask_of("conda", {"python": ">=3.9,<3.12"}),
        ask_of("conda", {"python": "~=3.11.0"}),
        ask_of("conda", {"python": "3.10|3.11"}),
        ask_of("sys_packages", {"packages": {"__glibc": "2.28"}}),
        ask_of("conda", {"channels": ["another"]}),
    ],
)
def test_what_is_met_asks_for_nothing(ask: Ask) -> None:
    """Packages, a Python and virtual packages that the base has make no request: it is used as it is."""
    assert extend(base(), ask, AROUND, NAMES) is None


@pytest.mark.parametrize(
    ("ask", "conda_added", "pypi_added"),
    [
        (conda(zlib=""), ["zlib"], []),
        (conda(numpy=">=2"), ["numpy >=2"], []),
        (conda(numpy="1.26.4=py311*"), ["numpy ==1.26.4 py311*"], []),
        (conda(numpy="~=1.26"), ["numpy ~=1.26"], []),
        (ask_of("conda", {"packages": {"another::numpy": ""}}), ["another::numpy"], []),
        (pypi(click=">=8"), [], ["click>=8"]),
        (ask_of("pypi", {"packages": {"numpy[extra]": ""}}), [], ["numpy[extra]"]),
        (ask_of("pypi", {"packages": {"numpy": ">=1; python_version > '3'"}}), [], ['numpy>=1 ; python_version > "3"']),
        (ask_of("pypi", {"packages": {"click": ""}, "conda_only": {"zlib": ""}}), ["zlib"], ["click"]),
    ],
)
def test_what_is_not_met_is_asked_for(ask: Ask, conda_added: list[str], pypi_added: list[str]) -> None:
    """Only what the base does not plainly have is asked for, on the side on which it was asked."""
    assert added(extend(base(), ask, AROUND, NAMES)) == (conda_added, pypi_added)


def test_needs_of_metaflow_are_added_where_the_base_lacks_them() -> None:
    """They go to the side that the base stands on; a base that has them under any guise needs nothing."""
    around = replace(AROUND, needs={"requests": ">=2.21.0", "boto3": ">=1.14.0"})
    bare = base(conda=(PYTHON, replace(REQUESTS, noarch="")))

    assert added(extend(base(), Ask(), around, NAMES)) == (["boto3 >=1.14.0"], [])
    assert added(extend(pypi_base(), Ask(), around, NAMES)) == ([], ["boto3>=1.14.0"])
    assert added(extend(pypi_base(), conda(zlib=""), around, NAMES)) == (["zlib", "boto3 >=1.14.0"], [])
    only = ask_of("pypi", {"conda_only": {"zlib": ""}})
    assert added(extend(pypi_base(), only, around, NAMES)) == (["zlib"], ["boto3>=1.14.0"])
    # Of an environment of 1.x it is not known what its packages need, and so which are Python's.
    assert extend(bare, Ask(), AROUND, NAMES) is None


def test_the_spec_says_all() -> None:
    """The spec of an extension holds the requirements of both; the sources of the base go before configured ones."""
    ask = asks(
        ("conda", {"packages": {"zlib": ""}, "channels": ["mine"]}),
        ("pypi", {"packages": {"click": ""}, "extra_indices": ["https://mine.example/simple"]}),
    )
    request = extend(pypi_base(), ask, AROUND, NAMES)
    assert request is not None
    spec = request.spec

    assert request.arch == "linux-64"
    assert spec.base == pypi_base().env_id.full_id
    assert [str(item) for item in spec.conda] == ["zlib"]
    assert [str(item) for item in spec.pypi] == ["click", "requests>=2.21.0"]
    assert spec.channels == ("mine", "configured")
    assert spec.indexes == ("https://mine.example/simple", "https://own.example/simple", "default")
    assert spec.python == "3.11.*"
    named = extend(base(), conda(zlib=""), AROUND, NAMES)
    assert named is not None
    assert (named.spec.channels, named.spec.indexes) == (("own", "configured"), ())
    on_top = extend(base(), pypi(click=""), AROUND, NAMES)
    assert on_top is not None
    assert on_top.spec.indexes == ("default",)


def test_an_id_of_its_own() -> None:
    """Another base, or another requirement, is another spec; the same is the same, in whatever order it was said."""
    one = extend(base(), conda(zlib="", openssl=""), AROUND, NAMES)
    same = extend(base(), conda(openssl="", zlib=""), AROUND, NAMES)
    other = extend(base(conda=(PYTHON, NUMPY, REQUESTS, ZLIB)), conda(openssl=""), AROUND, NAMES)
    alone = request_for(conda(zlib="", openssl=""), AROUND, arch="linux-64")

    assert one is not None
    assert same is not None
    assert other is not None
    assert one.spec.req_id == same.spec.req_id
    assert len({one.spec.req_id, other.spec.req_id, alone.spec.req_id}) == 3


def test_credentials_stay_outside() -> None:
    """Neither the spec nor what is asked of solvers holds a password, and a link is the same with and without."""
    link = "https://files.example/click-8.1.7-py3-none-any.whl"
    ask = asks(
        (
            "conda",
            {"packages": {"https://me:secret@conda.example/c::zlib": ""}, "channels": ["https://me:secret@c.example"]},
        ),
        ("pypi", {"packages": {f"click @ {link.replace('//', '//me:secret@')}": ""}}),
    )
    request = extend(base(pypi=(replace(wheel("click", "8.1.7"), url=link),)), ask, AROUND, NAMES)

    assert "secret" not in repr(request)
    assert added(request) == (["https://conda.example/c::zlib"], [])


def test_conda_only_is_told_apart_with_credentials_too() -> None:
    """Packages that stand beside PyPI's are in their own place of the spec, not among conda's."""
    ask = ask_of("pypi", {"packages": {"click": ""}, "conda_only": {"https://me:pw@conda.example/c::zlib": ""}})
    request = extend(pypi_base(), ask, AROUND, NAMES)

    assert request is not None
    assert (request.spec.conda, [item.name for item in request.spec.conda_only]) == ((), ["zlib"])
    assert request.spec.kind == "pypi-only"


@pytest.mark.parametrize("python", ["3.12", "3.11.8", ">=3.12", "<3.11", "~=3.10.0", "!=3.11.*"])
def test_another_python_is_refused(python: str) -> None:
    """The Python of the base stays what it is: another one is an error that names both."""
    with pytest.raises(InputError, match=r"is asked for, and the environment to extend has 3\.11\.7"):
        extend(base(), ask_of("conda", {"python": python}), AROUND, NAMES)


def test_virtual_packages() -> None:
    """What a base was resolved for holds for its extension; more may be said, less may not."""
    more = extend(base(), ask_of("sys_packages", {"packages": {"__cuda": "12.4", "__glibc": "2.31"}}), AROUND, NAMES)

    assert more is not None
    assert {str(package) for package in more.spec.virtual} == {"__cuda=12.4=0", "__glibc=2.31=0", "__unix=0=0"}
    with pytest.raises(InputError, match=r"__glibc 2\.17 is asked for.*resolved for 2\.28"):
        extend(base(), ask_of("sys_packages", {"packages": {"__glibc": "2.17"}}), AROUND, NAMES)


def test_settings_of_the_machine_do_not_enter() -> None:
    """Virtual packages that are configured here are for what is resolved from scratch; a GPU is asked for."""
    configured = replace(
        AROUND,
        virtual={"linux-64": (VirtualPackage("__glibc", "2.40"),)},
        gpu_virtual={"linux-64": (VirtualPackage("__cuda", "12.4"),)},
    )
    plain = extend(base(), conda(zlib=""), configured, NAMES)
    gpu = extend(base(), conda(zlib=""), configured, NAMES, gpu=True)

    assert plain is not None
    assert gpu is not None
    assert {str(package) for package in plain.spec.virtual} == {"__glibc=2.28=0", "__unix=0=0"}
    assert {str(package) for package in gpu.spec.virtual} == {"__cuda=12.4=0", "__glibc=2.28=0", "__unix=0=0"}


def test_a_spec_that_cannot_be_read_is_no_hindrance_until_it_is_needed() -> None:
    """Of an environment with half a spec, as 1.x may have left it, what is met is met; no more can be asked."""
    half = base({"conda": ["numpy"]})

    assert extend(half, conda(numpy=""), AROUND, NAMES) is None
    with pytest.raises(StoreError, match="what was asked for cannot be read"):
        extend(half, conda(zlib=""), AROUND, NAMES)


def test_versions_that_pypi_cannot_have() -> None:
    """A conda package whose version is none of PyPI's meets a requirement without a version, and no other."""
    odd = base(conda=(PYTHON, REQUESTS, conda_package("odd", "2024_x1", noarch="python")))

    assert extend(odd, pypi(odd=""), AROUND, NAMES) is None
    assert added(extend(odd, pypi(odd=">=1"), AROUND, NAMES)) == ([], ["odd>=1"])


def solved(request: Request, conda_solver: FakeCondaSolver, pypi_solver: FakePypiSolver) -> ResolvedEnvironment:
    resolver = Resolver(conda=conda_solver, pypi=pypi_solver, author="me", now=lambda: "now", pypi_names=lambda: NAMES)
    return resolve({request: "step start"}, resolver, Reporter())[request]


def test_packages_of_the_base_come_back_as_they_are() -> None:
    """Whatever the channel has by now, the base's packages are those of the base; only the new one is new."""
    newer = {"numpy": conda_package("numpy", "2.0"), "requests": conda_package("requests", "3.0")}
    solver = FakeCondaSolver({"python": conda_package("python", "3.11.9"), "zlib": ZLIB, **newer})
    request = extend(base(), conda(zlib=""), AROUND, NAMES)
    assert request is not None

    found = solved(request, solver, FakePypiSolver())

    assert set(found.conda) == {PYTHON, NUMPY, REQUESTS, ZLIB}
    assert set(solver.asked[0].pinned) == {PYTHON, NUMPY, REQUESTS}
    assert found.provenance["extends"] == ":".join(base().env_id[:2])
    assert found.env_id.req_id == request.spec.req_id


def test_wheels_on_top_ask_no_channel() -> None:
    """PyPI packages on top of a base leave conda alone, and know what conda and the base have brought."""
    solver, index = FakeCondaSolver({}), FakePypiSolver()
    request = extend(base(), pypi(click=">=8"), AROUND, NAMES)
    assert request is not None

    found = solved(request, solver, index)

    assert solver.asked == []
    assert index.asked[0].provided == (("numpy", "1.26.4"), ("requests", "2.31.0"))
    assert ([item.name for item in found.pypi], found.conda) == (["click"], base().conda)


def test_what_adds_nothing_is_the_base() -> None:
    """Where a solver finds that nothing is to be added, the base itself is the answer."""
    request = extend(pypi_base(), ask_of("pypi", {"packages": {"click[extra]": ""}}), AROUND, NAMES)
    assert request is not None

    found = solved(request, FakeCondaSolver({}), FakePypiSolver())

    assert found == pypi_base()


def test_clone_takes_requirements() -> None:
    """A clone asks for the same on another platform, without what only the first one can have."""
    virtual = ["__archspec=1=x86_64", "__cuda=12.4=0", "__glibc=2.31=0"]
    spec = {"python": "3.11.*", "conda": ["numpy"], "channels": ["own"], "virtual": virtual, "base": "b" * 40}

    there, mac = clone(base(spec), arch="linux-aarch64"), clone(base(spec), arch="osx-arm64")

    assert (there.arch, there.extension, there.spec.base) == ("linux-aarch64", None, "")
    assert [str(package) for package in there.spec.virtual] == ["__cuda=12.4=0", "__glibc=2.31=0"]
    assert [str(package) for package in mac.spec.virtual] == ["__cuda=12.4=0"]
    assert [str(item) for item in there.spec.conda] == ["numpy"]


@pytest.mark.parametrize(("python", "fits"), [("3.13t", True), ("3.13", True), ("3.12t", False), ("3.13.1t", False)])
def test_a_python_without_a_global_lock_is_told_from_another(python: str, fits: bool) -> None:
    """It is what is asked for by a ``t`` and without one; the usual build is not what a ``t`` asks for."""
    free = base({"python": "3.13.*t", "conda": ["numpy"], "channels": ["own"]}, conda=(THREADED, NUMPY, REQUESTS))
    usual = replace(free, conda=(replace(THREADED, build="h_0_cp313"), NUMPY, REQUESTS))
    words = {"python": python, "packages": {"zlib": ""}}
    if fits:
        assert extend(free, ask_of("conda", words), AROUND, NAMES) is not None
    else:
        with pytest.raises(InputError, match="is asked for, and the environment to extend has"):
            extend(free, ask_of("conda", words), AROUND, NAMES)
    if python.endswith("t"):
        with pytest.raises(InputError, match="is asked for, and the environment to extend has"):
            extend(usual, ask_of("conda", words), AROUND, NAMES)
