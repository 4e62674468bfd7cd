"""What the engine reports while it works. Silence is the default. Imports on Python 3.7 (step side)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class Reporter:
    """Receives progress; every method does nothing, so that a new event breaks nobody.

    A *task* is one piece of work with a title, such as ``resolve start, end``; methods may be called from any thread.
    """

    def started(self, task: str, total: int | None = None, *, unit: str = "") -> None:
        """Work on *task* begins; *total* is in the unit of `advanced`, None where it is not known.

        *unit* is ``bytes`` where people should see the amount.
        """

    def advanced(self, task: str, done: int) -> None:
        """Of *task*, *done* units are finished."""

    def finished(self, task: str, summary: str = "") -> None:
        """Work on *task* is over; *summary* is one line for people."""

    def note(self, message: str) -> None:
        """Something a user should read, such as a source that was skipped."""

    def within(self, _task: str) -> Reporter:
        """Return what receives the parts of *task*: by default nobody is told of them."""
        return Reporter()


class Work:
    """A task while it lasts; ``summary`` is told when it is over."""

    summary = ""


@contextmanager
def working(report: Reporter, task: str, total: int | None = None, *, unit: str = "") -> Iterator[Work]:
    """Tell *report* that *task* begins, and that it is over when the block ends: with the summary, or as failed."""
    work = Work()
    report.started(task, total, unit=unit)
    try:
        yield work
    except BaseException:
        report.finished(task, "failed")
        raise
    report.finished(task, work.summary)
