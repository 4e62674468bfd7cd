"""Work that goes on while Metaflow does something else, and ends when we are interrupted or leave."""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")
_AT_ONCE = 4
_PATIENCE_SECONDS = 3.0
_AGAIN_SECONDS = 0.5


class Background:
    """Runs work in threads that do not keep the process alive.

    Args:
        end_programs: Ends the programs that the work has started and waits for; it then fails, and cleans up.
    """

    def __init__(self, end_programs: Callable[[], None]) -> None:
        self._end_programs = end_programs
        self._slots = threading.Semaphore(_AT_ONCE)
        self._futures: list[Future[object]] = []
        self._owner = os.getpid()
        atexit.register(self._leave)

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Start *work* now, or when one of those before it is done."""
        future: Future[T] = Future()

        def run() -> None:
            with self._slots:
                if future.set_running_or_notify_cancel():
                    try:
                        future.set_result(work())
                    except BaseException as error:
                        future.set_exception(error)

        self._futures.append(future)  # type: ignore[arg-type]
        threading.Thread(target=run, name="create", daemon=True).start()
        return future

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        """End all work when the block is left by an interrupt."""
        try:
            yield
        except Exception:
            raise
        except BaseException:
            self._stop(time.monotonic() + _AGAIN_SECONDS)
            raise

    def _leave(self) -> None:
        # A forked child inherits this, and none of the work.
        if self._owner == os.getpid():
            self._stop(0.0)

    def _stop(self, at_least_until: float) -> None:
        for future in self._futures:
            future.cancel()
        limit = time.monotonic() + _PATIENCE_SECONDS
        # Again and again: what has lost one program may start the next.
        while time.monotonic() < at_least_until or not all(future.done() for future in self._futures):
            self._end_programs()
            if time.monotonic() > limit:
                return
            time.sleep(0.05)
