"""The step of a past task, executed once more: on what it was given, in its environment, beside what it left."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...engine.errors import ToolError
from ..commands import opening
from ..workbench import Workbench
from . import sheets
from .reopening import Reopened


@dataclass(frozen=True, slots=True, kw_only=True)
class Executed:
    """What came of it: a traceback or none, where the step went on, and its artifacts beside those recorded.

    ``changed`` has what was recorded and what is now, in words, by name; ``new`` what is now.
    """

    traceback: str | None
    went_on: tuple[str, ...]
    same: tuple[str, ...]
    changed: dict[str, tuple[str, str]]
    missing: tuple[str, ...]
    new: dict[str, str]

    def lines(self) -> list[str]:
        """Return it for people."""
        found = [f"the step raised:\n{self.traceback.rstrip()}" if self.traceback else "the step went to its end"]
        found.append(f"{len(self.same)} artifacts are as recorded{': ' if self.same else ''}{', '.join(self.same)}")
        found += [f"{name} differs: recorded {before}, now {now}" for name, (before, now) in self.changed.items()]
        found += [f"{name} is recorded, and not made now" for name in self.missing]
        found += [f"{name} is made now, and not recorded: {now}" for name, now in self.new.items()]
        return found


def execute(made: Reopened, bench: Workbench) -> Executed:
    """Execute the step of what was opened; what it prints goes to standard error.

    Raises ToolError where its process ends without an answer.
    """
    variables = {**os.environ, "PYTHONPATH": str(made.folder)}
    if made.prefix is not None:
        variables.update(opening.activation(made.prefix))
    with tempfile.TemporaryDirectory(prefix="metaflow-debug-") as folder:
        answer = Path(folder) / "answer.json"
        command = [str(made.python), "-m", f"{sheets.MODULE}.execute", made.files.state.name, str(answer)]
        status = bench.wiring.talk_through(command, variables, lambda line: bench.echo(line, nl=False))
        try:
            found: dict[str, Any] = json.loads(answer.read_text("utf-8"))
        except (OSError, ValueError):
            raise ToolError(
                f"the step ended its process with status {status}, and left no answer",
                f"execute it by hand: {made.python} -i {made.files.script}",
            ) from None
    artifacts = found["artifacts"]
    return Executed(
        traceback=found["traceback"],
        went_on=tuple(found["next"]),
        same=tuple(artifacts["same"]),
        changed={name: (before, now) for name, (before, now) in artifacts["changed"].items()},
        missing=tuple(artifacts["missing"]),
        new=dict(artifacts["new"]),
    )
