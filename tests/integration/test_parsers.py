"""Files of requirements by Metaflow's `Config`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from metaflow import (
    conda_environment_yml_parser,
    pyproject_toml_parser,
    req_parser,
    requirements_txt_parser,
    toml_parser,
    yml_parser,
)
from metaflow.exception import MetaflowException

from metaflow_extensions.netflix_ext.engine.ask import ask_of
from metaflow_extensions.netflix_ext.engine.asked_file import FileContext
from metaflow_extensions.netflix_ext.engine.requirement import CondaRequirement
from metaflow_extensions.netflix_ext.engine.requirements_txt import parse_requirements
from tests.project import FLOWS, Project
from tests.refusal import check_refusal

REQUIREMENTS = (
    "python==3.8\nitsdangerous==2.1.2  # pinned\n--conda-pkg hello-tool\nclick[extra]>=7 ; python_version < '3.9'\n"
)
ENVIRONMENT = (
    "channels: [a, b]\ndependencies:\n- python=3.8\n- itsdangerous=1.1.0\n- c::tool=1.2=build\n- pip:\n  - click\n"
)
PROJECT = "[project]\nname = 'x'\nversion = '1'\nrequires-python = '>=3.11,<3.12'\ndependencies = ['click']\n"


def test_what_they_return() -> None:
    """Arguments of a decorator: packages and Python always, the rest where the file has it."""
    assert req_parser(REQUIREMENTS) == {
        "packages": {"itsdangerous": "==2.1.2", "click[extra]": '>=7 ; python_version < "3.9"'},
        "python": "3.8.*",
        "conda_only": {"hello-tool": ""},
    }
    assert yml_parser(ENVIRONMENT) == {
        "packages": {"itsdangerous": "1.1.0.*", "c::tool": "1.2.* build"},
        "python": "3.8.*",
        "channels": ["a", "b"],
        "pip_packages": {"click": ""},
    }
    assert toml_parser(PROJECT) == {"packages": {"click": ""}, "python": "<3.12,>=3.11"}
    assert req_parser("") == {"packages": {}, "python": None}


def test_core_names_are_ours() -> None:
    """Metaflow's own names of parsers give the same."""
    assert requirements_txt_parser(REQUIREMENTS) == req_parser(REQUIREMENTS)
    assert conda_environment_yml_parser(ENVIRONMENT) == yml_parser(ENVIRONMENT)
    assert pyproject_toml_parser(PROJECT) == toml_parser(PROJECT)


@pytest.mark.parametrize(
    ("parser", "text", "says"),
    [
        (req_parser, "--index-url https://example.org/simple\n", "a default index cannot be said"),
        (req_parser, "--find-links https://example.org/x\n", "find-links cannot be said"),
        (req_parser, "--pre\n", "pre-releases cannot be said"),
        (req_parser, "--sys-pkg __cuda=12\n", "system packages cannot be said"),
        (req_parser, f"click==8.0 --hash=sha256:{'0' * 64}\n", "hashes cannot be said"),
        (req_parser, "-c {folder}/c.txt\n", "constraints cannot be said"),
        (req_parser, "--no-index\n", "no-index cannot be said"),
        (req_parser, "--trusted-host h.example\n", "trusted-hosts cannot be said"),
        (req_parser, "--conda-channel c\n", "--conda-channel cannot be said"),
        (req_parser, "a @ https://h.example/a.whl\na>=1\n", "'a', twice cannot be said"),
        (yml_parser, "dependencies: [a=1=x, a=1=y]\n", "'a', twice cannot be said"),
        (yml_parser, "channels: [nodefaults]\ndependencies: [a]\n", "nodefaults cannot be said"),
        (toml_parser, f"{PROJECT}[tool.uv]\nconstraint-dependencies = ['a<1']\n", "constraints cannot be said"),
        (req_parser, "not a requirement\n", "requirements.txt:1:"),
        (yml_parser, "dependencies: [\n", "this is not YAML"),
        (yml_parser, "dependencies:\n- sys:\n  - __cuda=12\n", "system packages cannot be said"),
        (toml_parser, "[project\n", "this is not TOML"),
    ],
)
def test_what_a_decorator_cannot_say(parser: Any, text: str, says: str, tmp_path: Path) -> None:
    """It is refused with its name, and the way by a named environment; a fault in the file with its place."""
    (tmp_path / "c.txt").write_text("a<1\n")
    with pytest.raises(MetaflowException) as caught:
        parser(text.replace("{folder}", str(tmp_path)))

    assert says in str(caught.value)
    assert "cannot be said" not in says or "metaflow environment resolve" in str(caught.value)


@pytest.mark.parametrize(
    ("parser", "text"),
    [
        (req_parser, "--extra-index-url https://me:s3cret@h.example/simple\n"),
        (req_parser, "--extra-index-url https://${NAME}:${WORD}@h.example/simple\n"),
        (req_parser, "a @ https://me:s3cret@h.example/a-1-py3-none-any.whl\n"),
        (yml_parser, "channels: ['https://h.example/t/s3cret/c']\ndependencies: [a]\n"),
        (toml_parser, f"{PROJECT}[[tool.uv.index]]\nurl = 'https://me:s3cret@h.example/simple'\n"),
    ],
)
def test_credentials_are_not_read(parser: Any, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Metaflow puts what a parser returns into the code package: secrets have no place there, and are not told."""
    monkeypatch.setenv("NAME", "me")
    monkeypatch.setenv("WORD", "s3cret")
    with pytest.raises(MetaflowException, match="a URL in it has credentials") as caught:
        parser(text)

    assert "s3cret" not in str(caught.value)


def test_what_they_return_is_what_decorators_read() -> None:
    """A decorator reads each requirement as the file says it; two constraints of one package are one."""
    text = (
        "a[x,y]>=1,<2\nb @ https://h.example/b-1-py3-none-any.whl ; python_version >= '3'\nc\n"
        "--conda-pkg t>=1\n--conda-pkg t<2\n--extra-index-url https://h.example/simple\n"
    )
    read = parse_requirements(text, file="r.txt", context=FileContext(read=lambda _: b""))

    assert ask_of("pypi", req_parser(text)) == replace(
        read.ask, disabled=False, conda_only=(CondaRequirement("t", "<2,>=1"),)
    )


@pytest.mark.slow
def test_a_whole_flow_reads_its_file(project: Project) -> None:
    """`@pypi_base` takes what a parser gives by `config_expr`, for all steps."""
    project.write("requirements.txt", "python==3.11\nitsdangerous==2.1.2\n")
    project.run(FLOWS / "parsed_base.py")

    assert project.latest("ParsedBaseFlow", "run['end'].task['saw'].data") == "2.1.2"


@pytest.mark.slow
def test_a_flow_reads_its_files(project: Project) -> None:
    """Each parser serves a step; steps on older Pythons get what was parsed where the flow was launched."""
    project.write("requirements.txt", "python==3.8\nitsdangerous==2.1.2\n--conda-pkg hello-tool\n")
    project.write("environment.yml", "dependencies:\n- python=3.8\n- itsdangerous=1.1.0\n- pip:\n  - click\n")
    project.write("pyproject.toml", PROJECT)
    project.run(FLOWS / "parsed.py")

    saw = project.latest("ParsedFlow", "[run[name].task[name + '_saw'].data for name in ('start', 'middle', 'end')]")
    assert saw == [["2.1.2", [3, 8], True], ["1.1.0", [3, 8], True], [True, [3, 11]]]


@pytest.mark.slow
def test_a_faulty_file_stops_the_flow(project: Project) -> None:
    """The message has the line and a caret, without a traceback."""
    project.write("requirements.txt", "click\n==1\n")
    project.write("environment.yml", "dependencies: [click]\n")
    project.write("pyproject.toml", PROJECT)
    done = project.flow(FLOWS / "parsed.py", "run")

    assert done.returncode != 0
    assert "requirements.txt:2:" in done.output


@pytest.mark.slow
def test_conda_only_brings_no_python(fresh: Project) -> None:
    """`@pypi(conda_only=...)` refuses a conda package that needs Python, by name."""
    spec = "[pypi(packages={'click': ''}, conda_only={'itsdangerous': ''}, python='3.11')]"
    done = fresh.flow(FLOWS / "one.py", "run", variables={"SPEC": spec})

    check_refusal(done, "'itsdangerous' needs conda's Python")
