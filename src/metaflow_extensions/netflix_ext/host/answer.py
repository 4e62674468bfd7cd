"""One answer of the service for `delegate`: a JSON question on standard input, a JSON answer on standard output.

Imports on Python 3.7 (step side): a container may have one that is older than the service needs.
"""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any, Mapping

from ..engine.errors import ExtensionError
from .containers import nested


def main() -> None:
    """Answer ``[method, arguments, datastore, tools]``: ``{"result": ...}``, or ``{"error", "message", "hint"}``.

    *tools* is what `nested.complete` is told in a container, else null.
    """
    what, arguments, datastore, tools = json.load(sys.stdin)
    try:
        answer = {"result": _result(what, arguments, datastore, tools)}
    except ExtensionError as error:
        answer = {"error": type(error).__name__, "message": error.message, "hint": error.hint}
    json.dump(answer, sys.stdout)


def _result(what: str, arguments: list[Any], datastore: str, tools: Mapping[str, Any] | None) -> Any:
    if tools is not None:
        nested.complete(tools)
        importlib.invalidate_caches()
    from .service import Service

    method = getattr(Service(datastore), what)
    return method(*arguments, _echo) if what in ("resolve", "command") else method(*arguments)


def _echo(text: str, **_style: object) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
