"""Solve conda requirements with micromamba, mamba or conda: by ``create --dry-run --json``, nothing made."""

from __future__ import annotations

import re
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from pathlib import Path
from typing import Any

from ..engine.channel_settings import NOTHING_SAID, ChannelSettings
from ..engine.errors import ExtensionError, InputError, SourceError, ToolError
from ..engine.package import CondaPackage
from ..engine.ports import CondaRequest
from ..engine.secret import has_credentials, strip_credentials
from . import conda_answer, process
from .conda import TIMEOUT, question
from .conda_command import DryRun
from .conda_completion import PATIENCE, canonical, completed
from .conda_explained import bad_source, explained, unsatisfiable
from .conda_program import CondaProgram
from .worker import ERRORS, Worker, WorkerError

_NO_SOURCE = re.compile(
    r"\b(HTTP |status )?(40[0-9]|5\d\d)\b|not loaded|resolve host|connect|timed out|timeout|certificate|ssl|"
    r"UnavailableInvalidChannel|CondaHTTPError|Download error",
    re.IGNORECASE,
)


class ProgramSolver:
    """Solves with an executable, with strict channel priority and `pip` where a channel has one for the Python.

    Args:
        program: Returns the executable; called when it is first needed.
        worker: Where py-rattler runs: it says what channels have, where the executable does not.
        folder: Where the executable keeps the metadata of channels.
        settings: What is said of channels.
        secrets: URLs without credentials to the same with credentials; looked up when a request is made.
        hash_of: Returns SHA-256 and size of what is at a URL, for a package that no channel gives a hash of.
        timeout: Seconds that one solve may take, metadata included.
    """

    def __init__(
        self,
        program: Callable[[], CondaProgram],
        worker: Worker,
        folder: Path,
        *,
        hash_of: Callable[[str], tuple[str, int]],
        settings: ChannelSettings = NOTHING_SAID,
        secrets: Mapping[str, str] | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        self._program = program
        self._worker = worker
        self._folder = folder
        self._hash_of = hash_of
        self._settings = settings
        self._secrets = secrets if secrets is not None else {}
        self._timeout = timeout

    def versions(self) -> Mapping[str, str]:
        """Return the version of the executable."""
        program = self._program()
        return {program.name: program.shown}

    def solve(self, request: CondaRequest) -> tuple[CondaPackage, ...]:
        """Return one package a name, in an order in which they can be linked.

        Raises ResolveError with the tool's explanation and what the channels have instead, SourceError that names the
        channel that failed, ToolError where the tool is missing, too old, or gives no answer.
        """
        program = self._program()
        asked = question(request, self._settings, self._secrets, self._timeout)
        with tempfile.TemporaryDirectory(prefix="metaflow-solve-") as scratch:
            attempt = DryRun(
                program, request, Path(scratch), self._folder / program.name, self._settings, self._timeout
            )
            check_public(attempt.channels, asked["secrets"], program)
            attempt.prepared = self._prepare(asked)
            try:
                found = self._packages(attempt, asked)
            except conda_answer.UnsatisfiableError as error:
                raise unsatisfiable(str(error), request, asked, self._worker) from error
        _check(found, request, program)
        pinned = {package.name: package for package in request.pinned}
        return tuple(
            pinned.get(package.name, package) for package in completed(found, asked, self._worker, self._hash_of)
        )

    def _packages(self, attempt: DryRun, asked: dict[str, Any]) -> list[CondaPackage]:
        if attempt.request.pinned:  # a Python that is kept has its pip, or has to live without
            return self._answer(attempt, asked, pip=False)
        try:
            return self._answer(attempt, asked, pip=True)
        except conda_answer.UnsatisfiableError as error:
            if not re.search(r"\bpip\b", str(error)):
                raise
            return self._answer(attempt, asked, pip=False)  # the channels may have no pip for this Python

    def _answer(self, attempt: DryRun, asked: dict[str, Any], *, pip: bool) -> list[CondaPackage]:
        done = attempt.run(pip=pip)
        try:
            found = conda_answer.records(done.stdout, done.stderr, done.returncode)
            return [canonical(conda_answer.package(record), self._settings) for record in found]
        except conda_answer.GarbledError as error:
            raise self._failed(attempt, done, asked, str(error)) from error
        except (KeyError, ValueError, TypeError) as error:
            raise attempt.failed(done, f"gave a package that cannot be understood ({error})") from error

    def _failed(self, attempt: DryRun, done: process.Finished, asked: dict[str, Any], why: str) -> ExtensionError:
        """Return what a run without an answer means: a channel's fault where we meet one there too, else the tool's."""
        if done.returncode <= 0:
            return attempt.failed(done, why)
        wait([attempt.prepared], PATIENCE)
        error = attempt.prepared.exception() if attempt.prepared.done() else None
        if isinstance(error, WorkerError):
            if ERRORS.get(error.kind) is SourceError:
                return bad_source(error.message, attempt.channels)
            if ERRORS.get(error.kind) is InputError:
                return explained(error, attempt.request, asked, self._worker)
        said = f"{done.stdout}\n{done.stderr}".strip()
        return bad_source(said, attempt.channels) if _NO_SOURCE.search(said) else attempt.failed(done, why)

    def _prepare(self, asked: dict[str, Any]) -> Future[None]:
        """Let the worker read what the channels have while the tool does; the future has what is wrong with them."""
        future: Future[None] = Future()

        def read() -> None:
            try:
                names = [[spec["name"], "", "", ""] for spec in asked["specs"]]
                self._worker.request("find", {**asked, "files": names, "timeout": PATIENCE})
                future.set_result(None)
            except Exception as error:  # whatever it is: somebody may wait for it
                future.set_exception(error)

        threading.Thread(target=read, name="metadata", daemon=True).start()
        return future


def check_public(channels: Sequence[tuple[str, str]], secrets: Mapping[str, str], program: CondaProgram) -> None:
    """Raise SourceError where a channel (its name, its URL) needs credentials, which *program* would get openly."""
    for _, channel in channels:
        clean = strip_credentials(channel)
        if has_credentials(channel) or any(clean == url or clean.startswith(f"{url}/") for url in secrets):
            raise SourceError(
                f"channel '{clean}' needs credentials, and {program.name} would be given them on its command line, "
                "which others on this machine can read",
                f"keep them where {program.name} looks for them (.netrc) and give the address without them, or let "
                "METAFLOW_CONDA_DEPENDENCY_RESOLVER be rattler",
            )


def _check(packages: Sequence[CondaPackage], request: CondaRequest, program: CondaProgram) -> None:
    """Raise ToolError where an answer is not one to *request*."""
    strange = [package for package in packages if package.subdir not in (request.arch, "noarch")]
    if strange:
        raise ToolError(
            f"{program.name} {program.shown} was asked for {request.arch}, and picked {strange[0].name} for "
            f"{strange[0].subdir}",
            f"see whether 'subdir' or 'platform' is set in a configuration file of {program.name}",
        )
    lacking = {item.name for item in request.requirements} - {package.name for package in packages}
    if lacking:
        raise ToolError(
            f"{program.name} {program.shown} gave an answer without {', '.join(sorted(lacking))}, which was asked for",
            "run it by hand; METAFLOW_CONDA_DEPENDENCY_RESOLVER=rattler does without it",
        )
