"""Azurite: Microsoft's emulator of Azure Blob Storage, over TLS, with tokens."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import hmac
import os
import shutil
import ssl
import subprocess
import urllib.request
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path

from .program import AbsentError, StoreServer, free_port, listens, running

VERSION = "3.35.0"
CONTAINER = "shelf"
_ACCOUNT = "tester"
_KEY = base64.b64encode(b"a key for tests, which is no secret").decode()
_PROGRAM = Path("node_modules", "azurite", "dist", "src", "blob", "main.js")
_API = "2021-12-02"


def azurite() -> Path:
    """Return Azurite's program, installed into the user's cache folder if need be; raise AbsentError."""
    for name in ("node", "npm", "openssl"):
        if shutil.which(name) is None:
            raise AbsentError(f"there is no '{name}' on this machine, which Azurite needs")
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "metaflow-netflixext" / f"azurite-{VERSION}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / ".complete").exists():
            _install(folder)
    return folder / _PROGRAM


def _install(folder: Path) -> None:
    words = ["npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund", f"azurite@{VERSION}"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise AbsentError(f"Azurite cannot be installed by npm: {done.stderr.strip()[-400:]}")
    (folder / ".complete").touch()


@contextlib.contextmanager
def serve_azure(folder: Path, identity: str) -> Iterator[StoreServer]:
    """Serve the container `CONTAINER`; *identity* is where tokens come from. Raise AbsentError where that cannot be."""
    program = azurite()
    certificate = _certificate(folder)
    port = free_port()
    data = folder / "data"
    data.mkdir()
    command = ["env", f"AZURITE_ACCOUNTS={_ACCOUNT}:{_KEY}", "node", str(program)]
    command += ["--location", str(data), "--blobHost", "127.0.0.1", "--blobPort", str(port), "--oauth", "basic"]
    command += ["--cert", str(folder / "server.crt"), "--key", str(folder / "server.key"), "--silent"]
    command += ["--disableTelemetry", "--disableProductStyleUrl", "--skipApiVersionCheck"]
    url = f"https://127.0.0.1:{port}/{_ACCOUNT}"
    with running(command, folder / "azurite.log", lambda: listens(port)):
        _make_container(url, certificate)
        yield StoreServer(
            "azure",
            CONTAINER,
            {
                "METAFLOW_AZURE_STORAGE_BLOB_SERVICE_ENDPOINT": url,
                "REQUESTS_CA_BUNDLE": str(certificate),
                "AZURE_TOKEN_CREDENTIALS": "ManagedIdentityCredential",
                "IDENTITY_ENDPOINT": f"http://{identity}/azure",
                "IDENTITY_HEADER": "tester",
                "NO_PROXY": "127.0.0.1",
            },
            [("metaflow.plugins.azure.blob_service_client_factory", "AZURE_STORAGE_BLOB_SERVICE_ENDPOINT", url)],
        )


def _certificate(folder: Path) -> Path:
    """Make a certificate for loopback; return the one of who has signed it."""
    extensions = folder / "extensions"
    extensions.write_text("subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n")
    new = ["req", "-newkey", "rsa:2048", "-nodes"]
    authority = ["-x509", "-days", "2", "-subj", "/CN=an authority for tests", "-keyout", "ca.key", "-out", "ca.crt"]
    authority += ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign"]
    _openssl(folder, *new, *authority)
    _openssl(folder, *new, "-subj", "/CN=127.0.0.1", "-keyout", "server.key", "-out", "server.csr")
    signing = ["x509", "-req", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial"]
    _openssl(folder, *signing, "-days", "2", "-extfile", str(extensions), "-out", "server.crt")
    return folder / "ca.crt"


def _openssl(folder: Path, *words: str) -> None:
    done = subprocess.run(["openssl", *words], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise AbsentError(f"openssl {words[0]} failed: {done.stderr.strip()[-400:]}")


def _make_container(url: str, certificate: Path) -> None:
    """Make the container, by the key of the account."""
    headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": _API}
    signed = "PUT" + "\n" * 12
    signed += "".join(f"{name}:{value}\n" for name, value in sorted(headers.items()))
    signed += f"/{_ACCOUNT}/{_ACCOUNT}/{CONTAINER}\nrestype:container"
    signature = hmac.new(base64.b64decode(_KEY), signed.encode(), hashlib.sha256).digest()
    headers["Authorization"] = f"SharedKey {_ACCOUNT}:{base64.b64encode(signature).decode()}"
    request = urllib.request.Request(f"{url}/{CONTAINER}?restype=container", method="PUT", headers=headers)
    context = ssl.create_default_context(cafile=str(certificate))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    opener.open(request, timeout=10).close()
