"""The service, asked of the interpreter that launched the run. Imports on Python 3.7 (step side)."""

from __future__ import annotations

import json
import os
from typing import Any, Sequence

from ..adapters import process
from ..engine import errors
from . import launcher

_DROPPED = (
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONNOUSERSITE",
    "METAFLOW_EXTRACTED_ROOT",
    "CONDA_PREFIX",
    "CONDA_DEFAULT_ENV",
)


class Delegate:
    """Looks like `service.Service`; each call is one process of the launcher's interpreter."""

    def __init__(self, interpreter: dict[str, Any]) -> None:
        self._launcher = interpreter
        self._datastore = "local"
        self._prefixes: dict[str, dict[str, Any]] = {}

    def resolve(self, question: dict[str, Any], echo: Any) -> dict[str, Any]:
        """See `service.Service.resolve`; *echo* receives what the other process says, line by line."""
        self._datastore = str(question["datastore"])
        answer = self._ask("resolve", [question], echo)
        assert isinstance(answer, dict)
        return answer

    def command(self, what: str, question: dict[str, Any], options: dict[str, Any], echo: Any) -> dict[str, str]:
        """See `service.Service.command`."""
        return dict(self._ask("command", [what, question, options], echo))

    def fetch(self, asked: dict[str, Any]) -> list[str]:
        """See `service.Service.fetch`."""
        return list(self._ask("fetch", [asked], None))

    def begin(self, env_id: Sequence[str]) -> None:
        """Do nothing yet: `prefix` creates."""

    def prefix(self, env_id: Sequence[str]) -> dict[str, Any]:
        """See `service.Service.prefix`."""
        key = ":".join(env_id)
        if key not in self._prefixes:
            self._prefixes[key] = self._ask("prefix", [list(env_id)], None)
        return self._prefixes[key]

    def compile(self, code: str, prefix: dict[str, Any]) -> None:
        """Do nothing: the outer launcher has seen to it."""

    def package_file(
        self, env_ids: Sequence[Sequence[str]], remote: Sequence[Sequence[str]], arches: Sequence[str]
    ) -> str | None:
        """See `service.Service.package_file`."""
        ids = [[list(env_id) for env_id in found] for found in (env_ids, remote)]
        path = self._ask("package_file", [*ids, list(arches)], None)
        return None if path is None else str(path)

    def _ask(self, what: str, arguments: list[Any], echo: Any) -> Any:
        command = [self._launcher["python"], "-m", __package__ + ".answer"]
        question = [what, arguments, self._datastore, self._launcher.get("tools")]
        done = process.run(command, environment=self._environment(), text=json.dumps(question))
        for line in done.stderr.splitlines():
            if echo is not None:
                echo(line, bold=False)
        try:
            answer = json.loads(done.stdout)
        except ValueError:
            raise errors.ToolError(
                "the interpreter that launched the run ({}) gave no answer: {}".format(
                    self._launcher["python"], done.stderr.strip()[-400:]
                ),
                "check that it still exists and has metaflow-netflixext installed",
            ) from None
        if "error" in answer:
            kind = getattr(errors, answer["error"], errors.ToolError)
            raise kind(answer["message"], answer["hint"])
        return answer["result"]

    def _environment(self) -> dict[str, str]:
        environment = {name: value for name, value in os.environ.items() if name not in _DROPPED}
        folders = [self._launcher["PYTHONPATH"]]
        if "tools" in self._launcher:
            folders.append(self._launcher["tools"]["folder"])
            environment["METAFLOW_EXTRACTED_ROOT"] = self._launcher["root"]
        if any(folders):
            environment["PYTHONPATH"] = os.pathsep.join(filter(None, folders))
        environment.pop(launcher.VARIABLE, None)
        return environment
