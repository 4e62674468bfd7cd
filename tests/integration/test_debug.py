"""`metaflow debug`: past tasks opened again, in notebooks that are executed and in scripts that are run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.channel import Server
from tests.project import FLOWS, Finished, Project, project_at

pytestmark = pytest.mark.slow

KEPT = {"METAFLOW_FEAT_ALWAYS_UPLOAD_CODE_PACKAGE": "1"}
PLAY = """
import sys, nbformat, nbclient
notebook = nbformat.read(sys.argv[1], as_version=4)
nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": sys.argv[2]}}).execute()
nbformat.write(notebook, sys.argv[1])
"""


@pytest.fixture(name="shapes", scope="module")
def _shapes(tmp_path_factory: pytest.TempPathFactory, server: Server, shared_envs: Path) -> Project:
    """A user who has run the flow of all shapes, in an environment, its code kept."""
    project = project_at(tmp_path_factory.mktemp("shapes"), server, shared_envs)
    project.variables["JUPYTER_DATA_DIR"] = str(project.root / "jupyter")
    project.write("shapes.py", (FLOWS / "shapes.py").read_text())
    project.run("shapes.py", "--tag", "my:tag", "--alpha", "0.75", variables=KEPT)
    # Only ipykernel comes from there.
    project.variables["METAFLOW_CONDA_DEFAULT_PYPI_SOURCE"] = ""
    return project


def debug(project: Project, *words: str, **variables: str) -> Finished:
    return project.metaflow("debug", *words, variables=variables)


def opened(project: Project, pathspec: str, folder: Path, *words: str) -> dict[str, Any]:
    """Open a task, which must go well, and return what `--json` tells."""
    done = debug(project, "--json", "task", pathspec, "--metaflow-root-dir", str(folder), *words)
    assert done.returncode == 0, done.output
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def task_of(project: Project, step: str, *, index: str = "") -> str:
    """Return the pathspec of a task of the latest run of the flow of all shapes."""
    paths = f"{{t.metadata_dict.get('foreach-execution-path', ''): t.pathspec for t in run[{step!r}]}}"
    found = project.latest("ShapesFlow", paths)
    assert isinstance(found, dict)
    ends = [
        pathspec for path, pathspec in found.items() if ",".join(p.split(":")[-1] for p in path.split(",")) == index
    ]
    return str(ends[0])


def played(project: Project, notebook: str, *cells: str) -> list[str]:
    """Execute a notebook in its own kernel, with *cells* added; return what they print."""
    nbformat.validate(nbformat.read(notebook, as_version=4))
    document = nbformat.read(notebook, as_version=4)
    document.cells += [nbformat.v4.new_code_cell(cell) for cell in cells]
    copy = Path(notebook).with_name("played.ipynb")
    nbformat.write(document, copy)
    done = project.command("-W", "ignore", "-c", PLAY, str(copy), str(copy.parent))
    assert done.returncode == 0, done.output
    made = nbformat.read(copy, as_version=4).cells[-len(cells) :]
    return ["".join(output.get("text", "") for output in cell.outputs).strip() for cell in made]


@pytest.mark.network
@pytest.mark.parametrize(
    ("step", "index", "cell", "printed"),
    [
        ("start", "", "print(self.alpha, self.constant, inputs, self.point)", "0.75 (1, 2) None Point(0.75)"),
        ("sides", "", "print(self.both, self.common, self.items)", "['left', 'right'] 1 ['a', 'b', 'c']"),
        (
            "outer",
            "1",
            "import sys; print(self.letter, self.index, self.version, sys.version_info[:2])",
            "b 1 2.1.2 (3, 11)",
        ),
        ("inner", "1,0", "print(self.seen)", "('b', 10, 0, [(1, 3, 'b'), (0, 2, 10)])"),
        ("after", "2,1", "print(self.twice, self.input)", "cc 20"),
        ("numbers_joined", "2", "print(self.every, len(inputs), inputs[-1].seen[1])", "['cc', 'cc'] 2 20"),
        ("letters_joined", "", "print(self.all, self.point)", "[['aa', 'aa'], ['bb', 'bb'], ['cc', 'cc']] Point(0.75)"),
        ("end", "", "print(self.sum, self.tags, current.step_name)", "6 ['my:tag'] end"),
    ],
)
def test_notebooks(shapes: Project, tmp_path: Path, step: str, index: str, cell: str, printed: str) -> None:
    """The notebook of a task executes from top to bottom in the step's environment, and has what the step had."""
    pathspec = task_of(shapes, step, index=index)

    answer = opened(shapes, pathspec, tmp_path / "debug")

    assert answer["pathspec"] == pathspec
    assert played(shapes, answer["notebook"], cell) == [printed]
