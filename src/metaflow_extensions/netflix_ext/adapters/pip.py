"""PyPI requirements to wheels, by ``pip install --dry-run --report`` (pip's installation report, version 1).

pip evaluates markers and tags with the Python that runs it: it resolves for this machine alone. It takes the best
version of all indexes, and knows no order among them.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from packaging.utils import canonicalize_name

from ..engine.credentials import with_credentials
from ..engine.errors import ExtensionError, ResolveError, SourceError, ToolError
from ..engine.origin import WHEEL, Link, filename_of
from ..engine.package import PypiPackage
from ..engine.platform import check_arch
from ..engine.ports import Builds, PypiRequest
from ..engine.requirement import PypiRequirement
from ..engine.secret import has_credentials, redact, strip_credentials
from .fitness import check_fits, check_listed
from .linked import keep_linked, linked
from .process import run
from .uv_program import building

_SHOWN = 12
_UNREACHED = ("Failed to establish a new connection", "HTTP error", "Could not fetch URL", "401", "403 ", "SSLError")
# What would let pip look elsewhere, install something, or ask.
_NOT_OURS = ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER", "PIP_PYTHON", "PIP_REQUIRE_VIRTUALENV", "PIP_DRY_RUN")
_UNLESS_SET = {"PIP_RETRIES": "2"}


class PipSolver:
    """Picks wheels with the pip of the environment's own Python.

    Args:
        arch: the platform of this machine.
        secrets: for each clean index URL that needs them, the same URL with its credentials. They reach pip by
            variable and by a file of mode 0600, never by argument, and are taken off what comes back.
        default: what the word ``default`` means here, with credentials; pip's own where it is empty.
    """

    def __init__(self, arch: str, secrets: Mapping[str, str] = MappingProxyType({}), *, default: str = "") -> None:
        self._arch = check_arch(arch)
        self._secrets = secrets
        self._default = default

    def versions(self) -> Mapping[str, str]:
        """Return nothing: pip's version is that of the environment."""
        return {}

    def solve(self, request: PypiRequest, builds: Builds | None = None) -> tuple[PypiPackage, ...]:
        """Return one wheel a distribution, by name.

        Raises ResolveError where nothing fits, something does not build, or another platform is asked for; SourceError
        for a bad index, InputError for a link that cannot be used, ToolError where pip fails.
        """
        if not request.requirements:
            return ()
        if request.arch != self._arch or builds is None:
            raise ResolveError(
                f"pip resolves for the machine that it runs on, {self._arch}, and not for {request.arch}",
                "leave METAFLOW_CONDA_PYPI_DEPENDENCY_RESOLVER unset: uv resolves for any platform",
            )
        _check_options(request)
        variables = self._variables(request)
        there = linked(request, {}, builds, variables)
        found = [_read(item, number) for number, item in enumerate(self._report(there.request, builds, variables))]
        wheels, origins, provided = [], {}, dict(request.provided)
        for name, version, link in found:
            if name in provided:
                _check_provided(name, version, provided[name])
            elif link.url in there.built:
                wheels.append(there.built[link.url])
            elif link.kind == WHEEL:
                wheels.append(_wheel(name, version, link, request))
            else:
                origins[name] = builds.pinned(name, link)
                hashes = request.options.hashes_of(name)
                check_listed(name, filename_of(origins[name].url), origins[name].pin, hashes)
        keep_linked(wheels, request, builds)
        wheels += [package for package, _ in builds.wheels(origins, variables).values()]
        return tuple(sorted(wheels, key=lambda package: package.name))

    def _report(self, request: PypiRequest, builds: Builds, variables: Mapping[str, str]) -> list[dict[str, Any]]:
        prefix = builds.prefix()
        options = request.options
        with tempfile.TemporaryDirectory(prefix="metaflow-pip-") as name:
            scratch = Path(name)
            (scratch / "target").mkdir()
            command = [str(prefix.python), "-m", "pip", "--no-input", "--disable-pip-version-check", "install"]
            command += ["--dry-run", "--ignore-installed", "--quiet", "--report", str(scratch / "report.json")]
            command += ["--target", str(scratch / "target")]
            command += ["--requirement", self._file(scratch, "asked", request.requirements)]
            if options.constraints:
                command += ["--constraint", self._file(scratch, "constraints", options.constraints)]
            kept = {key: value for key, value in os.environ.items() if key not in _NOT_OURS}
            done = run(command, environment={**_UNLESS_SET, **kept, **building(prefix), **variables}, folder=scratch)
            if done.returncode != 0:
                raise _translated(done.stderr, request)
            try:
                report = json.loads((scratch / "report.json").read_text("utf-8"))
                return list(report["install"])
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise ToolError(
                    f"pip's report cannot be read: {error}", "check `python -m pip --version`: 23"
                ) from error

    def _file(self, folder: Path, name: str, requirements: tuple[PypiRequirement, ...]) -> str:
        path = folder / f"{name}.txt"
        path.touch(mode=0o600)
        path.write_text("".join(f"{self._line(item)}\n" for item in requirements), encoding="utf-8")
        return str(path)

    def _line(self, item: PypiRequirement) -> str:
        text = str(item)
        if item.url and not has_credentials(item.url):
            text = text.replace(item.url, with_credentials(item.url, self._secrets))
        return text

    def _variables(self, request: PypiRequest) -> dict[str, str]:
        """Return the variables that tell pip where to look."""
        options = request.options
        indexes = [self._default if index == "default" else index for index in dict.fromkeys(request.indexes)]
        urls = [with_credentials(url, self._secrets) for url in indexes if url]
        found = {"PIP_CONFIG_FILE": os.devnull} if urls else {}
        if urls and "" not in indexes:
            found["PIP_INDEX_URL"] = urls.pop()
        found["PIP_EXTRA_INDEX_URL"] = " ".join(urls)
        links = (with_credentials(url, self._secrets) for url in options.find_links)
        found["PIP_FIND_LINKS"] = " ".join(links)
        found["PIP_TRUSTED_HOST"] = " ".join(options.trusted_hosts)
        found.update({"PIP_NO_INDEX": "1"} if options.no_index else {})
        found.update({"PIP_PRE": "1"} if options.pre else {})
        return {name: value for name, value in found.items() if value}


def _read(item: Any, number: int) -> tuple[str, str, Link]:
    """Return name, version and place of one entry of a report."""
    try:
        name, version = str(canonicalize_name(item["metadata"]["name"])), str(item["metadata"]["version"])
        info = item["download_info"]
        url, inside = strip_credentials(info["url"]), str(info.get("subdirectory", ""))
        if "vcs_info" in info:
            return name, version, Link("git", url, reference=str(info["vcs_info"]["commit_id"]), subdirectory=inside)
        sha256 = str(info.get("archive_info", {}).get("hashes", {}).get("sha256", ""))
        parsed = Link.parse(url, name)
        return name, version, Link(parsed.kind, parsed.url, subdirectory=inside or parsed.subdirectory, sha256=sha256)
    except (KeyError, TypeError, AttributeError) as error:
        raise ToolError(f"pip's report: install[{number}] lacks {error}", "check `python -m pip --version`") from error


def _wheel(name: str, version: str, link: Link, request: PypiRequest) -> PypiPackage:
    filename = filename_of(link.url)
    check_fits(name, filename, request)
    if not link.sha256:
        raise ToolError(f"pip does not tell the SHA-256 of {filename}", "use uv, which computes it")
    check_listed(name, filename, link.sha256, request.options.hashes_of(name))
    only = request.indexes[0] if len(request.indexes) == 1 else ""
    direct = any(item.url and item.name == name for item in request.requirements)
    return PypiPackage(
        name=name, version=version, filename=filename, url=link.url, sha256=link.sha256, index="" if direct else only
    )


def _check_options(request: PypiRequest) -> None:
    said = {
        "an index of its own": ", ".join(name for name, _ in request.options.package_indexes),
        "torch_backend": request.options.torch_backend,
    }
    for what, value in said.items():
        if value:
            raise ResolveError(
                f"{what} is asked for ({value}), which pip cannot heed",
                "leave it out, or METAFLOW_CONDA_PYPI_DEPENDENCY_RESOLVER unset: uv can",
            )


def _check_provided(name: str, version: str, there: str) -> None:
    if version != there:
        raise ResolveError(
            f"pip would take {name} {version}, and {there} of it is there already, from conda",
            "leave METAFLOW_CONDA_PYPI_DEPENDENCY_RESOLVER unset: uv keeps to what is there",
        )


def _translated(stderr: str, request: PypiRequest) -> ExtensionError:
    """Return the error that what pip said amounts to."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip() and not line.startswith("WARNING: Retry")]
    text = redact("\n".join(lines[-_SHOWN:])) or "it did not say why"
    if "No module named pip" in text:
        return ToolError(
            "pip is not in the environment's Python", "take its Python from a channel that has pip, or use uv"
        )
    if any(mark in stderr for mark in _UNREACHED):
        names = ", ".join(redact(index) for index in (*request.indexes, *request.options.find_links))
        return SourceError(f"pip cannot use one of {names}: {text}", "check the URL, the network and the credentials")
    return ResolveError(f"pip cannot resolve this:\n{text}", "loosen a constraint, or choose another Python")
