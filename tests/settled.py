"""Wait for what goes on after a run."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path


def settled(prefix: Path) -> None:
    """Wait until the byte code of *prefix* is made, which goes on after the run and leaves a file of its own."""
    limit = time.monotonic() + 60
    while not (prefix / ".metaflowenv-bytecode").exists() and time.monotonic() < limit:
        _hurry(prefix)
        time.sleep(0.05)
    assert (prefix / ".metaflowenv-bytecode").exists(), "its byte code is not made within a minute"


def _hurry(prefix: Path) -> None:
    """Give what makes byte code by the Python of *prefix* the share of the processor that others have, if we may."""
    if sys.platform != "linux":
        return
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes()
            if words.startswith(os.fsencode(prefix)) and b"compile_sources" in words:
                os.sched_setscheduler(int(process.name), os.SCHED_OTHER, os.sched_param(0))
                os.setpriority(os.PRIO_PROCESS, int(process.name), 0)
                (process / "autogroup").write_text("0")
        except OSError:
            continue
