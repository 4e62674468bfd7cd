"""Progress on a real terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

from tests.project import FLOWS, Project

pytestmark = pytest.mark.slow


def on_a_terminal(project: Project, *words: str) -> str:
    """Run a command whose streams are a terminal and return what it wrote there."""
    ours, theirs = pty.openpty()
    environment = project.environment({"TERM": "xterm", "COLUMNS": "120"})
    with subprocess.Popen(
        [sys.executable, *words], cwd=project.root, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        pieces = []
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # how Linux says that the other side is closed
                break
            if not piece:
                break
            pieces.append(piece)
    os.close(ours)
    assert process.returncode == 0, b"".join(pieces).decode(errors="replace")
    return b"".join(pieces).decode(errors="replace")


def test_live_rows_on_a_terminal(fresh: Project) -> None:
    """On a terminal, work shows live rows that are gone when Metaflow writes again, and lines that stay."""
    text = on_a_terminal(fresh, str(FLOWS / "three.py"), "--environment=conda", "run")

    hidden, shown = "\x1b[?25l", "\x1b[?25h"
    assert text.count(hidden) == text.count(shown) >= 1
    assert "Resolving step start for linux-64: " in text
    assert text.index("Resolving") < text.rindex(shown)
    live = [block.partition(shown)[0] for block in text.split(hidden)[1:]]
    assert "Resolving step start for linux-64 " in live[0]
    assert not [block for block in live if "Task is starting" in block]


def test_quiet_says_nothing(fresh: Project) -> None:
    """Under --quiet no line of ours is printed."""
    variables = {"SPEC": "[conda(libraries={'click': ''}), pypi(packages={'itsdangerous': ''})]"}
    done = fresh.command(str(FLOWS / "one.py"), "--quiet", "--environment=conda", "run", variables=variables)

    assert done.returncode == 0, done.output
    assert len(list(fresh.envs.glob("metaflow_*"))) == 1
    assert "Resolving" not in done.output
    assert "Creating" not in done.output
