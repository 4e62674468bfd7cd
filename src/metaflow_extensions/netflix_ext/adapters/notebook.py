"""Notebooks, written by nbformat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import nbformat
from nbformat import v4


def write(cells: Sequence[tuple[str, str, str]], *, kernel: str, title: str, python: str) -> str:
    """Return a notebook that opens with the kernel called *kernel* and shown as *title*, for Python *python*.

    A cell is its kind (``markdown``, ``code``), its text, and what it has printed, if anything. The same cells give
    the same bytes. An empty *kernel* leaves the choice to who opens the notebook.
    """
    metadata: dict[str, Any] = {"language_info": {"name": "python", "version": python}}
    if kernel:
        metadata["kernelspec"] = {"name": kernel, "display_name": title, "language": "python"}
    made = [_cell(f"cell-{number}", *cell) for number, cell in enumerate(cells)]
    notebook = v4.new_notebook(cells=made, metadata=metadata)
    nbformat.validate(notebook)
    return str(nbformat.writes(notebook, version=4)) + "\n"


def _cell(name: str, kind: str, text: str, printed: str) -> Any:
    if kind == "markdown":
        return v4.new_markdown_cell(text, id=name)
    outputs = [v4.new_output("stream", name="stdout", text=printed)] if printed else []
    return v4.new_code_cell(text, id=name, outputs=outputs)
