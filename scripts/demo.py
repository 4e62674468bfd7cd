"""Run examples/demo.py against conda-forge, or against a channel made on the spot where that cannot be reached."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
PATIENCE_SECONDS = 4


def say(text: str) -> None:
    """Print *text* at once, apart from what the flow prints."""
    print(f"demo: {text}", file=sys.stderr, flush=True)


def conda_forge_answers() -> bool:
    """Tell within seconds whether conda-forge can be reached."""
    from rattler import Channel

    url = f"{Channel('conda-forge').base_url.rstrip('/')}/noarch/repodata_shards.msgpack.zst"
    try:
        request = urllib.request.Request(url, method="HEAD")
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


@contextlib.contextmanager
def channel() -> Iterator[tuple[dict[str, str], str]]:
    """Yield the variables that choose a channel, and an older version of Python that it has."""
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if conda_forge_answers():
        say("conda-forge answers: packages come from there")
        yield {}, "3.10" if here != "3.10" else "3.11"
        return
    say(f"conda-forge does not answer within {PATIENCE_SECONDS} s: making a channel from the CPython of this machine")
    sys.path.insert(0, str(PROJECT))
    from tests.channel import ensure, serve

    built = ensure("demo")
    versions = sorted(python_minors(built), key=lambda text: int(text.partition(".")[2]))
    chosen = here if here in versions else versions[-1]
    older = next((version for version in versions if version != chosen), chosen)
    with serve(built) as server:
        say(f"serving it at {server.channel}, with Python {', '.join(versions)}")
        yield {"METAFLOW_CONDA_CHANNELS": server.channel, "DEMO_NEWER_PYTHON": chosen}, older


def python_minors(built: Path) -> set[str]:
    """Return the minor versions of the `python` packages in a built channel."""
    names = (path.name for path in (built / "conda").glob("*/python-[0-9]*"))
    return {match.group(1) for name in names if (match := re.match(r"python-(3\.\d+)\.", name))}


def main() -> int:
    """Run the flow and return its exit status."""
    since = time.monotonic()
    with channel() as (variables, older), tempfile.TemporaryDirectory(prefix="demo-") as folder:
        environment = {**os.environ, "METAFLOW_USER": os.environ.get("METAFLOW_USER", "demo"), **variables}
        environment.update(DEMO_PYTHON=older, METAFLOW_DEFAULT_DATASTORE="local", METAFLOW_DEFAULT_METADATA="local")
        command = [sys.executable, str(PROJECT / "examples/demo.py"), "--environment=conda", "run"]
        for attempt in ("first run", "second run, with everything known"):
            say(attempt)
            begun = time.monotonic()
            status = subprocess.run(command, cwd=folder, env=environment, check=False).returncode
            if status != 0:
                say(f"the flow failed with status {status}")
                return status
            say(f"{attempt}: {time.monotonic() - begun:.1f} s")
    say(f"done in {time.monotonic() - since:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
