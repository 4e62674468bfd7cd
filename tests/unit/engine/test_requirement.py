"""One requirement of either world, from what users write to what solvers read."""

from __future__ import annotations

import random

import pytest

from metaflow_extensions.netflix_ext.engine.errors import InputError
from metaflow_extensions.netflix_ext.engine.requirement import (
    CondaRequirement,
    PypiRequirement,
    python_constraint,
    python_requirement,
)

CONDA_VERSIONS = [
    ("", ""),
    ("*", ""),
    ("=*", ""),
    (">=*", ""),
    ("1.2|*", ""),
    ("1.2", "==1.2"),
    ("==1.2", "==1.2"),
    ("== 1.2", "==1.2"),
    ("=1.2", "1.2.*"),
    ("1.2.*", "1.2.*"),
    ("=1.2.*", "1.2.*"),
    ("==1.2.*", "1.2.*"),
    ("1.2*", "1.2.*"),
    ("!=1.2", "!=1.2"),
    ("!=1.2.*", "!=1.2.*"),
    ("~=1.2", "~=1.2"),
    (">=1,<2", "<2,>=1"),
    (" >= 1.0 , < 2.0 ", "<2.0,>=1.0"),
    (">=1,>=1", ">=1"),
    (">=1.2.*", ">=1.2"),
    ("<1.2.*", "<1.2"),
    ("1.2|1.3", "==1.2|==1.3"),
    ("=1.2 | >=2,<3", "1.2.*|<3,>=2"),
    ("1!2.0", "==1!2.0"),
    ("=1!2.0", "1!2.0.*"),
    ("1.0+local", "==1.0+local"),
    ("2023A", "==2023a"),
    ("1.0.0RC1", "==1.0.0rc1"),
    ("1.2_1", "==1.2_1"),
]
CONDA_BUILDS = [
    ("1.2=py_0", "==1.2", "py_0"),
    ("=1.2=py_0", "1.2.*", "py_0"),
    ("==1.2=py_0", "==1.2", "py_0"),
    ("1.2 py_0*", "==1.2", "py_0*"),
    ("1.2 0", "==1.2", "0"),
    ("1.2=*cuda*", "==1.2", "*cuda*"),
    (">=1.2 *cuda*", ">=1.2", "*cuda*"),
    (">=1.2, <3 *cuda*", "<3,>=1.2", "*cuda*"),
    ("* py_0", "", "py_0"),
    ("=*=py_0", "", "py_0"),
    ("1.2 *", "==1.2", ""),
]
CONDA_NONSENSE = [
    *(
        "1.2,",
        ",1.2",
        "|1.2",
        "1..2",
        "1.2.",
        "1.*.3",
        "*.1",
        "1.2.**",
        "!=*",
        "<*",
        ">",
        "==",
        "===1.2",
        "^1.2",
        "~1.2",
    ),
    *("<>1.2", "1.2==py_0", "1.2=a=b", ">=1 <2", "1.2 >=3", ">1.2.*", "<=1.2.*", "(1|2),<3", "1.2[build=x]", "{}"),
    *(">=1;python_version<'3'", "@ https://example.org/a", "1.2;", "\uff11.2"),
]


@pytest.mark.parametrize(("text", "constraint"), CONDA_VERSIONS)
def test_conda_versions_have_one_form(text: str, constraint: str) -> None:
    """Each way to write a conda version gives one normal form: a plain version is exact, ``=`` a prefix."""
    assert CondaRequirement("numpy", constraint) == CondaRequirement.from_pair("numpy", text)


@pytest.mark.parametrize(("text", "constraint", "build"), CONDA_BUILDS)
def test_conda_builds_follow_any_constraint(text: str, constraint: str, build: str) -> None:
    """A build may follow a version or constraints, after a blank or an equals sign."""
    assert CondaRequirement("numpy", constraint, build) == CondaRequirement.from_pair("numpy", text)


@pytest.mark.parametrize("text", CONDA_NONSENSE)
def test_what_conda_does_not_know_is_refused(text: str) -> None:
    """What no conda solver reads is refused, with the package and the text in the message."""
    with pytest.raises(InputError) as caught:
        CondaRequirement.from_pair("numpy", text)

    assert f"'numpy': '{text}'" in caught.value.message
    assert "write for example" in caught.value.hint


@pytest.mark.parametrize(("text", "constraint"), CONDA_VERSIONS)
def test_normal_conda_forms_are_stable(text: str, constraint: str) -> None:
    """Printing a requirement and reading it again gives the same one."""
    once = CondaRequirement.from_pair("conda-forge::numpy", text)

    assert once == CondaRequirement.parse(str(once))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("NumPy", CondaRequirement("numpy")),
        (" numpy ", CondaRequirement("numpy")),
        ("_libgcc_mutex", CondaRequirement("_libgcc_mutex")),
        ("ruamel.yaml", CondaRequirement("ruamel.yaml")),
        ("conda-forge::numpy", CondaRequirement("numpy", channel="conda-forge")),
        ("conda-forge/noarch::numpy", CondaRequirement("numpy", channel="conda-forge/noarch")),
        ("https://example.org/a::numpy", CondaRequirement("numpy", channel="https://example.org/a")),
    ],
)
def test_conda_names(name: str, expected: CondaRequirement) -> None:
    """Names are lower case and otherwise as conda has them; a channel may come before."""
    assert expected == CondaRequirement.from_pair(name, "")


@pytest.mark.parametrize(
    "name", ["", " ", "num py", "numpy>=1", "numpy[x]", "-x", "nümpy", "c::", "::numpy", "a::b::c", 3]
)
def test_what_is_no_conda_name_is_refused(name: object) -> None:
    """A name that conda cannot have is refused."""
    with pytest.raises(InputError):
        CondaRequirement.from_pair(name, "1.2")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("numpy", CondaRequirement("numpy")),
        ("numpy=1.2", CondaRequirement("numpy", "1.2.*")),
        ("numpy 1.2 py_0", CondaRequirement("numpy", "==1.2", "py_0")),
        ("numpy>=1.2,<2", CondaRequirement("numpy", "<2,>=1.2")),
        ("a::numpy=1.2=py_0", CondaRequirement("numpy", "1.2.*", "py_0", "a")),
        ("numpy * py_0", CondaRequirement("numpy", "", "py_0")),
    ],
)
def test_conda_requirements_in_one_text(text: str, expected: CondaRequirement) -> None:
    """Name, version, build and channel are read from one text as conda reads them."""
    assert expected == CondaRequirement.parse(text)


@pytest.mark.parametrize("text", ["", "  ", ">=1", "# numpy"])
def test_what_is_no_conda_requirement_is_refused(text: str) -> None:
    """A text without a name is refused."""
    with pytest.raises(InputError):
        CondaRequirement.parse(text)


PYPI_VERSIONS = [
    ("", ""),
    ("*", ""),
    ("1.0", "==1.0"),
    (" 1.0 ", "==1.0"),
    ("=1.0", "==1.0"),
    ("==1.0", "==1.0"),
    ("v1.0", "==1.0"),
    ("1.0-RC1", "==1.0rc1"),
    ("1.*", "==1.*"),
    ("==1.*", "==1.*"),
    ("!=1.*", "!=1.*"),
    (">=1,<2", "<2,>=1"),
    (" >= 1 , < 2 ", "<2,>=1"),
    ("<2,<2", "<2"),
    ("~=1.4", "~=1.4"),
    ("===1.0", "===1.0"),
    ("1!2.0", "==1!2.0"),
    ("1.0+local.1", "==1.0+local.1"),
]


@pytest.mark.parametrize(("text", "specifier"), PYPI_VERSIONS)
def test_pypi_versions_have_one_form(text: str, specifier: str) -> None:
    """Each way to write a PyPI version gives one specifier; a plain version is exact."""
    assert PypiRequirement("requests", specifier=specifier) == PypiRequirement.from_pair("requests", text)


@pytest.mark.parametrize(
    "text", ["latest", "^1.2", "~1.2", "1|2", "*.1", ">1.*", "~=1", "==", "1 2", "1.0\n2.0", ">=1+local"]
)
def test_what_pep_440_does_not_know_is_refused(text: str) -> None:
    """A version that PEP 440 does not know is refused, with the package in the message."""
    with pytest.raises(InputError, match="'requests': "):
        PypiRequirement.from_pair("requests", text)


@pytest.mark.parametrize(
    ("name", "version", "expected"),
    [
        ("Foo_Bar.baz", "1", "foo-bar-baz==1"),
        ("a[B_c,a]", "1", "a[a,b-c]==1"),
        ("a[]", "", "a"),
        ("a>=1", "", "a>=1"),
        ("a", "@ https://example.org/a.whl", "a @ https://example.org/a.whl"),
        ("a@https://example.org/a.whl", "", "a @ https://example.org/a.whl"),
        ("a[x] @ git+https://example.org/a.git@main", "", "a[x] @ git+https://example.org/a.git@main"),
        ("a", "1; python_version<'3.9'", 'a==1 ; python_version < "3.9"'),
        ("a ; python_version<'3.9'", "1", 'a==1 ; python_version < "3.9"'),
        ("a", "; sys_platform=='linux'", 'a ; sys_platform == "linux"'),
        (
            "a",
            "@ https://example.org/a.whl ; sys_platform=='linux'",
            'a @ https://example.org/a.whl ; sys_platform == "linux"',
        ),
    ],
)
def test_pypi_pairs(name: str, version: str, expected: str) -> None:
    """Extras, links and markers may stand with the name, or with the version; the printed form is stable."""
    found = PypiRequirement.from_pair(name, version)

    assert expected == str(found)
    assert found == PypiRequirement.parse(expected)


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("a>=1", "2"),
        ("a @ https://example.org/a.whl", "1"),
        ("a>=1", "@ https://example.org/a.whl"),
        ("a ; python_version<'3'", "1; python_version>'2'"),
        ("a", "1; nonsense"),
        ("a", "@"),
        ("a b", "1"),
        ("a[", "1"),
        ("-e .", ""),
        ("./folder", ""),
        ("https://example.org/a.whl", ""),
        ("", "1"),
    ],
)
def test_contradictions_and_nonsense_are_refused(name: str, version: str) -> None:
    """What says a thing twice, or is no PEP 508 requirement, is refused and never half read."""
    with pytest.raises(InputError):
        PypiRequirement.from_pair(name, version)


@pytest.mark.parametrize("kind", [CondaRequirement, PypiRequirement])
@pytest.mark.parametrize("version", [1.1, 1, True, None, ["1"], {"a": 1}])
def test_versions_are_text(kind: type[CondaRequirement | PypiRequirement], version: object) -> None:
    """A version that is no text is refused: as a number, 1.10 is 1.1."""
    with pytest.raises(InputError, match="version"):
        kind.from_pair("a", version)


def test_a_secret_in_a_requirement_is_not_in_its_error() -> None:
    """The message about a link does not repeat its password."""
    with pytest.raises(InputError) as caught:
        PypiRequirement.from_pair("a @ https://user:s3cret@example.org/a.whl", "1")

    assert "s3cret" not in str(caught.value)
    assert "example.org/a.whl" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "constraint"),
    [
        ("3.10", "3.10.*"),
        ("=3.10", "3.10.*"),
        ("==3.10", "3.10.*"),
        ("== 3.10", "3.10.*"),
        ("3", "3.*"),
        ("3.10.*", "3.10.*"),
        ("3.10.4", "==3.10.4"),
        ("==3.10.4", "==3.10.4"),
        ("3.13.0rc1", "==3.13.0rc1"),
        ("3.10|3.11", "3.10.*|3.11.*"),
        (">=3.8,<3.12", "<3.12,>=3.8"),
        ("~=3.10", "~=3.10"),
        ("!=3.9", "!=3.9"),
        ("*", ""),
    ],
)
def test_python_versions(text: str, constraint: str) -> None:
    """One or two numbers mean any release of that Python, three mean exactly that one."""
    assert constraint == python_constraint(text)


@pytest.mark.parametrize(
    ("text", "constraint", "asked"),
    [
        ("3.13t", "3.13.*t", "python 3.13.* *_cp313t"),
        ("=3.13t", "3.13.*t", "python 3.13.* *_cp313t"),
        ("3.13.*t", "3.13.*t", "python 3.13.* *_cp313t"),
        ("==3.14.0t", "==3.14.0t", "python ==3.14.0 *_cp314t"),
        ("3.13", "3.13.*", "python 3.13.*"),
        (">=3.9,<3.12", "<3.12,>=3.9", "python <3.12,>=3.9"),
    ],
)
def test_a_python_without_a_global_lock(text: str, constraint: str, asked: str) -> None:
    """A ``t`` after a version asks for that build, which conda tells by its name; the normal form is read as itself."""
    assert constraint == python_constraint(text) == python_constraint(constraint)
    assert asked == str(python_requirement(constraint))


@pytest.mark.parametrize(
    "value",
    [
        *("3t", "t", ">=3.13t", "3.13tt", "3.13t,<4"),
        *(3.1, 3, True, None, b"3.10", "", " ", "abc", "3.x", "3.10.x", "3.10.1_2", "v3.10", "py310", "python3.10"),
        *("3.10.", "3.10-3.12", "^3.10", "===3.10", "3.10=0_cpython", "3.10 0_cpython", "==", "!=*"),
    ],
)
def test_what_is_no_python_version_is_refused(value: object) -> None:
    """A number, a build, or what Python never had as a version is refused, and the message says ``python``."""
    with pytest.raises(InputError, match="python"):
        python_constraint(value)


def test_any_text_is_read_or_refused() -> None:
    """No text makes the parsers fail in another way, and what they read prints to what they read again."""
    source = random.Random(20)
    alphabet = "0123456789.=<>!~*,| abpy_-+:;[]@/\"'\t\n$^é"

    for _ in range(4000):
        text = "".join(source.choice(alphabet) for _ in range(source.randrange(9)))
        for read in (CondaRequirement.from_pair, PypiRequirement.from_pair):
            try:
                found = read("name", text)
            except InputError:
                continue
            assert found == type(found).parse(str(found)), text
        try:
            python_constraint(text)
        except InputError:
            continue
