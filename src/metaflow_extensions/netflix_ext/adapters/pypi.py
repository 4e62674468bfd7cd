"""PyPI requirements to wheels, by ``uv pip compile`` into a pylock.toml (PEP 751)."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from packaging.utils import canonicalize_name

from ..engine.credentials import with_credentials
from ..engine.errors import PackageError, ResolveError, SourceError, ToolError
from ..engine.index_settings import IndexSettings
from ..engine.options import FIRST_INDEX
from ..engine.package import PypiPackage
from ..engine.platform import VirtualPackage, check_arch
from ..engine.ports import Builds, Prefix, PypiRequest
from ..engine.requirement import FREE_THREADED, PypiRequirement
from ..engine.secret import has_credentials, strip_credentials
from ..engine.torch import backend_for
from ..engine.wheel_tags import number_pair, plain_version
from . import uv_indexes
from .fitness import unlisted
from .linked import NOT_HERE, keep_linked, linked
from .process import Finished
from .pylock import Unbuilt, annotated, packages_of, parsed
from .stubs import distribution_version, free_threaded_python, stub_wheel
from .uv_complaints import Asked, complaint, is_unbuilt, translated
from .uv_program import building, default_index, find_uv, run_uv, uv_version

_GLIBC = (17, 28, *range(31, 41))  # the manylinux targets that uv 0.12 and 0.13 know
_NO_EXTRA = re.compile(r"warning: The package `([^\s`\[]+)[^`]*` does not have an extra named `([^`]+)`")
_PASSES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """One question to uv: what is asked, and the lines of constraints, stand-ins among them.

    Where there is a ``prefix``, uv may build in it what it needs to know of sources.
    """

    request: PypiRequest
    constraints: tuple[str, ...]
    environment: Mapping[str, str]
    prefix: Prefix | None = None


class _UnbuiltError(ResolveError):
    """Something has no wheel."""


class UvSolver:
    """Picks wheels with uv, for any target from any machine; no Python is looked for or fetched.

    Wheels are preferred: only where the requirements cannot be met by them alone are sources looked at, all of them.

    Args:
        secrets: for each clean index URL that needs them, the same URL with its credentials. They reach uv by
            variable and by standard input, never by argument, and are taken off what comes back.
        settings: what is configured of indexes; its ``index`` is what the word ``default`` means here.
        isolated: whether uv's settings count for nothing.
        stubs: a folder of ours in which the stand-ins for conda's distributions may stay; else a temporary one.
        program: the path of uv; else the one of the package ``uv``.
    """

    def __init__(
        self,
        secrets: Mapping[str, str] = MappingProxyType({}),
        *,
        settings: IndexSettings = IndexSettings(),  # noqa: B008 - it is frozen
        isolated: bool = False,
        stubs: Path | None = None,
        program: str | None = None,
    ) -> None:
        self._secrets = secrets
        self._default = settings.index
        sources = (*settings.indexes, *settings.options.find_links)
        self._configured = {strip_credentials(url).rstrip("/") for url in sources}
        self._isolated = {"UV_NO_CONFIG": "1", "UV_DEFAULT_INDEX": "", "UV_INDEX_URL": ""} if isolated else {}
        self._stubs = stubs
        self._program = program

    def versions(self) -> Mapping[str, str]:
        """Return the version of uv."""
        return {"uv": uv_version(self._uv())}

    def solve(self, request: PypiRequest, builds: Builds | None = None) -> tuple[PypiPackage, ...]:
        """Return one wheel a distribution, by name; without *builds* nothing is built.

        Raises ResolveError where nothing fits or something does not build, SourceError for a bad index, InputError for
        a link that cannot be used, ToolError where uv fails.
        """
        if not request.requirements:
            return ()
        provided, variables = _provided(request), self._environment(request)
        there = linked(request, provided, builds, variables)
        asked = there.request
        with self._stub_folder() as folder:
            found, unbuilt, asked = self._until_each_has_its_index(asked, provided, folder, builds)
        found = tuple(package for package in found if package.name not in provided and package.url not in there.built)
        found = tuple(self._hashed(package, asked) for package in self._with_index(asked, found))
        if builds is not None:
            keep_linked(found, request, builds)
            origins = {item.name: builds.pinned(item.name, item.link) for item in unbuilt}
            found += tuple(package for package, _ in builds.wheels(origins, variables).values())
        return (*found, *there.built.values())

    def _uv(self) -> str:
        return self._program or find_uv()

    @contextmanager
    def _stub_folder(self) -> Iterator[Path]:
        if self._stubs is not None:
            self._stubs.mkdir(parents=True, exist_ok=True)
            yield self._stubs
            return
        with tempfile.TemporaryDirectory(prefix="metaflow-stubs-") as name:
            yield Path(name)

    def _until_each_has_its_index(
        self, request: PypiRequest, provided: Mapping[str, str], folder: Path, builds: Builds | None
    ) -> tuple[tuple[PypiPackage, ...], tuple[Unbuilt, ...], PypiRequest]:
        """Solve; where another package brings one that has an index of its own, again with that one asked for."""
        own = dict(request.options.package_indexes).keys() - provided.keys()
        while True:
            found, unbuilt = packages_of(self._locked(request, provided, folder, builds), request)
            asked = {requirement.name for requirement in request.requirements}
            names = [*(package.name for package in found), *(item.name for item in unbuilt)]
            brought = set(names) & own - asked
            if not brought:
                return found, unbuilt, request
            more = tuple(PypiRequirement(name) for name in sorted(brought))
            request = replace(request, requirements=(*request.requirements, *more))

    def _locked(
        self, request: PypiRequest, provided: Mapping[str, str], folder: Path, builds: Builds | None
    ) -> Mapping[str, Any]:
        """Solve with wheels alone; where they do not do, with sources too."""
        try:
            return self._until_extras_are_known(request, provided, folder, None)
        except _UnbuiltError as error:
            if builds is None:
                raise ResolveError(error.message, f"{NOT_HERE}: ask for a version that has wheels") from error
            return self._until_extras_are_known(request, provided, folder, builds.prefix())

    def _until_extras_are_known(
        self, request: PypiRequest, provided: Mapping[str, str], folder: Path, prefix: Prefix | None
    ) -> Mapping[str, Any]:
        """Solve with stand-ins; where an extra of one is asked for, again with the index's own metadata of it.

        A stand-in knows no dependencies, so that an extra of it would be dropped. The index knows what the extra
        brings, so the same version of it takes the stand-in's place in the next pass.
        """
        known = {name for requirement in request.requirements if requirement.extras for name in [requirement.name]}
        for _ in range(_PASSES):
            lines = {
                name: f"{name}=={version}"
                if name in known
                else f"{name} @ {stub_wheel(folder, name, version).as_uri()}"
                for name, version in provided.items()
            }
            real = {name: provided[name] for name in sorted(known) if name in provided}
            stdout, stderr = self._compile(
                _Call(
                    request=request,
                    constraints=(*lines.values(), *self._lines(request.options.constraints)),
                    environment=self._environment(request),
                    prefix=prefix,
                ),
                real,
            )
            missing = {canonicalize_name(name) for name, _ in _NO_EXTRA.findall(stderr)} & (provided.keys() - known)
            if not missing:
                return parsed(stdout)
            known |= missing
        raise ToolError(f"uv keeps asking for extras of {', '.join(sorted(missing))}", "report this")

    def _compile(self, call: _Call, real: Mapping[str, str]) -> tuple[str, str]:
        arguments = [*compile_arguments(call.request, call.prefix), "--format", "pylock.toml", "--no-annotate"]
        finished = self._run(call, arguments)
        if finished.returncode != 0:
            asked = Asked(
                request=call.request, provided=tuple(_provided(call.request).items()), real=real, secrets=self._secrets
            )
            said = complaint(finished.stderr)
            uv_indexes.check_backend_known(said.text, call.request)
            error = translated(said, asked)
            if isinstance(error, ResolveError) and call.prefix is None and is_unbuilt(said):
                raise _UnbuiltError(error.message, error.hint)
            raise error
        return finished.stdout, finished.stderr

    def _run(self, call: _Call, arguments: list[str]) -> Finished:
        links = (with_credentials(url, self._secrets) for url in call.request.options.find_links)
        requirements, alone = uv_indexes.apart(call.request)
        lines = [*self._lines(requirements), *(f"--find-links {url}" for url in links)]
        with tempfile.TemporaryDirectory(prefix="metaflow-uv-") as scratch:
            if call.constraints:
                path = Path(scratch, "constraints.txt")
                path.write_text("".join(f"{line}\n" for line in call.constraints), encoding="utf-8")
                # An argument hides the variable, and the user's own constraints are to hold as well.
                files = [str(path), *os.environ.get("UV_CONSTRAINT", "").split()]
                arguments = [*arguments, *(part for file in files for part in ("--constraints", file))]
            if alone:
                file = Path(scratch, "pyproject.toml")
                file.write_text(uv_indexes.project(call.request, alone), encoding="utf-8")
                arguments = [*arguments[:2], str(file), *arguments[2:]]
            if call.prefix is None and call.request.python.endswith(FREE_THREADED):
                program = str(free_threaded_python(Path(scratch)))
                arguments = [program if word == sys.executable else word for word in arguments]
            around = {**(building(call.prefix) if call.prefix is not None else {}), **call.environment}
            return run_uv(self._uv(), arguments, environment=around, text="".join(f"{line}\n" for line in lines))

    def _lines(self, requirements: Iterable[PypiRequirement]) -> list[str]:
        return [_line(requirement, self._secrets) for requirement in requirements]

    def _environment(self, request: PypiRequest) -> dict[str, str]:
        found = {}
        if request.arch.startswith("osx"):
            found["MACOSX_DEPLOYMENT_TARGET"] = ".".join(str(part) for part in number_pair(request.virtual, "__osx"))
        asked = {url.rstrip("/") for url in (*request.indexes, *request.options.find_links)}
        if not self._configured <= asked:
            # Settings that are not in the spec, which was made elsewhere: uv would add what its files say.
            found["UV_NO_CONFIG"] = "1"
        last = list(dict.fromkeys(request.indexes))[-1:] == ["default"]

        def default() -> str:
            # uv finds its own where it comes last.
            return self._default or ("" if last else default_index(self._uv(), self._isolated))

        return {**found, **self._isolated, **uv_indexes.environment(request, self._secrets, default)}

    def _with_index(self, request: PypiRequest, packages: tuple[PypiPackage, ...]) -> tuple[PypiPackage, ...]:
        """Say of each package which index it came from; uv's lock does not.

        Only where there are several does it cost a second, warm call. What a page of links or a folder of archives has
        given came from no index.
        """
        options, links = request.options, request.options.find_links
        if options.no_index and not options.package_indexes:
            return tuple(replace(package, index="") for package in packages)
        if len(set(request.indexes)) < 2 and not (links or options.package_indexes or options.torch_backend):
            only = request.indexes[0] if request.indexes else "default"
            return tuple(replace(package, index=only if package.index else "") for package in packages)
        pins = tuple(
            PypiRequirement(package.name, specifier=f"=={package.version}") for package in packages if package.index
        )
        call = _Call(
            request=replace(request, requirements=pins), constraints=(), environment=self._environment(request)
        )
        arguments = [*compile_arguments(request), "--format", "requirements.txt", "--no-annotate", "--no-deps"]
        finished = self._run(call, [*arguments, "--emit-index-annotation"])
        known = {strip_credentials(self._default): "default"} if self._default else {}
        known.update({url: url for url in (*request.indexes, *uv_indexes.own_indexes(request))})
        indexes = annotated(finished.stdout, known, links, foreign=bool(options.torch_backend))
        return tuple(
            replace(package, index=indexes.get(package.name, "")) if package.index else package for package in packages
        )

    def _hashed(self, package: PypiPackage, request: PypiRequest) -> PypiPackage:
        """Return *package* with its SHA-256, and check it against the hashes that are asked for.

        Its bytes are fetched only where neither the index nor uv gave a SHA-256, or hashes are of another kind alone.
        """
        allowed = request.options.hashes_of(package.name)
        if package.sha256 and (not allowed or f"sha256:{package.sha256}" in allowed):
            return package
        kinds = {text.partition(":")[0] for text in allowed}
        digests, size = self._digests(package.url, ("sha256", *sorted(kinds - {"sha256"})), request)
        found = [f"{kind}:{digest}" for kind, digest in digests.items()]
        if allowed and allowed.isdisjoint(found):
            shown = ", ".join(text for text in found if text.partition(":")[0] in kinds)
            raise unlisted(f"{package.name} {package.version}", {package.filename: shown}, allowed)
        return replace(package, sha256=digests["sha256"], size=size)

    def _digests(self, url: str, kinds: Sequence[str], request: PypiRequest) -> tuple[dict[str, str], int]:
        from .http import HttpFetcher  # slow to import, and hardly ever needed

        try:
            return HttpFetcher(self._secrets).digests_of(url, kinds, trusted=request.options.trusted_hosts)
        except PackageError as error:
            raise SourceError(
                f"the {' and '.join(kinds)} of a file must be computed from its bytes: {error.message}",
                "check that it can be downloaded, or use an index that gives hashes, and SHA-256 in what you ask for",
            ) from error


def uv_platform(arch: str, virtual: Sequence[VirtualPackage]) -> str:
    """Return uv's name of the target: the newest manylinux that the target's ``__glibc`` reaches, or macOS.

    Raises ResolveError for a glibc older than any that wheels are made for.
    """
    check_arch(arch)
    if arch.startswith("osx"):
        return f"{'aarch64' if arch == 'osx-arm64' else 'x86_64'}-apple-darwin"
    glibc = number_pair(virtual, "__glibc")
    reached = [minor for minor in _GLIBC if (2, minor) <= glibc]
    if not reached:
        raise ResolveError(
            f"PyPI packages cannot be resolved for {arch} with glibc {glibc[0]}.{glibc[1]}: uv knows 2.17 and newer",
            "ask for __glibc 2.17 or newer in sys_packages",
        )
    return f"{'aarch64' if arch == 'linux-aarch64' else 'x86_64'}-manylinux_2_{reached[-1]}"


def compile_arguments(request: PypiRequest, prefix: Prefix | None = None) -> list[str]:
    """Return the arguments that every question to uv for *request* shares; requirements come by standard input.

    Sources are left out but where there is a *prefix* to build in.
    """
    options = request.options
    backend = backend_for(options.torch_backend, request.arch, request.virtual)
    return [
        *("pip", "compile", "-", "--no-header", *(() if prefix is not None else ("--no-build",))),
        *("--python", str(prefix.python) if prefix is not None else sys.executable),
        *("--python-version", plain_version(request.python)),
        *("--python-platform", uv_platform(request.arch, request.virtual)),
        *("--index-strategy", options.strategy or FIRST_INDEX),
        *(("--prerelease", "allow") if options.pre else ()),
        *(("--no-index",) if options.no_index else ()),
        *(("--torch-backend", backend) if backend else ()),
        *(word for host in options.trusted_hosts for word in ("--allow-insecure-host", host)),
    ]


def _provided(request: PypiRequest) -> dict[str, str]:
    """Return name and PEP 440 version of what is there already; a version that cannot be read so is left out."""
    pairs = ((str(canonicalize_name(name)), distribution_version(text)) for name, text in request.provided)
    return {name: version for name, version in sorted(pairs) if version}


def _line(requirement: PypiRequirement, secrets: Mapping[str, str]) -> str:
    url = requirement.url
    if url and not has_credentials(url):
        requirement = replace(requirement, url=with_credentials(url, secrets))
    return str(requirement)
