"""`METAFLOW_CONDA_PYPI_DEPENDENCY_RESOLVER=pip`: the same environments as uv's, by pip."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.channel import Server
from tests.project import Finished, Project
from tests.projects import project as source
from tests.projects import repository, sdist
from tests.refusal import check_refusal

pytestmark = pytest.mark.slow

PIP = {"METAFLOW_CONDA_PYPI_DEPENDENCY_RESOLVER": "pip"}


def resolve(project: Project, text: str, *words: str, **variables: str) -> Finished:
    project.write("requirements.txt", f"python==3.11\n{text}\n")
    given = {**PIP, **variables}
    return project.metaflow("environment", "resolve", "-r", "requirements.txt", "--json", *words, variables=given)


def resolved(project: Project, text: str, *words: str, **variables: str) -> dict[str, Any]:
    done = resolve(project, text, *words, **variables)
    assert done.returncode == 0, done.output
    (found,) = (item["environment"] for item in json.loads(done.stdout)["environments"])
    return dict(found)


def test_pip_and_uv_agree(fresh: Project) -> None:
    """The same files, and so the same id, with bounds, constraints, conda tools beside them and what is built."""
    root = fresh.root
    source(root / "made", "made", needs=["click"])
    source(root / "repo", "clip")
    repository(root / "repo")
    sdist(source(root / "s", "plain", "0.3"), root / "links", "plain-0.3")
    fresh.write("constraints.txt", "itsdangerous<2.2\n")
    text = (
        "--conda-pkg hello-tool\n--find-links ./links\n-c constraints.txt\nrequests>=2\nitsdangerous>=2\n"
        f"made @ ./made\nclip @ git+file://{root}/repo\nplain\nnumpy ; sys_platform == 'win32'"
    )

    by_pip = resolved(fresh, text)
    by_uv = resolved(fresh, text, "--force", METAFLOW_CONDA_PYPI_DEPENDENCY_RESOLVER="uv")

    assert by_pip["full_id"] == by_uv["full_id"]
    assert by_pip["req_id"] == by_uv["req_id"]
    facts = ("filename", "sha256", "origin", "source")
    assert [[item[fact] for fact in facts] for item in by_pip["packages"]] == [
        [item[fact] for fact in facts] for item in by_uv["packages"]
    ]
    created = fresh.metaflow("environment", "create", ":".join((by_pip["req_id"], by_pip["full_id"])), "--name", "it")
    assert created.returncode == 0, created.output


def test_mixed_environments_are_not_pip_s(fresh: Project) -> None:
    """Conda's packages are kept by uv, whatever is set."""
    fresh.write("environment.yml", "dependencies:\n  - python=3.11\n  - itsdangerous=2.1.2\n  - pip:\n    - click\n")
    done = fresh.metaflow("environment", "resolve", "-f", "environment.yml", "--json", variables=PIP)
    assert done.returncode == 0, done.output
    (found,) = (item["environment"] for item in json.loads(done.stdout)["environments"])
    assert "uv" in found["resolved"]["tools"]


def test_a_flow_resolved_by_pip(fresh: Project) -> None:
    """It runs as any other, and its second run resolves nothing."""
    fresh.write(
        "flow.py",
        "from metaflow import FlowSpec, pypi, step\n\n\nclass PipFlow(FlowSpec):\n"
        "    @pypi(packages={'click': '>=8'}, python='3.11')\n    @step\n    def start(self):\n"
        "        import click\n\n        self.next(self.end)\n\n"
        "    @step\n    def end(self):\n        pass\n\n\nif __name__ == '__main__':\n    PipFlow()\n",
    )
    fresh.variables.update(PIP)
    fresh.run("flow.py")
    assert "Resolving" not in fresh.run("flow.py").output


def test_what_pip_cannot_do(fresh: Project, server: Server) -> None:
    """Conflicts, an unknown name, an index that is not there, a hash that is another, what uv alone can do, no pip."""
    own = f"--package-index click {server.simple}\nclick"
    check_refusal(resolve(fresh, own), "an index of its own is asked for (click), which pip cannot heed")
    check_refusal(resolve(fresh, "--torch-backend cpu\nclick"), "torch_backend is asked for (cpu)")
    check_refusal(resolve(fresh, "itsdangerous>=99"), "pip cannot resolve this", "itsdangerous>=99")
    check_refusal(resolve(fresh, "no-such-project"), "pip cannot resolve this", "no-such-project")
    check_refusal(resolve(fresh, f"click --hash=sha256:{'ab' * 32}"), "has no file with a hash that is given")
    done = resolve(fresh, "click", METAFLOW_CONDA_DEFAULT_PYPI_SOURCE="http://127.0.0.1:1/simple")
    check_refusal(done, "127.0.0.1")
    done = resolve(fresh, "click", METAFLOW_CONDA_PYPI_PYTHON="uv", METAFLOW_CONDA_DEFAULT_PYPI_SOURCE=server.simple)
    check_refusal(done, "pip is not in the environment's Python")
