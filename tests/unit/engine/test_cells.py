"""The body of a step in cells: where they are divided, what stays as it is, and what a cell cannot have."""

from __future__ import annotations

import ast
import textwrap

import pytest

from metaflow_extensions.netflix_ext.engine.cells import Body, body, methods
from metaflow_extensions.netflix_ext.engine.errors import InputError

FLOW = textwrap.dedent(
    '''
    class First(FlowSpec):
        @retry(times=2)
        @step
        def start(self):
            """Say it.

            In more lines."""
            # about the import
            import os

            text = """one
      two

            three"""
            if text:

                return

            # each
            for item in text: return print(item,
                "é")

            @decorated

            def inner():
                return 1
            self.next(self.end)

        def end(self): pass; self.next(self.end)

        @step
        def join(this, given):

            # alone

            pass
            # at the end


    class Second(First):
        @step
        def start(self):
            self.second = 1
    '''
)


def found(step: str, *, line: int | None = None, flow: str = "") -> Body:
    result = body(FLOW, step, line=line, flow=flow)
    assert result is not None
    return result


def test_cells_are_divided_at_blank_lines_of_the_top_level() -> None:
    """Comments stay with what follows, texts keep their indentation, and blocks are whole."""
    assert found("start", flow="First").cells == (
        "# about the import\nimport os",
        'text = """one\n  two\n\n        three"""\nif text:\n\n    raise StepReturned',
        '# each\nfor item in text: raise StepReturned(print(item,\n    "é"))',
        "@decorated\n\ndef inner():\n    return 1\nself.next(self.end)",
    )


def test_every_cell_is_python() -> None:
    """A ``return`` of the step is raised; one of a function in it stays, and the body says that there is one."""
    start = found("start", flow="First")

    for cell in start.cells:
        ast.parse(cell)
    assert (start.returns, found("join").returns) == (True, False)


def test_where_a_body_lies() -> None:
    """Its lines leave the description out, and its arguments have the names of the source."""
    start, join = found("start", flow="First"), found("join")

    lines = FLOW.split("\n")
    assert lines[start.first - 1].strip() == "# about the import"
    assert lines[start.last - 1].strip() == "self.next(self.end)"
    assert join.arguments == ("this", "given")
    assert join.cells == ("# alone", "pass")


def test_a_body_on_one_line() -> None:
    """What stands behind the head is one cell."""
    assert found("end").cells == ("pass\nself.next(self.end)",)


def test_which_of_several() -> None:
    """The flow's own is taken, else the one on the line that was recorded; a step that is nowhere is None."""
    line = methods(FLOW)["start"][1]

    assert found("start", flow="Second").cells == ("self.second = 1",)
    assert found("start", line=line, flow="Other").cells == ("self.second = 1",)
    assert body(FLOW, "nowhere", line=1) is None


def test_lines_are_those_of_python() -> None:
    """Neither a form feed nor another system's line ends shift what is taken."""
    source = FLOW.replace("# about the import", "# about \x0c \u2028 it").replace("\n", "\r\n")

    result = body(source, "start", line=None, flow="First")

    assert result is not None
    assert result.cells[0] == "# about \x0c \u2028 it\nimport os"
    assert result.cells[3].endswith("self.next(self.end)")


@pytest.mark.parametrize("source", ["class F:\n    def (", "\0"])
def test_no_python(source: str) -> None:
    """What cannot be read is told."""
    with pytest.raises(InputError, match="cannot be read as Python"):
        body(source, "start", line=None)
