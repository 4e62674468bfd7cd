"""Environments with what is built from source: repositories, archives, folders, and index projects without wheels."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.channel import Server
from tests.project import Finished, Project, project_at
from tests.projects import git, project, repository, sdist
from tests.refusal import check_refusal

pytestmark = pytest.mark.slow

FLOW = """\
from metaflow import FlowSpec, conda, pypi, step


class SourcesFlow(FlowSpec):
    @pypi(packages={"made": "@ ./made"}, python="3.11")
    @step
    def start(self):
        import made

        self.folder = made.value
        self.next(self.mixed)

    @conda(libraries={"itsdangerous": "2.1.2"}, python="3.11")
    @pypi(packages={"clip": "@ git+file://FOLDER/repo@main"})
    @step
    def mixed(self):
        import clip, itsdangerous

        self.both = clip.value + itsdangerous.__version__
        self.next(self.end)

    @conda(disabled=True)
    @step
    def end(self):
        pass


if __name__ == "__main__":
    SourcesFlow()
"""


def resolve(project: Project, text: str, *words: str, **variables: str) -> Finished:
    project.write("requirements.txt", f"python==3.11\n{text}\n")
    counting = {"COUNT_BUILDS": str(project.root / "builds"), **variables}
    return project.metaflow("environment", "resolve", "-r", "requirements.txt", "--json", *words, variables=counting)


def resolved(project: Project, text: str, *words: str, **variables: str) -> dict[str, dict[str, Any]]:
    """Resolve, which must go well, and return the packages from PyPI by name."""
    done = resolve(project, text, *words, **variables)
    assert done.returncode == 0, done.output
    (environment,) = (item["environment"] for item in json.loads(done.stdout)["environments"])
    return {package["name"]: package for package in environment["packages"] if package["kind"] == "pypi"}


def with_mac(project: Project) -> str:
    """Make a channel that knows a Python for osx-arm64, and return the channels to ask."""
    record = {
        "name": "python",
        "version": "3.11.7",
        "build": "0_cpython",
        "build_number": 0,
        "depends": [],
        "subdir": "osx-arm64",
        "sha256": "ab" * 32,
        "size": 1,
    }
    for subdir, packages in {"osx-arm64": {"python-3.11.7-0_cpython.conda": record}, "noarch": {}}.items():
        folder = project.root / "mac" / subdir
        folder.mkdir(parents=True)
        repodata = {"info": {"subdir": subdir}, "packages": {}, "packages.conda": packages, "repodata_version": 1}
        (folder / "repodata.json").write_text(json.dumps(repodata))
    return f"file://{project.root}/mac,{project.variables['METAFLOW_CONDA_CHANNELS']}"


def builds(project: Project) -> list[str]:
    """Return what was built in this project, in order of names."""
    counted = project.root / "builds"
    return sorted(counted.read_text().split()) if counted.exists() else []


def imported(project: Project, name: str, code: str) -> str:
    """Create the environment *name* and return what *code* prints in it."""
    created = project.metaflow("environment", "create", name, "--name", "it", "--force")
    assert created.returncode == 0, created.output
    python = project.envs / "it" / "bin" / "python"
    return subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_the_documented_kinds_of_sources(fresh: Project) -> None:
    """A branch, a project without wheels and a folder are built once, with a conda tool beside them."""
    root = fresh.root
    project(root / "repo", "clip", needs=["click"])
    commit = repository(root / "repo")
    sdist(project(root / "s", "outlier-detector", "0.0.3"), root / "links", "outlier_detector-0.0.3")
    project(root / "foo", "foo", programs=["hello-tool"])
    text = (
        f"--conda-pkg hello-tool\n--find-links ./links\nclip @ git+file://{root}/repo#main\n"
        f"outlier-detector==0.0.3\nfoo @ file://{root}/foo"
    )

    found = resolved(fresh, text, "--alias", "it:v1")

    assert builds(fresh) == ["clip", "foo", "outlier-detector"]
    assert found["clip"]["version"] == f"1.0+g{commit[:12]}"
    assert found["clip"]["origin"] == f"git+file:///repo@{commit}"
    assert found["foo"]["version"].startswith("1.0+h")
    assert found["outlier-detector"]["version"] == "0.0.3"
    assert found["outlier-detector"]["origin"].startswith("file:///outlier_detector-0.0.3.tar.gz#sha256=")
    assert found["click"]["origin"] == ""
    for folder in ("foo", "repo", "links"):
        shutil.rmtree(root / folder)
    assert imported(fresh, "it:v1", "import clip, foo, outlier_detector, click; print(clip.value)") == "1"


def test_what_was_built_is_never_built_again(fresh: Project) -> None:
    """Another environment with the same sources, resolved anew, builds and downloads nothing of them."""
    root = fresh.root
    project(root / "repo", "clip")
    repository(root / "repo")
    sdist(project(root / "s", "plain", "0.3"), root / "links", "plain-0.3")
    text = f"--find-links ./links\nclip @ git+file://{root}/repo\nplain @ file://{root}/links/plain-0.3.tar.gz"
    first = resolved(fresh, text)
    shutil.rmtree(fresh.envs / ".fetched")

    second = resolved(fresh, f"{text}\nclick")
    again = resolved(fresh, text, "--force")

    assert builds(fresh) == ["clip", "plain"]
    assert {name: second[name]["sha256"] for name in first} == {name: item["sha256"] for name, item in first.items()}
    assert again == first


def test_a_wheel_of_this_machine_outlives_its_file(fresh: Project) -> None:
    """It is kept with what was built, as it can be fetched from nowhere."""
    folder = sdist(project(fresh.root / "s", "made"), fresh.root / "links", "made-1.0").parent
    built = resolved(fresh, f"made @ file://{folder}/made-1.0.tar.gz")["made"]
    wheel = folder / built["filename"]
    wheel.write_bytes(
        next(fresh.catalog.rglob(built["filename"] + "/" + built["sha256"])).joinpath(wheel.name).read_bytes()
    )
    shutil.rmtree(fresh.catalog)
    shutil.rmtree(fresh.envs)

    found = resolved(fresh, f"made @ {wheel.as_uri()}", "--alias", "it:v1")["made"]
    wheel.unlink()

    assert (found["origin"], found["sha256"]) == ("", built["sha256"])
    assert imported(fresh, "it:v1", "import made; print(made.value)") == "1"


def test_colleagues_build_nothing(tmp_path: Path, server: Server) -> None:
    """Who shares the store takes the wheel of the same state, wherever the source lies there."""
    shared = {"METAFLOW_CONDA_LOCALROOT": str(tmp_path / "shared")}
    people = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        person = project_at(tmp_path / name, server, tmp_path / name / ".envs")
        project(person.root / f"src-{name}", "made", value="same")
        people.append(resolved(person, f"made @ file://{person.root}/src-{name}", "--alias", f"{name}:v1", **shared))
        assert builds(person) == (["made"] if name == "one" else [])
        person.variables.update(shared)
        assert imported(person, f"{name}:v1", "import made; print(made.value)") == "same"

    assert people[0]["made"] == people[1]["made"]


def test_a_flow_whose_folder_changes(fresh: Project) -> None:
    """A folder is a requirement by its content: a change is resolved again, in mixed environments beside conda's."""
    project(fresh.root / "made", "made", value="before")
    project(fresh.root / "repo", "clip", value="c")
    repository(fresh.root / "repo")
    fresh.write("flow.py", FLOW.replace("FOLDER", str(fresh.root)))

    fresh.run("flow.py")
    assert fresh.latest("SourcesFlow", "[run['start'].task.data.folder, run['mixed'].task.data.both]") == [
        "before",
        "c2.1.2",
    ]
    done = fresh.run("flow.py")
    assert "Resolving" not in done.output
    project(fresh.root / "made", "made", value="after")
    done = fresh.run("flow.py")
    assert "Resolving step start" in done.output
    assert "step mixed" not in done.output
    assert fresh.latest("SourcesFlow", "run['start'].task.data.folder") == "after"


def test_a_branch_that_moved(fresh: Project) -> None:
    """It stays what it was until it is resolved again, and its versions tell the commits apart."""
    project(fresh.root / "repo", "clip", value="1")
    first = repository(fresh.root / "repo")
    text = f"clip @ git+file://{fresh.root}/repo@main"
    before = resolved(fresh, text)["clip"]
    project(fresh.root / "repo", "clip", value="2")
    second = repository(fresh.root / "repo")

    assert resolved(fresh, text)["clip"] == before
    after = resolved(fresh, text, "--force")["clip"]

    assert (before["version"], after["version"]) == (f"1.0+g{first[:12]}", f"1.0+g{second[:12]}")


@pytest.mark.parametrize("reference", ["main", "v1", "annotated", "COMMIT", "SHORT", ""])
def test_references(fresh: Project, reference: str) -> None:
    """A branch, a tag of either kind, a commit, whole or short, and the default branch are found."""
    project(fresh.root / "repo" / "below", "clip")
    commit = repository(fresh.root / "repo")
    git(fresh.root / "repo", "tag", "v1")
    git(fresh.root / "repo", "tag", "--annotate", "annotated", "--message=a tag")
    written = {"COMMIT": commit, "SHORT": commit[:8]}.get(reference, reference)
    at = f"@{written}" if written else ""

    found = resolved(fresh, f"clip @ git+file://{fresh.root}/repo{at}#subdirectory=below")

    assert found["clip"]["origin"] == f"git+file:///repo@{commit}#subdirectory=below"


def test_a_repository_over_ssh(fresh: Project) -> None:
    """The user's own ssh is used, which asks nobody; the user in the address stays, as it is no secret."""
    project(fresh.root / "repo", "clip")
    commit = repository(fresh.root / "repo")
    ssh = fresh.write("ssh", f'#!/bin/sh\necho "$@" >> {fresh.root}/asked\nshift $(($# - 1))\nexec sh -c "$1"\n')
    ssh.chmod(0o755)
    requirement = f"clip @ git+ssh://git@code.example{fresh.root}/repo@main"

    found = resolved(fresh, requirement, GIT_SSH_COMMAND=str(ssh))

    assert found["clip"]["origin"] == f"git+ssh://git@code.example{fresh.root}/repo@{commit}"
    assert "git@code.example git-upload-pack" in (fresh.root / "asked").read_text()


def test_sources_that_need_each_other(fresh: Project) -> None:
    """By name, where both are asked for; by a link of its own, where one is not."""
    root = fresh.root
    project(root / "c", "c-lib", value="c")
    repository(root / "c")
    project(root / "b", "b-lib", needs=[f"c-lib @ git+file://{root}/c"])
    project(root / "a", "a-lib", needs=["b-lib", "click"])

    found = resolved(fresh, f"a-lib @ file://{root}/a\nb-lib @ file://{root}/b", "--alias", "it:v1")

    assert {name: bool(found[name]["origin"]) for name in ("a-lib", "b-lib", "c-lib", "click")} == {
        "a-lib": True,
        "b-lib": True,
        "c-lib": True,
        "click": False,
    }
    assert imported(fresh, "it:v1", "import a_lib, b_lib, c_lib; print(c_lib.value)") == "c"


def test_another_platform(fresh: Project) -> None:
    """A pure wheel is built here for it; one with compiled parts is refused with the platform and what to do."""
    project(fresh.root / "pure", "pure")
    project(fresh.root / "parts", "parts", tag="cp311-cp311-linux_x86_64")
    arch, channels = ("--arch", "osx-arm64"), {"METAFLOW_CONDA_CHANNELS": with_mac(fresh)}

    sdist(project(fresh.root / "r", "requests", "2.99"), fresh.root / "links", "requests-2.99")
    alone = "--no-index\n--find-links ./links\n"

    found = resolved(fresh, f"{alone}pure @ file://{fresh.root}/pure", *arch, **channels)
    done = resolve(fresh, f"{alone}parts @ file://{fresh.root}/parts", *arch, **channels)

    assert found["pure"]["filename"].endswith("-py3-none-any.whl")
    said = "'parts' is built here to parts-1.0+h"
    check_refusal(done, said, "which does not run on osx-arm64", "take a version that has a wheel")
    assert resolved(fresh, f"parts @ file://{fresh.root}/parts")["parts"]["filename"].endswith("linux_x86_64.whl")
