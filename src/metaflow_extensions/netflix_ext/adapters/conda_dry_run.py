"""Solve conda requirements with micromamba, mamba or conda: by ``create --dry-run --json``, nothing made."""

from __future__ import annotations

import json
import os
import re
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..engine.errors import ExtensionError, InputError, ResolveError, SourceError, ToolError
from ..engine.package import CondaPackage
from ..engine.ports import CondaRequest
from ..engine.requirement import CondaRequirement
from ..engine.secret import has_credentials, strip_credentials
from . import conda_answer, process
from .conda import TIMEOUT, package_of, question
from .conda_explained import bad_source, explained, unsatisfiable
from .conda_program import CondaProgram
from .worker import ERRORS, Worker, WorkerError

# conda's own names of places, where nothing else is said.
_ALIAS = "https://conda.anaconda.org"
# What can be told of a machine by CONDA_OVERRIDE_*; an empty value says that there is none.
_OVERRIDES = ("glibc", "cuda", "osx", "linux", "archspec", "win")
_NO_SOURCE = re.compile(
    r"\b(HTTP |status )?(40[0-9]|5\d\d)\b|not loaded|resolve host|connect|timed out|timeout|certificate|ssl|"
    r"UnavailableInvalidChannel|CondaHTTPError|Download error",
    re.IGNORECASE,
)


class ProgramSolver:
    """Solves with an executable, with strict channel priority and `pip` where a channel has one for the Python.

    Args:
        program: Returns the executable; called when it is first needed.
        worker: Where py-rattler runs: it says what channels have, where the executable does not.
        folder: Where the executable keeps the metadata of channels.
        channel_alias: The URL or folder below which channels named by a bare name lie; conda's own if None.
        secrets: URLs without credentials to the same with credentials; looked up when a request is made.
        hash_of: Returns SHA-256 and size of what is at a URL, for a package that no channel gives a hash of.
        timeout: Seconds that one solve may take, metadata included.
    """

    def __init__(
        self,
        program: Callable[[], CondaProgram],
        worker: Worker,
        folder: Path,
        *,
        hash_of: Callable[[str], tuple[str, int]],
        channel_alias: str | None = None,
        secrets: Mapping[str, str] | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        self._program = program
        self._worker = worker
        self._folder = folder
        self._hash_of = hash_of
        self._alias = channel_alias
        self._secrets = secrets if secrets is not None else {}
        self._timeout = timeout

    def versions(self) -> Mapping[str, str]:
        """Return the version of the executable."""
        program = self._program()
        return {program.name: program.shown}

    def solve(self, request: CondaRequest) -> tuple[CondaPackage, ...]:
        """Return one package a name, in an order in which they can be linked.

        Raises ResolveError with the tool's explanation and what the channels have instead, SourceError that names the
        channel that failed, ToolError where the tool is missing, too old, or gives no answer.
        """
        program = self._program()
        asked = question(request, self._alias, self._secrets, self._timeout)
        with tempfile.TemporaryDirectory(prefix="metaflow-solve-") as scratch:
            attempt = _Attempt(program, request, Path(scratch), self._folder / program.name, self._alias, self._timeout)
            _check_public(attempt.channels, asked["secrets"], program)
            attempt.prepared = self._prepare(asked)
            try:
                found = self._packages(attempt, asked)
            except conda_answer.UnsatisfiableError as error:
                raise unsatisfiable(str(error), request, asked, self._worker) from error
        _check(found, request, program)
        pinned = {package.name: package for package in request.pinned}
        return tuple(pinned.get(package.name, package) for package in self._complete(found, asked))

    def _packages(self, attempt: _Attempt, asked: dict[str, Any]) -> list[CondaPackage]:
        if attempt.request.pinned:  # a Python that is kept has its pip, or has to live without
            return self._answer(attempt, asked, pip=False)
        try:
            return self._answer(attempt, asked, pip=True)
        except conda_answer.UnsatisfiableError as error:
            if not re.search(r"\bpip\b", str(error)):
                raise
            return self._answer(attempt, asked, pip=False)  # the channels may have no pip for this Python

    def _answer(self, attempt: _Attempt, asked: dict[str, Any], *, pip: bool) -> list[CondaPackage]:
        done = attempt.run(pip=pip)
        try:
            return [
                conda_answer.package(record)
                for record in conda_answer.records(done.stdout, done.stderr, done.returncode)
            ]
        except conda_answer.GarbledError as error:
            raise self._failed(attempt, done, asked, str(error)) from error
        except (KeyError, ValueError, TypeError) as error:
            raise attempt.failed(done, f"gave a package that cannot be understood ({error})") from error

    def _failed(self, attempt: _Attempt, done: process.Finished, asked: dict[str, Any], why: str) -> ExtensionError:
        """Return what a run without an answer means: a channel's fault where we meet one there too, else the tool's."""
        if done.returncode <= 0:
            return attempt.failed(done, why)
        places = [*zip(attempt.request.channels, attempt.channels, strict=True), *((url, url) for url in attempt.more)]
        error = attempt.prepared.exception()
        if isinstance(error, WorkerError):
            if ERRORS.get(error.kind) is SourceError:
                return bad_source(error.message, places)
            if ERRORS.get(error.kind) is InputError:
                return explained(error, attempt.request, asked, self._worker)
        said = f"{done.stdout}\n{done.stderr}".strip()
        return bad_source(said, places) if _NO_SOURCE.search(said) else attempt.failed(done, why)

    def _complete(self, packages: list[CondaPackage], asked: dict[str, Any]) -> list[CondaPackage]:
        """Return *packages* as the channels tell of them, which is more than tools do; what they do not know stays."""
        try:
            records = self._worker.request("find", {**asked, "files": [list(_key(package)) for package in packages]})
        except WorkerError as error:
            if not all(package.url and (package.sha256 or package.md5) for package in packages):
                raise error.translated() from error
            records = []  # the tool has ways to the channel that we have not
        known = {_key(item): item for item in map(package_of, records)}
        completed = [self._hashed(_merged(package, known.get(_key(package)))) for package in packages]
        # The tool's order goes by its wish for a pip, too; where all are known, theirs is by what they depend on.
        order = {key: number for number, key in enumerate(known)}
        return sorted(completed, key=lambda item: order[_key(item)]) if len(order) == len(completed) else completed

    def _prepare(self, asked: dict[str, Any]) -> Future[None]:
        """Let the worker read what the channels have while the tool does; the future has what is wrong with them."""
        future: Future[None] = Future()

        def read() -> None:
            try:
                self._worker.request(
                    "find", {**asked, "files": [[spec["name"], "", "", ""] for spec in asked["specs"]]}
                )
                future.set_result(None)
            except (WorkerError, ExtensionError) as error:
                future.set_exception(error)

        threading.Thread(target=read, name="metadata", daemon=True).start()
        return future

    def _hashed(self, package: CondaPackage) -> CondaPackage:
        if not package.url:
            raise ResolveError(
                f"no channel has {package.name} {package.version} {package.build}, which the solver has picked",
                "its metadata of the channel is out of date, or the channel's is: run it again",
            )
        if package.sha256 or package.md5:
            return package
        sha256, size = self._hash_of(package.url)
        return replace(package, sha256=sha256, size=package.size or size)


class _Attempt:
    """One request as a command of *program*; *scratch* is a folder for it alone."""

    def __init__(
        self,
        program: CondaProgram,
        request: CondaRequest,
        scratch: Path,
        folder: Path,
        alias: str | None,
        timeout: float,
    ) -> None:
        self.request = request
        self.prepared: Future[None] = Future()
        self.channels = [_url(channel, alias) for channel in request.channels]
        self._program = program
        self._scratch = scratch
        self._folder = folder
        self._timeout = timeout
        named = [item.channel for item in request.requirements if item.channel]
        self.more = [url for name in named if (url := _url(name, alias)) not in self.channels]
        self._named = bool(named)
        self._alias = alias
        self._words = self._command()

    def run(self, *, pip: bool) -> process.Finished:
        """Run the command; *pip*: whether every Python is to bring one."""
        return self._program.run(self._words, self._environment(pip=pip), timeout=self._timeout)

    def failed(self, done: process.Finished, why: str) -> ToolError:
        """Return the error for a run that is no answer."""
        return self._program.failed(self._words, done, why)

    def _command(self) -> list[str]:
        held = self._held()
        channels = [*([held] if held else []), *self.channels, *self.more]
        words = ["create", "--yes", "--dry-run", "--json", "--prefix", str(self._scratch / "prefix")]
        if self._program.libmamba:
            words += ["--root-prefix", str(self._folder / "root")]
        else:
            words += ["--no-default-packages"]
        words += ["--no-pin", "--override-channels", *([] if self._named else ["--strict-channel-priority"])]
        for channel in channels:
            words += ["--channel", channel]
        kept = {package.name: f"{package.name} =={package.version} {package.build}" for package in self.request.pinned}
        specs = [
            _spec(item, self._alias) for item in self.request.requirements if item.name not in kept or item.constraint
        ]
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
        if self._named:  # strictly, a channel that a requirement names would not count where another has the package
            found.update(CONDA_CHANNEL_PRIORITY="flexible", MAMBA_CHANNEL_PRIORITY="flexible")
        if not pip:
            found.update(CONDA_ADD_PIP_AS_PYTHON_DEPENDENCY="false", MAMBA_ADD_PIP_AS_PYTHON_DEPENDENCY="false")
        return found


def _url(channel: str, alias: str | None) -> str:
    if "://" in channel:
        return channel.rstrip("/")
    if channel.startswith(("/", "./", "../", "~")):
        return Path(os.path.expanduser(channel)).absolute().as_uri()
    base = alias or _ALIAS
    return f"{base if '://' in base else Path(base).expanduser().absolute().as_uri()}".rstrip("/") + f"/{channel}"


def _spec(requirement: CondaRequirement, alias: str | None) -> str:
    head = f"{_url(requirement.channel, alias)}::{requirement.name}" if requirement.channel else requirement.name
    constraint = requirement.constraint or ("*" if requirement.build else "")
    return " ".join(part for part in (head, constraint, requirement.build) if part)


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


def _key(package: CondaPackage) -> tuple[str, str, str, str]:
    return package.name, package.version, package.build, package.subdir


def _merged(package: CondaPackage, known: CondaPackage | None) -> CondaPackage:
    """Return *known*, what a channel says of *package*, unless the tool has seen another file."""
    if known is None or (package.url and package.url != known.url):
        return package
    hashes = ((package.sha256, known.sha256), (package.md5, known.md5))
    return package if any(told and said and told != said for told, said in hashes) else known


def _check_public(channels: Sequence[str], secrets: Mapping[str, str], program: CondaProgram) -> None:
    """Raise SourceError where a channel needs credentials: a command line is no place for them."""
    for channel in channels:
        clean = strip_credentials(channel)
        if has_credentials(channel) or any(clean == url or clean.startswith(f"{url}/") for url in secrets):
            raise SourceError(
                f"channel '{clean}' needs credentials, and {program.name} would be given them on its command line, "
                "which others on this machine can read",
                f"keep them where {program.name} looks for them (.netrc) and give the address without them, or let "
                "METAFLOW_CONDA_DEPENDENCY_RESOLVER be rattler",
            )


def _check(packages: Sequence[CondaPackage], request: CondaRequest, program: CondaProgram) -> None:
    """Raise ToolError where an answer is not one to *request*."""
    strange = [package for package in packages if package.subdir not in (request.arch, "noarch")]
    if strange:
        raise ToolError(
            f"{program.name} {program.shown} was asked for {request.arch}, and picked {strange[0].name} for "
            f"{strange[0].subdir}",
            f"see whether 'subdir' or 'platform' is set in a configuration file of {program.name}",
        )
    lacking = {item.name for item in request.requirements} - {package.name for package in packages}
    if lacking:
        raise ToolError(
            f"{program.name} {program.shown} gave an answer without {', '.join(sorted(lacking))}, which was asked for",
            "run it by hand; METAFLOW_CONDA_DEPENDENCY_RESOLVER=rattler does without it",
        )
