"""The one place where programs are started. What is logged or raised is redacted.

Imports on Python 3.7 (step side).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ..engine.errors import ToolError
from ..engine.secret import redact


@dataclass(frozen=True)
class Finished:
    """How a program ended, and what it said (decoded, unredacted)."""

    returncode: int
    stdout: str
    stderr: str


def run(
    command: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    text: str | None = None,
    timeout: float | None = None,
    leashed: bool = False,
    log: IO[str] | None = None,
) -> Finished:
    """Run *command* to its end, with *text* as its input; any exit status is an answer.

    The program is ended together with its children when it times out or when we are interrupted; a *leashed* one, which
    has no input, also when we are killed: then it writes nothing into a folder that is somebody else's by now.
    All that it says goes to *log*, where there is one, as it is said.
    Raises ToolError where it cannot be started or does not end in time.
    """
    if not leashed:
        stdin = subprocess.PIPE if text is not None else subprocess.DEVNULL
        return _finish(_start(command, environment, folder, stdin, log=log), command, text, timeout)
    leash, ours = os.pipe()
    try:
        try:
            process = _start(["/bin/sh", "-c", _LEASHED, "sh", *command], environment, folder, leash, log=log)
        finally:
            os.close(leash)
        return _finish(process, command, None, timeout)
    finally:
        os.close(ours)


# The end of our input tells that we have died, however that came: a shell waits for it, and ends the program then.
_LEASHED = """
exec 3<&0
"$@" </dev/null 3<&- &
program=$!
{ read -r _ <&3; kill -KILL "$program"; } >/dev/null 2>&1 &
watch=$!
exec 3<&- </dev/null
wait "$program"
status=$?
kill "$watch"
exit "$status"
"""


def _finish(
    process: subprocess.Popen[str], command: Sequence[str], text: str | None, timeout: float | None
) -> Finished:
    _RUNNING.append(process)
    try:
        stdout, stderr = process.communicate(text, timeout=timeout)
    except subprocess.TimeoutExpired:
        _abandon(process)
        raise ToolError(
            f"{_shown(command)} did not end within {timeout:.0f} s", "run it by hand, and see what it waits for"
        ) from None
    except BaseException:
        _abandon(process)
        raise
    finally:
        _RUNNING.remove(process)
    return Finished(returncode=process.returncode, stdout=stdout or "", stderr=stderr or "")


_NOT_STARTED = "check that it is there, and may be executed"
_RUNNING = []  # type: list[subprocess.Popen[str]]


def end_running() -> None:
    """End every program that some thread waits for in `run`."""
    for process in list(_RUNNING):
        _kill(process)


class Pipe:
    """A running program that is talked to line by line; its errors go to *log*.

    Who reads, reads on until None: that is when our end of its output is given back.
    """

    def __init__(self, command: Sequence[str], *, environment: Mapping[str, str], log: IO[str]) -> None:
        self._process = _start(command, environment, None, subprocess.PIPE, log)
        self.pid = self._process.pid

    def send(self, line: str) -> None:
        """Write one line; raise BrokenPipeError where the program is gone."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def read(self) -> str | None:
        """Return the next line, or None when the program has closed its output."""
        output = self._process.stdout
        assert output is not None
        if output.closed:
            return None
        line = output.readline()
        if not line:
            output.close()  # by who reads: closing it under a reader in another thread would wait for that one
        return line or None

    def close(self, timeout: float = 5.0) -> int:
        """Close its input, wait for it to leave, end it if it does not; return its exit status."""
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            _end(self._process)
        return self._process.returncode

    def kill(self) -> None:
        """End it at once."""
        _end(self._process)
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()


def talk_through(command: Sequence[str], variables: Mapping[str, str], say: Callable[[str], None]) -> int:
    """Run a program and *say* what it prints, line by line, its errors going where ours go; return its exit status."""
    running = Pipe(command, environment=variables, log=sys.stderr)
    try:
        line = running.read()
        while line is not None:
            say(line)
            line = running.read()
        return running.close()
    except BaseException:
        running.kill()
        raise


def _start(
    command: Sequence[str],
    environment: Mapping[str, str] | None,
    folder: Path | None,
    stdin: int,
    stderr: IO[str] | int = subprocess.PIPE,
    log: IO[str] | None = None,
) -> subprocess.Popen[str]:
    try:
        return subprocess.Popen(
            list(command),
            stdin=stdin,
            stdout=subprocess.PIPE if log is None else log,
            stderr=stderr if log is None else log,
            env=dict(environment) if environment is not None else None,
            cwd=folder,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        raise ToolError(f"{_shown(command)} cannot be started: {error}", _NOT_STARTED) from error


def _kill(process: subprocess.Popen[str]) -> None:
    if process.returncode is not None:  # it was waited for: its number may be another's by now
        return
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        process.kill()


def _end(process: subprocess.Popen[str]) -> None:
    _kill(process)
    process.wait()


def _abandon(process: subprocess.Popen[str]) -> None:
    _end(process)
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with contextlib.suppress(BrokenPipeError):
                stream.close()


def _shown(command: Sequence[str]) -> str:
    return redact(" ".join(command[:4]) + (" ..." if len(command) > 4 else ""))


# Stops being our child at once, so that nobody need wait for it. A shell gives what it starts so no input of ours,
# unless that is named.
_APART = 'exec 3<&0; "$@" <&3 3<&- &'


def detach(command: Sequence[str], *, environment: Mapping[str, str], text: str) -> None:
    """Start *command* apart from us, with *text* as its input, and return at once.

    It outlives us, holds no stream or folder of ours, and gets no signal that is meant for us; what it says is lost.
    Raises ToolError where no program can be started.
    """
    try:
        with tempfile.TemporaryFile() as stdin:
            stdin.write(text.encode("utf-8"))
            stdin.seek(0)
            subprocess.run(
                ["/bin/sh", "-c", _APART, "sh", *command],
                stdin=stdin,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=dict(environment),
                cwd="/",
                start_new_session=True,
                check=True,
            )
    except (OSError, subprocess.CalledProcessError) as error:
        raise ToolError(f"{_shown(command)} cannot be started: {error}", _NOT_STARTED) from error
