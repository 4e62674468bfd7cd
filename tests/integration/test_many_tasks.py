"""Many tasks that start at once on one machine, or on machines that share a disk."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.fakes import PYTHON, resolved

ROOT = Path(__file__).parents[2]
TASKS = 200
# Each task is a process of its own, with the real lock and the real folder; only what fills the prefix is a stand-in.
_PROGRAM = """
import os, sys, time
from pathlib import Path
from metaflow_extensions.netflix_ext.adapters.prefixes import PrefixFolder
from metaflow_extensions.netflix_ext.engine.create import create
from metaflow_extensions.netflix_ext.engine.events import Reporter
from tests.fakes import FakeInstaller, creator, resolved

root, tasks = Path(sys.argv[1]), int(sys.argv[2])

class Slow(FakeInstaller):
    def install(self, packages, stage, final, report, **more):
        (root / f"installed-by-{os.getpid()}").touch()
        time.sleep(0.3)
        super().install(packages, stage, final, report, **more)

def task(gate):
    os.read(gate, 1)
    made = create(resolved(), creator(PrefixFolder(root / "envs"), conda=Slow()), Reporter())
    files = sorted(path.name for path in made.path.iterdir())
    (root / f"task-{os.getpid()}").write_text(" ".join([dict(made.variables)["HELLO"], *files]))

reading, writing = os.pipe()
children = []
for _ in range(tasks):
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(writing)
            task(reading)
            status = 0
        finally:
            os._exit(status)
    children.append(child)
os.close(writing)  # now they all go
print([child for child in children if os.waitpid(child, 0)[1] != 0])
"""


def test_one_creates_and_the_others_wait(tmp_path: Path) -> None:
    """Of two hundred tasks that need one prefix at once, one makes it, all find it whole, and none fails."""
    command = [sys.executable, "-c", _PROGRAM, str(tmp_path), str(TASKS)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")
    assert len(list(tmp_path.glob("installed-by-*"))) == 1
    prefix = tmp_path / "envs" / resolved().env_id.prefix_name
    told = [path.read_text() for path in tmp_path.glob("task-*")]
    assert len(told) == TASKS
    assert set(told) == {f"{prefix} .metaflowenv {PYTHON.filename}"}
    assert [path.name for path in (tmp_path / "envs").iterdir() if path.name != ".locks"] == [prefix.name]
