"""Documents of 1.x: what they say in our words, and what is wrong with damaged ones."""

from __future__ import annotations

import copy
import json
import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from metaflow_extensions.netflix_ext.adapters.uv_program import default_index, find_uv
from metaflow_extensions.netflix_ext.engine.errors import StoreError
from metaflow_extensions.netflix_ext.engine.identity import EnvID
from metaflow_extensions.netflix_ext.engine.legacy import from_document, read
from metaflow_extensions.netflix_ext.engine.legacy_spec import translate
from metaflow_extensions.netflix_ext.engine.package import CondaPackage, PypiPackage
from metaflow_extensions.netflix_ext.engine.resolved import ResolvedEnvironment, find_in_package, package_document
from metaflow_extensions.netflix_ext.engine.spec import EnvSpec
from tests.fakes import resolved

GOLDEN = Path(__file__).parents[2] / "golden" / "1x"
ID = EnvID("5" * 40, "6" * 40, "linux-64")
CHANNEL = "https://conda.example.com/conda-forge"


@cache
def the_default_index() -> str:
    """Return the URL that uv takes where nobody says another one."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("UV_")]:
            patch.delenv(name)
        patch.setenv("UV_NO_CONFIG", "1")
        return default_index(find_uv()).rstrip("/")


def text_of(name: str) -> str:
    """Return a document as 1.x has it: those in the folder leave out which index is the default one."""
    text = (GOLDEN / name).read_text("utf-8")
    assert "{default index}" in text
    return text.replace("{default index}", the_default_index())


def golden(name: str) -> ResolvedEnvironment:
    return read(text_of(name).encode(), ID, name)


def every(environment: ResolvedEnvironment) -> list[CondaPackage | PypiPackage]:
    return [*environment.conda, *environment.pypi]


def document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text_of("mixed-1.2.2.json"))
    return found


def test_an_environment_of_1_2() -> None:
    """Ids are those given, who and when are told, and requirements are in our words without credentials."""
    found = golden("mixed-1.2.2.json")

    assert found.env_id == ID
    assert found.legacy
    assert found.provenance == {"by": "joe", "on": "2024-03-05T10:20:30+00:00", "schema": "1"}
    assert found.virtual == ("__glibc=2.27=0",)
    assert found.python_version == "3.10.13"
    assert found.spec == {
        "python": "3.10.*",
        "conda": ["conda-forge::numpy <2,==1.24", "requests >=2.21.0"],
        "pypi": [
            "itsdangerous==2.1.2",
            "my-pkg[a,b]>=1.0",
            "ourtool @ git+https://github.com/someone/ourtool@1234abcd",
        ],
        "channels": ["conda-forge", "https://conda.example.org/private"],
        "indexes": ["default", "https://pypi.example.org/simple"],
        "virtual": ["__glibc=2.27=0"],
        "options": {"pre": True},
        "untranslated": ["pypi::--use-deprecated=legacy-resolver"],
    }


def test_packages_of_1_2() -> None:
    """Names, versions and builds come from the file names; what can be had from its URL is told from what cannot."""
    found = golden("mixed-1.2.2.json")

    assert [(item.name, item.version, item.build, item.subdir, item.digest) for item in found.conda] == [
        ("numpy", "1.24.4", "py310h8e6c178_0", "linux-64", f"md5:{'d' * 32}"),
        ("python", "3.10.13", "hd12c33a_0_cpython", "linux-64", f"md5:{'a' * 32}"),
        ("requests", "2.31.0", "pyhd8ed1ab_0", "noarch", f"md5:{'c' * 32}"),
    ]
    assert {item.channel for item in found.conda} == {CHANNEL}
    assert [(item.noarch, item.depends) for item in found.conda] == [
        ("", ("python",)),
        ("", ()),
        ("python", ("python",)),
    ]
    assert [(item.name, item.version, item.sha256[0]) for item in found.pypi] == [
        ("itsdangerous", "2.1.2", "e"),
        ("my-pkg", "1.5", "2"),
        ("ourtool", "0.1", "f"),
    ]
    assert [item.filename for item in every(found) if not item.fetchable] == [
        "requests-2.31.0-pyhd8ed1ab_0.conda",  # transmuted
        "my_pkg-1.5-py3-none-any.whl",  # built from a source archive
        "ourtool-0.1-py3-none-any.whl",  # built from a repository
    ]


def test_keys_of_1_2() -> None:
    """Each file has the key that the document gives, and where it gives none, the key that 1.x would use."""
    found = golden("mixed-1.2.2.json")

    assert set(found.stored) == {item.filename for item in every(found)}
    file = "numpy-1.24.4-py310h8e6c178_0.conda"
    assert found.stored[file] == (
        f"packages/conda/conda.example.com/conda-forge/linux-64/{file}/{file}/{'d' * 32}/{file}"
    )
    file = "requests-2.31.0-pyhd8ed1ab_0"
    assert found.stored[f"{file}.conda"] == (
        f"packages/conda/conda.example.com/conda-forge/noarch/{file}.tar.bz2/{file}.conda/{'c' * 32}/{file}.conda"
    )
    file = "ourtool-0.1-py3-none-any.whl"
    assert found.stored[file] == f"packages/pypi/_fake/github.com/someone/ourtool/1234abcd/{file}/{'f' * 64}/{file}"


def test_an_environment_of_1_3() -> None:
    """Its older words mean what they meant; what has no form of ours is kept, and a file without a hash is told."""
    found = golden("pip-only-1.3.json")

    assert found.spec == {
        "python": "3.11.*",
        "conda": [],
        "pypi": ["requests==2.31", "torch==2.1 ; sys_platform == 'linux'"],
        "channels": ["conda-forge"],
        "indexes": ["default"],
        "virtual": ["__cuda=12.4=0", "__glibc=2.27=0"],
        "conda_only": ["ffmpeg <7,>=5"],
        "untranslated": ["other::thing==1"],
    }
    assert found.conda[0].filename.endswith(".tar.bz2")
    assert (found.pypi[0].filename, found.pypi[0].sha256) == ("requests-2.31.0.tar.gz", "")
    assert "requests-2.31.0.tar.gz" not in found.stored


@pytest.mark.parametrize("name", ["mixed-1.2.2.json", "pip-only-1.3.json"])
def test_what_was_asked_can_be_asked_again(name: str) -> None:
    """The spec is one that can be resolved anew."""
    found = golden(name)

    spec = EnvSpec.from_dict(found.spec, name)

    assert spec.python == found.spec["python"]
    assert len(spec.pypi) == len(found.spec["pypi"])


@pytest.mark.parametrize(
    ("text", "part", "said"),
    [
        ("conda::numpy", "conda", "numpy"),
        ("conda::numpy==", "conda", "numpy"),
        ("conda::NumPy==1.0,>=0.5", "conda", "numpy ==1.0,>=0.5"),
        ("conda::numpy==1.2.*", "conda", "numpy 1.2.*"),
        ("conda::numpy==1.2=py310_0", "conda", "numpy ==1.2 py310_0"),
        ("conda::numpy==1.2|>=2", "conda", "numpy ==1.2|>=2"),
        ("conda::https://joe:pw@c.example.org/x::numpy==1", "conda", "https://c.example.org/x::numpy ==1"),
        ("conda::numpy==one or two", "untranslated", "conda::numpy==one or two"),
        ("conda::python==3.8|3.9", "untranslated", "conda::python==3.8|3.9"),
        ("npconda::ffmpeg==5", "conda_only", "ffmpeg ==5"),
        ("pypi::Ray_default==2.0", "pypi", "ray-default==2.0"),
        ("pip::a.b==>=1,<2", "pypi", "a-b<2,>=1"),
        ("pypi::a==", "pypi", "a"),
        ("pypi::a[x,y]@https://joe:pw@e.org/a.whl", "pypi", "a[x,y] @ https://e.org/a.whl"),
        ("pypi::a @ git+https://e.org/a.git@v1", "pypi", "a @ git+https://e.org/a.git@v1"),
        ("pypi::a==1.0rc1+local.1", "pypi", "a==1.0rc1+local.1"),
        ("pypi::a====1.0", "pypi", "a==1.0"),
        ("pypi::a=====1.0", "pypi", "a===1.0"),
        ("pypi::a==>=1.*", "untranslated", "pypi::a==>=1.*"),
        ("pypi::a==newest", "untranslated", "pypi::a==newest"),
        ("pypi::a==1 ; $", "untranslated", "pypi::a==1 ; $"),
        ("sys::__cuda==12.1", "virtual", "__cuda=12.1=0"),
        ("sys::cuda==12.1", "untranslated", "sys::cuda==12.1"),
        ("nonsense", "untranslated", "nonsense"),
    ],
)
def test_a_dependency(text: str, part: str, said: str) -> None:
    """A dependency goes to its part of the spec, in a form that is read there; what has none is kept as it was."""
    spec = translate([text], [], [], "3.10.4")

    assert spec[part] == [said]
    assert spec["python"] == "==3.10.4"
    EnvSpec.from_dict(spec, "x")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("3.10", "3.10.*"),
        ("3.10.*", "3.10.*"),
        ("3.10.4", "==3.10.4"),
        (">=3.8,<3.9", "<3.9,>=3.8"),
        ("==3.10", "3.10.*"),
    ],
)
def test_python(text: str, said: str) -> None:
    """Two numbers mean any release of them, three that release."""
    assert translate([f"conda::python=={text}"], [], [], "3.7.1")["python"] == said


def test_sources_and_options() -> None:
    """Sources keep their order and lose their credentials; options that we have are taken over."""
    found = translate(
        ["pypi::a==1"],
        ["conda::b", "conda::https://u:p@e.org/a", "conda::b", "pypi::https://e.org/i", "npm::x"],
        ["pypi::--pre", "pip::--find-links https://u:p@e.org/l", "pypi::--trusted-host=e.org", "conda::--x"],
        "",
    )

    assert found["channels"] == ["b", "https://e.org/a"]
    assert found["indexes"] == ["https://e.org/i"]
    assert found["options"] == {"pre": True, "find_links": ["https://e.org/l"], "trusted_hosts": ["e.org"]}
    assert found["untranslated"] == ["npm::x", "conda::--x"]


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (["packages"], {}, ".packages: {} is not of type list"),
        (["deps"], "conda::python", ".deps: 'conda::python' is not of type list"),
        (["deps"], [1], ".deps: expected a list of texts"),
        (["resolved_by"], 3, ".resolved_by: 3 is not of type str"),
        (["packages", 1], "x", ".packages[1]: expected an object, found str"),
        (["packages", 0, "_type"], "npm", ".packages[0]._type: 'npm' is not a kind of package"),
        (["packages", 0, "_type"], None, ".packages[0]._type"),
        (["packages", 0, "filename"], "../../etc/passwd", "filename: '../../etc/passwd' cannot be"),
        (["packages", 0, "filename"], "python", "'python.conda' is not the file of a conda package"),
        (["packages", 3, "filename"], "x-1", "'x-1.whl' is not the file of a Python distribution"),
        (["packages", 0, "url"], "python.conda", "url: 'python.conda' is not a URL"),
        (["packages", 0, "url"], "https://[x/python.conda", "is not a URL"),
        (["packages", 0, "url_format"], ".exe", "url_format: '.exe' is not a format of conda packages"),
        (["packages", 0, "hashes"], {".conda": "zz"}, "hashes['.conda']: 'zz' is no MD5"),
        (["packages", 0, "cache_info"], {".conda": "x"}, "cache_info: expected an object with the text 'url'"),
        (["packages", 0, "cache_info", ".conda", "url"], "../../x", "cannot be a key"),
        (["packages", 0, "cache_info", ".conda", "url"], "/etc/passwd", "cannot be a key"),
    ],
)
def test_a_damaged_document(path: list[Any], value: object, said: str) -> None:
    """The place in the document and what is wrong there are told."""
    damaged = copy.deepcopy(document())
    inner = damaged
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value

    with pytest.raises(StoreError) as caught:
        read(json.dumps(damaged).encode(), ID, "the/place")

    assert said in caught.value.message
    assert "cannot be a key" in said or "is not the file" in said or "the/place" in caught.value.message


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"3", b"[]", b"{}", b'{"schema": 3, "packages": []}'])
def test_what_is_no_document(data: bytes) -> None:
    """Anything else is refused, with its place."""
    with pytest.raises(StoreError, match="the/place"):
        read(data, ID, "the/place")


def test_a_document_of_ours_is_read_as_before() -> None:
    """A document with a schema is checked against the id that it claims."""
    ours = resolved()

    assert read(ours.to_bytes(), ours.env_id, "x") == ours
    with pytest.raises(StoreError, match="do not hash"):
        read(ours.to_bytes().replace(b"3.11.7", b"3.11.8"), ours.env_id, "x")


def test_secrets_stay_out_of_what_we_write() -> None:
    """An environment of 1.x can be kept and carried in our form, its keys too, but those with credentials in them."""
    values = document()
    key = values["packages"][0]["cache_info"][".conda"]["url"].replace("conda.example", "joe:s3cr3t@conda.example")
    values["packages"][0]["cache_info"][".conda"]["url"] = key
    values["packages"][0]["url"] = f"https://joe:s3cr3t@{CHANNEL.removeprefix('https://')}/linux-64/" + (
        "python-3.10.13-hd12c33a_0_cpython.conda"
    )
    found = from_document(values, ID, "x")
    data = found.to_bytes()

    assert found.stored["python-3.10.13-hd12c33a_0_cpython.conda"] == key
    assert b"s3cr3t" not in data
    again = ResolvedEnvironment.from_bytes(data, "x")
    assert (again.env_id, again.conda, again.pypi) == (found.env_id, found.conda, found.pypi)
    assert set(found.stored) - set(again.stored) == {"python-3.10.13-hd12c33a_0_cpython.conda"}
    assert find_in_package(package_document([found], {}), ID, "x") == again
