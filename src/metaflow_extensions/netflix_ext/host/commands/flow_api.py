"""The flow-level commands as Python calls: a program is run, its JSON comes back as objects. Imports on Python 3.7."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from dataclasses import dataclass
from typing import Any

from ...adapters import process
from ...engine.errors import ToolError
from ...engine.secret import redact


@dataclass(frozen=True)
class Package:
    """One package of an environment: a file; ``kind`` is ``conda`` or ``pypi``, ``size`` in bytes (0: not known)."""

    kind: str
    name: str
    version: str
    build: str
    filename: str
    url: str
    size: int
    sha256: str
    source: str


@dataclass(frozen=True)
class Environment:
    """A resolved environment.

    Attributes:
        req_id: the id of what was asked for
        full_id: the id of its packages
        arch: its platform
        kind: ``conda-only``, ``pypi-only`` or ``mixed``
        python: its version of Python
        aliases: its names
        packages: every package, sorted by name
        prefixes: the folders that it is created in on this machine
        resolved_by: who resolved it
        resolved_on: when (UTC, ISO 8601)
    """

    req_id: str
    full_id: str
    arch: str
    kind: str
    python: str
    aliases: tuple[str, ...]
    packages: tuple[Package, ...]
    prefixes: tuple[str, ...]
    resolved_by: str
    resolved_on: str


@dataclass(frozen=True)
class StepEnvironment:
    """What a step has on one platform.

    Attributes:
        step: its name
        arch: the platform
        states: of ``disabled``, ``fetched`` (chosen when the task starts), ``named`` (it is the environment that is
            named), ``derived`` (it extends that), ``unresolved``, ``resolved``, ``cached`` (in the shared store),
            ``created`` (on this machine)
        named: the environment that the step names, empty if none
        fetched: the name of the one that is chosen when its task starts, variables in it not filled in
        new: whether it was resolved by this call
        environment: the environment, None where there is none
        error: why it can have none, such as a name that is not known; empty where nothing is wrong
    """

    step: str
    arch: str
    states: tuple[str, ...]
    named: str
    fetched: str
    new: bool
    environment: Environment | None
    error: str


def options(**given: Any) -> list[str]:
    """Return keyword arguments as options of the command line."""
    words = []
    for name, value in given.items():
        option = "--" + name.replace("_", "-")
        if isinstance(value, bool) or value is None:
            words += [option] if value else []
            continue
        for one in [value] if isinstance(value, str) else value:
            words += [option, str(one)]
    return words


def call(runner: Any, words: list[str], *, timeout: float) -> dict[str, dict[str, StepEnvironment]]:
    """Run the flow-level command *words* of Metaflow's *runner*; return what it says, by step and by platform.

    Raises RuntimeError with the command's message, also after *timeout* seconds.
    """
    flow = runner.api(**runner.top_level_kwargs).execute()
    with tempfile.TemporaryDirectory() as folder:
        # A flow may print when it is imported: its standard output is not ours alone.
        output = os.path.join(folder, "answer.json")
        command = [sys.executable, *flow, "environment", words[0], "--output", output, "--quiet", *words[1:]]
        try:
            done = process.run(command, environment=runner.env_vars, folder=runner.cwd, timeout=timeout)
        except ToolError as error:
            raise RuntimeError(f"environment {words[0]} of {runner.flow_file}: {error.message}") from None
        if done.returncode != 0:
            raise RuntimeError(f"environment {words[0]} of {runner.flow_file} failed: {_message(done)}")
        with open(output, encoding="utf-8") as file:
            steps = json.load(file)["steps"]
    return {
        step: {arch: _step(step, arch, facts) for arch, facts in by_arch.items()} for step, by_arch in steps.items()
    }


def _message(done: process.Finished) -> str:
    lines = [line for line in done.stderr.splitlines() if not (line.startswith("Metaflow ") and "executing" in line)]
    return redact("\n".join(lines).strip()) or f"exit status {done.returncode}"


def _step(step: str, arch: str, facts: dict[str, Any]) -> StepEnvironment:
    found = facts["environment"]
    return StepEnvironment(
        step=step,
        arch=arch,
        states=tuple(facts["states"]),
        named=facts["named"],
        fetched=facts["fetched"],
        new=facts["new"],
        environment=None if found is None else _environment(found),
        error=facts["error"] or "",
    )


def _environment(found: dict[str, Any]) -> Environment:
    return Environment(
        req_id=found["req_id"],
        full_id=found["full_id"],
        arch=found["arch"],
        kind=found["kind"],
        python=found["python"],
        aliases=tuple(found["aliases"]),
        packages=tuple(
            Package(**{name: package[name] for name in Package.__dataclass_fields__}) for package in found["packages"]
        ),
        prefixes=tuple(found["prefixes"]),
        resolved_by=found["resolved"]["by"],
        resolved_on=found["resolved"]["on"],
    )
