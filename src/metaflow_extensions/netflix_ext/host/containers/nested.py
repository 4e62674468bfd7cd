"""Flows that are launched by a task in a container: the container's Python does their work, with the tools there.

The tools that the task itself had no need of arrive when they are first needed. Imports on Python 3.7 (step side).
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
from typing import Any, Mapping

from ...engine.errors import CreateError, unwritable
from . import arrivals

OLDEST = (3, 10)
_COMPLETE = ".complete"


def check_python() -> None:
    """Raise CreateError where this Python is older than the tools need."""
    if sys.version_info < OLDEST:
        raise CreateError(
            "the Python of this container is {}.{}, and the tools that create environments need {}.{}".format(
                *(sys.version_info[:2] + OLDEST)
            ),
            "use an image with a newer Python (the step itself runs the Python that it asks for), or provide an "
            "installer by METAFLOW_CONDA_REMOTE_INSTALLER",
        )


def complete(told: Mapping[str, Any]) -> None:
    """Add the tools that the container lacks, once for all flows that are launched there; several may come at a time.

    *told* has the ``folder`` of tools, those that it lacks (``tools``, as the code package has them), and the
    ``datastore`` and ``store`` that has them. Raises CreateError, PackageError, StoreError.
    """
    check_python()
    folder = told["folder"]
    mark = os.path.join(folder, _COMPLETE)
    if os.path.exists(mark):
        return
    try:
        os.makedirs(folder, exist_ok=True)
        hold = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(hold, fcntl.LOCK_EX)
            if not os.path.exists(mark):
                _add(told)
                os.close(os.open(mark, os.O_CREAT | os.O_WRONLY))
        finally:
            os.close(hold)
    except OSError as error:
        raise unwritable("", error) from error


def _add(told: Mapping[str, Any]) -> None:
    scratch = told["folder"] + ".archives"
    arriving = arrivals.Arrivals(arrivals.store_at(told["datastore"], told["store"]), scratch)
    try:
        for tool in told["tools"]:
            arriving.unpack(tool, told["folder"])
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
