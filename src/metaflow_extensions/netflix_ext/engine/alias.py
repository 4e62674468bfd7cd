"""The names of environments: aliases, ids, and the steps and tasks that ran in them.

Imports on Python 3.7 (step side).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from .errors import AliasError, InputError

DEFAULT_TAG = "latest"
_MOVING_TAGS = ("latest", "candidate", "stable")

_NAME = re.compile(r"[a-z0-9_][a-z0-9_.\-]*(?:/[a-z0-9_][a-z0-9_.\-]*)*")
_TAG = re.compile(r"[a-z0-9_][a-z0-9_.\-]*")
_IDS = re.compile(r"([0-9a-f]{4,40})(?::([0-9a-f]{4,40}))?")
_VARIABLE = re.compile(r"@\{(\w+)\}", re.ASCII)
_OF_A_TASK = ("METAFLOW_RUN_ID", "METAFLOW_RUN_ID_BASE", "METAFLOW_TASK_ID")
_STEP = "step:"
_LONGEST = 200
_CHARACTERS = (
    "write name or name:tag, of small letters, digits and any of '_', '-', '.', with '/' between the parts of a name"
)


@dataclass(frozen=True, order=True)
class Alias:
    """A name and a tag: ``team/project:v1``."""

    name: str
    tag: str = DEFAULT_TAG

    def __str__(self) -> str:
        return f"{self.name}:{self.tag}"

    @property
    def moves(self) -> bool:
        """Whether it may come to name another environment; any other tag is final."""
        return self.tag in _MOVING_TAGS

    @classmethod
    def parse(cls, text: str) -> Alias:
        """Read ``name`` or ``name:tag``; raise AliasError."""
        name, colon, tag = text.partition(":")
        if not _NAME.fullmatch(name) or (colon and not _TAG.fullmatch(tag)):
            slashes = text.count("/") in (2, 3) and ":" not in text
            hint = f"{_CHARACTERS}; for the environment of a step, add --pathspec" if slashes else _CHARACTERS
            raise AliasError(f"'{text}' cannot be the name of an environment", hint)
        if len(name) > _LONGEST or len(tag) > _LONGEST:
            raise AliasError(f"'{text}' is too long for a name", f"a name and a tag have {_LONGEST} characters at most")
        if re.fullmatch(r"[0-9a-f]{40}", name):
            raise AliasError(f"'{text}' looks like the id of an environment", "choose a name that tells what it is for")
        return cls(name, tag or DEFAULT_TAG)


@dataclass(frozen=True)
class Pathspec:
    """A step, or a task, of a past run: its environment is meant."""

    flow: str
    run: str
    step: str
    task: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.flow, self.run, self.step, self.task) if part)

    @classmethod
    def parse(cls, text: str) -> Pathspec:
        """Read ``Flow/Run/Step`` or ``Flow/Run/Step/Task``; raise InputError."""
        shown = shown_name(text)
        parts = shown.split("/")
        if len(parts) not in (3, 4) or not all(re.fullmatch(r"[^\s/:]+", part) for part in parts):
            raise InputError(f"'{shown}' names no step of a run", "write Flow/Run/Step, or Flow/Run/Step/Task")
        return cls(*parts)


@dataclass(frozen=True)
class IdName:
    """An environment by its ids; both may be abbreviated, and ``full_id`` may be left out."""

    first: str
    full_id: str = ""

    def __str__(self) -> str:
        return f"{self.first}:{self.full_id}" if self.full_id else self.first

    @property
    def whole(self) -> bool:
        """Whether it is ``req_id:full_id``, nothing left out."""
        return len(self.first) == len(self.full_id) == 40

    def matches(self, req_id: str, full_id: str) -> bool:
        """Tell whether it may stand for these ids; alone, ``first`` may be the beginning of either."""
        if self.full_id:
            return req_id.startswith(self.first) and full_id.startswith(self.full_id)
        return req_id.startswith(self.first) or full_id.startswith(self.first)


def fill(text: str, variables: Mapping[str, str]) -> str:
    """Return *text* with each ``@{VARIABLE}`` replaced by its value; raise InputError for one that is not known."""

    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in variables:
            hint = f"set it where the flow is launched: export {name}=..."
            if of_a_task(name):
                hint = "it is known when the task starts: add fetch_at_exec=True, and check the name of the parameter"
            raise InputError(f"'{text}' names the variable {name}, which is not set", hint)
        return variables[name]

    return _VARIABLE.sub(value, text)


def variables_in(text: str) -> tuple[str, ...]:
    """Return the names of the variables that *text* has as ``@{VARIABLE}``, to be filled in."""
    return tuple(_VARIABLE.findall(text))


def of_a_task(variable: str) -> bool:
    """Tell whether *variable* is known only when a task starts: the run, the task, a parameter."""
    return variable in _OF_A_TASK or variable.startswith("METAFLOW_INIT_")


def names_step(text: str) -> bool:
    """Tell whether *text* means the environment of a step or a task, as ``step:Flow/Run/Step``."""
    return text.startswith(_STEP)


def step_name(pathspec: str) -> str:
    """Return the name that means the environment of the step or the task *pathspec*: ``step:...``, empty for none."""
    return pathspec if not pathspec or names_step(pathspec) else _STEP + pathspec


def shown_name(text: str) -> str:
    """Return the name *text* as people are told it: a step by its pathspec alone."""
    return text[len(_STEP) :] if names_step(text) else text


def id_name(text: str) -> IdName | None:
    """Return *text* as ids: four digits and more of one, or of both as ``req_id:full_id``; None where it is none."""
    match = _IDS.fullmatch(text)
    return IdName(match.group(1), match.group(2) or "") if match else None


def check_name(text: str) -> None:
    """Raise InputError where *text* can name no environment: neither ids, nor an alias, nor ``step:...``."""
    if names_step(text):
        Pathspec.parse(text)
    elif id_name(text) is None:
        Alias.parse(text)
