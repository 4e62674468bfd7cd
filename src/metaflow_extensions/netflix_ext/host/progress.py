"""Progress for people: a live display on a terminal, timed lines elsewhere; nothing when asked to be quiet."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from ..engine.events import Reporter

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

Echo = Callable[..., Any]


class LineReporter(Reporter):
    """A line when a task ends, with how long it took; tasks that take long also say that they began."""

    def __init__(self, echo: Echo) -> None:
        self._echo = echo
        self._since: dict[str, float] = {}
        self._lock = threading.Lock()

    def started(self, task: str, total: int | None = None, *, unit: str = "") -> None:  # noqa: ARG002 - no share shown
        """Remember when *task* began."""
        with self._lock:
            self._since[task] = time.monotonic()

    def finished(self, task: str, summary: str = "") -> None:
        """Print how long *task* took."""
        with self._lock:
            since = self._since.pop(task, time.monotonic())
        text = f"    {task}: {summary + ', ' if summary else ''}{time.monotonic() - since:.1f} s"
        self._print(text, "green")

    def note(self, message: str) -> None:
        """Print *message*."""
        self._print(f"    {message}", "")

    def live(self) -> contextlib.AbstractContextManager[None]:
        """Show work in progress until the block ends: lines have nothing to show."""
        return contextlib.nullcontext()

    def _print(self, text: str, style: str) -> None:
        with self._lock:  # the line and its end are two things to write
            self._echo(text, bold=False, **({"fg": style} if style else {}))


class TerminalReporter(LineReporter):
    """Lines as above, and a live row for each task at work, shown only while `live`.

    Metaflow writes to the same terminal as soon as it goes on, and would tear the display apart.
    """

    def __init__(self, echo: Echo) -> None:
        super().__init__(echo)
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self.progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[amount]}", markup=False),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._rows: dict[str, TaskID] = {}
        self._bytes: dict[str, int] = {}
        self._live = False

    @contextlib.contextmanager
    def live(self) -> Iterator[None]:
        """Show the rows until the block ends, or the one around it."""
        if self._live:
            yield
            return
        self._live = True
        self.progress.start()
        try:
            yield
        finally:
            self._live = False
            self.progress.stop()

    def started(self, task: str, total: int | None = None, *, unit: str = "") -> None:
        """Add a row for *task*."""
        super().started(task, total)
        self._rows[task] = self.progress.add_task(task, total=total, amount="")
        if unit == "bytes":
            self._bytes[task] = total or 0

    def advanced(self, task: str, done: int) -> None:
        """Move the bar of *task*."""
        amount = f"{done / 1e6:.1f} of {self._bytes[task] / 1e6:.1f} MB" if self._bytes.get(task) else ""
        self.progress.update(self._rows[task], completed=done, amount=amount)

    def finished(self, task: str, summary: str = "") -> None:
        """Take the row of *task* away; the line that stays is printed above the others."""
        self.progress.remove_task(self._rows.pop(task))
        self._bytes.pop(task, None)
        super().finished(task, summary)

    def within(self, task: str) -> Reporter:
        """Return what shows the parts of *task* in its row."""
        return _Part(self.progress, self._rows[task], task)

    def _print(self, text: str, style: str) -> None:
        if self._live:
            self.progress.console.print(text, style=style, markup=False, highlight=False)
        else:
            super()._print(text, style)


class _Part(Reporter):
    def __init__(self, progress: Progress, row: TaskID, task: str) -> None:
        self._progress, self._row, self._task = progress, row, task

    def started(self, task: str, total: int | None = None, *, unit: str = "") -> None:  # noqa: ARG002
        self._progress.update(self._row, description=f"{self._task}: {task}", total=total, completed=0)

    def advanced(self, task: str, done: int) -> None:  # noqa: ARG002 - one part at a time
        self._progress.update(self._row, completed=done)


def reporter(echo: Echo) -> LineReporter:
    """Return what fits the place where people read; *echo* is Metaflow's, which says nothing under ``--quiet``."""
    if getattr(echo, "__name__", "") in ("echo_dev_null", "silence"):
        return LineReporter(echo)
    return TerminalReporter(echo) if sys.stderr.isatty() else LineReporter(echo)
