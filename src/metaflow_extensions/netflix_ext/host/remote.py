"""What a container runs before the step: the commands that Metaflow puts there. Imports on Python 3.7 (step side)."""

from __future__ import annotations

import shlex
from typing import Any, Mapping

from .container import ACTIVATE, FOLDER

PYTHON = "$CONDA_PREFIX/bin/python"
_PROGRAM = "metaflow_extensions.netflix_ext.plugins.conda.bootstrap"


def commands(step: str, datastore: str, asked: Mapping[str, Any]) -> list[str]:
    """Return the commands that give *step* its environment: *asked* is what the service has answered for it.

    Metaflow joins them by ``&&``, puts them between double quotes, and splits that as a shell would: a value stands in
    single quotes.
    """
    which = ":".join(asked["id"]) if asked.get("id") else str(asked["fetch"])
    words = (step, datastore, str(asked["root"]), which)
    program = f"DISABLE_TRACING=True python -m {_PROGRAM}"
    return [f"{program} {' '.join(shlex.quote(word) for word in words)}", f". ./{FOLDER}/{ACTIVATE}"]
