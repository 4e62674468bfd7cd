"""The placeholders of workflow templates: as much of their language as Metaflow writes for ordinary graphs."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from typing import Any

_PLACEHOLDER = re.compile(r"\{\{(=?)(.*?)\}\}")
_KEY = re.compile(r"\['([^']+)'\]")
_BASE64 = re.compile(r"toBase64\((.+)\)")


class UnsupportedError(Exception):
    """The workflow has something that is not understood here."""


def filled(text: str, values: Mapping[str, str]) -> str:
    """Return *text* with each placeholder replaced by its value."""

    def value(found: re.Match[str]) -> str:
        expression, inner = bool(found.group(1)), found.group(2).strip()
        coded = _BASE64.fullmatch(inner) if expression else None
        name = _KEY.sub(r".\1", coded.group(1) if coded else inner)
        if name not in values or (expression and coded is None):
            raise UnsupportedError(f"the placeholder {found.group(0)} has no value here")
        return base64.b64encode(values[name].encode()).decode() if coded else values[name]

    return _PLACEHOLDER.sub(value, text)


def item_values(item: Any) -> dict[str, str]:
    """Return the values that stand for one item of a fan-out."""
    named = {f"item.{key}": as_text(value) for key, value in item.items()} if isinstance(item, dict) else {}
    return {"item": as_text(item), **named}


def as_text(value: Any) -> str:
    """Return a JSON value as it is put in the place of a placeholder."""
    return value if isinstance(value, str) else json.dumps(value)


def items(task: Mapping[str, Any], values: Mapping[str, str]) -> list[Any] | None:
    """Return what a task fans out over, or None if it does not."""
    if task.get("withItems") is not None:
        return list(task["withItems"])
    if task.get("withParam") is not None:
        return list(json.loads(filled(task["withParam"], values)))
    if task.get("withSequence") is not None:
        bounds = {key: int(filled(str(value), values)) for key, value in task["withSequence"].items()}
        start = bounds.get("start", 0)
        return [str(number) for number in range(start, bounds.get("end", start + bounds.get("count", 0) - 1) + 1)]
    return None


def needed(task: Mapping[str, Any]) -> set[str]:
    """Return the names of the tasks that must have succeeded before *task*."""
    if task.get("when"):
        raise UnsupportedError(f"task {task['name']} has a condition: {task['when']}")
    names = set(task.get("dependencies") or ())
    for part in filter(None, (part.strip(" ()") for part in (task.get("depends") or "").split("&&"))):
        name, dot, state = part.partition(".")
        if not re.fullmatch(r"[\w-]+", name) or (dot and state != "Succeeded"):
            raise UnsupportedError(f"task {task['name']} depends on '{task['depends']}'")
        names.add(name)
    return names
