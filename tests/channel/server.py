"""Serve a folder over loopback HTTP, with faults on request."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO
from urllib.parse import unquote, urlsplit

_CHUNK = 1 << 18
_TYPES = {
    "index.json": "application/vnd.pypi.simple.v1+json",
    ".html": "text/html; charset=utf-8",
    ".json": "application/json",
}


@dataclass(frozen=True)
class Rule:
    """Change the answer to requests whose path matches a regular expression.

    Without ``status`` and ``body`` the file is served as usual (after ``delay``,
    cut off after ``truncate`` bytes). A rule with ``require_token`` only acts on
    requests without that bearer token (or without those ``user:password`` in base64),
    with 401 unless ``status`` says otherwise.
    """

    pattern: str
    status: int | None = None
    body: bytes | None = None
    delay: float = 0.0
    times: int | None = None
    require_token: str | None = None
    truncate: int | None = None
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Request:
    """One request the server has seen, and how it answered."""

    method: str
    path: str
    status: int
    range: str | None = None


@dataclass
class Server:
    """A running server: where it is, its rules, and what was asked of it."""

    url: str
    rules: list[Rule] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _applied: list[Rule] = field(default_factory=list, repr=False)

    @property
    def channel(self) -> str:
        """Return the URL of the conda channel."""
        return f"{self.url}/conda"

    @property
    def simple(self) -> str:
        """Return the URL of the package index."""
        return f"{self.url}/simple/"

    def counts(self) -> Counter[str]:
        """Return how often each path was asked for."""
        with self._lock:
            return Counter(request.path for request in self.requests)

    def applied(self, rule: Rule) -> int:
        """Return how many requests a rule has acted on, those that it still delays too."""
        with self._lock:
            return sum(1 for applied in self._applied if applied is rule)

    def clear(self) -> None:
        """Forget all requests and rules."""
        with self._lock:
            self.requests.clear()
            self.rules.clear()
            self._applied.clear()

    def record(self, request: Request) -> None:
        """Remember a request."""
        with self._lock:
            self.requests.append(request)

    def match(self, path: str, token: str | None) -> Rule | None:
        """Return the first rule that acts on a request, and use it up by one."""
        with self._lock:
            for rule in self.rules:
                if re.search(rule.pattern, path) is None:
                    continue
                if rule.require_token is not None and rule.require_token == token:
                    continue
                used = sum(1 for applied in self._applied if applied is rule)
                if rule.times is not None and used >= rule.times:
                    continue
                self._applied.append(rule)
                return rule
        return None


@contextmanager
def serve(root: Path, *, port: int = 0) -> Iterator[Server]:
    """Serve a folder on the loopback interface until the block ends."""
    with _Listener(("127.0.0.1", port), _Handler) as listener:
        listener.root = root.resolve()
        listener.state = Server(f"http://127.0.0.1:{listener.server_address[1]}")
        thread = threading.Thread(target=listener.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield listener.state
        finally:
            listener.shutdown()
            thread.join()


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    root: Path
    state: Server

    def handle_error(self, request: object, client_address: object) -> None:
        """Stay quiet: clients of tests hang up on purpose."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Listener

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - inherited name
        """Stay quiet."""

    def do_GET(self) -> None:
        """Answer a GET request."""
        self._answer()

    def do_HEAD(self) -> None:
        """Answer a HEAD request."""
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        rule = self.server.state.match(path, self._token())
        if rule is not None and rule.delay:
            time.sleep(rule.delay)
        status = self._injected(rule)
        if rule is not None and status is not None:
            headers = [("Content-Type", "application/octet-stream"), *rule.headers]
            self._send(status, headers, rule.body or b"")
            return
        file = self._file(path)
        if file is None:
            return
        self._send_file(file, rule)

    def _token(self) -> str | None:
        kind, _, value = self.headers.get("Authorization", "").partition(" ")
        return value.strip() if kind.lower() in ("bearer", "basic") else None

    @staticmethod
    def _injected(rule: Rule | None) -> int | None:
        """Return the status a rule answers with, or None when the file is to be served."""
        if rule is None:
            return None
        if rule.status is not None:
            return rule.status
        if rule.require_token is not None:
            return HTTPStatus.UNAUTHORIZED
        return HTTPStatus.OK if rule.body is not None else None

    def _file(self, path: str) -> Path | None:
        """Return the file of a path; answer the request itself when there is none."""
        root = self.server.root
        file = (root / path.lstrip("/")).resolve()
        if root != file and root not in file.parents:
            self._send(HTTPStatus.NOT_FOUND, [], b"not found\n")
            return None
        if file.is_dir() and not path.endswith("/"):
            self._send(HTTPStatus.MOVED_PERMANENTLY, [("Location", f"{path}/")], b"")
            return None
        if file.is_dir():
            # A folder with the JSON form of an index alone (PEP 691).
            file /= "index.html" if not (file / "index.json").is_file() else "index.json"
        if not file.is_file():
            self._send(HTTPStatus.NOT_FOUND, [], b"not found\n")
            return None
        return file

    def _send_file(self, file: Path, rule: Rule | None) -> None:
        status = file.stat()
        size = status.st_size
        tag = f'"{status.st_mtime_ns:x}-{size:x}"'
        modified = formatdate(status.st_mtime, usegmt=True)
        headers = [
            ("ETag", tag),
            ("Last-Modified", modified),
            ("Accept-Ranges", "bytes"),
            ("Content-Type", _TYPES.get(file.name) or _TYPES.get(file.suffix, "application/octet-stream")),
        ]
        headers += rule.headers if rule is not None else ()
        if self._unchanged(tag, modified):
            self._send(HTTPStatus.NOT_MODIFIED, headers, None)
            return
        span = _span(self.headers.get("Range"), size)
        if span is None:
            headers.append(("Content-Range", f"bytes */{size}"))
            self._send(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, headers, b"")
            return
        start, stop = span
        code = HTTPStatus.OK
        if span != (0, size):
            code = HTTPStatus.PARTIAL_CONTENT
            headers.append(("Content-Range", f"bytes {start}-{stop - 1}/{size}"))
        headers.append(("Content-Length", str(stop - start)))
        self._head(code, headers)
        if self.command != "HEAD":
            with file.open("rb") as stream:
                stream.seek(start)
                self._copy(stream, stop - start, rule)

    def _unchanged(self, tag: str, modified: str) -> bool:
        asked = self.headers.get("If-None-Match")
        if asked is not None:
            return asked.strip() == "*" or tag in re.findall(r'"[^"]*"', asked)
        return self.headers.get("If-Modified-Since") == modified

    def _copy(self, stream: IO[bytes], length: int, rule: Rule | None) -> None:
        if rule is not None and rule.truncate is not None and rule.truncate < length:
            length = rule.truncate
            self.close_connection = True
        while length > 0:
            chunk = stream.read(min(_CHUNK, length))
            if not chunk:
                break
            self.wfile.write(chunk)
            length -= len(chunk)

    def _send(self, status: int, headers: list[tuple[str, str]], body: bytes | None) -> None:
        if body is not None:
            headers = [*headers, ("Content-Length", str(len(body)))]
        self._head(status, headers)
        if body and self.command != "HEAD":
            self.wfile.write(body)

    def _head(self, status: int, headers: list[tuple[str, str]]) -> None:
        path = unquote(urlsplit(self.path).path)
        self.server.state.record(Request(self.command, path, int(status), self.headers.get("Range")))
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()


def _span(text: str | None, size: int) -> tuple[int, int] | None:
    """Return the bytes a Range header asks for (start, stop), or None if they are not there."""
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", (text or "").strip())
    if found is None or found.group(0) == "bytes=-":
        return (0, size)
    first, last = found.groups()
    if not first:
        length = min(int(last), size)
        return (size - length, size) if length else None
    start = int(first)
    stop = min(int(last) + 1, size) if last else size
    return (start, stop) if start < stop else None
