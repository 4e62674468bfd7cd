"""One answer of the service for `delegate`: a JSON question on standard input, a JSON answer on standard output."""

from __future__ import annotations

import json
import sys
from typing import Any

from ..engine.errors import ExtensionError
from .service import Service


def main() -> None:
    """Answer ``[method, arguments, datastore]``: ``{"result": ...}``, or ``{"error": class, "message", "hint"}``."""
    what, arguments, datastore = json.load(sys.stdin)
    service = Service(datastore)
    try:
        if what == "resolve":
            result: Any = service.resolve(arguments[0], _echo)
        elif what == "command":
            result = service.command(arguments[0], arguments[1], arguments[2], _echo)
        elif what == "fetch":
            result = service.fetch(arguments[0])
        elif what == "prefix":
            result = service.prefix(arguments[0])
        else:
            result = service.package_file(*arguments)
    except ExtensionError as error:
        answer = {"error": type(error).__name__, "message": error.message, "hint": error.hint}
    else:
        answer = {"result": result}
    json.dump(answer, sys.stdout)


def _echo(text: str, **_style: object) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
