"""Requirements with direct links, before uv sees them: what is to be built is a wheel by then."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from packaging.markers import Marker

from ..engine.errors import InputError, ResolveError
from ..engine.origin import ARCHIVE, WHEEL, Link, Origin, filename_of
from ..engine.package import PypiPackage
from ..engine.ports import Builds, PypiRequest
from ..engine.requirement import PypiRequirement
from ..engine.secret import redact
from ..engine.wheel_tags import marker_environment
from .fitness import check_fits, check_listed
from .wheel_file import checked

NOT_HERE = "nothing is built from source here"


@dataclass(frozen=True, slots=True, kw_only=True)
class Linked:
    """A request whose links lead to wheels alone; ``built`` are those that were built, by the URL of their file."""

    request: PypiRequest
    built: Mapping[str, PypiPackage] = field(default_factory=dict)


def linked(
    request: PypiRequest, provided: Mapping[str, str], builds: Builds | None, variables: Mapping[str, str]
) -> Linked:
    """Return *request* with wheels for all that its links lead to and that its target needs.

    *variables* are for builds. Raises InputError, ResolveError, SourceError.
    """
    links = {
        item: Link.parse(item.url, item.name) for item in request.requirements if item.url and applies(item, request)
    }
    origins: dict[str, Origin] = {}
    for item, link in links.items():
        _check(item, link, provided, request)
        if link.kind != WHEEL:
            if builds is None:
                raise InputError(
                    f"'{item.name} @ {redact(item.url)}' is no link to a wheel, and {NOT_HERE}", "link to a wheel"
                )
            origins[item.name] = builds.pinned(item.name, link)
            _check_hashes(origins[item.name], request, item.name)
    if builds is None or not origins:
        return Linked(request=request)
    wheels = builds.wheels(origins, variables)
    for name, (package, _) in wheels.items():
        check_fits(name, package.filename, request)
    paths = {name: path.as_uri() for name, (_, path) in wheels.items()}
    requirements = tuple(
        replace(item, url=paths[item.name]) if item in links and item.name in paths else item
        for item in request.requirements
    )
    return Linked(
        request=replace(request, requirements=requirements),
        built={paths[name]: package for name, (package, _) in wheels.items()},
    )


def keep_linked(packages: Iterable[PypiPackage], request: PypiRequest, builds: Builds) -> None:
    """Keep those of *packages* that *request* links to on this machine: nobody else has them."""
    paths = {item.name: Link.parse(item.url, item.name).path for item in request.requirements if item.url}
    for package in packages:
        if paths.get(package.name):
            builds.keep(package, Path(paths[package.name]))


def applies(item: PypiRequirement, request: PypiRequest) -> bool:
    """Tell whether the marker of *item* holds for the target of *request*."""
    environment = marker_environment(request.python, request.arch)
    return not item.marker or Marker(item.marker).evaluate({**environment})


def _check(item: PypiRequirement, link: Link, provided: Mapping[str, str], request: PypiRequest) -> None:
    if item.name in provided:
        raise ResolveError(
            f"'{item.name}' is asked for by a direct link, and {provided[item.name]} of it is there "
            "already, from conda or from the environment to extend",
            "leave one of the two out",
        )
    if link.kind == WHEEL:
        check_fits(item.name, filename_of(link.url), request)
        if link.path and not Path(link.path).is_file():
            raise InputError(f"'{item.name}': there is no file '{link.path}'", "check the path")
        if link.path:
            checked(Path(link.path))


def _check_hashes(origin: Origin, request: PypiRequest, name: str) -> None:
    hashes = request.options.hashes_of(name)
    if hashes and origin.kind != ARCHIVE:
        raise InputError(
            f"'{name}' is asked for with the hash of a file, and {origin} is none",
            "leave the hash out: the state of a repository or a folder is recorded by itself",
        )
    check_listed(name, filename_of(origin.url), origin.pin, hashes)
