"""Files as data: `tests/cases/files/<format>/<case>/`; and what contradicts itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from metaflow_extensions.netflix_ext.engine.ask import Ask
from metaflow_extensions.netflix_ext.engine.asked_file import AskedFile, FileContext, join, read_conda, read_virtual
from metaflow_extensions.netflix_ext.engine.environment_yml import load_environment
from metaflow_extensions.netflix_ext.engine.errors import InputError
from metaflow_extensions.netflix_ext.engine.options import PypiOptions
from metaflow_extensions.netflix_ext.engine.place import FaultsError, FileError, Line, Place
from metaflow_extensions.netflix_ext.engine.pyproject_toml import Wanted, load_pyproject
from metaflow_extensions.netflix_ext.engine.requirement import CondaRequirement, PypiRequirement
from metaflow_extensions.netflix_ext.engine.requirements_txt import load_requirements

FILES = Path(__file__).parents[2] / "cases" / "files"
# Not by its own name: ruff would take every pyproject.toml below tests for settings of ours.
ON_DISK = {"pyproject.toml": "project.toml"}
CASES = sorted(path.parent for path in FILES.glob("*/*/case.json"))
PLACE = Place(file="f", line=3, column=1, text="abc def")


def read(folder: Path, case: dict[str, Any]) -> AskedFile:
    """Return what the file of *case* asks for."""
    context = FileContext(
        read=lambda name: (folder / ON_DISK.get(name, name)).read_bytes(),
        folder="/project",
        variables=case.get("variables", {}),
    )
    if folder.parent.name == "requirements":
        return load_requirements("requirements.txt", context)
    if folder.parent.name == "environment":
        return load_environment("environment.yml", arch=case.get("arch", "linux-64"), context=context)
    wanted = Wanted(extras=tuple(case.get("extras", ())), groups=tuple(case.get("groups", ())))
    return load_pyproject("pyproject.toml", wanted=wanted, context=context)


def plain(asked: AskedFile) -> dict[str, Any]:
    """Return what *asked* holds in JSON's types, without what is empty."""
    found: dict[str, Any] = {
        name: [str(item) for item in getattr(asked.ask, name)]
        for name in ("conda", "conda_only", "pypi", "virtual", "channels", "indexes")
    }
    found |= asked.ask.options.to_dict()
    found |= {"hashed": {str(item.requirement): list(item.hashes) for item in asked.ask.options.hashed}}
    found |= {"python": asked.ask.python, "index": asked.index, "platforms": list(asked.platforms)}
    found |= {"no_default_channels": asked.no_default_channels}
    return {name: value for name, value in found.items() if value}


@pytest.mark.parametrize("folder", CASES, ids=lambda folder: f"{folder.parent.name}-{folder.name}")
def test_a_file(folder: Path) -> None:
    """The file of the case asks for what the case expects, or is refused in the words of the case."""
    case = json.loads((folder / "case.json").read_text("utf-8"))
    assert case["why"].endswith(".")

    if "error" in case:
        with pytest.raises(InputError) as caught:
            read(folder, case)
        assert case["error"] == caught.value.message.splitlines()
        assert case["hint"] == caught.value.hint.splitlines()
        assert caught.value.hint
    else:
        assert case["expected"] == plain(read(folder, case))


def test_there_are_cases_of_each_format() -> None:
    """The folder of cases is found, and each format has its part of it."""
    assert {"environment", "pyproject", "requirements"} == {folder.parent.name for folder in CASES}
    assert len(CASES) > 120


def test_contradictions_are_told_together_at_the_second_place() -> None:
    """Each value that differs from the first is an error of its own; the same value twice is none."""
    told = ["3.10.*", "3.11.*", "3.10.*", "3.12.*"]
    parts = [(Place(file="f", line=line), AskedFile(ask=Ask(python=text))) for line, text in enumerate(told, 1)]

    with pytest.raises(FaultsError) as caught:
        join(parts)
    assert [2, 4] == [error.place.line for error in caught.value.errors]
    assert "3.10.* and 3.11.* (first at f:1:1)" in caught.value.message
    assert "say python once" == caught.value.hint


def test_parts_add_up_in_order_without_doubles() -> None:
    """Lists keep their order, what stands twice is kept once, flags hold where one part says them."""
    zlib, attrs = CondaRequirement("zlib"), PypiRequirement("attrs")
    first, second = PypiOptions(constraints=(attrs,), pre=True), PypiOptions(constraints=(attrs,), no_index=True)
    one = AskedFile(ask=Ask(channels=("a", "b"), conda_only=(zlib,), options=first), platforms=("osx-64",))
    two = AskedFile(ask=Ask(channels=("c", "a"), conda_only=(zlib,), options=second), index="https://i.example")

    joined = join([(PLACE, one), (PLACE, two)])

    assert ("a", "b", "c") == joined.ask.channels
    assert ((zlib,), ("osx-64",), "https://i.example") == (joined.ask.conda_only, joined.platforms, joined.index)
    assert PypiOptions(constraints=(attrs,), pre=True, no_index=True) == joined.ask.options
    assert not joined.no_default_channels


def test_urls_are_all_that_may_hold_credentials() -> None:
    """Every field that can name a source is listed, as it was written."""
    asked = AskedFile(
        ask=Ask(
            indexes=("https://u:p@a.example",),
            conda_only=(CondaRequirement("e", channel="https://u:p@e.example"),),
            options=PypiOptions(
                find_links=("https://u:p@c.example",),
                constraints=(PypiRequirement("d", url="https://u:p@d.example/d.whl"), PypiRequirement("x")),
            ),
        ),
        index="https://u:p@b.example",
    )

    assert {f"https://u:p@{host}.example" for host in "abce"} | {"https://u:p@d.example/d.whl"} == set(asked.urls)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", "a"),
        ("A", "a"),
        ("a 1.2", "a ==1.2"),
        ("a=1.2", "a 1.2.*"),
        ("a = 1.2", "a 1.2.*"),
        ("a==1.2", "a ==1.2"),
        ("a == 1.2", "a ==1.2"),
        ("a = ==1.2", "a ==1.2"),
        ("a = >=1.0.0", "a >=1.0.0"),
        ("a !=1.3", "a !=1.3"),
        ("a>=1,<2", "a <2,>=1"),
        ("a >=1|0.5.*", "a >=1|0.5.*"),
        ("a=1.2=py310_0", "a 1.2.* py310_0"),
        ("a 1.2 py310_0", "a ==1.2 py310_0"),
        ("a=*=*cpython", "a * *cpython"),
        ("conda-forge::a=1.2", "conda-forge::a 1.2.*"),
        ("https://c.example/x::a", "https://c.example/x::a"),
        ("a[version='>=1,<2']", "a <2,>=1"),
        ("a[version='1.2', build=\"py*\"]", "a ==1.2 py*"),
        ("a[build=py*]", "a * py*"),
        ("a[channel=bioconda]", "bioconda::a"),
    ],
)
def test_match_specifications(text: str, expected: str) -> None:
    """Match specifications mean what they mean to conda."""
    assert expected == str(read_conda(Line.at(PLACE, text)))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a >=", "not a version"),
        ("a b c d", "not a version"),
        ("a[md5=12]", "'md5' in brackets is not supported"),
        ("a[version=']", "cannot be understood"),
        ("a 1[version='2']", "a name alone"),
        ("conda-forge/linux-64::a", "the platform in 'conda-forge/linux-64'"),
        ("https://c.example/linux-64/a-1-0.conda", "the URL of one conda package"),
        ("::a", "not the name of a conda package"),
        ("[version=1]", "a name alone"),
    ],
)
def test_what_is_no_match_specification(text: str, said: str) -> None:
    """What conda would not read, or we cannot keep, is refused with the place."""
    with pytest.raises(FileError) as caught:
        read_conda(Line.at(PLACE, text))

    assert caught.value.message.startswith("f:3:")
    assert said in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("text", ["__cuda=11.8", "__cuda==11.8", "__cuda = 11.8", "__cuda 11.8", "__cuda=11.8=0"])
def test_virtual_packages(text: str) -> None:
    """One version, however it is written."""
    assert "__cuda=11.8=0" == str(read_virtual(Line.at(PLACE, text)))


@pytest.mark.parametrize("text", ["__cuda", "__cuda>=11", "cuda=1", "", "=1"])
def test_what_is_no_virtual_package(text: str) -> None:
    """A range, a missing version and another name are refused."""
    with pytest.raises(FileError):
        read_virtual(Line.at(PLACE, text))
