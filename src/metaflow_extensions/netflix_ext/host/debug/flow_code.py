"""Where the code of a past task is: in its code package, or, without one, where the flow was launched."""

from __future__ import annotations

import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ...engine import cells
from ...engine.errors import InputError
from .past import Past

_ALWAYS = "METAFLOW_FEAT_ALWAYS_UPLOAD_CODE_PACKAGE=1"


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowCode:
    """The flow's file, the file with the step's function, its body if it was found there, and what is to be told."""

    flow_file: Path
    file: Path
    body: cells.Body | None
    warnings: tuple[str, ...] = ()


def packaged(past: Past, folder: Path) -> FlowCode:
    """Return where the code is in *folder*, which holds the code package; raise InputError where the flow is not."""
    name = past.metadata.get("script-name") or past.graph["file"]
    flow_file = _within(folder, str(name))
    if flow_file is None:
        raise InputError(
            f"the code package of {past.pathspec} has no file '{name}', in which the flow was",
            "name another task of that flow",
        )
    file = _within(folder, past.node.get("source_file") or "") or flow_file
    return _found(past, flow_file, file)


def launched(past: Past, where: Path) -> FlowCode:
    """Return where the code of a run without a code package is, on this machine: where it was, or in *where*.

    Raises InputError where it is not there any more, or where the step is no longer in it.
    """
    name = past.metadata.get("script-name") or past.graph["file"]
    recorded = Path(past.node.get("source_file") or "")
    tried = [path for path in (*_siblings(past, name), where / name) if path.is_file()]
    if not tried:
        raise InputError(
            f"{past.pathspec} has kept no code package, and '{name}' is not there any more",
            f"call the command in the folder of the flow; {_ALWAYS} makes runs keep their code",
        )
    flow_file = tried[0]
    file = recorded if recorded.is_file() else flow_file
    there = cells.methods(_read(flow_file))
    changed = _changed(past, flow_file, there)
    found = _found(past, flow_file, file)
    if found.body is None:
        raise InputError(
            f"'{flow_file}' has changed since the run: the step '{past.parts[2]}' of {past.parts[0]} is not in it",
            f"bring back the flow as it was; {_ALWAYS} makes runs keep their code",
        )
    note = (
        f"the run has kept no code package: '{flow_file}' is taken as it is now; {_ALWAYS} makes runs keep their code"
    )
    return FlowCode(flow_file=flow_file, file=file, body=found.body, warnings=(note, *changed))


def _read(file: Path) -> str:
    """Return the text of a Python file, in the encoding that it names; raise InputError where it cannot be read."""
    try:
        with tokenize.open(file) as opened:
            return opened.read()
    except (OSError, SyntaxError, UnicodeError) as error:
        raise InputError(f"'{file}' cannot be read: {error}", "check the file") from error


def _siblings(past: Past, name: str) -> Iterator[Path]:
    for node in past.graph["steps"].values():
        source = Path(node.get("source_file") or "")
        if source.name == name:
            yield source
    if past.node.get("source_file"):
        yield Path(past.node["source_file"]).with_name(name)


def _changed(past: Past, file: Path, there: dict[str, list[int]]) -> list[str]:
    """Return what of the run's graph is not as *file* has it, in a sentence."""
    here = {
        name: node
        for name, node in past.graph["steps"].items()
        if Path(node.get("source_file") or file).name == file.name
    }
    gone = sorted(name for name in here if name not in there)
    moved = sorted(name for name in here if name in there and here[name].get("line") not in (None, *there[name]))
    if not gone and not moved:
        return []
    parts = [f"{', '.join(gone)} {'is' if len(gone) == 1 else 'are'} gone"] * bool(gone)
    parts += [f"{', '.join(moved)} {'is' if len(moved) == 1 else 'are'} on another line"] * bool(moved)
    return [f"'{file}' has changed since the run: of its steps, {' and '.join(parts)}"]


def _found(past: Past, flow_file: Path, file: Path) -> FlowCode:
    flow, _, step, _ = past.parts
    try:
        body = cells.body(_read(file), step, line=past.node.get("line"), flow=flow)
    except InputError as error:  # of a newer Python than ours
        return FlowCode(flow_file=flow_file, file=file, body=None, warnings=(f"'{file}': {error.message}",))
    return FlowCode(flow_file=flow_file, file=file, body=body)


def _within(folder: Path, recorded: str) -> Path | None:
    """Return the file in *folder* whose path has the longest end in common with *recorded*, of another machine."""
    parts = [part for part in Path(recorded).parts if part not in ("/", "..")]
    for start in range(len(parts)):
        found = folder.joinpath(*parts[start:])
        if found.is_file():
            return found
    return None
