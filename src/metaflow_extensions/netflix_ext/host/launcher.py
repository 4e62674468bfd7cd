"""Where environments are resolved and created from: this interpreter, or the one that launched the run.

A task that launches another flow runs in an environment of ours: its Python may be older than the tools need, and what
lies in its site-packages is the user's. There, the interpreter of the outer launcher does the work.
Imports on Python 3.7 (step side).
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

VARIABLE = "_METAFLOW_CONDA_LAUNCHER"
# The minor version of this interpreter: what runs here asks for it where it asks for no other.
PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"


def interpreter() -> dict[str, Any]:
    """Return the interpreter that launched the (outermost) run, and the PYTHONPATH it was given.

    In a container that is the container's own; it has the ``root`` of the code package and ``tools`` too: see `nested`.
    """
    text = os.environ.get(VARIABLE)
    if text:
        found = json.loads(text)
        assert isinstance(found, dict)
        return found
    return {"python": sys.executable, "PYTHONPATH": os.environ.get("PYTHONPATH", "")}


def service() -> Any:
    """Return a `service.Service`, or what looks like one and asks the launcher's interpreter."""
    if os.environ.get(VARIABLE):
        from .delegate import Delegate

        return Delegate(interpreter())
    from .service import Service

    return Service()
