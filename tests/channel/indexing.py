"""Index a channel folder with py-rattler, in a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

try:
    from .errors import ChannelError
except ImportError:  # run as a script, outside the package
    ChannelError = RuntimeError  # type: ignore[assignment,misc]


def index(channel: Path) -> None:
    """Write repodata.json, its zstd form and the shards of every subdir of a channel."""
    command = [sys.executable, "-I", __file__, str(channel)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    # The process may die while it leaves: only what it said counts.
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        answer = {"error": (done.stderr or "no answer").strip()}
    if "error" in answer:
        raise ChannelError(f"py-rattler could not index {channel}: {answer['error']}")


async def _index(channel: Path) -> None:
    from rattler.index import index_fs

    await index_fs(channel, write_zst=True, write_shards=True, force=True)


def main() -> None:
    """Index the folder named by the only argument and leave without interpreter shutdown."""
    try:
        asyncio.run(_index(Path(sys.argv[1])))
        answer: dict[str, object] = {"ok": True}
    except Exception as error:
        answer = {"error": str(error)}
    sys.stdout.write(json.dumps(answer))
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
