"""A proxy in whose place every server on the web is this one: it serves one folder for all of them, over HTTPS."""

from __future__ import annotations

import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit


@dataclass
class Everyone:
    """Where the proxy is, which authority signs for every name, and which URLs it was asked for."""

    root: Path
    folder: Path
    url: str = ""
    asked: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def authority(self) -> Path:
        return self.folder / "ca.pem"

    def context(self, host: str) -> ssl.SSLContext:
        """Return what speaks for *host*, with a certificate of its own."""
        with self._lock:
            certificate = self.folder / f"{host}.pem"
            if not certificate.exists():
                (self.folder / "names").write_text(f"subjectAltName=DNS:{host}\n")
                openssl(self.folder, "req", *_KEY, "server.key", "-out", "server.csr", "-subj", f"/CN={host}"[:60])
                sign = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names")
                openssl(self.folder, "x509", "-req", "-in", "server.csr", "-out", f"{host}.pem", *sign)
                (self.folder / "server.key").rename(self.folder / f"{host}.key")
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, self.folder / f"{host}.key")
        return context


_KEY = ("-newkey", "rsa:2048", "-nodes", "-keyout")


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


@contextmanager
def everyone(root: Path, folder: Path) -> Iterator[Everyone]:
    """Be every server until the block ends; keys are kept in *folder*."""
    openssl(folder, "req", "-x509", *_KEY, "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=Private authority")
    found = Everyone(root, folder)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        host = ""

        def do_CONNECT(self) -> None:
            host = self.path.partition(":")[0]
            self.send_response(200)
            self.end_headers()
            self.connection = found.context(host).wrap_socket(self.connection, server_side=True)
            self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb")  # type: ignore[assignment]
            self.host, self.close_connection = host, False

        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path)
            found.asked.append(f"https://{self.host}{path}")
            file = found.root / path.strip("/")
            page = file / "index.html" if file.is_dir() else file
            body = page.read_bytes() if page.is_file() else b""
            self.send_response(200 if page.is_file() else 404)
            self.send_header("Content-Type", "text/html" if page.suffix == ".html" else "application/octet-stream")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)
            self.wfile.flush()

        def finish(self) -> None:
            super().finish()
            self.connection.close()

        do_HEAD = do_GET  # noqa: N815 - the name is http.server's

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - inherited name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
