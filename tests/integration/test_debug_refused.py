"""What `metaflow debug` is asked for and cannot give, and names that would break out of what is written."""

from __future__ import annotations

import ast
import json
import shutil
from pathlib import Path

import nbformat
import pytest

from tests.channel import Server, serve
from tests.integration.debugged import KEPT, debug, opened, scripted, tasks
from tests.project import FLOWS, Finished, Project, project_at
from tests.refusal import check_refusal

pytestmark = pytest.mark.slow

SMALL = """\
from metaflow import FlowSpec, step


class SmallFlow(FlowSpec):
    @step
    def start(self):
        self.items = [1, 2]
        self.next(self.each, foreach="items")

    @step
    def each(self):
        import thing

        self.number, self.thing = self.input, thing.Thing()
        self.next(self.join)

    @step
    def join(self, inputs):
        self.merge_artifacts(inputs, exclude=["number", "thing"])
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    SmallFlow()
"""
HOSTILE = '''\
from metaflow import FlowSpec, step

__all__ = ["step"]


class HostileFlow(FlowSpec):
    @step
    def start(self):
        """`x` <script>alert(1)</script> """
        setattr(self, """x'); raise SystemExit('out') #\\n""", 1)
        setattr(self, "class", 2)
        self.next(self.end)

    @step
    def end(self):
        # """ ``` \\N{LINE SEPARATOR} %%bash
        self.sum = getattr(self, "class") + 1


if __name__ == "__main__":
    HostileFlow()
'''


@pytest.fixture(name="user", scope="module")
def _user(tmp_path_factory: pytest.TempPathFactory, server: Server, shared_envs: Path) -> Project:
    project = project_at(tmp_path_factory.mktemp("refused"), server, shared_envs)
    project.variables["JUPYTER_DATA_DIR"] = str(project.root / "jupyter")
    return project


@pytest.fixture(name="small", scope="module")
def _small(user: Project) -> dict[str, str]:
    """The tasks of a run, outside of environments, that has kept no code."""
    user.write("small.py", SMALL)
    user.write("thing.py", "class Thing:\n    pass\n")
    done = user.command("small.py", "run")
    assert done.returncode == 0, done.output
    (user.root / "thing.py").unlink()
    return tasks(user, str(user.latest("SmallFlow", "run.pathspec")))


def refused(project: Project, *words: str, **variables: str) -> Finished:
    """Ask for a task that cannot be had; nothing may be made."""
    folder = project.root / "refused"
    done = debug(project, "task", *words, "--metaflow-root-dir", str(folder), "--no-kernel", **variables)
    assert not folder.exists()
    return done


@pytest.mark.parametrize(
    ("pathspec", "words", "said"),
    [
        ("NoFlow", (), ("there is no flow 'NoFlow'", "there are: SmallFlow")),
        ("SmallFlow/17", (), ("there is no run 'SmallFlow/17'", "the latest ones are: ")),
        ("{run}/nowhere", (), ("has no step 'nowhere'", "its steps are: start, each, join, end")),
        ("{run}/start/77", (), ("has no task '77'", "it has: 1")),
        ("{run}/each", (), ("has several tasks:", "--index 1  ['items=2']", "choose by --index")),
        ("{run}/each", ("--index", "7"), ("has no task at index 7", "leave --index out to see them")),
        ("{run}/each", ("--index", "x"), ("--index x: that is no index", "1,0")),
        ("{run}/start", ("--index", "0"), ("has no task at index 0",)),
        ("{run}/start/1", ("--index", "0"), ("is one task", "leave out --index")),
        ("a/b/c/d/e", (), ("'a/b/c/d/e' names no task", "Flow/Run/Step/Task")),
        ("SmallFlow//start", (), ("names no task",)),
        ("{run}/start", ("--override-env", "a:b"), ("ran outside of environments", "leave out --override-env")),
    ],
)
def test_which_task(
    user: Project, small: dict[str, str], pathspec: str, words: tuple[str, ...], said: tuple[str, ...]
) -> None:
    """What names no task, or several, is told with what there is to choose from; nothing is made."""
    run = small["start"].rpartition("/start")[0]

    check_refusal(refused(user, pathspec.format(run=run), *words), *said, "hint: ")


def test_a_namespace_without_runs(user: Project, small: dict[str, str]) -> None:
    """Runs of others are named; with its number a run is found in any namespace."""
    words = ("task", "SmallFlow", "--metaflow-root-dir", str(user.root / "refused"), "--no-kernel")
    done = debug(user, *words, METAFLOW_USER="somebody")

    check_refusal(done, "has no run in the namespace user:somebody", small["start"].split("/")[1])


@pytest.mark.parametrize("words", [(), ("a",), ("a", "--metaflow-root-dir", "b", "--run", "--inspect")])
def test_wrong_use(user: Project, words: tuple[str, ...]) -> None:
    """A wrong use ends with status 2."""
    done = debug(user, "task", *words)

    assert (done.returncode, done.stdout) == (2, "")


def test_folders(user: Project, small: dict[str, str], tmp_path: Path) -> None:
    """One with something in it, a file, one that cannot be made, the flow's own: all are refused, and stay."""
    full = tmp_path / "full"
    full.mkdir()
    (full / "00_DEBUG_ME.ipynb").write_text("mine")
    words = ("task", small["start"], "--no-kernel", "--metaflow-root-dir")

    check_refusal(debug(user, *words, str(full)), "is not empty", "--force")
    assert (full / "00_DEBUG_ME.ipynb").read_text() == "mine"
    check_refusal(debug(user, *words, str(full / "00_DEBUG_ME.ipynb")), "is a file")
    check_refusal(debug(user, *words, str(full / "00_DEBUG_ME.ipynb" / "x")), "cannot be written")
    for folder in (".", str(user.root)):
        done = debug(user, *words, folder, "--force")
        check_refusal(done, "is the folder of the flow", "name another folder")
    assert (user.root / "small.py").read_text() == SMALL

    inside = debug(user, *words, "inside")
    assert "note: '" in inside.stderr
    assert "is inside the folder of the flow" in inside.stderr
    shutil.rmtree(user.root / "inside")

    opened(user, small["start"], full, "--no-kernel", "--force")
    nbformat.validate(nbformat.read(full / "00_DEBUG_ME.ipynb", as_version=4))


def test_code_that_was_not_kept(user: Project, small: dict[str, str], tmp_path: Path) -> None:
    """The flow's file is taken as it is; what has changed is told, and where the step is gone, that ends it."""
    script = user.root / "small.py"
    words = ("task", small["each 1"], "--no-kernel", "--metaflow-root-dir")
    try:
        done = debug(user, *words, str(tmp_path / "same"))
        assert done.returncode == 0, done.output
        assert "note: the run has kept no code package" in done.stderr
        assert "METAFLOW_FEAT_ALWAYS_UPLOAD_CODE_PACKAGE=1" in done.stderr
        assert "has changed" not in done.stderr
        script.write_text("\n\n" + SMALL.replace("def start", "def begin"))
        done = debug(user, *words, str(tmp_path / "moved"))
        assert (
            "has changed since the run: of its steps, start is gone and each, end, join are on another line"
            in done.stderr
        )
        script.write_text(SMALL.replace("def each", "def other"))
        check_refusal(
            debug(user, *words, str(tmp_path / "gone")), "the step 'each' of SmallFlow is not in it", "bring back"
        )
        script.write_text("def (")
        check_refusal(debug(user, *words, str(tmp_path / "broken")), "cannot be read as Python in line 1")
        script.unlink()
        check_refusal(
            debug(user, *words, str(tmp_path / "none")), "'small.py' is not there any more", "call the command in"
        )
    finally:
        script.write_text(SMALL)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["moved", "same"]


def test_an_artifact_that_cannot_be_read(user: Project, small: dict[str, str], tmp_path: Path) -> None:
    """The task opens; touching that one says which it is, and why; others are read."""
    answer = opened(user, small["each 0"], tmp_path / "debug", "--no-kernel", "--inspect")
    script = Path(answer["script"])
    script.write_text(script.read_text().partition("# %% [markdown]")[0])
    code = "print('READ', self.number)\ntry:\n    self.thing\n"
    code += "except metaflow_debug.ArtifactError as error:\n    print('TOLD', error)"

    done = scripted(user, answer, code)

    task = small["each 0"]
    assert "READ 1\n" in done.stdout, done.output
    told = f"TOLD the artifact 'thing' of {task} (recorded as <class 'thing.Thing'>) cannot be read here: "
    assert told + "ModuleNotFoundError: No module named 'thing'" in done.stdout


def test_no_jupyter(user: Project, small: dict[str, str], tmp_path: Path) -> None:
    """Where the interpreter has no ipykernel there is no kernel; the notebook is written, and the script works."""
    done = debug(user, "task", small["end"], "--metaflow-root-dir", str(tmp_path / "debug"))

    assert done.returncode == 0, done.output
    assert "note: no kernel: " in done.stderr
    assert "has no ipykernel" in done.stderr
    assert "The script needs none." in done.stderr
    notebook = nbformat.read(tmp_path / "debug" / "00_DEBUG_ME.ipynb", as_version=4)
    assert "kernelspec" not in notebook.metadata
    page = (tmp_path / "debug" / "00_README.md").read_text()
    assert "There is no kernel" in page


def test_no_ipykernel_for_the_environment(user: Project, tmp_path: Path) -> None:
    """Where neither channel nor index has one that fits, the environment is the task's own, and the script works."""
    user.write("shapes.py", (FLOWS / "shapes.py").read_text())
    user.run("shapes.py", variables=KEPT)
    task = str(user.latest("ShapesFlow", "run['end'].task.pathspec"))

    done = debug(user, "--json", "task", task, "--metaflow-root-dir", str(tmp_path / "debug"))

    assert done.returncode == 0, done.output
    assert "note: no kernel: ipykernel cannot be added to the environment" in done.stderr
    answer = json.loads(done.stdout)
    assert answer["kernel"] is None
    assert "SUM 6" in scripted(user, answer, "print('SUM', self.sum)").stdout


def test_an_environment_that_cannot_be_made_again(built: Path, tmp_path: Path) -> None:
    """The package that is gone from everywhere is named, and the folder is not made."""
    with serve(built) as running:
        project = project_at(tmp_path, running, tmp_path / ".envs")
        project.variables.update(RATTLER_CACHE_DIR=str(tmp_path / "rattler"), UV_CACHE_DIR=str(tmp_path / "uv"))
        project.write("shapes.py", (FLOWS / "shapes.py").read_text())
        project.run("shapes.py", variables=KEPT)
    for name in (".envs", "rattler"):
        (tmp_path / name).rename(tmp_path / f"gone{name}")  # at once, whoever still writes there

    check_refusal(refused(project, "ShapesFlow"), ".conda", "hint: ")


def test_a_code_package_that_is_gone(user: Project, tmp_path: Path) -> None:
    """It is named, and nothing is made."""
    user.write("shapes.py", (FLOWS / "shapes.py").read_text())
    user.run("shapes.py", variables=KEPT)
    location = json.loads(str(user.latest("ShapesFlow", "run['end'].task.metadata_dict['code-package']")))["location"]
    Path(location).unlink()

    # Without what Metaflow's client has kept of it.
    done = refused(user, "ShapesFlow", METAFLOW_CLIENT_CACHE_PATH=str(tmp_path))

    check_refusal(done, "the code package of ShapesFlow/", "is gone")


def test_hostile_names(server: Server, tmp_path: Path) -> None:
    """No name that users choose becomes code or markup: files, folders, tags, artifacts, descriptions."""
    root = tmp_path / """it's "a" $(folder) `x`"""
    root.mkdir()
    project = project_at(root, server, tmp_path / ".envs")
    script = """my 'flow"s.py"""
    project.write(script, HOSTILE)
    tag = '\'"""\nraise SystemExit("out") #</script>'
    done = project.command(script, "run", "--tag", tag, variables=KEPT)
    assert done.returncode == 0, done.output
    run = str(project.latest("HostileFlow", "run.pathspec"))
    for step in ("start", "end"):
        folder = root / f"open {step}"
        answer = opened(project, f"{run}/{step}", folder, "--no-kernel", "--run")
        assert answer["run"]["traceback"] is None
        assert answer["run"]["changed"] == {}
        cells = nbformat.read(answer["notebook"], as_version=4).cells
        for cell in cells:
            if cell.cell_type == "code":
                ast.parse(cell.source)
            else:
                assert "<script>" not in cell.source
        code = f"print('TAG', current.tags == frozenset([{tag!r}]), getattr(self, 'class'))"
        done = scripted(project, answer, code)
        assert "TAG True 2" in done.stdout, done.output
        launch = json.loads((folder / ".vscode" / "launch.json").read_text())
        assert launch["configurations"][0]["name"] == f"Debug {answer['pathspec']}"
