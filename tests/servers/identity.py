"""The service on loopback that gives clients their tokens: as in Azure's app service, and as Google's for accounts."""

from __future__ import annotations

import base64
import contextlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

_DAY = 86_400


def azure_token(audience: str) -> str:
    """Return a token for *audience* that nobody has signed: Azurite looks at what it says alone."""
    now = int(time.time())
    issuer = "https://sts.windows.net/00000000-0000-0000-0000-000000000000/"
    says = {"aud": audience, "iss": issuer, "iat": now - 60, "nbf": now - 60, "exp": now + _DAY, "sub": "tester"}
    return ".".join([_coded({"alg": "none", "typ": "JWT"}), _coded(says), "bm9uZQ"])


def _coded(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = parse_qs(parts.query)
        if parts.path == "/azure":
            audience = query["resource"][0]
            expires = str(int(time.time()) + _DAY)
            self._json({"access_token": azure_token(audience), "expires_on": expires, "token_type": "Bearer"})
        elif parts.path == "/refused":
            self._json({"error": "invalid_client"}, 401)
        else:
            self._json({"error": "unknown"}, 404)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self._json({"access_token": "a-token-of-nobody", "expires_in": _DAY, "token_type": "Bearer"})

    def _json(self, value: Any, status: int = 200) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextlib.contextmanager
def serve_identity() -> Iterator[str]:
    """Yield the address, ``host:port``, of the service."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
