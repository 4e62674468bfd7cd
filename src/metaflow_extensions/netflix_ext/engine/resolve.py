"""Specs to resolved environments: no prefix made, no package fetched."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from packaging.utils import canonicalize_name

from .errors import ExtensionError, ResolveError, unwritable
from .events import Reporter
from .package import CondaPackage, PypiPackage
from .platform import virtual_packages
from .ports import CondaRequest, CondaSolver, PypiRequest, PypiSolver
from .request import Request
from .requirement import CondaRequirement
from .resolved import ResolvedEnvironment

_WORKERS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolver:
    """The solvers, who asks (``author``), what time it is (``now``: UTC, ISO 8601), and conda's names on PyPI."""

    conda: CondaSolver
    pypi: PypiSolver
    author: str
    now: Callable[[], str]
    pypi_names: Callable[[], Mapping[str, str]]


def resolve(
    requests: Mapping[Request, Sequence[str]], resolver: Resolver, report: Reporter
) -> dict[Request, ResolvedEnvironment]:
    """Resolve all *requests* at once; the values name the steps that ask, for messages.

    Raises the first ResolveError or SourceError, with the steps and the platform in it, once all have come to an end.
    """
    with ThreadPoolExecutor(max_workers=_WORKERS) as pool:
        futures = {
            request: pool.submit(_resolve_one, request, steps, resolver, report) for request, steps in requests.items()
        }
    return {request: future.result() for request, future in futures.items()}


def _resolve_one(request: Request, steps: Sequence[str], resolver: Resolver, report: Reporter) -> ResolvedEnvironment:
    title = f"Resolving {named(steps)} for {request.arch}"
    report.started(title)
    try:
        resolved = _solve(request, resolver)
    except OSError as error:
        report.finished(title, "failed")
        raise unwritable(f"{named(steps)}, for {request.arch}: ", error) from error
    except ExtensionError as error:
        report.finished(title, "failed")
        message = f"{named(steps)}, for {request.arch}: {error.message}{_python_of(request, error)}"
        raise type(error)(message, error.hint) from error
    report.finished(title, f"{len(resolved.conda)} conda, {len(resolved.pypi)} PyPI packages")
    return resolved


def _python_of(request: Request, error: ExtensionError) -> str:
    """Return a line on the step's Python where an explanation names another: solvers do not tell what was asked."""
    python = request.spec.python
    if not isinstance(error, ResolveError) or python in error.message or not re.search(r"\bpython [^*]", error.message):
        return ""
    return f"\n- the Python of the step is {python}"


def named(steps: Sequence[str]) -> str:
    """Return steps as messages name them."""
    return f"step{'s' if len(steps) > 1 else ''} {', '.join(steps)}"


def _solve(request: Request, resolver: Resolver) -> ResolvedEnvironment:
    spec = request.spec
    virtual = virtual_packages(request.arch, spec.virtual)
    conda = resolver.conda.solve(
        CondaRequest(
            requirements=(CondaRequirement("python", spec.python), *spec.conda),
            channels=spec.channels,
            arch=request.arch,
            virtual=virtual,
        )
    )
    python = next((package.version for package in conda if package.name == "python"), None)
    if python is None:
        raise ResolveError("the channels gave no Python", "ask for a version that one of the channels has")
    pypi: tuple[PypiPackage, ...] = ()
    if spec.pypi:
        pypi = resolver.pypi.solve(
            PypiRequest(
                requirements=spec.pypi,
                provided=_provided(conda, resolver.pypi_names()),
                indexes=spec.indexes,
                python=python,
                arch=request.arch,
                virtual=virtual,
            )
        )
    tools = {**resolver.conda.versions(), **(resolver.pypi.versions() if spec.pypi else {})}
    return ResolvedEnvironment.make(
        req_id=spec.req_id,
        arch=request.arch,
        spec=spec.to_dict(),
        virtual=tuple(str(package) for package in virtual),
        conda=conda,
        pypi=pypi,
        provenance={"by": resolver.author, "on": resolver.now(), **tools},
    )


def _provided(packages: Iterable[CondaPackage], names: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return the Python distributions that conda packages bring: (canonical name, version)."""
    found: dict[str, str] = {}
    for package in packages:
        for name, version in distributions(package, names):
            found.setdefault(name, version)
    return tuple(sorted(found.items()))


def distributions(package: CondaPackage, names: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return the (canonical name, version) of the Python distributions in a conda package.

    Its ``purls`` say so; without them a package that needs Python at run time is taken to be the distribution that
    *names* (conda name to PyPI name) gives, else that of its own name.
    """
    purls = [purl.partition("?")[0].removeprefix("pkg:pypi/") for purl in package.purls if purl.startswith("pkg:pypi/")]
    if purls:
        pairs = (purl.partition("@") for purl in purls)
        return tuple((str(canonicalize_name(name)), version or package.version) for name, _, version in pairs)
    if package.name in ("python", "python_abi") or not _needs_python(package):
        return ()
    return ((str(canonicalize_name(names.get(package.name, package.name))), package.version),)


def _needs_python(package: CondaPackage) -> bool:
    return package.noarch == "python" or any(depend.split()[0] == "python" for depend in package.depends if depend)
