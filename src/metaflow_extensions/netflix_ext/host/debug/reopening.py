"""A past task opened again: its code, its data and its environment in one folder, for a notebook or a debugger."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...engine.alias import shown_name, step_name
from ...engine.create import check_machine
from ...engine.errors import ExtensionError, InputError, ResolveError
from ...engine.ports import Prefix
from ...engine.resolved import ResolvedEnvironment
from ...engine.secret import has_credentials
from ..commands import opening, unpacking
from ..workbench import Workbench
from . import flow_code, sheets
from .flow_code import FlowCode
from .past import Past

FACT = "metaflow-netflixext-debug"
_OUTSIDE = "the interpreter that this command runs in: the task ran outside of environments"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """How a task is to be opened: see the options of ``metaflow debug task``.

    ``override`` is an environment in place of the task's own, as `engine.lookup.Lookup` reads names.
    """

    folder: Path
    inspect: bool = False
    force: bool = False
    kernel: bool = True
    kernel_name: str = ""
    override: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reopened:
    """What was made. ``prefix`` is None where the interpreter is the one that runs the command."""

    sheet: sheets.Sheet
    prefix: Prefix | None
    environment: ResolvedEnvironment | None
    folder: Path

    @property
    def python(self) -> Path:
        """The interpreter."""
        return _python(self.prefix)

    @property
    def files(self) -> Files:
        """Where the notebook, the script and the description of the task are."""
        return Files(
            notebook=self.folder / sheets.NOTEBOOK,
            script=self.folder / self.sheet.script,
            state=self.folder / self.sheet.state,
        )

    def instructions(self) -> list[str]:
        """Return how to go on, a line each."""
        found = [f"as a script: {shlex.join([str(self.python), '-i', str(self.files.script)])}"]
        if self.sheet.kernel:
            notebook = f"in a notebook: {shlex.join(['jupyter', 'lab', str(self.files.notebook)])}"
            found.insert(0, f"{notebook} (kernel {self.sheet.kernel})")
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """The files that belong to one task."""

    notebook: Path
    script: Path
    state: Path


def reopen(past: Past, wanted: Wanted, bench: Workbench, note: Callable[[str], None]) -> Reopened:
    """Put all of it into the folder, create the environment and register the kernel; nothing is half done.

    *note* is told what does not end it: code that has changed since, or no kernel.
    """
    unpacking.check_folder(wanted.folder, bench.settings.envs_root, force=wanted.force)
    _check_flow_folder(past, wanted.folder, note)
    environment = _environment(past, wanted, bench)
    environment, notebook = _with_kernel(environment, wanted, bench, note)
    title = f"Creating the environment of {past.pathspec}"
    prefix = None if environment is None else opening.create(environment, bench, title=title)
    recorded = None if environment is None else environment.provenance.get("metaflow", "")
    place = unpacking.unpacked(wanted.folder, past.task, recorded, _python(prefix), bench)
    with _timed(bench, "Code") as told, place as code:
        found, text = _found(past, code)
        for warning in found.warnings:
            note(warning)
        made = _made(past, wanted, found, text, prefix, environment)
        if notebook:
            made = _registered(made, past, wanted, bench, note)
        _write(made, past, code.stage, found, wanted, bench)
        told += [code.told, f"put into {wanted.folder}"]
    return made


def _check_flow_folder(past: Past, folder: Path, note: Callable[[str], None]) -> None:
    """Raise InputError where *folder* is the flow's own, whose code would be written over; tell where it is inside."""
    source = past.node.get("source_file")
    if not source:
        return
    own, there = Path(source).parent.resolve(), folder.resolve()
    if there == own:
        raise InputError(
            f"'{folder}' is the folder of the flow: its code would be written over by the run's",
            "name another folder, best outside of it: what lies inside is packaged with the next run",
        )
    hidden = any(part.startswith(".") for part in there.relative_to(own).parts) if there.is_relative_to(own) else True
    if not hidden:
        note(f"'{folder}' is inside the folder of the flow: what it holds is packaged with the next run")


def _environment(past: Past, wanted: Wanted, bench: Workbench) -> ResolvedEnvironment | None:
    own = past.metadata.get("conda_env_id")
    if not own:
        if wanted.override:
            raise InputError(
                f"{past.pathspec} ran outside of environments: there is none to take the place of",
                "leave out --override-env and --override-env-from-pathspec",
            )
        return None
    name = wanted.override or step_name(past.pathspec)
    environment = bench.lookup.find(name, bench.wiring.machine.arch())
    check_machine(environment, bench.wiring.machine)
    return environment


def _with_kernel(
    environment: ResolvedEnvironment | None, wanted: Wanted, bench: Workbench, note: Callable[[str], None]
) -> tuple[ResolvedEnvironment | None, bool]:
    """Return the environment with ipykernel, and whether a kernel can be made of it."""
    if not wanted.kernel:
        return environment, False
    if environment is None:
        return None, True
    try:
        return opening.with_kernel(environment, bench), True
    except ResolveError as error:
        note(
            f"no kernel: ipykernel cannot be added to the environment: {error.message}\n"
            "Use the script, or choose another environment by --override-env."
        )
        return environment, False


def _found(past: Past, code: unpacking.Unpacked) -> tuple[FlowCode, str]:
    """Return where the code is, and what to call that."""
    if past.metadata.get("code-package"):
        return flow_code.packaged(past, code.stage), code.told
    found = flow_code.launched(past, Path.cwd())
    return found, f"{found.flow_file}, as it is now (the run has kept no code package)"


def _python(prefix: Prefix | None) -> Path:
    return Path(sys.executable) if prefix is None else prefix.python


def _made(
    past: Past,
    wanted: Wanted,
    found: FlowCode,
    code: str,
    prefix: Prefix | None,
    environment: ResolvedEnvironment | None,
) -> Reopened:
    status, traceback = _status(past)
    env_id = None if environment is None else environment.env_id
    name = _OUTSIDE if env_id is None else f"{env_id.req_id}:{env_id.full_id}"
    if wanted.override:
        name = f"{shown_name(wanted.override)}, in place of the task's own: {name}"
    sheet = sheets.Sheet(
        pathspec=past.pathspec,
        status=status,
        inspect=wanted.inspect,
        join=bool(past.join),
        environment=name,
        code=code,
        flow_file=found.flow_file,
        file=found.file.name,
        body=found.body,
        step=past.parts[2],
        python=str(_python(prefix)),
        kernel="",
        spin=_spin(past, found, env_id is not None),
        traceback=traceback,
    )
    return Reopened(sheet=sheet, prefix=prefix, environment=environment, folder=wanted.folder)


def _status(past: Past) -> tuple[str, str]:
    """Return how the task ended, in words, and the traceback with which it failed."""
    if past.task.successful:
        return "has succeeded", ""
    if not past.task.finished and past.metadata.get("attempt_ok") is None:
        return "has not ended: it is running, or was killed", ""
    exception = past.exception
    return "has failed", str(exception) if exception is not None else str(past.task.stderr)


def _spin(past: Past, found: FlowCode, ours: bool) -> str:
    words = ["python", found.flow_file.name, *(["--environment=conda"] if ours else []), "spin", past.pathspec]
    return shlex.join(words)


def _registered(made: Reopened, past: Past, wanted: Wanted, bench: Workbench, note: Callable[[str], None]) -> Reopened:
    flow, _, step, _ = past.parts
    name = wanted.kernel_name or f"mf_{flow}_{step}_{_abbreviated(made)}"
    name, title = opening.kernel_name(name), _kernel_title(made, past)
    variables = {**({} if made.prefix is None else opening.activation(made.prefix)), "PYTHONPATH": ""}
    ours = any(there == name and FACT in facts for there, facts in bench.wiring.kernels.ours())
    try:
        bench.wiring.kernels.register(
            made.python, name, title, variables, facts={FACT: f"{flow}/{step}"}, force=wanted.force or ours
        )
    except ExtensionError as error:
        if wanted.kernel_name:
            raise
        note(f"no kernel: {error.message}\nTo get one, {error.hint}. The script needs none.")
        return made
    return replace(made, sheet=replace(made.sheet, kernel=name))


def _kernel_title(made: Reopened, past: Past) -> str:
    return f"Metaflow {past.parts[0]}/{past.parts[2]} ({_abbreviated(made)})"


def _abbreviated(made: Reopened) -> str:
    return "here" if made.environment is None else made.environment.env_id.full_id[:8]


def _write(made: Reopened, past: Past, stage: Path, found: FlowCode, wanted: Wanted, bench: Workbench) -> None:
    sheet = made.sheet
    python = sys.version.split()[0] if made.environment is None else made.environment.python_version or ""
    notebook = bench.wiring.notebook(
        sheets.cells(sheet), kernel=sheet.kernel, title=_kernel_title(made, past), python=python
    )
    inside = found.flow_file.is_relative_to(stage)
    file = found.flow_file.relative_to(stage) if inside else found.flow_file
    texts = {
        sheets.NOTEBOOK: notebook,
        sheets.README: sheets.readme(sheet),
        sheets.LAUNCH: sheets.launch(sheet),
        sheet.script: sheets.script(sheet),
        sheet.state: json.dumps(_state(past, made, str(file), wanted), indent=1, sort_keys=True) + "\n",
    }
    for path in (Path(__file__).parent / "replay").glob("*.py"):
        texts[f"{sheets.MODULE}/{path.name}"] = path.read_text("utf-8")
    for name, text in texts.items():
        (stage / name).parent.mkdir(exist_ok=True)
        (stage / name).write_text(text, "utf-8")


def _state(past: Past, made: Reopened, file: str, wanted: Wanted) -> dict[str, Any]:
    """Return what `replay` is told of the task; no text of it is ever part of code."""
    from metaflow import get_metadata

    where = get_metadata()
    run = past.run
    tags = sorted(run.tags)
    return {
        "flow": past.parts[0],
        "task": "/".join(past.parts[1:]),
        "step": past.parts[2],
        "attempt": past.attempt,
        "file": file,
        "inspect": wanted.inspect,
        "datastore": [past.metadata["ds-type"], past.metadata["ds-root"]],
        "metadata": None if has_credentials(where) else where,  # then what is configured counts
        "namespace": next((tag for tag in tags if tag.startswith(("production:", "user:"))), None),
        "username": next((tag[len("user:") :] for tag in tags if tag.startswith("user:")), None),
        "tags": sorted(run.user_tags),  # as current has them: those of the system are not
        "origin_run_id": past.origin,
        "parameters": past.parameters,
        "inputs": past.inputs,
        "join": past.join,
        "index": past.index,
        "path": past.path,
        "recursive": past.recursive,
        "next": past.node["next"],
        "project": _project(past.parts[0], tags),
        "parallel": _parallel(past),
        "exception": made.sheet.traceback,
        "prefix": None if made.prefix is None else str(made.prefix.path),
        "variables": {} if made.prefix is None else dict(made.prefix.variables),
    }


def _project(flow: str, tags: list[str]) -> dict[str, Any]:
    """Return what ``@project`` tells a step."""
    known = dict(tag.split(":", 1) for tag in tags if tag.startswith(("project:", "project_branch:")))
    if set(known) != {"project", "project_branch"}:
        return {}
    project, branch = known["project"], known["project_branch"]
    return {
        "project_name": project,
        "branch_name": branch,
        "is_user_branch": branch.startswith("user."),
        "is_production": branch == "prod" or branch.startswith("prod."),
        "project_flow_name": f"{project}.{branch}.{flow}",
    }


def _parallel(past: Past) -> dict[str, Any]:
    """Return what ``@parallel`` tells a step."""
    size = past.metadata.get("parallel-world-size")
    if size is None:
        return {}
    control = past.task.parent.control_task
    return {
        "main_ip": "127.0.0.1",
        "num_nodes": int(size),
        "node_index": past.index or 0,
        "control_task_id": None if control is None else control.id,
    }


@contextmanager
def _timed(bench: Workbench, task: str) -> Iterator[list[str]]:
    told: list[str] = []
    since = time.monotonic()
    yield told
    bench.echo(f"    {task}: {', '.join(told)}, {time.monotonic() - since:.1f} s", fg="green")
