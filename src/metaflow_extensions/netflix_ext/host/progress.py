"""Progress for people: a live display on a terminal, timed lines elsewhere; nothing when asked to be quiet."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from ..engine.events import Reporter

Echo = Callable[..., Any]


class LineReporter(Reporter):
    """A line when a task ends, with how long it took; tasks that take long also say that they began."""

    def __init__(self, echo: Echo) -> None:
        self._echo = echo
        self._since: dict[str, float] = {}
        self._lock = threading.Lock()

    def started(self, task: str, total: int | None = None) -> None:  # noqa: ARG002 - lines show no share
        """Remember when *task* began."""
        with self._lock:
            self._since[task] = time.monotonic()

    def finished(self, task: str, summary: str = "") -> None:
        """Print how long *task* took."""
        with self._lock:
            since = self._since.pop(task, time.monotonic())
        text = f"    {task}: {summary + ', ' if summary else ''}{time.monotonic() - since:.1f} s"
        self._echo(text, highlight="green", bold=False)

    def note(self, message: str) -> None:
        """Print *message*."""
        self._echo(f"    {message}", bold=False)


class TerminalReporter(LineReporter):
    """Lines as above, and below them a live row for each task at work and for each of its parts."""

    def __init__(self, echo: Echo) -> None:
        super().__init__(echo)
        self.rows = Rows()

    def started(self, task: str, total: int | None = None) -> None:
        """Show a row for *task*."""
        super().started(task, total)
        self.rows.started(task, total)

    def advanced(self, task: str, done: int) -> None:
        """Move the bar of *task*."""
        self.rows.advanced(task, done)

    def finished(self, task: str, summary: str = "") -> None:
        """Take the row of *task* away; the line that stays is printed above the others."""
        self.rows.finished(task, summary)
        super().finished(task, summary)

    def within(self, _task: str) -> Reporter:
        """Return what shows rows and prints no lines."""
        return self.rows


class Rows(Reporter):
    """Live rows on a terminal, which go when their work is done."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._rows: dict[str, Any] = {}
        self._lock = threading.Lock()

    def started(self, task: str, total: int | None = None) -> None:
        """Show a row."""
        with self._lock:
            if not self._rows:
                self._progress.start()
            self._rows[task] = self._progress.add_task(task, total=total)

    def advanced(self, task: str, done: int) -> None:
        """Move its bar."""
        with self._lock:
            if task in self._rows:
                self._progress.update(self._rows[task], completed=done)

    def finished(self, task: str, summary: str = "") -> None:  # noqa: ARG002 - rows have no summary
        """Take it away."""
        with self._lock:
            row = self._rows.pop(task, None)
            if row is not None:
                self._progress.remove_task(row)
            if not self._rows:
                self._progress.stop()

    def within(self, _task: str) -> Reporter:
        """Return itself: parts are rows too."""
        return self


def reporter(echo: Echo) -> Reporter:
    """Return what fits *echo*: Metaflow's, or its silent one under ``--quiet``."""
    if getattr(echo, "__name__", "") == "echo_dev_null":
        return Reporter()
    return TerminalReporter(echo) if sys.stderr.isatty() else LineReporter(echo)
