"""The executables micromamba, mamba and conda: where they are, which version they are, how they are run."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..engine.errors import ToolError
from ..engine.secret import redact
from . import disk, process

Version = tuple[int, ...]

OLDEST: Mapping[str, Version] = {"micromamba": (1, 4), "mamba": (1, 4), "conda": (4, 14)}
_VERSION_SECONDS = 60.0
_LAST_LINES = 8
# What a shell or a user has set for conda, and what would change a solution or where things are put.
_OURS = re.compile(
    r"(CONDA|MAMBA)_(CHANNELS|DEFAULT_CHANNELS|SUBDIR|PLATFORM|OVERRIDE_\w+|PKGS_DIRS|ENVS_DIRS|ROOT_PREFIX|PREFIX|"
    r"TARGET_PREFIX|DEFAULT_ENV|CHANNEL_PRIORITY|PINNED_PACKAGES|CREATE_DEFAULT_PACKAGES|JSON|QUIET|VERBOSITY|DRY_RUN|"
    r"ALWAYS_YES|OFFLINE|NO_DEPS|USE_ONLY_TAR_BZ2|ADD_PIP_AS_PYTHON_DEPENDENCY|TRACK_FEATURES|AGGRESSIVE_UPDATE_PACKAGES)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CondaProgram:
    """One executable."""

    name: str
    path: Path
    version: Version

    @property
    def libmamba(self) -> bool:
        """Whether it takes the options of micromamba, as mamba 2 does too; mamba 1 takes those of conda."""
        return self.name == "micromamba" or (self.name == "mamba" and self.version >= (2,))

    @property
    def shown(self) -> str:
        """Its version as text."""
        return ".".join(map(str, self.version))

    def run(
        self, words: Sequence[str], environment: Mapping[str, str], *, timeout: float, leashed: bool = False
    ) -> process.Finished:
        """Run it, with *environment* over what this process has; see `process.run`."""
        kept = {name: value for name, value in os.environ.items() if not _OURS.fullmatch(name)}
        unsettled = ("PYTHONPATH", "PYTHONHOME")
        full = {**{name: value for name, value in kept.items() if name not in unsettled}, **environment}
        try:
            return process.run([str(self.path), *words], environment=full, timeout=timeout, leashed=leashed)
        except ToolError as error:
            raise ToolError(error.message, self._instead) from error

    def failed(self, words: Sequence[str], done: process.Finished, why: str = "") -> ToolError:
        """Return the error for a run that is no answer: the command, its last lines, credentials masked."""
        said = [line for line in f"{done.stdout}\n{done.stderr}".splitlines() if line.strip()][-_LAST_LINES:]
        ended = f"signal {-done.returncode}" if done.returncode < 0 else f"status {done.returncode}"
        lines = "".join(f"\n  {redact(line)}" for line in said) or " nothing"
        return ToolError(
            f"{self.name} {self.shown} {why or f'ended with {ended}'}; it was run as '{self.path} {' '.join(words)}' "
            f"and said:{lines}",
            self._instead,
        )

    @property
    def _instead(self) -> str:
        return (
            f"run that command by hand; METAFLOW_CONDA_DEPENDENCY_RESOLVER and METAFLOW_CONDA_INSTALLER do without "
            f"{self.name} where they are rattler"
        )


def find(name: str, environ: Mapping[str, str], *, distribution: Path | None, known: Path) -> CondaProgram:
    """Return the executable *name*: in *distribution* alone where that is given, else on PATH or where conda says.

    *known* is a file in which versions are kept, by path and time of the executable. Raises ToolError where there is
    none, or an older one than we can talk to.
    """
    path = _path(name, environ, distribution)
    version = _version(name, path, known)
    if version < OLDEST[name]:
        oldest = ".".join(map(str, OLDEST[name]))
        raise ToolError(
            f"'{path}' is {name} {'.'.join(map(str, version))}, and {name} {oldest} or newer is needed",
            f"update it, or use another: {_ways(distribution)}",
        )
    return CondaProgram(name=name, path=path, version=version)


def _path(name: str, environ: Mapping[str, str], distribution: Path | None) -> Path:
    if distribution is not None:
        places = [distribution / "bin" / name]
    else:
        places = [Path(folder, name) for folder in environ.get("PATH", "").split(os.pathsep) if folder]
        mamba, conda = Path(environ.get("MAMBA_EXE", "")), environ.get("CONDA_EXE")
        places += [mamba] if mamba.name == name else []
        places += [Path(conda).with_name(name)] if conda else []
    for place in places:
        if shutil.which(place) is not None:
            return place
    idle = next((place for place in places if place.is_file()), None)
    if idle is not None:
        raise ToolError(f"'{idle}' is not executable", f"let it be run: chmod +x '{idle}'")
    where = f"in '{distribution / 'bin'}'" if distribution is not None else "on PATH"
    raise ToolError(f"{name} was not found {where}", _ways(distribution))


def _ways(distribution: Path | None) -> str:
    install = (
        "install it" if distribution is None else "put it into the distribution that METAFLOW_CONDA_LOCAL_PATH names"
    )
    return f"{install}, or leave METAFLOW_CONDA_DEPENDENCY_RESOLVER and METAFLOW_CONDA_INSTALLER at rattler"


def _version(name: str, path: Path, known: Path) -> Version:
    # Starting conda takes a second, which would be a second for each solve.
    stat = os.stat(path)
    mark = [str(path), stat.st_mtime_ns, stat.st_size]
    entries = _read(known)
    for entry in entries:
        if entry[:3] == mark:
            return tuple(entry[3])
    done = process.run([str(path), "--version"], timeout=_VERSION_SECONDS)
    text = done.stdout
    match = re.search(rf"(?:^|{name}\s+)(\d+(?:\.\d+)+)", text, re.MULTILINE)
    if done.returncode != 0 or match is None:
        said = redact((text + done.stderr).strip()[-200:])
        raise ToolError(f"'{path} --version' does not say the version of {name}: {said or 'nothing'}", "reinstall it")
    version = tuple(int(part) for part in match.group(1).split("."))
    with contextlib.suppress(OSError):
        others = [entry for entry in entries if entry[0] != str(path)]
        disk.write(known, json.dumps([*others, [*mark, list(version)]]).encode())
    return version


def _read(known: Path) -> list[list[Any]]:
    try:
        entries = json.loads(known.read_bytes())
        return [entry for entry in entries if len(entry) == 4 and all(isinstance(part, int) for part in entry[3])]
    except (OSError, ValueError, TypeError):
        return []
