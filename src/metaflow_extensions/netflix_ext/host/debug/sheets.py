"""What is written beside the code of a past task: cells, a script, a page, settings of an editor. Pure."""

from __future__ import annotations

import json
import keyword
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...engine.cells import RETURNED, Body

MODULE = "metaflow_debug"
NOTEBOOK = "00_DEBUG_ME.ipynb"
README = "00_README.md"
LAUNCH = ".vscode/launch.json"

Cell = tuple[str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """What is known of the task, for people.

    ``flow_file`` is where the flow is, ``file`` where the step's function is, ``body`` its code if that was found.
    """

    pathspec: str
    status: str
    inspect: bool
    join: bool
    environment: str
    code: str
    flow_file: Path
    file: str
    body: Body | None
    step: str
    python: str
    kernel: str
    spin: str
    traceback: str = ""

    @property
    def script(self) -> str:
        """The name of the script."""
        return f"{self._stem}_debug.py"

    @property
    def state(self) -> str:
        """The name of the file that describes the task to `replay`."""
        return f"{self._stem}_debug.json"

    @property
    def _stem(self) -> str:
        return re.sub(r"[^A-Za-z0-9_]", "_", self.pathspec)


def cells(sheet: Sheet) -> list[Cell]:
    """Return the cells of the notebook."""
    found: list[Cell] = [("markdown", _title(sheet), "")]
    if sheet.traceback:
        printing = f"import {MODULE}\n\n{MODULE}.use({sheet.state!r})\nprint({MODULE}.recorded_traceback())"
        found.append(("markdown", "## How it failed", ""))
        found.append(("code", printing, sheet.traceback))
        found.append(("markdown", "## What it was given", ""))
    found.append(("code", _opening(sheet), ""))
    found.append(("markdown", _instructions(sheet), ""))
    if sheet.body is not None:
        found.extend(("code", text, "") for text in sheet.body.cells)
    found.append(("code", "", ""))
    return found


def script(sheet: Sheet) -> str:
    """Return the same as a script, in which editors know the cells by their first lines."""
    parts = [_comment(_plain(_title(sheet)))]
    if sheet.traceback:
        failed = _comment("How it failed:\n\n" + sheet.traceback.rstrip())
        parts.append(f"# %% [markdown]\n{failed}")
    parts.append(f"# %%\n{_opening(sheet)}")
    parts.append(f"# %% [markdown]\n{_comment(_plain(_instructions(sheet)))}")
    parts.extend(f"# %%\n{text}" for text in (sheet.body.cells if sheet.body is not None else ()))
    return "\n\n".join(parts) + "\n"


def _title(sheet: Sheet) -> str:
    when = "after the step ran" if sheet.inspect else "before the step ran"
    lines = [
        f"# The step {_safe(sheet.step)}",
        "",
        f"The task {sheet.status}. This is its state **{when}**: artifacts are read when they are touched, "
        "and nothing is written.",
        "",
        f"- Task: {_safe(sheet.pathspec)}",
        f"- Code: {_safe(sheet.code)}",
        f"- Environment: {_safe(sheet.environment)}",
        f"- The same by Metaflow itself, with the code as it is now: `{_ticks(sheet.spin)}`",
    ]
    return "\n".join(lines)


def _opening(sheet: Sheet) -> str:
    names = sheet.body.arguments if sheet.body is not None else ()
    own = names[0] if names else "self"
    inputs = names[1] if len(names) > 1 else "inputs"
    module = sheet.flow_file.stem
    every = f"from {module} import *"
    if not module.isidentifier() or keyword.iskeyword(module):
        every = f"globals().update({MODULE}.names_of_flow())"
    lines = [f"import {MODULE}", "", f"{MODULE}.use({sheet.state!r})", every, ""]
    if sheet.body is not None and sheet.body.returns:
        lines[1:1] = [f"from {MODULE} import {RETURNED}"]
    lines.append(f"{own}, {inputs}, current = {MODULE}.open_task()")
    return "\n".join(lines)


def _instructions(sheet: Sheet) -> str:
    if sheet.body is None:
        return (
            "## Its code\n\nIt was not found in the files that the run has kept. "
            f"It can be called: `self.{sheet.step}()`."
        )
    where = f"`{_ticks(sheet.file)}`, lines {sheet.body.first} to {sheet.body.last}"
    text = f"## Its code\n\nFrom {where}. "
    if sheet.inspect:
        return (
            f"{text}Its artifacts are those that it has left; to execute it again, open the task without `--inspect`."
        )
    call = f"self.{sheet.step}({'inputs' if sheet.join else ''})"
    return (
        f"{text}Change a cell and execute it again. All of it, as it was: `{call}`; other steps can be called in the "
        "same way. `self.next` says where the flow went on, and executes nothing."
    )


def readme(sheet: Sheet) -> str:
    """Return the page that tells how to start each."""
    kernel = (
        f"It opens with the kernel `{sheet.kernel}`, which is registered for you; `metaflow debug clean` removes that."
        if sheet.kernel
        else "There is no kernel for it: use the script, or choose a kernel of your own that runs in that environment."
    )
    lines = [
        f"# {_safe(sheet.pathspec)}",
        "",
        f"A past task, opened again by `metaflow debug task`. It {sheet.status}.",
        "",
        "## In a notebook",
        "",
        "```sh",
        f"jupyter lab {NOTEBOOK}",
        "```",
        "",
        kernel,
        "",
        "## As a script",
        "",
        "```sh",
        f"{shlex.quote(sheet.python)} -i {sheet.script}",
        "```",
        "",
        "In VS Code, open this folder and start *Debug* (F5): `.vscode/launch.json` names the interpreter.",
        "",
        "## What is here",
        "",
        f"- `{NOTEBOOK}`, `{sheet.script}`: the step in cells",
        f"- `{sheet.state}`: what is known of the task; `{MODULE}`: what opens it",
        f"- code: {_safe(sheet.code)}",
        f"- environment: {_safe(sheet.environment)}",
        "",
        "Files that the task read beside its code are not here. Stores and services are found by the same settings",
        "(`METAFLOW_*`, credentials) as ever: start Jupyter where they are set.",
    ]
    return "\n".join(lines) + "\n"


def launch(sheet: Sheet) -> str:
    """Return settings by which VS Code starts the script in its debugger."""
    configuration = {
        "name": f"Debug {sheet.pathspec}",
        "type": "debugpy",
        "request": "launch",
        "program": "${workspaceFolder}/" + sheet.script,
        "python": sheet.python,
        "cwd": "${workspaceFolder}",
        "console": "integratedTerminal",
        "justMyCode": False,
    }
    return json.dumps({"version": "0.2.0", "configurations": [configuration]}, indent=2) + "\n"


def _comment(text: str) -> str:
    return "\n".join(f"# {line}".rstrip() for line in _one_line_each(text))


def _one_line_each(text: str) -> Sequence[str]:
    # As Python may count them: nothing that ends a line may end a comment unnoticed.
    return re.split(r"[\n\r\f\v\x1c-\x1e\x85\u2028\u2029]", text.replace("\r\n", "\n"))


def _plain(markdown: str) -> str:
    return re.sub(r"^#+ ", "", markdown, flags=re.M).replace("**", "").replace("`", "")


def _safe(text: str) -> str:
    """Return *text* so that Markdown and HTML take it for text, in one line."""
    flat = " ".join(_one_line_each(text))
    return re.sub(r"([\\`*_{}\[\]<>#|!&])", r"\\\1", flat)


def _ticks(text: str) -> str:
    return " ".join(_one_line_each(text)).replace("`", "'")
