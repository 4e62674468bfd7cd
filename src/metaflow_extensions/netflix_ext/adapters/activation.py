"""What activating a prefix sets, found once by running its activation scripts in a shell."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from ..engine.errors import CreateError
from . import process

_TIMEOUT = 60.0
_PATH = "/usr/local/bin:/usr/bin:/bin"
_SCRIPT = """
env -0
printf 'METAFLOW-ACTIVATED\\0'
for script in "$CONDA_PREFIX"/etc/conda/activate.d/*.sh; do [ -f "$script" ] && . "$script" >/dev/null; done
env -0
"""
_SHELL_OWN = {"_", "SHLVL", "PWD", "OLDPWD", "PATH", "CONDA_PREFIX", "CONDA_SHLVL", "PS1", "HOME"}


class ShellActivator:
    """Runs ``activate.d`` in a clean environment; a prefix without scripts starts no process."""

    def variables(self, stage: Path, final: Path) -> Mapping[str, str]:
        """Return what activating sets (PATH apart), with *final* for *stage* in the values.

        Sources: conda's ``etc/conda/activate.d``, ``etc/conda/env_vars.d`` and ``conda-meta/state``.
        """
        found = {**_package_variables(stage), **_state_variables(stage)}
        if any((stage / "etc/conda/activate.d").glob("*.sh")):
            found.update(_run_scripts(stage, found))
        return {name: value.replace(str(stage), str(final)) for name, value in sorted(found.items()) if name}


def _run_scripts(stage: Path, variables: Mapping[str, str]) -> dict[str, str]:
    environment = {"PATH": f"{stage}/bin:{_PATH}", "HOME": str(Path.home()), "CONDA_PREFIX": str(stage), **variables}
    environment.update({"CONDA_SHLVL": "1", "CONDA_DEFAULT_ENV": stage.name})
    done = process.run(["bash", "-c", _SCRIPT], environment=environment, timeout=_TIMEOUT)
    before, mark, after = done.stdout.partition("METAFLOW-ACTIVATED\0")
    if done.returncode != 0 or not mark:
        raise CreateError(
            f"an activation script of the environment failed: {done.stderr.strip()[-400:]}",
            "leave out the package that brings it, or report it to those who make that package",
        )
    known = _parse(before)
    changed = {name: value for name, value in _parse(after).items() if known.get(name) != value}
    return {name: value for name, value in changed.items() if name not in _SHELL_OWN}


def _parse(text: str) -> dict[str, str]:
    pairs = (item.partition("=") for item in text.split("\0") if "=" in item)
    return {name: value for name, _, value in pairs}


def _package_variables(prefix: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for path in sorted((prefix / "etc/conda/env_vars.d").glob("*.json")):
        found.update(_texts(path, _read(path)))
    return found


def _state_variables(prefix: Path) -> dict[str, str]:
    path = prefix / "conda-meta/state"
    if not path.is_file():
        return {}
    state = _read(path)
    return _texts(path, state.get("env_vars", {}) if isinstance(state, dict) else None)


def _read(path: Path) -> object:
    try:
        return json.loads(path.read_text("utf-8"))
    except ValueError:
        return None


def _texts(path: Path, value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise CreateError(f"'{path.name}' of the environment is no object of variables", "report it to its makers")
    return {str(name): str(text) for name, text in value.items()}
