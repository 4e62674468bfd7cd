"""`metaflow debug task` with environments and kernels: notebooks are executed, scripts are run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.channel import Server
from tests.integration.debugged import KEPT, debug, opened, played, scripted, tasks
from tests.project import FLOWS, Project, project_at

pytestmark = pytest.mark.slow


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


@pytest.fixture(name="ran", scope="module")
def _ran(shapes: Project) -> dict[str, str]:
    return tasks(shapes, str(shapes.latest("ShapesFlow", "run.pathspec")))


@pytest.fixture(name="failed", scope="module")
def _failed(shapes: Project, ran: dict[str, str]) -> dict[str, str]:
    """The tasks of a run that has failed; it is the latest one from now on."""
    done = shapes.flow("shapes.py", "run", "--fail", "True", "--max-workers", "1", variables=KEPT)
    assert done.returncode == 1, done.output
    return tasks(shapes, str(shapes.latest("ShapesFlow", "run.pathspec")))


@pytest.mark.network
@pytest.mark.parametrize(
    ("task", "cell", "printed"),
    [
        ("start", "print(self.alpha, self.constant, inputs, self.point)", "0.75 (1, 2) None Point(0.75)"),
        ("sides", "print(self.both, self.common, self.items)", "['left', 'right'] 1 ['a', 'b', 'c']"),
        (
            "outer 1",
            "import sys; print(self.letter, self.index, self.version, sys.version_info[:2])",
            "b 1 2.1.2 (3, 11)",
        ),
        ("inner 1,0", "print(self.seen)", "('b', 10, 0, [(1, 3, 'b'), (0, 2, 10)])"),
        ("after 2,1", "print(self.twice, self.input)", "cc 20"),
        ("numbers_joined 2", "print(self.every, len(inputs), inputs[-1].seen[1])", "['cc', 'cc'] 2 20"),
        ("letters_joined", "print(self.all, self.point)", "[['aa', 'aa'], ['bb', 'bb'], ['cc', 'cc']] Point(0.75)"),
        ("end", "print(self.sum, self.tags, current.step_name)", "6 ['my:tag'] end"),
    ],
)
def test_notebooks(shapes: Project, ran: dict[str, str], tmp_path: Path, task: str, cell: str, printed: str) -> None:
    """The notebook of a task executes from top to bottom in the step's environment, and has what the step had."""
    answer = opened(shapes, ran[task], tmp_path / "debug")

    assert answer["pathspec"] == ran[task]
    assert played(shapes, answer["notebook"], cell) == [printed]


@pytest.mark.network
def test_the_notebook_of_a_failed_task(shapes: Project, failed: dict[str, str], tmp_path: Path) -> None:
    """It shows the traceback that was recorded, stops where the step failed, and goes on once the input is another."""
    answer = opened(shapes, failed["inner 1,1"], tmp_path / "debug")
    cells = json.loads(Path(answer["notebook"]).read_text())["cells"]
    recorded = next("".join(cell["outputs"][0]["text"]) for cell in cells if cell.get("outputs"))

    assert "ValueError: it was to fail: <b>&</b> `20`" in recorded
    assert "shapes.py" in recorded
    printed = played(
        shapes,
        answer["notebook"],
        "print(self.seen[:2])",
        "self.numbers = [10, 21]; self._cached_input.clear(); self.inner(); print(self.seen[:2])",
        fails=True,
    )
    assert printed[0] == "('b', 20)"
    assert printed[1].endswith("('b', 21)")


@pytest.mark.network
def test_the_notebook_of_a_resumed_task(shapes: Project, failed: dict[str, str], tmp_path: Path) -> None:
    """A run that was resumed has tasks of its own and tasks taken over; both open, and know what they were given."""
    origin = failed["start"].split("/")[1]
    script = shapes.root / "shapes.py"
    before = script.read_text()
    script.write_text(before.replace("if self.fail and", "if False and"))  # what the user has mended
    try:
        shapes.flow("shapes.py", "resume", "--origin-run-id", origin, variables=KEPT)
    finally:
        script.write_text(before)
    run = str(shapes.latest("ShapesFlow", "max(r.pathspec for r in Flow('ShapesFlow'))"))
    resumed = tasks(shapes, run)

    own = opened(shapes, resumed["numbers_joined 1"], tmp_path / "own")
    assert played(shapes, own["notebook"], "print(self.every, current.origin_run_id, len(inputs))") == [
        f"['bb', 'bb'] {origin} 2"
    ]
    taken = opened(shapes, resumed["inner 0,1"], tmp_path / "taken", "--no-kernel", "--run")
    assert taken["run"]["traceback"] is None
    assert (taken["run"]["changed"], taken["run"]["missing"]) == ({}, [])
    assert "seen" in taken["run"]["same"]


@pytest.mark.network
def test_the_kernel(shapes: Project, ran: dict[str, str], tmp_path: Path) -> None:
    """It is named for the step and its environment, is used again, adds no more than ipykernel, and is removed."""
    answer = opened(shapes, ran["end"], tmp_path / "one")
    file = Path(shapes.variables["JUPYTER_DATA_DIR"]) / "kernels" / answer["kernel"] / "kernel.json"
    assert answer["kernel"] == f"mf_shapesflow_end_{answer['environment']['full_id'][:8]}"
    written = file.stat().st_mtime_ns

    again = opened(shapes, ran["end"], tmp_path / "two")
    named = opened(shapes, ran["end"], tmp_path / "three", "--kernel-name", "Mine")

    assert again["kernel"] == answer["kernel"]
    assert file.stat().st_mtime_ns == written
    assert named["kernel"] == "mine"
    ids = [f"{answer['environment']['req_id']}:{answer['environment']['full_id']}", "--pathspec", ran["end"]]
    shown = [shapes.metaflow("environment", "show", "--json", *words).stdout for words in (ids[:1], ids[1:])]
    with_kernel, own = (
        {item["filename"] for item in json.loads(text)["environments"][0]["environment"]["packages"]} for text in shown
    )
    assert own < with_kernel
    assert any(name.startswith("ipykernel-") for name in with_kernel - own)

    listed = json.loads(debug(shapes, "clean", "--json", "--dry-run").stdout)
    assert {"name": "mine", "step": "ShapesFlow/end"} in listed["kernels"]
    assert debug(shapes, "clean", "mine", "--quiet").stdout == "mine\n"
    assert file.exists()
    assert debug(shapes, "clean", "mine").returncode == 1
    assert debug(shapes, "clean").returncode == 0
    assert not file.exists()
    assert json.loads(debug(shapes, "clean", "--json").stdout)["kernels"] == []


def test_the_script(shapes: Project, ran: dict[str, str], tmp_path: Path) -> None:
    """Without a kernel the environment is the step's own, to the package; the script runs in it, activated."""
    answer = opened(shapes, ran["outer 2"], tmp_path / "debug", "--no-kernel")

    own = json.loads(str(shapes.latest("ShapesFlow", "run['outer'].task.metadata_dict['conda_env_id']")))
    assert [answer["environment"][name] for name in ("req_id", "full_id", "arch")] == own
    code = "import os; print('SAW', self.version, self.letter, os.environ['CONDA_PREFIX'], os.environ['PATH'])"
    done = scripted(shapes, answer, code, PATH="/usr/bin")
    assert done.returncode == 0, done.output
    prefix = str(Path(answer["python"]).parents[1])
    assert f"SAW 2.1.2 c {prefix} {prefix}/bin:/usr/bin" in done.stdout
    launch = json.loads((tmp_path / "debug" / ".vscode" / "launch.json").read_text())["configurations"][0]
    assert launch["python"] == answer["python"]
    assert launch["program"].endswith(Path(answer["script"]).name)


def test_another_environment(shapes: Project, ran: dict[str, str], tmp_path: Path) -> None:
    """One that has a name, or that of another step, takes the place of the task's own."""
    shapes.write("requirements.txt", "python==3.9\nitsdangerous==2.1.2\n")
    words = ("environment", "resolve", "-r", "requirements.txt", "--alias", "team/older:v1")
    assert shapes.metaflow(*words).returncode == 0

    older = opened(shapes, ran["start"], tmp_path / "older", "--no-kernel", "--override-env", "team/older:v1")
    code = "import sys; print('SAW', sys.version_info[:2], self.alpha, metaflow_debug.__file__)"
    done = scripted(shapes, older, code)
    assert f"SAW (3, 9) 0.75 {tmp_path}/older/metaflow_debug/__init__.py" in done.stdout, done.output

    words = ("--no-kernel", "--override-env-from-pathspec", ran["end"])
    other = opened(shapes, ran["start"], tmp_path / "other", *words)
    assert other["environment"] != older["environment"]
    both = debug(shapes, "task", ran["end"], "--metaflow-root-dir", "x", "--override-env", "a", *words[1:])
    assert both.returncode == 2


def test_a_run_that_kept_no_code(shapes: Project, ran: dict[str, str], tmp_path: Path) -> None:
    """The flow's file is imported from where it is, and Metaflow comes along for the environment."""
    shapes.run("shapes.py", "--max-workers", "4")
    task = str(shapes.latest("ShapesFlow", "max(r.pathspec for r in Flow('ShapesFlow'))"))

    answer = opened(shapes, task, tmp_path / "debug", "--no-kernel", "--run")

    assert answer["pathspec"].startswith(f"{task}/end/")
    assert (answer["run"]["traceback"], answer["run"]["changed"]) == (None, {})
    done = scripted(shapes, answer, "import shapes, metaflow; print('SAW', shapes.__file__, metaflow.__file__)")
    assert f"SAW {shapes.root}/shapes.py {tmp_path}/debug/metaflow/__init__.py" in done.stdout, done.output


def test_the_oldest_python(shapes: Project, ran: dict[str, str], tmp_path: Path) -> None:
    """What opens a task runs on Python 3.7."""
    shapes.write("requirements.txt", "python==3.7\nrequests\n")
    words = ("environment", "resolve", "-r", "requirements.txt", "--alias", "team/oldest:v1")
    done = shapes.metaflow(*words)
    assert done.returncode == 0, done.output

    words = ("--no-kernel", "--run", "--override-env", "team/oldest:v1")
    for task in ("start", "sides", "inner 1,0", "numbers_joined 2"):
        answer = opened(shapes, ran[task], tmp_path / task.replace(" ", "_"), *words)

        assert answer["run"]["traceback"] is None
        assert answer["run"]["changed"] == {}
        assert answer["run"]["same"] != []
