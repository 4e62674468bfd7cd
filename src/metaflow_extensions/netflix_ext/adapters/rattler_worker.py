"""The program in which py-rattler runs; started by `worker`, imported by nobody else.

One JSON object a line comes in, ``{"id": 1, "do": "solve", ...}``; any number of ``{"id": 1, "event": ...}`` and then
one ``{"id": 1, "result": ...}`` or ``{"id": 1, "error": {"kind": ..., "message": ..., "details": {...}}}`` go out.
Requests are worked on at the same time. It leaves when its input ends or ``{"do": "leave"}`` comes, once the answers
are out.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import traceback
from collections.abc import Awaitable, Callable
from typing import TextIO

import rattler
from rattler import package_streaming

from .rattler_install import install
from .rattler_network import Arguments, Networks, RefusedError, Send
from .rattler_solve import find, look, solve


async def versions(_asked: Arguments, _networks: Networks, _send: Send) -> dict[str, str]:
    """Return what works here."""
    return {"py-rattler": rattler.__version__}


async def unpack(asked: Arguments, _networks: Networks, _send: Send) -> None:
    """Unpack an archive into a folder."""
    await asyncio.to_thread(package_streaming.extract, asked["archive"], asked["target"])


_WORK: dict[str, Callable[[Arguments, Networks, Send], Awaitable[object]]] = {
    "solve": solve,
    "look": look,
    "find": find,
    "install": install,
    "unpack": unpack,
    "versions": versions,
}


class Talk:
    """Reads requests in a thread of its own, answers them from any."""

    def __init__(self, output: TextIO) -> None:
        self._output = output
        self._lock = threading.Lock()
        self._networks = Networks()

    def write(self, message: Arguments) -> None:
        """Write one line; where nobody reads any more there is nothing left to do."""
        line = json.dumps(message) + "\n"
        with self._lock:
            try:
                self._output.write(line)
                self._output.flush()
            except OSError:
                os._exit(1)

    async def serve(self) -> None:
        """Work on requests until the input ends, then until all are answered."""
        loop = asyncio.get_running_loop()
        lines: asyncio.Queue[str] = asyncio.Queue()

        def read() -> None:
            for line in sys.stdin:
                loop.call_soon_threadsafe(lines.put_nowait, line)
            loop.call_soon_threadsafe(lines.put_nowait, "")

        threading.Thread(target=read, daemon=True).start()
        watch = asyncio.ensure_future(_outlive_nobody())
        tasks: set[asyncio.Task[None]] = set()
        while line := await lines.get():
            asked = json.loads(line)
            if asked["do"] == "leave":
                break
            task = asyncio.ensure_future(self._answer(asked))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        if tasks:
            await asyncio.wait(tasks)
        watch.cancel()

    async def _answer(self, asked: Arguments) -> None:
        number = asked["id"]
        try:
            result = await _WORK[asked["do"]](
                asked, self._networks, lambda event: self.write({"id": number, "event": event})
            )
            self.write({"id": number, "result": result})
        except RefusedError as error:
            self._refuse(number, error.kind, str(error), error.details)
        except Exception as error:
            self._refuse(number, type(error).__name__, str(error), {})

    def _refuse(self, number: int, kind: str, message: str, details: dict[str, object]) -> None:
        self.write({"id": number, "error": {"kind": kind, "message": message, "details": details}})


async def _outlive_nobody() -> None:
    # A child that our starter forked keeps our input open when the starter dies; a folder that it was filling is
    # then somebody else's to remove.
    starter = os.getppid()
    while os.getppid() == starter:
        await asyncio.sleep(1)
    os._exit(1)


def main() -> None:
    """Serve on the standard streams, with what the library prints kept off them."""
    output = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    status = 1
    try:
        asyncio.run(Talk(output).serve())
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        # py-rattler's threads race with an ordinary exit of the interpreter, and lose in 3 of 90 runs.
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    main()
