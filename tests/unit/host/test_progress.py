"""What people see of work in progress."""

from __future__ import annotations

import re

from metaflow_extensions.netflix_ext.host.progress import LineReporter, TerminalReporter, reporter


def test_a_line_tells_what_was_done_and_how_long_it_took() -> None:
    """A task that ends is one line with its summary and its seconds; a note is a line as it is."""
    lines: list[str] = []
    report = LineReporter(lambda text, **_: lines.append(text))
    report.started("Resolving", 3)
    report.advanced("Resolving", 1)
    report.finished("Resolving", "9 packages")
    report.note("waiting")

    assert len(lines) == 2
    assert re.fullmatch(r"    Resolving: 9 packages, \d+\.\d s", lines[0])
    assert lines[1] == "    waiting"


def test_parts_of_a_task_print_no_lines() -> None:
    """What happens within a task is told by its row alone."""
    lines: list[str] = []
    report = LineReporter(lambda text, **_: lines.append(text))
    part = report.within("Creating")
    part.started("link")
    part.finished("link", "3 packages")

    assert lines == []


def test_a_terminal_shows_a_row_for_each_task_and_its_part() -> None:
    """Rows come and go with their tasks; the part at work is named in the row."""
    report = TerminalReporter(lambda *_, **__: None)
    report.started("Creating a")
    report.started("Creating b", 10)
    report.within("Creating a").started("link", 5)
    report.advanced("Creating b", 4)

    rows = {row.description: (row.completed, row.total) for row in report.progress.tasks}
    assert rows == {"Creating a: link": (0, 5), "Creating b": (4, 10)}

    report.finished("Creating a")
    assert [row.description for row in report.progress.tasks] == ["Creating b"]


def test_where_nobody_looks_there_is_no_display() -> None:
    """Without a terminal plain lines are printed, and nothing live is shown."""
    report = reporter(lambda *_, **__: None)

    assert type(report) is LineReporter
