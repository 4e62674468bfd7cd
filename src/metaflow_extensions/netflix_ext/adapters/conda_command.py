"""The command lines of micromamba, mamba and conda that solve: ``create --dry-run --json``, nothing made.

All that decides on a solution is said: channels and their priority, platform, virtual packages, pins, pip.
"""

from __future__ import annotations

import json
import os
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from ..engine.channel_settings import CHANNELS_LIE_AT, ChannelSettings, mirrored
from ..engine.errors import ToolError
from ..engine.package import CondaPackage
from ..engine.ports import CondaRequest
from ..engine.requirement import CondaRequirement
from . import process
from .conda_program import CondaProgram

# What can be told of a machine by CONDA_OVERRIDE_*; an empty value says that there is none.
_OVERRIDES = ("glibc", "cuda", "osx", "linux", "archspec", "win")
_PRIORITY = {"strict": ["--strict-channel-priority"], "flexible": [], "disabled": ["--no-channel-priority"]}


class DryRun:
    """One request as a command of *program*.

    Args:
        program: The executable.
        request: What to solve.
        scratch: A folder for this one alone.
        folder: Where the executable keeps the metadata of channels.
        settings: What is said of channels.
        timeout: Seconds that one run may take.
    """

    def __init__(
        self,
        program: CondaProgram,
        request: CondaRequest,
        scratch: Path,
        folder: Path,
        settings: ChannelSettings,
        timeout: float,
    ) -> None:
        self.request = request
        self.prepared: Future[None] = Future()
        self._settings = settings
        self._program = program
        self._scratch = scratch
        self._folder = folder
        self._timeout = timeout
        self._named = any(item.channel for item in request.requirements)
        self.channels = channels_of(request, settings)
        self._words = self._command()

    def run(self, *, pip: bool) -> process.Finished:
        """Run the command; *pip*: whether every Python is to bring one."""
        return self._program.run(self._words, self._environment(pip=pip), timeout=self._timeout)

    def failed(self, done: process.Finished, why: str) -> ToolError:
        """Return the error for a run that is no answer."""
        return self._program.failed(self._words, done, why)

    def _command(self) -> list[str]:
        held = self._held()
        channels = dict.fromkeys([*([held] if held else []), *(url for _, url in self.channels)])
        words = ["create", "--yes", "--dry-run", "--json", "--prefix", str(self._scratch / "prefix")]
        if self._program.libmamba:
            words += ["--root-prefix", str(self._folder / "root")]
        else:
            words += ["--no-default-packages"]
        words += ["--no-pin", "--override-channels", *_PRIORITY[self._priority]]
        for channel in channels:
            words += ["--channel", channel]
        kept = {package.name: f"{package.name} =={package.version} {package.build}" for package in self.request.pinned}
        specs = [self._spec(item) for item in self.request.requirements if item.name not in kept or item.constraint]
        return [*words, *specs, *kept.values()]

    def _held(self) -> str:
        """Return a channel of packages that are to be kept, and of virtual packages for which there is no variable."""
        odd = [item for item in self.request.virtual if item.name not in ("__unix", *(f"__{n}" for n in _OVERRIDES))]
        records: dict[str, dict[str, Any]] = {self.request.arch: {}, "noarch": {}}
        for package in self.request.pinned:
            records.setdefault(package.subdir, {})[package.filename] = _record(package)
        for item in odd:
            record = {"name": item.name, "version": item.version, "build": item.build, "build_number": 0, "depends": []}
            records[self.request.arch][f"{item.name}-{item.version}-{item.build}.tar.bz2"] = record
        if not any(records.values()):
            return ""
        for subdir, found in records.items():
            folder = self._scratch / "held" / subdir
            folder.mkdir(parents=True)
            kinds = {"packages.conda": ".conda", "packages": ".tar.bz2"}
            listed = {
                kind: {name: record for name, record in found.items() if name.endswith(end)}
                for kind, end in kinds.items()
            }
            text = json.dumps({"info": {"subdir": subdir}, **listed, "repodata_version": 1})
            (folder / "repodata.json").write_text(text)
        return (self._scratch / "held").as_uri()

    def _environment(self, *, pip: bool) -> dict[str, str]:
        packages = self._folder / "pkgs"
        packages.mkdir(parents=True, exist_ok=True)
        target = {item.name: item.build if item.name == "__archspec" else item.version for item in self.request.virtual}
        found = {
            "CONDA_SUBDIR": self.request.arch,
            # Of its own and without packages, so that it tells of every package that it would fetch.
            "CONDA_PKGS_DIRS": str(packages),
            "CONDA_ENVS_DIRS": str(self._scratch / "envs"),
            "CONDA_UNSATISFIABLE_HINTS_CHECK_DEPTH": "0",
            **{f"CONDA_OVERRIDE_{name.upper()}": target.get(f"__{name}", "") for name in _OVERRIDES},
        }
        if self._priority == "flexible":
            found.update(CONDA_CHANNEL_PRIORITY="flexible", MAMBA_CHANNEL_PRIORITY="flexible")
        if not pip:
            found.update(CONDA_ADD_PIP_AS_PYTHON_DEPENDENCY="false", MAMBA_ADD_PIP_AS_PYTHON_DEPENDENCY="false")
        return found

    @property
    def _priority(self) -> str:
        # Strictly, a channel that a requirement names would not count where another has the package.
        return "flexible" if self._named and self._settings.priority == "strict" else self._settings.priority

    def _spec(self, requirement: CondaRequirement) -> str:
        head = requirement.name
        if requirement.channel:
            head = f"{_url(self._settings.places(requirement.channel)[0], self._settings)}::{requirement.name}"
        constraint = requirement.constraint or ("*" if requirement.build else "")
        return " ".join(part for part in (head, constraint, requirement.build) if part)


def channels_of(request: CondaRequest, settings: ChannelSettings) -> list[tuple[str, str]]:
    """Return the names of all channels that count, in order of priority, and where each is read."""
    named = [item.channel for item in request.requirements if item.channel]
    places = [place for name in (*request.channels, *named) for place in settings.places(name)]
    return list(dict.fromkeys((place, _url(place, settings)) for place in places))


def _url(channel: str, settings: ChannelSettings) -> str:
    if channel.startswith(("/", "./", "../", "~")):
        url = Path(os.path.expanduser(channel)).absolute().as_uri()
    elif "://" in channel:
        url = channel.rstrip("/")
    else:
        base = settings.alias or CHANNELS_LIE_AT
        where = base if "://" in base else Path(base).expanduser().absolute().as_uri()
        url = f"{where.rstrip('/')}/{channel}"
    return mirrored(url, settings.mirrors)


def _record(package: CondaPackage) -> dict[str, Any]:
    named = {"noarch": package.noarch, "sha256": package.sha256, "md5": package.md5}
    return {
        "name": package.name,
        "version": package.version,
        "build": package.build,
        "build_number": package.build_number,
        "depends": list(package.depends),
        "constrains": list(package.constrains),
        "size": package.size,
        "subdir": package.subdir,
        "timestamp": package.timestamp,
        **{name: value for name, value in named.items() if value},
    }
