"""Run examples/demo.py against conda-forge, or against a channel made on the spot where that cannot be reached."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"
PATIENCE_SECONDS = 4
CHANNELS = "METAFLOW_CONDA_CHANNELS"
SHOW = "from metaflow import Flow, namespace; namespace(None); print(Flow('DemoFlow').latest_run.data.table)"


def say(text: str) -> None:
    """Print *text* at once, apart from what the flow prints."""
    print(f"demo: {text}", file=sys.stderr, flush=True)


def conda_forge_answers() -> bool:
    """Tell within seconds whether conda-forge can be reached."""
    from rattler import Channel

    url = f"{Channel('conda-forge').base_url.rstrip('/')}/noarch/repodata_shards.msgpack.zst"
    answers = []

    def ask() -> None:
        with contextlib.suppress(OSError):
            request = urllib.request.Request(url, method="HEAD")
            with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
                answers.append(answer.status)

    # A thread, since looking up a name has no time limit of its own.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(PATIENCE_SECONDS)
    return answers == [200]


@contextlib.contextmanager
def channel() -> Iterator[dict[str, str]]:
    """Yield the variables that choose a channel and two versions of Python that it has."""
    known = {"DEMO_NEWER_PYTHON": HERE, "DEMO_OLDER_PYTHON": "3.11" if HERE == "3.10" else "3.10"}
    if os.environ.get(CHANNELS):
        say(f"{CHANNELS} is set: packages come from there")
        yield known
    elif conda_forge_answers():
        say("conda-forge answers: packages come from there")
        yield known
    else:
        say("conda-forge cannot be reached: making a channel from the CPython of this machine ...")
        with own_channel() as variables:
            yield variables


@contextlib.contextmanager
def own_channel() -> Iterator[dict[str, str]]:
    """Make a channel from the interpreters of this machine, and serve it."""
    sys.path.insert(0, str(PROJECT))
    from tests.channel import ensure, serve

    built = ensure("demo")
    names = (path.name for path in (built / "conda").glob("*/python-[0-9]*"))
    minors = {int(match.group(1)) for name in names if (match := re.match(r"python-3\.(\d+)\.", name))}
    versions = [f"3.{minor}" for minor in sorted(minors)]
    with serve(built) as server:
        say(f"serving it at {server.channel}, with Python {' and '.join(versions)}")
        if len(versions) == 1:
            say("no other Python was found on this machine, so all steps run on the same version")
        yield {CHANNELS: server.channel, "DEMO_NEWER_PYTHON": versions[-1], "DEMO_OLDER_PYTHON": versions[0]}


def run(title: str, words: list[str], folder: str, environment: dict[str, str]) -> bool:
    """Run the flow once, say how long it took, and tell whether it went well."""
    say(f"{title} ...")
    begun = time.monotonic()
    command = [sys.executable, str(PROJECT / "examples/demo.py"), "--environment=conda", *words, "run"]
    status = subprocess.run(command, cwd=folder, env=environment, check=False).returncode
    say(f"{title}: {f'failed with status {status}' if status else f'{time.monotonic() - begun:.1f} s'}")
    return status == 0


def main() -> int:
    """Run the flow twice, show what each step saw, and return an exit status."""
    with channel() as variables, tempfile.TemporaryDirectory(prefix="demo-") as folder:
        environment = {**os.environ, "METAFLOW_USER": os.environ.get("METAFLOW_USER", "demo"), **variables}
        environment.update(METAFLOW_DEFAULT_DATASTORE="local", METAFLOW_DEFAULT_METADATA="local")
        environment.update(METAFLOW_DATASTORE_SYSROOT_LOCAL=folder)
        good = run("first run", [], folder, environment) and run(
            "second run, which has nothing to resolve or create", ["--quiet"], folder, environment
        )
        if good:
            print(flush=True)
            subprocess.run([sys.executable, "-c", SHOW], cwd=folder, env=environment, check=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
