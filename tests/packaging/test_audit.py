"""What `scripts/check` says of known vulnerabilities: of a service that has some, has none, or is not there."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from scripts import audit

KNOWN = {
    "id": "OSV-1",
    "summary": "what it is",
    "details": "what it is",
    "published": "2026-01-01T00:00:00Z",
    "modified": "2026-01-01T00:00:00Z",
    "affected": [
        {
            "package": {"name": "requests", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "9999"}]}],
        }
    ],
}


@contextmanager
def service(answer: Callable[[str], dict[str, object]]) -> Iterator[str]:
    """Answer questions about packages by *answer*, on loopback, and yield where."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            data = json.dumps(answer(asked["package"]["name"])).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1/query"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.parametrize(("known", "status"), [({"vulns": [KNOWN]}, 1), ({}, 0)])
def test_findings_fail_the_check(known: dict[str, object], status: int, capsys: pytest.CaptureFixture[str]) -> None:
    """One that is known of a dependency is told with the version that mends it; without any all is well."""
    asked = []

    def answer(name: str) -> dict[str, object]:
        asked.append(name)
        return known if name == "requests" else {}

    with service(answer) as url:
        assert audit.main(url) == status

    said = capsys.readouterr().out
    assert ("OSV-1, mended in 9999" in said) == bool(status)
    assert f"dependencies: {status}." in said
    assert {"metaflow", "uv", "py-rattler", "urllib3"} <= set(asked)
    assert "pytest" not in asked


def test_service_that_is_not_there_fails_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """One line says that nothing was asked."""
    assert audit.main("http://127.0.0.1:9/v1/query") == 0

    [line] = capsys.readouterr().out.splitlines()
    assert "skipped" in line
