"""Specs to resolved environments: no prefix made, no package fetched."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from .build import Builder, Builds
from .errors import ExtensionError, InputError, ResolveError, SourceError, unwritable
from .events import Reporter, working
from .package import CondaPackage, Interpreter, PypiPackage, is_free_threaded
from .platform import VirtualPackage, virtual_packages
from .ports import CondaRequest, CondaSolver, MixedSolver, PypiRequest, PypiSolver, PythonSource
from .provided import check_apart, check_options, provided
from .request import Request
from .requirement import FREE_THREADED, CondaRequirement, python_requirement
from .resolved import ResolvedEnvironment
from .spec import PYPI_ONLY, UV_MANAGED, EnvSpec

_WORKERS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolver:
    """The solvers, who asks (``author``), what time it is (``now``: UTC, ISO 8601), and conda's names on PyPI.

    ``host`` holds name and version of what resolves for: Metaflow. Without ``builder`` nothing is built from source;
    without ``mixed`` conda packages are solved first, and wheels to go with them; without ``pythons`` Python comes
    from a channel. ``alone`` picks wheels in the place of ``pypi`` where nothing else is asked for.
    """

    conda: CondaSolver
    pypi: PypiSolver
    author: str
    now: Callable[[], str]
    pypi_names: Callable[[], Mapping[str, str]]
    host: Mapping[str, str] = field(default_factory=dict)
    builder: Builder | None = None
    mixed: MixedSolver | None = None
    pythons: PythonSource | None = None
    alone: PypiSolver | None = None


def resolve(
    requests: Mapping[Request, str], resolver: Resolver, report: Reporter
) -> dict[Request, ResolvedEnvironment]:
    """Resolve all *requests* at once; the values say who asks, for messages, such as ``step start``.

    Raises the first ResolveError or SourceError, with who asks and the platform in it, once all have come to an end.
    """
    with ThreadPoolExecutor(max_workers=_WORKERS) as pool:
        futures = {
            request: pool.submit(_resolve_one, request, who, resolver, report) for request, who in requests.items()
        }
    return {request: future.result() for request, future in futures.items()}


def _resolve_one(request: Request, who: str, resolver: Resolver, report: Reporter) -> ResolvedEnvironment:
    with working(report, f"Resolving {who} for {request.arch}") as work:
        try:
            resolved = _solve(request, resolver, report)
        except OSError as error:
            raise unwritable(f"{who}, for {request.arch}: ", error) from error
        except ExtensionError as error:
            message = f"{who}, for {request.arch}: {error.message}{_on_python(request, error)}"
            raise type(error)(message, error.hint) from error
        work.summary = f"{len(resolved.conda)} conda, {len(resolved.pypi)} PyPI packages"
    return resolved


def _on_python(request: Request, error: ExtensionError) -> str:
    """Return a line on the step's Python where an explanation names another: solvers do not tell what was asked."""
    python = request.spec.python
    if not isinstance(error, ResolveError) or python in error.message or not re.search(r"\bpython [^*]", error.message):
        return ""
    return f"\n- the Python of the step is {python}"


def _solve(request: Request, resolver: Resolver, report: Reporter) -> ResolvedEnvironment:
    spec, extension = request.spec, request.extension
    virtual = virtual_packages(request.arch, spec.virtual)
    if resolver.mixed is not None and extension is None and spec.conda and spec.pypi:
        conda, wheels = resolver.mixed.solve(_question(request, virtual), spec.pypi, spec.indexes, spec.options)
        return _resolved(request, _bottom(request, virtual, conda, None), wheels, resolver.mixed.versions(), resolver)
    interpreter = _interpreter(request, resolver)
    conda = _conda(request, virtual, resolver) if interpreter is None else ()
    bottom = _bottom(request, virtual, conda, interpreter)
    python = python_of(bottom)
    if not python:
        raise ResolveError("the channels gave no Python", "ask for a version that one of the channels has")
    wheels = extension.base.pypi if extension is not None else ()
    brought = provided(conda, resolver.pypi_names())
    check_apart(conda, wheels, resolver.pypi_names())
    asked = spec.pypi if extension is None else extension.pypi
    check_options(request, brought, wheels)
    pypi = resolver.alone if resolver.alone and spec.kind == PYPI_ONLY and extension is None else resolver.pypi
    if asked:
        wheels += pypi.solve(
            PypiRequest(
                requirements=asked,
                provided=tuple(sorted({*brought.items(), *((wheel.name, wheel.version) for wheel in wheels)})),
                indexes=spec.indexes,
                python=python,
                arch=request.arch,
                virtual=virtual,
                options=spec.options,
            ),
            _builds(request, bottom, resolver, report),
        )
    if extension is not None and len(conda) + len(wheels) == len(extension.base.conda) + len(extension.base.pypi):
        return extension.base
    channels = resolver.conda.versions() if interpreter is None else {}
    tools = {**channels, **(pypi.versions() if asked or interpreter is not None else {})}
    return _resolved(request, bottom, wheels, tools, resolver)


def _resolved(
    request: Request,
    bottom: ResolvedEnvironment,
    wheels: tuple[PypiPackage, ...],
    tools: Mapping[str, str],
    resolver: Resolver,
) -> ResolvedEnvironment:
    spec, extension = request.spec, request.extension
    origin = {"extends": ":".join(extension.base.env_id[:2])} if extension is not None else {}
    return ResolvedEnvironment.make(
        req_id=spec.req_id,
        arch=request.arch,
        spec=spec.to_dict(),
        virtual=bottom.virtual,
        conda=bottom.conda,
        pypi=wheels,
        provenance={"by": resolver.author, "on": resolver.now(), **origin, **resolver.host, **tools},
        stored=extension.base.stored if extension is not None else {},
        interpreter=bottom.interpreter,
    )


def python_of(environment: ResolvedEnvironment) -> str:
    """Return the version of Python in *environment*, with a ``t`` where it has no global lock; empty for none."""
    version = environment.python_version
    return f"{version}{FREE_THREADED}" if version and is_free_threaded(environment.conda) else version


def _interpreter(request: Request, resolver: Resolver) -> Interpreter | None:
    """Return the Python that comes from no channel, where the spec says so."""
    spec = request.spec
    if not spec.interpreter:
        return None
    if request.extension is not None:
        return request.extension.base.interpreter
    assert resolver.pythons is not None, "whoever asks for such a Python has what finds it"
    return resolver.pythons.picked(spec.python, request.arch, managed=spec.interpreter == UV_MANAGED)


def _bottom(
    request: Request,
    virtual: tuple[VirtualPackage, ...],
    conda: tuple[CondaPackage, ...],
    interpreter: Interpreter | None,
    *,
    arch: str = "",
) -> ResolvedEnvironment:
    """Return the environment below the wheels: Python and what else comes from channels."""
    return ResolvedEnvironment.make(
        req_id=request.spec.req_id,
        arch=arch or request.arch,
        spec={},
        virtual=tuple(str(package) for package in virtual),
        conda=conda,
        pypi=(),
        provenance={},
        interpreter=interpreter,
    )


def _builds(request: Request, bottom: ResolvedEnvironment, resolver: Resolver, report: Reporter) -> Builds | None:
    """Return what builds wheels to stand on *bottom*."""
    builder = resolver.builder
    if builder is None:
        return None

    def here() -> ResolvedEnvironment:
        """Return Python and what stands beside it for this machine: builds run here, whatever they are for."""
        free = FREE_THREADED if python_of(bottom).endswith(FREE_THREADED) else ""
        minor = f"{'.'.join(bottom.python_version.split('.')[:2])}.*{free}"
        machine = virtual_packages(builder.arch, ())
        if bottom.interpreter is not None and resolver.pythons is not None:
            python = resolver.pythons.picked(minor, builder.arch, managed=False)
            return _bottom(request, machine, (), python, arch=builder.arch)
        question = CondaRequest(
            requirements=(python_requirement(minor), *request.spec.conda_only),
            channels=request.spec.channels,
            arch=builder.arch,
            virtual=machine,
        )
        return _bottom(request, machine, resolver.conda.solve(question), None, arch=builder.arch)

    return Builds(builder, bottom, here, report)


def _conda(request: Request, virtual: tuple[VirtualPackage, ...], resolver: Resolver) -> tuple[CondaPackage, ...]:
    """Solve what comes from channels; of an environment that is extended, every package comes back as it is there."""
    spec, extension = request.spec, request.extension
    question = _question(request, virtual)
    if extension is None:
        if spec.conda_only:
            _check_conda_only(replace(question, requirements=spec.conda_only), resolver)
        return _solved(question, spec, resolver)
    pinned = {package.name: package for package in extension.base.conda}
    if not extension.conda:
        return extension.base.conda
    kept = tuple(CondaRequirement(name) for name in pinned)
    found = resolver.conda.solve(replace(question, requirements=(*kept, *extension.conda), pinned=extension.base.conda))
    return tuple(pinned.get(package.name, package) for package in found)


def _solved(question: CondaRequest, spec: EnvSpec, resolver: Resolver) -> tuple[CondaPackage, ...]:
    try:
        return resolver.conda.solve(question)
    except SourceError as error:
        if spec.kind != PYPI_ONLY or spec.conda_only:
            raise
        remedy = "Python alone is taken from there, and METAFLOW_CONDA_PYPI_PYTHON=uv takes it from uv"
        raise SourceError(error.message, f"{error.hint}; {remedy}") from error


def _question(request: Request, virtual: tuple[VirtualPackage, ...]) -> CondaRequest:
    spec = request.spec
    return CondaRequest(
        requirements=(python_requirement(spec.python), *spec.conda, *spec.conda_only),
        channels=spec.channels,
        arch=request.arch,
        virtual=virtual,
    )


def _check_conda_only(question: CondaRequest, resolver: Resolver) -> None:
    """Raise InputError where packages that are to stand beside Python bring one of their own."""
    for requirement in question.requirements:
        found = resolver.conda.solve(replace(question, requirements=(requirement,)))
        if any(package.name == "python" for package in found):
            raise InputError(
                f"'{requirement.name}' needs conda's Python, and only packages that do not can stand beside PyPI's",
                f"ask for '{requirement.name}' by @conda, or in the conda packages of the file: then both are mixed",
            )
