"""Programs that serve: started on free ports of loopback, waited for, stopped by their process id."""

from __future__ import annotations

import contextlib
import copy
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

_PATIENCE_SECONDS = 30.0
_GRACE_SECONDS = 3.0
_PORTS = range(12_000, 22_000)
_BLOCK = 8  # the first port of a block is who has the others
_CLAIMS: list[socket.socket] = []


class AbsentError(Exception):
    """This machine cannot run the server; the text says what is missing."""


@dataclass(frozen=True)
class StoreServer:
    """A datastore that is served: what Metaflow must know to use it.

    ``variables`` are for other processes; ``attributes`` are (module, name, value) that Metaflow has read from
    them when it was imported, for this one.
    """

    kind: str
    root: str
    variables: Mapping[str, str]
    attributes: Sequence[tuple[str, str, Any]] = ()

    def use(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let this process use it until the test is over."""
        for name, value in self.variables.items():
            monkeypatch.setenv(name, value)
        for module, name, value in self.attributes:
            monkeypatch.setattr(f"{module}.{name}", copy.copy(value))


@dataclass
class Running:
    """A program that serves."""

    process: subprocess.Popen[bytes]
    log: Path

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-2000:]

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(_GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


@contextlib.contextmanager
def running(command: Sequence[str], log: Path, ready: Callable[[], bool]) -> Iterator[Running]:
    """Start *command*, wait until *ready* says so, and stop it at the end; what it says goes to *log*."""
    # A test run that is killed takes its servers along.
    bound = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*bound, *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=log.parent,
            start_new_session=True,
        )
    found = Running(process, log)
    try:
        limit = time.monotonic() + _PATIENCE_SECONDS
        while not ready():
            if process.poll() is not None or time.monotonic() > limit:
                state = "ended" if process.poll() is not None else "does not answer"
                raise RuntimeError(f"{command[0]} {state}; it said:\n{found.tail()}")
            time.sleep(0.05)
        yield found
    finally:
        found.stop()


def listens(port: int) -> bool:
    """Tell whether somebody listens on *port* of loopback."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    """Return a port of loopback that nobody uses, and that no other test process takes while this one runs."""
    return free_ports(1, 0)


def free_ports(count: int, apart: int) -> int:
    """Return the first of *count* ports in a row that nobody uses, neither them nor those *apart* above.

    Test processes that run at the same time never get the same: each keeps the port below its own bound, which no
    second process can bind. All are below those that systems give to who asks for any.
    """
    if count >= _BLOCK:
        raise ValueError(f"at most {_BLOCK - 1} ports in a row")
    for _ in range(200):
        claim = _bound(random.randrange(_PORTS.start, _PORTS.stop, _BLOCK))
        if claim is None:
            continue
        first = int(claim.getsockname()[1]) + 1
        if all(_bindable(port) for offset in (0, apart) for port in range(first + offset, first + offset + count)):
            _CLAIMS.append(claim)
            return first
        claim.close()
    raise RuntimeError("no free ports were found")


def _bindable(port: int) -> bool:
    found = _bound(port)
    if found is not None:
        found.close()
    return found is not None


def _bound(port: int) -> socket.socket | None:
    """Return a socket bound to *port* of loopback, or None where that cannot be."""
    probe = socket.socket()
    try:
        probe.bind(("127.0.0.1", port))
    except OSError:
        probe.close()
        return None
    return probe
