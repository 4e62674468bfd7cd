"""From what a step asks for to a spec."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from metaflow_extensions.netflix_ext.engine.ask import Ask, ask_of
from metaflow_extensions.netflix_ext.engine.errors import InputError
from metaflow_extensions.netflix_ext.engine.options import PypiOptions
from metaflow_extensions.netflix_ext.engine.platform import VirtualPackage
from metaflow_extensions.netflix_ext.engine.request import Request, Surroundings, request_for
from metaflow_extensions.netflix_ext.engine.requirement import PypiRequirement

GLIBC, CUDA = VirtualPackage("__glibc", "2.17"), VirtualPackage("__cuda", "12.4")
AROUND = Surroundings(
    python="3.11.*",
    channels=("conda-forge",),
    needs={"requests": ">=2.21.0"},
    virtual={"linux-64": (GLIBC,)},
    gpu_virtual={"linux-64": (CUDA,)},
)


def request(name: str = "conda", *, arch: str = "linux-64", gpu: bool = False, **attributes: Any) -> Request:
    """Return the request of a step with one decorator."""
    return request_for(ask_of(name, attributes), AROUND, arch=arch, gpu=gpu)


def test_a_step_without_words_gets_an_environment() -> None:
    """Python of the launcher, Metaflow's own needs, the configured channel: all from conda."""
    made = request_for(Ask(), AROUND, arch="linux-64")

    assert made.arch == "linux-64"
    assert made.spec.python == "3.11.*"
    assert [str(item) for item in made.spec.conda] == ["requests >=2.21.0"]
    assert made.spec.channels == ("conda-forge",)
    assert (made.spec.pypi, made.spec.indexes) == ((), ())


def test_needs_go_where_the_packages_are() -> None:
    """A PyPI-only spec stays PyPI-only; in a mixed one Metaflow's needs come from conda."""
    only = request("pypi", packages={"a": "1"}).spec
    mixed = request("conda", packages={"b": "1"}, pip_packages={"a": "1"}).spec

    assert [str(item) for item in only.pypi] == ["a==1", "requests>=2.21.0"]
    assert only.kind == "pypi-only"
    assert [str(item) for item in mixed.conda] == ["b ==1", "requests >=2.21.0"]
    assert [str(item) for item in mixed.pypi] == ["a==1"]


def test_a_pin_of_the_user_stays_beside_the_need() -> None:
    """What the user asks of a package that Metaflow needs is added to the need, not replaced by it."""
    spec = request("conda", packages={"requests": "2.31"}).spec

    assert [str(item) for item in spec.conda] == ["requests ==2.31", "requests >=2.21.0"]


def test_sources_of_the_step_come_first() -> None:
    """Channels and indexes of the step precede the configured ones."""
    spec = request(
        "conda", channels=["mine", "conda-forge"], pip_packages={"a": "1"}, pip_sources=["https://x.example"]
    ).spec

    assert spec.channels == ("mine", "conda-forge")
    assert spec.indexes == ("https://x.example", "default")


def test_no_secret_enters_a_spec() -> None:
    """Credentials in channels, indexes, links and channels of packages change neither the spec nor its id."""

    def spec(user: str) -> Any:
        return request_for(
            ask_of(
                "conda",
                {
                    "packages": {f"https://{user}c.example/x::numpy": "1"},
                    "channels": [f"https://{user}a.example/ch"],
                    "pip_packages": {"p": f"@ https://{user}d.example/p.whl"},
                    "pip_sources": [f"https://{user}b.example/simple"],
                },
            ),
            Surroundings(python="3.11.*", channels=(f"https://{user}e.example",), index=f"https://{user}f.example"),
            arch="linux-64",
        ).spec

    assert spec("user:s3cret@") == spec("")
    assert spec("user:s3cret@").req_id == spec("other@").req_id
    assert "s3cret" not in json.dumps(spec("user:s3cret@").to_dict())


def test_virtual_packages_by_precedence() -> None:
    """``@sys_packages`` replaces what a GPU brings, which replaces what is configured for the platform."""
    asked = {"packages": {"__glibc": "2.35"}}

    assert request().spec.virtual == (GLIBC,)
    assert request(gpu=True).spec.virtual == (CUDA, GLIBC)
    assert request("sys_packages", **asked).spec.virtual == (VirtualPackage("__glibc", "2.35"),)
    assert request("sys_packages", packages={"__cuda": "11.8"}, gpu=True).spec.virtual == (
        VirtualPackage("__cuda", "11.8"),
        GLIBC,
    )
    assert request(arch="osx-64", gpu=True).spec.virtual == ()


def test_the_python_of_the_step_wins() -> None:
    """``python=`` replaces that of the launcher; any version means that of the launcher."""
    assert request(python="3.9").spec.python == "3.9.*"
    assert request(python="*").spec.python == "3.11.*"


NO_INDEX = PypiOptions(no_index=True)


@pytest.mark.parametrize(
    ("configured", "ask", "indexes", "no_index"),
    [
        (PypiOptions(), Ask(), ("https://c.example", "default"), False),
        (NO_INDEX, Ask(), (), True),
        (NO_INDEX, Ask(indexes=("https://own.example",)), ("https://own.example",), False),
        (PypiOptions(), Ask(options=NO_INDEX), (), True),
        (PypiOptions(), Ask(options=NO_INDEX, indexes=("https://own.example",)), (), True),
    ],
)
def test_who_may_be_asked(configured: PypiOptions, ask: Ask, indexes: tuple[str, ...], no_index: bool) -> None:
    """Settings that allow no index leave the step its own; a step that allows none has none."""
    around = replace(AROUND, indexes=("https://c.example",), options=configured)

    spec = request_for(replace(ask, pypi=(PypiRequirement("a"),)), around, arch="linux-64").spec

    assert (spec.indexes, spec.options.no_index) == (indexes, no_index)


def test_an_index_has_the_name_that_settings_give() -> None:
    """It is its URL in the spec; a name that is not known is refused, with those that are."""
    around = replace(AROUND, named={"ours": "https://u:p@ours.example/simple"})

    def indexes(**of: str) -> tuple[tuple[str, str], ...]:
        ask = ask_of("pypi", {"packages": {"a": ""}, "package_indices": of})
        return request_for(ask, around, arch="linux-64").spec.options.package_indexes

    assert indexes(a="ours", b="https://b.example") == (
        ("a", "https://ours.example/simple"),
        ("b", "https://b.example"),
    )
    with pytest.raises(InputError, match=r"'a' is to come from the index 'theirs'.*; known are ours\n"):
        indexes(a="theirs")
