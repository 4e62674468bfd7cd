"""What uv answers: the wheels in its pylock.toml (PEP 751), and which index each of them came from."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from ..engine.errors import ToolError
from ..engine.origin import ARCHIVE, FOLDER, GIT, Link, filename_of
from ..engine.package import PypiPackage
from ..engine.ports import PypiRequest
from ..engine.secret import is_public_index, strip_credentials
from ..engine.toml import read_toml
from ..engine.wheel_tags import best_wheel, target_tags
from .fitness import check_listed, misfit, unlisted

_Entries = dict[str, tuple[str, Mapping[str, Any]]]


def parsed(text: str) -> Mapping[str, Any]:
    """Return the tables of a lock; raise ToolError where it is no TOML."""
    try:
        return read_toml(text)
    except ValueError as error:
        raise ToolError(f"uv's answer cannot be read: {error}", "check `uv --version`: 0.12 or newer") from error


@dataclass(frozen=True, slots=True)
class Unbuilt:
    """What a lock names that is no wheel: the name of the distribution, and where its source is."""

    name: str
    link: Link


def packages_of(lock: Mapping[str, Any], request: PypiRequest) -> tuple[tuple[PypiPackage, ...], tuple[Unbuilt, ...]]:
    """Return the wheel of each package of a pylock (PEP 751), and what has none that fits, but a source.

    Of several wheels the one counts that fits the target best.
    *index* is set to ``default`` where the file came from an index or a page of links, and is empty for a direct link.
    Raises ResolveError for a package with neither, or without a file whose hash is given; ToolError where the lock is
    not what uv writes.
    """
    tags = target_tags(request.python, request.arch, request.virtual)
    found, unbuilt = [], []
    for number, package in enumerate(_field(lock, "packages", list, "pylock", default=[])):
        where = f"pylock.packages[{number}]"
        name = canonicalize_name(_field(package, "name", str, where))
        entries = _entries(package, where)
        version = _field(package, "version", str, where, default="")
        hashes, who = request.options.hashes_of(name), f"{name} {version}".strip()
        best = best_wheel(entries, tags)
        source = _source(package, where) if best is None else None
        if source is not None:
            check_listed(who, filename_of(source.url), source.sha256, hashes)
            unbuilt.append(Unbuilt(name, source))
            continue
        entries = _allowed(entries, hashes, who)
        best = best_wheel(entries, tags)
        if best is None:
            raise misfit(name, ", ".join(sorted(entries)) or "nothing", request)
        place, entry = entries[best]
        found.append(
            PypiPackage(
                name=name,
                version=version or best.split("-")[1],
                filename=best,
                url=_location(entry, place),
                sha256=_sha256(place, entry),
                size=_field(entry, "size", int, place, default=0),
                index="default" if "wheels" in package else "",
            )
        )
    return tuple(sorted(found, key=lambda one: one.name)), tuple(unbuilt)


def _source(package: Mapping[str, Any], where: str) -> Link | None:
    """Return where the source of *package* is, if the lock names one."""
    for key in ("sdist", "archive"):
        entry = _field(package, key, dict, where, default={})
        if entry and not filename_of(_location(entry, where)).endswith(".whl"):
            inside = _field(entry, "subdirectory", str, where, default="")
            return Link(ARCHIVE, _location(entry, where), subdirectory=inside, sha256=_sha256(where, entry))
    vcs = _field(package, "vcs", dict, where, default={})
    if vcs:
        url = _field(vcs, "url", str, where, default="") or _location(vcs, where)
        commit = _field(vcs, "commit-id", str, where)
        return Link(GIT, url, reference=commit, subdirectory=_field(vcs, "subdirectory", str, where, default=""))
    folder = _field(package, "directory", dict, where, default={})
    if folder:
        inside = _field(folder, "subdirectory", str, where, default="")
        return Link(FOLDER, _location(folder, where), subdirectory=inside)
    return None


def _allowed(entries: _Entries, hashes: Collection[str], who: str) -> _Entries:
    """Return those that *hashes* name; all of them where only their bytes can tell, or nothing is said."""
    named = {file: entry for file, entry in entries.items() if f"sha256:{_sha256(*entry)}" in hashes}
    found = {file: f"sha256:{_sha256(*entry)}" for file, entry in entries.items() if _sha256(*entry)}
    if hashes and not named and len(found) == len(entries) and all(text.startswith("sha256:") for text in hashes):
        raise unlisted(who, found, hashes)
    return named or entries


def annotated(
    text: str, indexes: Mapping[str, str], links: Sequence[str] = (), *, foreign: bool = False
) -> dict[str, str]:
    """Read ``--emit-index-annotation``: the index of each name, as *indexes* says by URL.

    It is empty for one of *links*, which are no indexes. One that is in neither is the default one; where uv may have
    chosen a *foreign* index, only the public one is.
    """
    clean = {strip_credentials(link).rstrip("/"): "" for link in links}
    clean.update({strip_credentials(index).rstrip("/"): word for index, word in indexes.items()})
    found: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        head = re.match(r"([A-Za-z0-9][\w.\-]*)==", line)
        source = re.match(r"\s+# from (\S+)", line)
        if head:
            name = str(canonicalize_name(head.group(1)))
        elif source and name:
            url = strip_credentials(source.group(1)).rstrip("/")
            found[name] = clean.get(url, url if foreign and not is_public_index(url) else "default")
    return found


def _entries(package: Mapping[str, Any], where: str) -> _Entries:
    """Return place and table of each wheel of *package*, by file name."""
    found = {}
    for number, wheel in enumerate(_field(package, "wheels", list, where, default=[])):
        place = f"{where}.wheels[{number}]"
        found[_field(wheel, "name", str, place, default="") or filename_of(_location(wheel, place))] = (place, wheel)
    archive = _field(package, "archive", dict, where, default={})
    if archive:
        filename = filename_of(_location(archive, f"{where}.archive"))
        if filename.endswith(".whl"):
            found[filename] = (f"{where}.archive", archive)
    return found


def _location(entry: Mapping[str, Any], where: str) -> str:
    url = _field(entry, "url", str, where, default="")
    if url:
        return strip_credentials(url.partition("#")[0])
    return Path(_field(entry, "path", str, where)).resolve().as_uri()


def _sha256(place: str, entry: Mapping[str, Any]) -> str:
    hashes = _field(entry, "hashes", dict, place, default={})
    found: str = _field(hashes, "sha256", str, f"{place}.hashes", default="")
    return found


def _field(table: Any, key: str, kind: type, where: str, **default: Any) -> Any:
    if not isinstance(table, dict):
        raise ToolError(f"uv's answer: {where} is no table", "check `uv --version`: 0.12 or newer")
    if key not in table and "default" in default:
        return default["default"]
    value = table.get(key)
    if not isinstance(value, kind):
        raise ToolError(f"uv's answer: {where}.{key} is {value!r}, not {kind.__name__}", "check `uv --version`")
    return value
