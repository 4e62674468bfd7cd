"""What a container runs before the step: the commands that Metaflow puts there. Imports on Python 3.7 (step side)."""

from __future__ import annotations

import json
import os
import shlex
from typing import Any, Mapping

# What `container` works in, in the folder that the step is started in, and what it leaves there for the shell.
FOLDER = ".mf_conda"
ACTIVATE = "activate"
# What creates environments; other tools are for flows that are launched there: see `nested`.
CREATION_TOOLS = ("py-rattler", "uv", "packaging", "platformdirs")
_VARIABLE = "_METAFLOW_CONDA_REMOTE"
PYTHON = "$CONDA_PREFIX/bin/python"
_PROGRAM = "metaflow_extensions.netflix_ext.plugins.conda.bootstrap"


def is_remote(asked: Mapping[str, Any] | None) -> bool:
    """Tell whether a step runs in an environment in a container; *asked* is what the service has answered for it."""
    return bool(asked and "root" in asked)


def told(asked: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the variables that tell *asked* to the process which Metaflow starts to submit a task."""
    return {_VARIABLE: json.dumps(asked, sort_keys=True) if asked is not None and is_remote(asked) else ""}


def heard() -> Any:
    """Return what `told` tells this process; None where it submits no task."""
    text = os.environ.get(_VARIABLE)
    return json.loads(text) if text else None


def commands(step: str, datastore: str, asked: Mapping[str, Any]) -> list[str]:
    """Return the commands that give *step* its environment: *asked* is what the service has answered for it.

    Metaflow joins them by ``&&``, puts them between double quotes, and splits that as a shell would: a value stands in
    single quotes.
    """
    which = f"id={':'.join(asked['id'])}" if asked.get("id") else f"name={asked['fetch']}"
    words = (step, datastore, str(asked["root"]), str(asked["arch"]), which)
    program = f"DISABLE_TRACING=True python -m {_PROGRAM}"
    return [f"{program} {' '.join(shlex.quote(word) for word in words)}", f". ./{FOLDER}/{ACTIVATE}"]
