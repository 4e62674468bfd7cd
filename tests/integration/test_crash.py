"""Processes that are killed, interrupted, or race each other: the same command works afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.channel import Rule, Server
from tests.project import Finished, Project, project_at
from tests.refusal import ONE, half_made

pytestmark = pytest.mark.slow

SPEC = {"SPEC": "[conda(packages={'click': ''}), pypi(packages={'itsdangerous': ''})]"}
RESOLVING = Rule(r"repodata|/simple/", delay=30)
DOWNLOADING = Rule(r"\.conda$", delay=30)
WHEELS = Rule(r"\.whl$", delay=10)


@pytest.fixture(name="cold")
def _cold(tmp_path: Path, own: Server) -> Project:
    """A user's folder with nothing cached."""
    project = project_at(tmp_path, own, tmp_path / "envs", own_code=True)
    project.variables.update(RATTLER_CACHE_DIR=str(tmp_path / "rattler"), UV_CACHE_DIR=str(tmp_path / "uv"), **SPEC)
    return project


_STARTED: list[subprocess.Popen[str]] = []


@pytest.fixture(autouse=True)
def _started() -> Iterator[None]:
    """End what a failed test has left."""
    yield
    while _STARTED:
        process = _STARTED.pop()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def start(project: Project) -> subprocess.Popen[str]:
    """Start the flow as the leader of a process group of its own, as a shell does."""
    process = subprocess.Popen(
        [sys.executable, str(ONE), "--environment=conda", "run"],
        cwd=project.root,
        env=project.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        # A shell starts what it puts in the background, such as a whole test run, deaf to interrupts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no threads here
    )
    _STARTED.append(process)
    return process


def end(process: subprocess.Popen[str]) -> Finished:
    """Wait for a process, and return what it said."""
    output, _ = process.communicate(timeout=120)
    return Finished(process.returncode, output, "")


def until(condition: Callable[[], object], seconds: float) -> bool:
    """Wait until *condition* holds; tell whether it did in time."""
    limit = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > limit:
            return False
        time.sleep(0.01)
    return True


def processes(project: Project) -> list[str]:
    """Return the command lines of all processes that work for *project*: its folder is in their variables."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if str(project.root).encode() in (folder / "environ").read_bytes():
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                found += [command] if command else []
        except OSError:
            continue
    return found


def works_again(project: Project) -> Finished:
    """Check that the same command works, that nobody is left behind, and that nothing half-made stays."""
    done = project.flow(ONE, "run")
    assert done.returncode == 0, done.output
    assert until(lambda: not processes(project), 8), processes(project)
    assert len(half_made(project.envs)) == 1
    assert not list(project.envs.glob("*.partial-*"))
    return done


@pytest.mark.parametrize(
    ("delay", "whole"), [(0.4, True), (0.7, False), (0.9, True), (1.1, False), (1.4, True), (1.8, False)]
)
def test_a_launcher_killed_at_any_time(cold: Project, delay: float, whole: bool) -> None:
    """Whatever `kill -9` interrupts, the launcher's whole group or itself alone, the next run takes no harm from it."""
    process = start(cold)
    time.sleep(delay)
    os.killpg(process.pid, signal.SIGKILL) if whole else process.kill()
    end(process)
    works_again(cold)


@pytest.mark.parametrize("rule", [DOWNLOADING, WHEELS], ids=["conda", "wheels"])
def test_a_launcher_killed_while_it_creates(cold: Project, own: Server, rule: Rule) -> None:
    """The stage of a dead creator is removed by the next."""
    own.rules.append(rule)
    process = start(cold)
    assert until(lambda: own.applied(rule), 20)
    os.killpg(process.pid, signal.SIGKILL)
    end(process)
    assert list(cold.envs.glob("*.partial-*"))

    own.rules.clear()
    done = works_again(cold)
    assert "Resolving" not in done.output


@pytest.mark.parametrize("rule", [RESOLVING, DOWNLOADING, WHEELS], ids=["resolving", "conda", "wheels"])
def test_an_interrupt_ends_it_within_seconds(cold: Project, own: Server, rule: Rule) -> None:
    """Ctrl-C while a server lets us wait: it ends soon, says so in a line, and leaves nothing."""
    own.rules.append(rule)
    process = start(cold)
    assert until(lambda: own.applied(rule), 20)
    time.sleep(0.7)  # Metaflow shows its own traceback where it is interrupted before it waits for us
    began = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    done = end(process)

    assert time.monotonic() - began < 6, done.output
    assert done.returncode not in (0, None)
    assert "Traceback" not in done.output, done.output
    assert half_made(cold.envs) == []
    own.rules.clear()
    works_again(cold)


def test_two_launchers_at_once(cold: Project) -> None:
    """Of two launchers with the same new environment both succeed, and one creates it."""
    both = [start(cold), start(cold)]
    done = [end(process) for process in both]

    assert [finished.returncode for finished in done] == [0, 0], done[0].output + done[1].output
    assert sum(finished.output.count("Creating the environment") for finished in done) == 1
    assert len(half_made(cold.envs)) == 1
