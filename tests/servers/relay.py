"""Stands between a client and a server over HTTP: counts requests, and spoils some."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

_HOP = ("connection", "transfer-encoding", "keep-alive")


class Relay:
    """Passes everything on to *target*; ``requests`` are the (method, path with query) that came, in their order.

    ``spoil`` is asked about each: an HTTP status to answer with, ``"cut"`` to break off in the middle of the answer,
    or None.
    """

    def __init__(self, target: str) -> None:
        self.target = urlsplit(target).netloc
        self.requests: list[tuple[str, str]] = []
        self.spoil: Callable[[str, str], int | str | None] = lambda _method, _path: None
        self.url = ""

    def clear(self) -> None:
        self.requests.clear()

    def below(self, path: str) -> list[tuple[str, str]]:
        """Return the requests that have to do with *path*."""
        return [item for item in self.requests if path in unquote(item[1])]


@contextlib.contextmanager
def relayed(target: str) -> Iterator[Relay]:
    """Yield a relay to the server at the URL *target*."""
    relay = Relay(target)

    class Handler(_Handler):
        passes = relay

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        relay.url = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield relay
        server.shutdown()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    passes: Relay

    def _pass_on(self) -> None:
        relay = self.passes
        relay.requests.append((self.command, self.path))
        body = self._body()
        spoilt = relay.spoil(self.command, unquote(self.path))
        if isinstance(spoilt, int):
            self._answer(spoilt, [], b"")
            return
        connection = http.client.HTTPConnection(relay.target, timeout=60)
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in (*_HOP, "content-length", "expect"):
                connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        data = answer.read()
        kept = [(name, value) for name, value in answer.getheaders() if name.lower() not in _HOP]
        connection.close()
        if spoilt == "cut":
            self._answer(answer.status, kept, data[: len(data) // 2], cut=True)
        else:
            self._answer(answer.status, kept, data, length=self.command != "HEAD")

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass_on  # noqa: N815 - the library's names

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        blocks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            blocks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(blocks)

    def _answer(
        self, status: int, headers: list[tuple[str, str]], data: bytes, *, length: bool = True, cut: bool = False
    ) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() != "content-length" or not length or cut:
                self.send_header(name, value)
        if length and not cut:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)
        if cut:
            self.close_connection = True
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""
