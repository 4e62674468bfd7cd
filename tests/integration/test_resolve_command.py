"""`metaflow environment resolve`: from files, from Python alone, from other environments; and all that it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.channel import Server
from tests.project import Finished, Project
from tests.refusal import check_refusal, half_made

pytestmark = pytest.mark.slow

REQUIREMENTS = "click>=8  # a comment\n--conda-pkg hello-tool\npython==3.11\n"
ENVIRONMENT = """\
dependencies:
  - python=3.11
  - itsdangerous=2.1.2
  - pip:
      - click
"""
PYPROJECT = """\
[project]
name = "mine"
version = "1"
requires-python = ">=3.11,<3.12"
dependencies = ["click"]

[project.optional-dependencies]
signs = ["itsdangerous==2.1.2"]

[dependency-groups]
old = ["itsdangerous==1.1.0"]
"""


def resolve(project: Project, *words: str, **variables: str) -> Finished:
    return project.metaflow("environment", "resolve", *words, variables=variables)


def resolved(project: Project, *words: str, **variables: str) -> list[dict[str, Any]]:
    """Resolve, which must go well, and return what `--json` tells of each environment."""
    done = resolve(project, "--json", *words, **variables)
    assert done.returncode == 0, done.output
    answer = json.loads(done.stdout)
    assert answer["schema"] == 1
    return [dict(item["environment"], new=item["new"]) for item in answer["environments"]]


def packages(environment: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {package["name"]: (package["kind"], package["version"]) for package in environment["packages"]}


def hashes(environment: dict[str, Any]) -> set[tuple[str, str]]:
    return {(package["filename"], package["sha256"]) for package in environment["packages"]}


def test_requirements_txt(project: Project) -> None:
    """Requirements come from the index, `--conda-pkg` from the channel, Metaflow's needs along; then it is known."""
    project.write("requirements.txt", REQUIREMENTS)

    [first] = resolved(project, "-r", "requirements.txt")
    found = packages(first)
    assert (found["click"][0], found["hello-tool"][0], found["requests"][0]) == ("pypi", "conda", "pypi")
    assert found["python"][1].startswith("3.11.")
    assert first["kind"] == "pypi-only"
    assert first["new"] is True

    [second] = resolved(project, "-r", "requirements.txt")
    assert second["new"] is False
    assert second["full_id"] == first["full_id"]
    assert [item["new"] for item in resolved(project, "-r", "requirements.txt", "--force")] == [True]


def test_environment_yml(project: Project) -> None:
    """Conda's packages and those below `pip:` are resolved together."""
    project.write("environment.yml", ENVIRONMENT)

    [found] = resolved(project, "-f", "environment.yml")

    assert packages(found)["itsdangerous"] == ("conda", "2.1.2")
    assert packages(found)["click"][0] == "pypi"
    assert found["kind"] == "mixed"


def test_pyproject_toml(project: Project) -> None:
    """The project's dependencies, and an extra or a group by name."""
    project.write("pyproject.toml", PYPROJECT)

    [plain] = resolved(project, "-p", "pyproject.toml")
    [extra] = resolved(project, "-p", "pyproject.toml", "--extra", "signs")
    [group] = resolved(project, "-p", "pyproject.toml", "--group", "old")

    assert "itsdangerous" not in packages(plain)
    assert packages(extra)["itsdangerous"] == ("pypi", "2.1.2")
    assert packages(group)["itsdangerous"] == ("pypi", "1.1.0")


def test_python_alone(project: Project) -> None:
    """With nothing but a version of Python, there is Python and what Metaflow needs; or not even that."""
    [found] = resolved(project, "--python", "3.9")
    [bare] = resolved(project, "--python", "3.9", "--skip-metaflow-deps")

    assert packages(found)["python"][1].startswith("3.9.")
    assert "requests" in packages(found)
    assert "requests" not in packages(bare)


def test_a_file_of_another_folder(project: Project, server: Server) -> None:
    """Includes and folders in a file are taken from where the file lies."""
    (project.root / "sub").mkdir()
    (project.root / "sub" / "base.txt").write_text("click\n")
    project.write(
        "sub/requirements.txt", f"-r base.txt\n--index-url={server.simple}\nitsdangerous ; python_version >= '3'\n"
    )

    [found] = resolved(project, "-r", "sub/requirements.txt", "--python", "3.11", METAFLOW_CONDA_DEFAULT_PYPI_SOURCE="")

    assert {"click", "itsdangerous"} <= set(packages(found))
    assert found["spec"]["indexes"] == [server.simple.rstrip("/")]


def test_one_alias_for_several_platforms(project: Project, tmp_path: Path) -> None:
    """Each platform has an environment of its own, of one spec, and one name means all of them."""
    channel = tmp_path / "channel"
    for subdir in ("linux-64", "osx-arm64"):
        folder = channel / subdir
        folder.mkdir(parents=True)
        record = {
            "name": "python",
            "version": "3.11.7",
            "build": "0",
            "build_number": 0,
            "subdir": subdir,
            "sha256": subdir.encode().hex().ljust(64, "0")[:64],
            "depends": [],
            "size": 1,
        }
        packages = {"info": {"subdir": subdir}, "packages": {}, "packages.conda": {"python-3.11.7-0.conda": record}}
        (folder / "repodata.json").write_text(json.dumps(packages))
    (channel / "noarch").mkdir()
    (channel / "noarch" / "repodata.json").write_text('{"info": {"subdir": "noarch"}, "packages": {}}')
    words = ("--python", "3.11", "--skip-metaflow-deps", "--alias", "team/both")

    both = resolved(
        project, *words, "--arch", "linux-64", "--arch", "osx-arm64", METAFLOW_CONDA_CHANNELS=channel.as_uri()
    )

    assert [item["arch"] for item in both] == ["linux-64", "osx-arm64"]
    assert both[0]["req_id"] == both[1]["req_id"]
    assert both[0]["full_id"] != both[1]["full_id"]
    shown = project.metaflow("environment", "show", "--json", "--arch", "osx-arm64", "team/both")
    assert json.loads(shown.stdout)["environments"][0]["environment"]["full_id"] == both[1]["full_id"]
    other = project.metaflow("environment", "show", "--arch", "linux-aarch64", "team/both")
    assert other.returncode == 1
    assert "there is none for linux-aarch64" in other.stderr


def test_an_extension_keeps_every_package(project: Project) -> None:
    """`--using` adds packages and changes none; what the base has already makes no new environment."""
    project.write("environment.yml", ENVIRONMENT)
    project.write("all.yml", "dependencies:\n- hello-tool\n- pip:\n  - itsdangerous\n")
    [base] = resolved(project, "-f", "environment.yml", "--alias", "team/base:v1")

    [more] = resolved(project, "--using", "team/base:v1", "-f", "all.yml", "--alias", "team/more")
    assert hashes(base) < hashes(more)
    assert packages(more)["hello-tool"][0] == "conda"
    assert more["resolved"]["extends"] == f"{base['req_id']}:{base['full_id']}"

    project.write("same.txt", "itsdangerous>=2\nclick\n")
    [same] = resolved(project, "--using", "team/base:v1", "-r", "same.txt")
    assert (same["full_id"], same["req_id"], same["new"]) == (base["full_id"], base["req_id"], False)

    project.write("other.txt", "itsdangerous==1.1.0\n")
    check_refusal(resolve(project, "--using", "team/base:v1", "-r", "other.txt"), "itsdangerous")
    project.write("older.txt", "python==3.9\nclick\n")
    check_refusal(resolve(project, "--using", "team/base:v1", "-r", "older.txt"), "Python 3.9", "3.11")


def test_requirements_of_another_environment(project: Project) -> None:
    """`--from` resolves the same requirements anew, to the same spec."""
    project.write("environment.yml", ENVIRONMENT)
    [base] = resolved(project, "-f", "environment.yml", "--alias", "team/base")

    [again] = resolved(project, "--from", "team/base", "--alias", "team/copy", "--force")

    assert again["spec"] == base["spec"]
    assert again["req_id"] == base["req_id"]
    assert again["new"] is True


def test_a_dry_run_keeps_nothing(project: Project) -> None:
    """`--dry-run` shows what would be, and writes neither environment nor alias."""
    [found] = resolved(project, "--python", "3.11", "--alias", "team/dry", "--dry-run")

    assert found["new"] is True
    assert not project.catalog.exists()


def test_a_final_alias_stays(project: Project) -> None:
    """A final alias is not moved, and then nothing is kept; the same target is fine, and a moving tag moves."""
    resolved(project, "--python", "3.11", "--alias", "team/x:v1", "--alias", "team/x")
    resolved(project, "--python", "3.11", "--alias", "team/x:v1")
    before = sorted(project.catalog.rglob("env"))

    done = resolve(project, "--python", "3.9", "--alias", "team/x:v1")
    check_refusal(done, "'team/x:v1' is final", "choose another tag")
    assert sorted(project.catalog.rglob("env")) == before

    [moved] = resolved(project, "--python", "3.9", "--alias", "team/x")
    assert "team/x:latest" in moved["aliases"]


def test_without_default(project: Project) -> None:
    """With `--no-set-default` flows do not take it: the same requirements are resolved again."""
    resolved(project, "--python", "3.11", "--no-set-default", "--alias", "team/x")

    assert [item["new"] for item in resolved(project, "--python", "3.11")] == [True]


def test_lines_for_programs(project: Project, tmp_path: Path) -> None:
    """`--quiet` prints the platform and twelve fields, and nothing else; the file has the same."""
    file = tmp_path / "lines"
    done = project.metaflow(
        "environment", "--quiet", "--quiet-file-output", str(file), "resolve", "--python", "3.11", "--alias", "team/q"
    )

    assert done.returncode == 0, done.output
    arch, line = done.stdout.splitlines()
    assert arch == line.split(" ")[3]
    assert len(line.split(" ")) == 12
    assert file.read_text() == done.stdout
    assert done.stderr.replace("\n", "").startswith("Metaflow (")
    assert "Resolving" not in done.output


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "say what to resolve"),
        (("-r", "r.txt", "-f", "e.yml"), "name one file"),
        (("--using", "a", "--using-pathspec", "F/1/start", "-r", "r.txt"), "name one environment to extend"),
        (("--from", "a", "--from-pathspec", "F/1/start"), "take requirements from"),
        (("--from", "a", "--using", "b"), "choose one"),
        (("--from", "a", "-r", "r.txt"), "leave out the file"),
        (("--from", "a", "--python", "3.11"), "the version is that of the environment"),
        (("--using", "a"), "say what to add"),
        (("-r", "r.txt", "--extra", "x"), "belong to -p"),
        (("-r", "missing.txt"), "does not exist"),
        (("--nonsense",), "no such option"),
    ],
)
def test_contradictions_are_usage_errors(project: Project, words: tuple[str, ...], says: str) -> None:
    """Options that contradict each other end with status 2 and a word on which."""
    project.write("r.txt", "click\n")
    project.write("e.yml", "dependencies: [click]\n")
    done = resolve(project, *words)

    assert done.returncode == 2, done.output
    assert says in done.stderr
    assert "Traceback" not in done.output


@pytest.mark.parametrize(
    ("name", "text", "words", "says"),
    [
        ("r.txt", "click\nnot a requirement\n", ("-r",), ("r.txt:2:", "^")),
        ("r.txt", "-e .\n", ("-r",), ("r.txt:1:1", "'-e' is not supported")),
        ("e.yml", "dependencies:\n- a: [\n", ("-f",), ("e.yml:", "not YAML")),
        ("p.toml", "[project\n", ("-p",), ("p.toml:1", "not TOML")),
        ("p.toml", "[project]\nname='a'\n", ("--extra", "none", "-p"), ("no extra 'none'",)),
        ("r.txt", "click==0.0.1\n", ("-r",), ("r.txt, for linux-64", "click==0.0.1")),
        ("r.txt", "python==3.9\nclick\n", ("--python", "3.11", "-r"), ("python is said twice",)),
        ("r.txt", "click\n", ("--arch", "win-64", "-r"), ("unknown architecture 'win-64'",)),
        ("r.txt", "click\n", ("--alias", "Team:v1", "-r"), ("'Team:v1' cannot be the name",)),
        ("r.txt", "click\n", ("--alias", "../x", "-r"), ("'../x' cannot be the name",)),
        ("r.txt", "click\n", ("--using", "team/none", "-r"), ("no environment is called 'team/none'",)),
        ("r.txt", "click\n", ("--using-pathspec", "NoFlow/1/start", "-r"), ("NoFlow/1/start",)),
        ("r.txt", "click\n", ("--using-pathspec", "NoFlow", "-r"), ("'NoFlow' names no step",)),
        ("e.yml", "platforms: [win-64]\ndependencies: [click]\n", ("-f",), ("win-64",)),
        ("r.txt", "https://u:secret@example.org/a.tar.gz\n", ("-r",), ("****@example.org",)),
    ],
)
def test_bad_input_is_one_message(
    project: Project, name: str, text: str, words: tuple[str, ...], says: tuple[str, ...]
) -> None:
    """What a user can get wrong is one message with the place, status 1, and nothing is kept."""
    project.write(name, text)
    done = resolve(project, *words, name)

    check_refusal(done, *says)
    assert "secret" not in done.output
    assert not list(project.catalog.rglob("env"))
    assert half_made(project.root) == []


def test_debugging_shows_all(project: Project) -> None:
    """With METAFLOW_DEBUG_CONDA=1 an error comes with its traceback."""
    done = resolve(
        project,
        "--using",
        "team/none",
        "--python",
        "",
        "-r",
        str(project.write("r.txt", "click\n")),
        METAFLOW_DEBUG_CONDA="1",
    )

    assert done.returncode == 1
    assert "Traceback" in done.stderr
