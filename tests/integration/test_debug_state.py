"""What a task that is opened again has: each step executed once more makes what it has made, whatever its shape."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.channel import Server
from tests.integration.debugged import KEPT, debug, multiply, opened, scripted, tasks
from tests.project import FLOWS, Finished, Project, project_at

pytestmark = pytest.mark.slow

WIDE = """\
from metaflow import FlowSpec, step


class WideFlow(FlowSpec):
    @step(start=True)
    def begin(self):
        self.items = list(range(12))
        self.next(self.each, foreach="items")

    @step
    def each(self):
        self.big, self.number = [0] * 1000, self.input
        self.next(self.join)

    @step
    def join(self, inputs):
        self.total = sum(given.number for given in inputs)
        self.next(self.finish)

    @step(end=True)
    def finish(self):
        pass


if __name__ == "__main__":
    WideFlow()
"""


def outside(project: Project, script: str, *words: str, **variables: str) -> Finished:
    """Run a flow's command without environments, with this interpreter as `python`."""
    return project.command(script, *words, variables={**KEPT, "PATH": project.path, **variables})


@pytest.fixture(name="user", scope="module")
def _user(tmp_path_factory: pytest.TempPathFactory, server: Server, shared_envs: Path) -> Project:
    project = project_at(tmp_path_factory.mktemp("state"), server, shared_envs)
    project.variables["JUPYTER_DATA_DIR"] = str(project.root / "jupyter")
    project.variables["PATH"] = project.path
    return project


@pytest.fixture(name="turns", scope="module")
def _turns(user: Project) -> dict[str, str]:
    """The tasks of a run with a switch, a loop, retries, `@parallel`, configs, `@project`."""
    for name in ("turns.py", "included.txt"):
        user.write(name, (FLOWS / name).read_text())
    done = outside(user, "turns.py", "run", "--tag", "b:2", "--tag", "a:1")
    assert done.returncode == 0, done.output
    return tasks(user, str(user.latest("TurnsFlow", "run.pathspec")))


@pytest.fixture(name="wide", scope="module")
def _wide(user: Project) -> dict[str, str]:
    """The tasks of a run with a foreach."""
    user.write("wide.py", WIDE)
    done = outside(user, "wide.py", "run")
    assert done.returncode == 0, done.output
    return tasks(user, str(user.latest("WideFlow", "run.pathspec")))


def test_every_step_makes_what_it_has_made(user: Project, turns: dict[str, str], tmp_path: Path) -> None:
    """Executed again, each task leaves the same artifacts: parameters, configs, `current`, retries, loops, nodes."""
    assert len(turns) == 11
    for number, pathspec in enumerate(turns.values()):
        answer = opened(user, pathspec, tmp_path / str(number), "--no-kernel", "--run")

        run = answer["run"]
        assert run["traceback"] is None, pathspec
        assert (run["changed"], run["missing"], run["new"]) == ({}, [], {}), pathspec
        assert run["same"] != []


def test_what_differs_is_told(user: Project, wide: dict[str, str], tmp_path: Path) -> None:
    """Where the code makes something else now, or fails, that is said, with both values."""
    answer = opened(user, wide["each 3"], tmp_path / "debug", "--no-kernel")
    code = tmp_path / "debug" / "wide.py"
    code.write_text(code.read_text().replace("self.input\n", "self.input + 40\n        self.more = 1\n"))
    execute = [answer["python"], "-m", "metaflow_debug.execute", Path(answer["script"]).stem + ".json", "answer.json"]

    done = user.program(execute, {"PYTHONPATH": str(tmp_path / "debug")})

    assert done.returncode == 0, done.output
    found = json.loads((user.root / "answer.json").read_text())["artifacts"]
    assert found["changed"] == {"number": ["3", "43"]}
    assert found["new"] == {"more": "1"}
    assert found["same"] == ["big", "items"]


def test_the_state_that_a_step_left(user: Project, wide: dict[str, str], tmp_path: Path) -> None:
    """With --inspect a task has what it made; before it, that was not there."""
    after = opened(user, wide["join"], tmp_path / "after", "--no-kernel", "--inspect")
    before = opened(user, wide["join"], tmp_path / "before", "--no-kernel")

    assert "LEFT 66 True" in only_opened(user, after, "print('LEFT', self.total, hasattr(self, 'total'))").stdout
    assert "LEFT False 12" in only_opened(user, before, "print('LEFT', hasattr(self, 'total'), len(inputs))").stdout


def only_opened(project: Project, answer: dict[str, object], code: str) -> Finished:
    """Run the beginning of the script of an opened task, without the cells of the step, and then *code*."""
    script = Path(str(answer["script"]))
    opening = script.read_text().partition("# %% [markdown]")[0]
    copy = script.with_name("opening.py")
    copy.write_text(f"{opening}\n{code}\n")
    return project.program([str(answer["python"]), str(copy)])


def test_artifacts_are_read_when_they_are_touched(user: Project, wide: dict[str, str], tmp_path: Path) -> None:
    """Opening reads none of the user's artifacts, and nothing of a join's inputs; a touch reads that one alone."""
    each = opened(user, wide["each 3"], tmp_path / "each", "--no-kernel")
    join = opened(user, wide["join"], tmp_path / "join", "--no-kernel")
    mine = "[name for _, name in metaflow_debug.loads if not name.startswith('_')]"

    done = only_opened(user, each, f"print('READ', {mine}); self.input; print('READ', {mine})")
    assert "READ []\nREAD ['items']\n" in done.stdout, done.output
    code = (
        f"print('READ', metaflow_debug.loads); inputs[7].number; print('READ', {mine}, inputs[7].number, len(inputs))"
    )
    done = only_opened(user, join, code)
    assert "READ []\nREAD ['number'] 7 12\n" in done.stdout, done.output


WATCH = """
import atexit, sys

paths = []
sys.addaudithook(lambda event, words: paths.append(str(words[0])) if event == "open" else None)
atexit.register(lambda: open(WATCHED, "w").write("\\n".join(paths)))
"""


def test_many_tasks_cost_nothing(user: Project, wide: dict[str, str], tmp_path: Path) -> None:
    """Opening a task reads no other task of its step; of a join's inputs no more is read than which there are."""
    done = outside(user, "wide.py", "run")
    assert done.returncode == 0, done.output
    run = str(user.latest("WideFlow", "max(r.pathspec for r in Flow('WideFlow'))"))
    multiply(user.root, *run.split("/"), "each", 100)
    (tmp_path / "sitecustomize.py").write_text(f"WATCHED = {str(tmp_path / 'watched')!r}\n{WATCH}")
    read = {}
    for name in ("each/150", "join", ""):
        folder = tmp_path / f"open {name.replace('/', '_')}"
        opened(user, f"{run}/{name}".rstrip("/"), folder, "--no-kernel", PYTHONPATH=str(tmp_path))
        paths = (tmp_path / "watched").read_text().splitlines()
        read[name] = [path.partition(f"{run}/each/")[2] for path in paths if f"{run}/each/" in path]

    assert {path.partition("/")[0] for path in read["each/150"]} <= {"150", "_meta"}
    assert {path.rpartition("/")[2] for path in read["join"]} == {"_self.json"}
    assert len(read["join"]) <= 102
    assert read[""] == []

    answer = opened(user, f"{run}/join", tmp_path / "again", "--no-kernel")
    done = only_opened(user, answer, "print('READ', len(inputs), inputs[41].index, len(inputs[3].big))")
    assert "READ 100 41 1000\n" in done.stdout, done.output


def test_self_is_the_users_own_flow(user: Project, wide: dict[str, str], tmp_path: Path) -> None:
    """Attributes are assigned and deleted, other steps called, and parameters are read-only, as in a task."""
    answer = opened(user, wide["each 3"], tmp_path / "debug", "--no-kernel")
    code = """
    del self.items
    print("ONE", hasattr(self, "items"))
    self.items = [5, 6, 7, 8]
    print("TWO", self.input, self.foreach_stack(), type(self).__name__, self)
    del self.items
    print("THREE", hasattr(self, "items"))
    try:
        del self.nothing
    except AttributeError as error:
        print("FOUR", error)
    self.begin()
    print("FIVE", self.items[:2])
    """

    done = only_opened(user, answer, "\n".join(line[4:] for line in code.splitlines()))

    assert [line for line in done.stdout.splitlines() if line] == [
        "ONE False",
        "TWO 8 [(3, 12, 8)] WideFlow <flow WideFlow step each[3] (input: 8)>",
        "THREE False",
        "FOUR Flow WideFlow has no attribute 'nothing'",
        "Here the flow goes on to each, for each of self.items. Nothing is executed: it is the end of this step.",
        "FIVE [0, 1]",
    ], done.output


def test_current(user: Project, turns: dict[str, str], tmp_path: Path) -> None:
    """It leads to the run and the task; a card, and what only a running task has, are refused in words."""
    answer = opened(user, turns["met"], tmp_path / "debug", "--no-kernel")
    code = """
    print("ONE", current.task.pathspec, current.run.successful, "card" in current, current.get("card"))
    for name in ("card", "checkpoint"):
        try:
            getattr(current, name)
        except AttributeError as error:
            print("TWO", error)
    """

    done = only_opened(user, answer, "\n".join(line[4:] for line in code.splitlines()))

    assert f"ONE {turns['met']} True False None" in done.stdout, done.output
    assert "TWO current.card: a card is made by a task while it runs" in done.stdout
    assert f"metaflow.cards.get_cards('{turns['met']}')" in done.stdout
    assert "TWO current has no 'checkpoint' here" in done.stdout


def test_a_step_that_returns(user: Project, turns: dict[str, str], tmp_path: Path) -> None:
    """The cell with the return says that the step ends there, and the next one does not come by itself."""
    answer = opened(user, turns["end"], tmp_path / "debug", "--no-kernel")

    done = scripted(user, answer, "")

    assert done.returncode == 1
    assert "StepReturned" in done.stderr
    assert "never" not in done.stdout


WAITING = """\
import time
from pathlib import Path

from metaflow import FlowSpec, step


class WaitingFlow(FlowSpec):
    @step
    def start(self):
        self.items = [7, 8]
        self.next(self.wait, foreach="items")

    @step
    def wait(self):
        self.begun = True
        Path(f"waiting{self.index}").touch()
        while not Path("go").exists():
            time.sleep(0.1)
        self.next(self.join)

    @step
    def join(self, inputs):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    WaitingFlow()
"""


def test_a_task_that_is_running(user: Project, tmp_path: Path) -> None:
    """It opens as its step began; of what it makes nothing is there yet, and the run goes on."""
    script = user.write("waiting.py", WAITING)
    words = [sys.executable, str(script), "run"]
    running = subprocess.Popen(words, cwd=user.root, env=user.environment(KEPT), stdout=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 60
        while not (user.root / "waiting1").exists() and time.monotonic() < end:
            time.sleep(0.1)
        run = str(user.latest("WaitingFlow", "run.pathspec"))
        answer = opened(user, f"{run}/wait", tmp_path / "running", "--index", "1", "--no-kernel")
        after = opened(user, f"{run}/wait", tmp_path / "after", "--index", "1", "--no-kernel", "--inspect")
        seen = only_opened(user, answer, "print('SAW', self.input, self.index, hasattr(self, 'begun'))")
        left = only_opened(user, after, "print('SAW', hasattr(self, 'begun'))")
    finally:
        (user.root / "go").touch()
        assert running.wait(60) == 0
    assert "SAW 8 1 False" in seen.stdout, seen.output
    assert "SAW False" in left.stdout, left.output
    assert "has not ended" in (tmp_path / "running" / "00_README.md").read_text()


def test_diff(user: Project, wide: dict[str, str], turns: dict[str, str]) -> None:
    """Artifacts are compared by content, code by lines, parameters by value; what cannot be compared says why."""
    script = user.root / "wide.py"
    script.write_text(WIDE.replace("sum(", "1 + sum("))
    outside(user, "wide.py", "run")
    script.write_text(WIDE)
    run = str(user.latest("WideFlow", "max(r.pathspec for r in Flow('WideFlow'))"))

    answer = json.loads(debug(user, "--json", "diff", wide["join"], f"{run}/join").stdout)
    shown = debug(user, "diff", wide["join"], f"{run}/join", "--code").stdout

    assert answer["artifacts"]["changed"] == {"total": ["66", "67"]}
    assert answer["code"]["changed"] == {"wide.py": ["", ""]}
    assert answer["environment"] is None
    assert "ran outside of environments" in answer["unknown"]["environment"]
    assert "  ~ total 66 -> 67\n" in shown
    assert "+        self.total = 1 + sum(given.number for given in inputs)" in shown
    lines = debug(user, "diff", "--quiet", wide["each 3"], wide["each 4"]).stdout
    assert lines == "artifacts ~ number 3 -> 4\n"
    assert debug(user, "diff", "--quiet", turns["loop"], turns["loop"]).stdout == ""
