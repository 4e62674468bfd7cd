"""Solve conda and PyPI requirements together with conda-lock, which asks micromamba, mamba or conda, and Poetry."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from ..engine.channel_settings import NOTHING_SAID, ChannelSettings
from ..engine.credentials import with_credentials
from ..engine.errors import ExtensionError, InputError, ResolveError, ToolError
from ..engine.options import PypiOptions
from ..engine.origin import filename_of
from ..engine.package import CondaPackage, PypiPackage
from ..engine.platform import VirtualPackage
from ..engine.ports import CondaRequest
from ..engine.request import DEFAULT_INDEX
from ..engine.requirement import PypiRequirement
from ..engine.secret import redact, strip_credentials
from . import conda_answer, process
from .conda import question
from .conda_command import channels_of
from .conda_completion import canonical, completed
from .conda_explained import unsatisfiable
from .conda_lock_program import CondaLock
from .conda_program import CondaProgram
from .conda_solve import check_public
from .worker import Worker

_TIMEOUT = 1800.0
_WHEEL = re.compile(r"# pip (?P<name>\S+) @ (?P<url>\S+?)(?:#(?:sha256[=:])?(?P<hash>\w+))?$")
_POETRY = re.compile(r"^(?:.*SolverProblemError: ?)?\s*(Because [\s\S]*?version solving failed\.?)", re.MULTILINE)
_INDEX = re.compile(r"(Repository|Index|Source) .* does not exist|HTTPError|ConnectionError|Client Error|Max retries")
_SHOWN_LINES = 12


class CondaLockSolver:
    """Solves with conda-lock and an executable for it.

    Args:
        lock: Returns conda-lock; called when it is first needed.
        program: Returns the executable that conda-lock asks for conda packages.
        worker: Where py-rattler runs: it says what channels have.
        hash_of: Returns SHA-256 and size of what is at a URL, for what comes without a hash.
        pypi_names: Names on PyPI of conda packages that are called otherwise there.
        settings: What is said of channels.
        secrets: URLs without credentials to the same with credentials; looked up when a request is made.
        timeout: Seconds that one solve may take.
    """

    def __init__(
        self,
        lock: Callable[[], CondaLock],
        program: Callable[[], CondaProgram],
        worker: Worker,
        *,
        hash_of: Callable[[str], tuple[str, int]],
        pypi_names: Callable[[], Mapping[str, str]],
        settings: ChannelSettings = NOTHING_SAID,
        secrets: Mapping[str, str] | None = None,
        timeout: float = _TIMEOUT,
    ) -> None:
        self._lock = lock
        self._program = program
        self._worker = worker
        self._hash_of = hash_of
        self._pypi_names = pypi_names
        self._settings = settings
        self._secrets = secrets if secrets is not None else {}
        self._timeout = timeout

    def versions(self) -> Mapping[str, str]:
        """Return the versions of conda-lock and of the executable."""
        program = self._program()
        return {"conda-lock": self._lock().version, program.name: program.shown}

    def solve(
        self, conda: CondaRequest, requirements: Sequence[PypiRequirement], indexes: Sequence[str], options: PypiOptions
    ) -> tuple[tuple[CondaPackage, ...], tuple[PypiPackage, ...]]:
        """Return packages in an order in which they can be linked, and one wheel for what is not among them.

        Raises ResolveError with the explanation of the solver that failed, InputError for what conda-lock cannot be
        asked, SourceError where a channel needs credentials, ToolError where a tool is missing or fails.
        """
        _check_options(options)
        lock, program = self._lock(), self._program()
        asked = question(conda, self._settings, self._secrets)
        with tempfile.TemporaryDirectory(prefix="metaflow-lock-") as scratch:
            folder = Path(scratch)
            channels = channels_of(conda, self._settings)
            check_public(channels, asked["secrets"], program)
            secrets = self._write(folder, conda, [url for _, url in channels], requirements, indexes)
            words = [
                *("lock", "--file", "environment.yml", "--platform", conda.arch, "--kind", "explicit", "--strip-auth"),
                *("--filename-template", "locked-{platform}.txt", "--virtual-package-spec", "virtual.yml"),
                *("--pypi_to_conda_lookup_file", f"file://{folder / 'names.json'}", "--log-level", "WARNING"),
                *("--conda", str(program.path)),
                *([f"--{program.name}"] if program.name in ("mamba", "micromamba") else []),
            ]
            priority = dict.fromkeys(("CONDA_CHANNEL_PRIORITY", "MAMBA_CHANNEL_PRIORITY"), self._settings.priority)
            environment = {**os.environ, **secrets, **priority, "NO_COLOR": "1"}
            done = process.run([str(lock.path), *words], environment=environment, folder=folder, timeout=self._timeout)
            locked = folder / f"locked-{conda.arch}.txt"
            if done.returncode != 0 or not locked.exists():
                raise self._failed(done, conda, asked, lock)
            text = locked.read_text("utf-8")
        found = [_conda_package(line, conda.arch) for line in text.splitlines() if re.match(r"[a-z]+://", line)]
        wheels = [match for line in text.splitlines() if (match := _WHEEL.match(line))]
        picked = [canonical(package, self._settings) for package in found]
        linkable = completed(picked, asked, self._worker, self._hash_of)
        return tuple(linkable), tuple(self._wheel(match, indexes) for match in wheels)

    def _write(
        self,
        folder: Path,
        conda: CondaRequest,
        channels: Sequence[str],
        requirements: Sequence[PypiRequirement],
        indexes: Sequence[str],
    ) -> dict[str, str]:
        """Write what conda-lock reads into *folder*; return the variables that the credentials in it stand in."""
        secrets: dict[str, str] = {}
        repositories = [self._veiled(index, secrets) for index in indexes if index != DEFAULT_INDEX]
        named = [str(item) for item in conda.requirements]
        pip = [] if any(item.name == "pip" for item in conda.requirements) else ["pip"]
        files: dict[str, Any] = {  # JSON is YAML
            "environment.yml": {
                "channels": list(channels),
                "dependencies": [*named, *pip, {"pip": [str(item) for item in requirements]}],
                "pip-repositories": repositories,
                "allow-pypi-requests": DEFAULT_INDEX in indexes or not repositories,
            },
            "virtual.yml": {
                "subdirs": {conda.arch: {"packages": {item.name: _versioned(item) for item in conda.virtual}}}
            },
            "names.json": {pypi: {"conda_name": name, "pypi_name": pypi} for name, pypi in self._pypi_names().items()},
        }
        for name, content in files.items():
            (folder / name).write_text(json.dumps(content, indent=1), "utf-8")
        return secrets

    def _veiled(self, index: str, secrets: dict[str, str]) -> str:
        """Return the URL of *index* with variables for its credentials, whose values *secrets* has from then on."""
        parts = urlsplit(with_credentials(index, self._secrets))
        user, colon, password = parts.netloc.rpartition("@")[0].partition(":")
        if not user:
            return index
        number = len(secrets)
        names = [f"METAFLOW_INDEX_USER_{number}", f"METAFLOW_INDEX_PASSWORD_{number}"]
        secrets.update(zip(names, (unquote(user), unquote(password)), strict=True))
        host = parts.netloc.rpartition("@")[2]
        return parts._replace(netloc=f"${names[0]}{f':${names[1]}' if colon else ''}@{host}").geturl()

    def _wheel(self, match: re.Match[str], indexes: Sequence[str]) -> PypiPackage:
        url = strip_credentials(unquote(match["url"]) if "%2F" in match["url"] else match["url"])
        filename = filename_of(url)
        parts = filename.removesuffix(".whl").split("-")
        if not filename.endswith(".whl") or len(parts) < 5:
            raise ResolveError(
                f"conda-lock has picked '{filename}' for {match['name']}, which is no wheel",
                "ask for a version that has one for the platform, or let METAFLOW_CONDA_MIXED_DEPENDENCY_RESOLVER be "
                "default, which builds wheels",
            )
        sha256, size = (match["hash"] or "", 0)
        if len(sha256) != 64:
            sha256, size = self._hash_of(url)
        index = next((one for one in indexes if urlsplit(one).netloc == urlsplit(url).netloc), "")
        return PypiPackage(
            name=match["name"], version=parts[1], filename=filename, url=url, sha256=sha256, size=size, index=index
        )

    def _failed(
        self, done: process.Finished, conda: CondaRequest, asked: dict[str, Any], lock: CondaLock
    ) -> ExtensionError:
        said = f"{done.stdout}\n{done.stderr}"
        poetry = _POETRY.search(said)
        if poetry:
            return ResolveError(
                f"no set of PyPI packages for {conda.arch} satisfies the requirements:\n{redact(poetry.group(1))}",
                "loosen one of the requirements that are named above",
            )
        try:
            conda_answer.records(said, said, done.returncode or 1)
        except conda_answer.UnsatisfiableError as error:
            return unsatisfiable(str(error), conda, asked, self._worker)
        except conda_answer.GarbledError:
            pass
        lines = [line for line in said.splitlines() if line.strip()][-_SHOWN_LINES:]
        told = "\n".join(f"  {redact(line)}" for line in lines)
        hint = (
            "check the indexes and the network"
            if _INDEX.search(said)
            else "see what it says above; METAFLOW_CONDA_MIXED_DEPENDENCY_RESOLVER=default does without it"
        )
        return ToolError(f"conda-lock {lock.version} ended with status {done.returncode} and said:\n{told}", hint)


def _versioned(item: VirtualPackage) -> str:
    return f"{item.version} {item.build}" if item.name == "__archspec" else item.version


def _conda_package(line: str, arch: str) -> CondaPackage:
    url, _, digest = line.strip().partition("#")
    clean = strip_credentials(url)
    where, _, filename = clean.rpartition("/")
    stem = filename.removesuffix(".conda").removesuffix(".tar.bz2")
    name, version, build = stem.rsplit("-", 2)
    subdir = where.rpartition("/")[2]
    if subdir not in (arch, "noarch"):
        raise ToolError(f"conda-lock was asked for {arch}, and picked '{clean}'", "report it")
    return CondaPackage(
        name=name,
        version=version,
        build=build,
        build_number=0,
        subdir=subdir,
        channel=where.removesuffix(subdir),
        filename=filename,
        url=clean,
        md5=digest if len(digest) == 32 else "",
        sha256=digest.removeprefix("sha256:") if len(digest) > 32 else "",
    )


def _check_options(options: PypiOptions) -> None:
    """Raise InputError where more is asked than conda-lock can be told."""
    if options != PypiOptions():
        raise InputError(
            "conda-lock picks packages, and knows no constraints, hashes, find-links, pre-releases or trusted hosts",
            "leave them out, or let METAFLOW_CONDA_MIXED_DEPENDENCY_RESOLVER be default",
        )
