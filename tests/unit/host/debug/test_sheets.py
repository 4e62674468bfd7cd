"""What is written beside the code of a past task: cells, a script, a page, settings of an editor."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest

from metaflow_extensions.netflix_ext.adapters import notebook
from metaflow_extensions.netflix_ext.engine.cells import Body
from metaflow_extensions.netflix_ext.host.debug import sheets

BODY = Body(first=5, last=9, arguments=("self",), cells=("import os", "self.x = 1\nself.next(self.end)"))
SHEET = sheets.Sheet(
    pathspec="Flow/1/train/2",
    status="has succeeded",
    inspect=False,
    join=False,
    environment="1:2",
    code="the code package",
    flow_file=Path("flow.py"),
    file="flow.py",
    body=BODY,
    step="train",
    python="/envs/a/bin/python",
    kernel="mf_flow_train",
    spin="python flow.py spin Flow/1/train/2",
)
ENDS = "\n\r\f\v\x1c\x85\u2028\u2029"


def code_of(sheet: sheets.Sheet) -> list[str]:
    return [text for kind, text, _ in sheets.cells(sheet) if kind == "code"]


def test_cells() -> None:
    """A title, what opens the task, where the code is from, the code in cells, and an empty cell to write in."""
    found = sheets.cells(SHEET)

    assert [kind for kind, _, _ in found] == ["markdown", "code", "markdown", "code", "code", "code"]
    assert found[1][1].splitlines()[-3:] == [
        "from flow import *",
        "",
        "self, inputs, current = metaflow_debug.open_task()",
    ]
    assert "lines 5 to 9" in found[2][1]
    assert [text for _, text, _ in found[3:]] == [*BODY.cells, ""]


def test_the_beginning_of_a_failed_task() -> None:
    """Its traceback comes before what opens the task, as what a cell has printed."""
    found = sheets.cells(replace(SHEET, traceback="Traceback\nValueError"))

    assert (found[2][0], found[2][2]) == ("code", "Traceback\nValueError")
    assert "open_task()" in found[4][1]


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("flow.py", "from flow import *"),
        ("my flow.py", "globals().update(metaflow_debug.names_of_flow())"),
        ("class.py", "globals().update(metaflow_debug.names_of_flow())"),
        ("a'b.py", "globals().update(metaflow_debug.names_of_flow())"),
    ],
)
def test_a_flow_of_any_name_is_imported(file: str, line: str) -> None:
    """A file whose name is none of a module is imported by its path."""
    assert line in code_of(replace(SHEET, flow_file=Path(file)))[0].splitlines()


def test_arguments_have_the_names_of_the_step() -> None:
    """The code calls its first argument what it likes."""
    body = replace(BODY, arguments=("this", "branches"), returns=True)

    first = code_of(replace(SHEET, body=body, join=True))[0]

    assert "this, branches, current = metaflow_debug.open_task()" in first
    assert "from metaflow_debug import StepReturned" in first


def test_nothing_that_was_recorded_is_code_or_markup() -> None:
    """Whatever a name holds, a script stays what it is, and a page has no element that was not written by us."""
    bad = f"""x'"`{ENDS}raise SystemExit(1){ENDS}<script>alert(1)</script> [a](b) \\"""
    sheet = replace(
        SHEET, pathspec=bad, environment=bad, code=bad, file=bad, status=bad, python=bad, traceback=bad, spin=bad
    )

    script = sheets.script(sheet)

    names = {node.id for node in ast.walk(ast.parse(script)) if isinstance(node, ast.Name)}
    assert "SystemExit" not in names
    for cell in code_of(sheet):
        assert "SystemExit" not in {node.id for node in ast.walk(ast.parse(cell)) if isinstance(node, ast.Name)}
    assert json.loads(sheets.launch(sheet))["configurations"][0]["python"] == bad
    page = "\n".join(text for kind, text, _ in sheets.cells(replace(sheet, status="")) if kind == "markdown")
    assert "<script>" not in re.sub(r"`[^`\n]*`", "", page)  # what stands between backticks is text anyway
    assert sheet.script.removesuffix(".py").isidentifier()
    assert len(sheet.script) == len(f"{bad}_debug.py")


def test_code_that_was_not_found() -> None:
    """Without a body the step is called as a whole."""
    found = sheets.cells(replace(SHEET, body=None))

    assert "self.train()" in found[2][1]
    assert code_of(replace(SHEET, body=None))[1:] == [""]


def test_notebooks_are_valid_and_the_same_each_time() -> None:
    """The schema of notebooks accepts them; a kernel is named, or left to who opens it; bytes depend on cells alone."""
    cells = sheets.cells(replace(SHEET, traceback="Traceback"))

    text = notebook.write(cells, kernel="mf_flow_train", title="Metaflow Flow/train", python="3.11.7")
    without = notebook.write(cells, kernel="", title="", python="3.11.7")

    document = nbformat.reads(text, as_version=4)
    nbformat.validate(document)
    assert document.metadata.kernelspec == {
        "name": "mf_flow_train",
        "display_name": "Metaflow Flow/train",
        "language": "python",
    }
    assert "kernelspec" not in nbformat.reads(without, as_version=4).metadata
    assert text == notebook.write(cells, kernel="mf_flow_train", title="Metaflow Flow/train", python="3.11.7")
