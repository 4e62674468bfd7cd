"""The other end of `rattler_worker`: starts it when it is first needed, talks to it, starts it again when it dies."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import sys
import tempfile
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from ..engine import errors
from ..engine.errors import ExtensionError, ToolError
from .process import Pipe

_ROOT = Path(__file__).parents[3]
# The package is pinned to our own folder, and that folder then taken off the path again: it may be the working folder
# of a task, where a file of the user could stand for a module of the library.
_START = (
    "import asyncio, json, sys, threading; own, held, *more = sys.argv[1:]; held == 'held' and sys.stdin.readline(); "
    "sys.path += more; sys.path.insert(0, own); "
    "import metaflow_extensions.netflix_ext.adapters; sys.path.remove(own); "
    "from metaflow_extensions.netflix_ext.adapters.rattler_worker import main; main()"
)
_LOG_TAIL = 2000
_LEAVE = 2.0

# What each exception of py-rattler means to a user, where the adapter that asked knows no better.
ERRORS: Mapping[str, type[ExtensionError]] = {
    "ActivationError": errors.CreateError,
    "ActivationScriptFormatError": errors.CreateError,
    "AttestationError": errors.PackageError,
    "AuthenticationStorageError": errors.SourceError,
    "CacheDirError": errors.CreateError,
    "CanonicalMatchSpecError": errors.InputError,
    "ConfigError": errors.SettingError,
    "ConversionError": errors.ToolError,
    "ConvertSubdirError": errors.InputError,
    "DetectVirtualPackageError": errors.ToolError,
    "EnvironmentCreationError": errors.CreateError,
    "ExtractError": errors.PackageError,
    "FetchRepoDataError": errors.SourceError,
    "GatewayError": errors.SourceError,
    "GatewayWarning": errors.SourceError,
    "InstallerError": errors.CreateError,
    "InvalidChannelError": errors.InputError,
    "InvalidHeaderNameError": errors.SettingError,
    "InvalidHeaderValueError": errors.SettingError,
    "InvalidMatchSpecError": errors.InputError,
    "InvalidPackageNameError": errors.InputError,
    "InvalidUrlError": errors.InputError,
    "InvalidVersionError": errors.InputError,
    "InvalidVersionSpecError": errors.InputError,
    "IoError": errors.CreateError,
    "LinkError": errors.CreateError,
    "PackageNameMatcherParseError": errors.InputError,
    "ParseArchError": errors.InputError,
    "ParseCondaLockError": errors.ToolError,
    "ParseExplicitEnvironmentSpecError": errors.ToolError,
    "ParsePlatformError": errors.InputError,
    "ParseSubdirError": errors.InputError,
    "RequirementError": errors.InputError,
    "ShellError": errors.ToolError,
    "SolverError": errors.ResolveError,
    "TransactionError": errors.CreateError,
    "ValidatePackageRecordsError": errors.ResolveError,
    "VersionBumpError": errors.ToolError,
    "VersionExtendError": errors.ToolError,
    "VirtualPackageOverrideError": errors.SettingError,
}
_HINTS: Mapping[type[ExtensionError], str] = {
    errors.CreateError: "check that its folder may be written to and has room, and run again",
    errors.InputError: "change what is asked for, or the channel that it is asked from",
    errors.PackageError: "run again: what is damaged is fetched anew; if that does not help, resolve anew",
    errors.ResolveError: "ask for other versions, or add a channel that has them",
    errors.SettingError: "change the variable or the file that says so",
    errors.SourceError: "check the URL of the channel, that it answers, and what opens it",
}


class WorkerError(Exception):
    """The worker's answer was an error: the class of the exception there, its message, what else is known."""

    def __init__(self, kind: str, message: str, details: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.details = details

    def translated(self, prefix: str = "") -> ExtensionError:
        """Return it as the error of ours that `ERRORS` names, ToolError for what is not foreseen there."""
        known = ERRORS.get(self.kind)
        if known is None or known is ToolError:
            return ToolError(f"{prefix}py-rattler failed: {self.kind}: {self.message}", "this is a bug: report it")
        return known(f"{prefix}{self.message.strip()}", _HINTS[known])


class Worker:
    """A worker process, started by the first request and shared by all threads.

    Args:
        interpreter: A Python that has py-rattler, or finds it in *folders*; this process's own if None.
        folders: Where else that interpreter may find py-rattler.
        command: A program to start instead, one that talks the same language.
        held: Whether it waits for `release`, or the first request, before it loads py-rattler, which is not there yet.
        variables: Environment variables for it, where this process has not set them.
    """

    def __init__(
        self,
        interpreter: Path | None = None,
        folders: Sequence[Path] = (),
        *,
        command: Sequence[str] = (),
        held: bool = False,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self._variables = variables or {}
        self._interpreter = interpreter
        self._folders = folders
        self._given = command
        self._held = held
        self._released = False
        self._owner = os.getpid()
        self._lock = threading.Lock()
        self._connection: _Connection | None = None

    def begin(self) -> None:
        """Start the worker now, so that it is ready when the first request comes. Raises ToolError."""
        self._connected()

    def release(self) -> None:
        """Let one that is held go on: all that it loads is there."""
        connection = self._connected()
        with self._lock:
            if self._held and not self._released:
                self._released = True
                connection.release()

    def request(
        self,
        do: str,
        arguments: Mapping[str, object],
        *,
        on_event: Callable[[Any], None] | None = None,
        before_retry: Callable[[], None] | None = None,
    ) -> Any:
        """Return the worker's answer to *do*; events go to *on_event*, in the calling thread.

        Where the worker dies the request is made once more in a fresh one, after *before_retry*; then ToolError is
        raised. WorkerError is raised for an answer that is an error. When the caller is interrupted the worker is
        ended, so that nothing goes on behind its back.
        """
        if self._held:
            self.release()
        died: _DiedError | None = None
        for _ in range(2):
            if died is not None and before_retry is not None:
                before_retry()
            connection = self._connected()
            try:
                return connection.ask({"do": do, **arguments}, on_event)
            except _DiedError as error:
                died = error
                self._forget(connection)
            except WorkerError:
                raise
            except BaseException:
                connection.kill()
                self._forget(connection)
                raise
        raise self._lost(died)

    def close(self) -> None:
        """End the worker, if there is one; the next request starts another."""
        with self._lock:
            connection, self._connection = self._connection, None
        if connection is not None:
            connection.leave()

    def kill(self) -> None:
        """End the worker at once, if there is one: who waits for an answer gets an error."""
        connection = self._connection
        if connection is not None:
            connection.kill()

    def _connected(self) -> _Connection:
        if self._owner != os.getpid():
            # In a forked child the process and its pipes are the parent's, and another thread of the parent may
            # have held the lock. The old connection is kept: collecting it would touch what we share.
            _ABANDONED.append(self._connection)
            self._owner, self._lock, self._connection = os.getpid(), threading.Lock(), None
        with self._lock:
            if self._connection is None:
                self._connection = _Connection(self._command(), worker_environment({**self._variables, **os.environ}))
                # Runs at exit too, and before the interpreter takes the reader thread down.
                weakref.finalize(self, self._connection.leave)
                if self._released:
                    self._connection.release()
            return self._connection

    def _forget(self, connection: _Connection) -> None:
        with self._lock:
            if self._connection is connection:
                self._connection = None

    def _command(self) -> list[str]:
        if self._given:
            return list(self._given)
        folders = list(self._folders)
        if self._interpreter is None and not folders:
            # This process may have it from a place that an isolated interpreter does not look at (PYTHONPATH).
            found = importlib.util.find_spec("rattler")
            if found is None or found.origin is None:
                raise ToolError(
                    f"py-rattler is not installed for {sys.executable}",
                    "install metaflow-netflixext with its dependencies: pip install metaflow-netflixext",
                )
            folders = [Path(found.origin).parents[1]]
        flags = ["-I", "-B"] if sys.dont_write_bytecode else ["-I"]
        interpreter = str(self._interpreter or sys.executable)
        return [interpreter, *flags, "-c", _START, str(_ROOT), "held" if self._held else "", *map(str, folders)]

    @staticmethod
    def _lost(died: _DiedError | None) -> ToolError:
        said = died.log.strip() if died is not None else ""
        status = died.status if died is not None else 0
        return ToolError(
            f"the process in which py-rattler runs died twice ({_status(status)})"
            + (f"; it said:\n{said}" if said else ""),
            "run the command again; if it happens again, report it with the text above",
        )


class _DiedError(Exception):
    def __init__(self, status: int, log: str) -> None:
        super().__init__(status)
        self.status = status
        self.log = log


class _Connection:
    """One worker process: its pipe, a thread that reads it, the requests that wait."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._owner = os.getpid()
        self._log = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 - closed at the end
        try:
            self._pipe = Pipe(command, environment=environment, log=self._log)
        except BaseException:
            self._log.close()
            raise
        self._lock = threading.Lock()
        self._waiting: dict[int, SimpleQueue[dict[str, Any] | None]] = {}
        self._count = 0
        self._died: _DiedError | None = None
        self._reader = threading.Thread(target=self._read, name="rattler-worker", daemon=True)
        self._reader.start()

    def release(self) -> None:
        """Send the line that one which is held waits for."""
        with self._lock, contextlib.suppress(OSError, ValueError):  # it is gone: the reader says so
            self._pipe.send("")

    def ask(self, message: Mapping[str, object], on_event: Callable[[Any], None] | None) -> Any:
        """Send *message* and wait for its answer; raise _DiedError where none can come."""
        answers: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
        with self._lock:
            if self._died is not None:
                raise self._died
            self._count += 1
            number = self._count
            self._waiting[number] = answers
            with contextlib.suppress(OSError, ValueError):  # it is gone: the reader says so
                self._pipe.send(json.dumps({"id": number, **message}))
        try:
            while (answer := answers.get()) is not None:
                if "event" not in answer:
                    return _result(answer)
                if on_event is not None:
                    on_event(answer["event"])
        finally:
            with self._lock:
                self._waiting.pop(number, None)
        assert self._died is not None
        raise _DiedError(self._died.status, self._died.log)

    def _read(self) -> None:
        while (line := self._pipe.read()) is not None:
            try:
                message = json.loads(line)
                with self._lock:
                    waiting = self._waiting.get(message["id"])
            except (ValueError, TypeError, KeyError):  # not ours: some library wrote to the pipe after all
                continue
            if waiting is not None:
                waiting.put(message)
        status = self._pipe.close(_LEAVE)
        log = self._tail()
        with self._lock:
            self._died = _DiedError(status, log)
            for waiting in self._waiting.values():
                waiting.put(None)

    def _tail(self) -> str:
        with self._log:
            self._log.seek(0)
            return self._log.read()[-_LOG_TAIL:]

    def kill(self) -> None:
        """End the process at once."""
        if self._owner == os.getpid():
            self._pipe.kill()

    def leave(self) -> None:
        """Let the process go once its answers are out, or end it."""
        if self._owner != os.getpid():
            return
        with self._lock, contextlib.suppress(OSError, ValueError):
            # The end of its input is not enough: a forked child may hold the pipe open.
            self._pipe.send(json.dumps({"do": "leave"}))
        self._pipe.close(_LEAVE)
        self._reader.join(_LEAVE)


_ABANDONED: list[_Connection | None] = []


def _result(answer: Mapping[str, Any]) -> Any:
    if "error" in answer:
        error = answer["error"]
        raise WorkerError(error["kind"], error["message"], error["details"])
    return answer["result"]


def worker_environment(given: Mapping[str, str]) -> dict[str, str]:
    """Return *given* for the worker: no Python settings of ours, and the certificates that `requests` would use."""
    kept = {name: value for name, value in given.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    bundle = given.get("REQUESTS_CA_BUNDLE") or given.get("CURL_CA_BUNDLE") or ""
    if "SSL_CERT_FILE" not in given and "SSL_CERT_DIR" not in given and os.path.isfile(bundle):
        kept["SSL_CERT_FILE"] = bundle
    return kept


def _status(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"exit status {status}"
