"""A network with no way out but chosen ports of loopback, behind which the servers of the test process answer."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import fcntl
import os
import re
import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.servers import AbsentError, StoreServer

_CLONE_NEWNET = 0x40000000
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1
_BLOCK = 1 << 16
_BACKLOG = 1024
_ADDRESS = re.compile(r"(?:127\.0\.0\.1|localhost):(\d+)")
_SMALL = 1 << 16


@dataclass
class Network:
    """A network namespace. ``opened`` counts the connections to each port; those in ``closed`` are refused any."""

    handle: int
    opened: Counter[int] = field(default_factory=Counter)
    closed: set[int] = field(default_factory=set)

    @property
    def enter(self) -> list[str]:
        """The words before a command that let it run in this network."""
        return ["nsenter", f"--net=/proc/{os.getpid()}/fd/{self.handle}", "--"]


@contextlib.contextmanager
def isolated(ports: Iterable[int]) -> Iterator[Network]:
    """Yield a network in which *ports* of loopback are the ports of this process's loopback, and nothing else is."""
    handle, listening = _namespace(sorted(set(ports)))
    network = Network(handle)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        for port, listener in listening.items():
            asyncio.run_coroutine_threadsafe(_forward(network, port, listener), loop).result()
        yield network
    finally:
        asyncio.run_coroutine_threadsafe(_stop(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
        for listener in listening.values():
            listener.close()
        os.close(handle)


def ports_of(server: StoreServer) -> set[int]:
    """Return the ports of loopback that *server*'s variables name, or small files that they name do."""
    texts = list(server.variables.values())
    texts += [path.read_text(errors="replace") for path in files_of(server) if path.stat().st_size < _SMALL]
    return {int(port) for text in texts for port in _ADDRESS.findall(text)}


def files_of(server: StoreServer) -> list[Path]:
    """Return the files that *server*'s variables name: a task must find them at the same place."""
    return [Path(value) for value in server.variables.values() if value.startswith("/") and Path(value).is_file()]


def _namespace(ports: list[int]) -> tuple[int, dict[int, socket.socket]]:
    """Make a network namespace; return what keeps it, and a socket that listens in it for each port.

    A thread enters it, so that this process stays where it is. Sockets belong to where they were made.
    """
    made: dict[int, socket.socket] = {}
    handles: list[int] = []
    faults: list[OSError] = []

    def enter() -> None:
        try:
            if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "no network namespace can be made")  # noqa: TRY301
            _bring_up("lo")
            handles.append(os.open(f"/proc/self/task/{threading.get_native_id()}/ns/net", os.O_RDONLY | os.O_CLOEXEC))
            for port in ports:
                made[port] = _listener(port)
        except OSError as error:
            faults.append(error)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    if faults:
        raise AbsentError(f"this machine lets nobody make networks: {faults[0]}")
    return handles[0], made


def _bring_up(interface: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        request = struct.pack("16sh14x", interface.encode(), 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(probe, _SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(probe, _SIOCSIFFLAGS, struct.pack("16sh14x", interface.encode(), flags | _IFF_UP))


def _listener(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(_BACKLOG)
    listener.setblocking(False)
    return listener


async def _forward(network: Network, port: int, listener: socket.socket) -> None:
    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if port in network.closed:
            writer.transport.abort()
            return
        network.opened[port] += 1
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await _pass(reader, writer, port)
        writer.transport.abort()

    await asyncio.start_server(accepted, sock=listener, backlog=_BACKLOG)


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    """Pass what comes on to the server of this process, and its answers back, until both have said all."""
    far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        await writer.drain()
        writer.close()
        await writer.wait_closed()
    finally:
        far_writer.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while block := await reader.read(_BLOCK):
        writer.write(block)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


async def _stop() -> None:
    """End what the loop still does."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
