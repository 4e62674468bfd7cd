"""Why conda requirements could not be solved, in a user's words, with what the channels have instead."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from ..engine.errors import ExtensionError, InputError, ResolveError, SourceError
from ..engine.package import CondaPackage
from ..engine.platform import ARCHES
from ..engine.ports import CondaRequest
from ..engine.secret import strip_credentials
from .worker import ERRORS, Worker, WorkerError

_SHOWN_VERSIONS = 8

# What a message of py-rattler says of a channel, in our words, and what to do; the first that matches counts.
_NETWORK = "check the address and the network, and HTTPS_PROXY where there is a proxy"
# `redact` would take an example of a URL with credentials for one.
_CREDENTIALS = (
    "give its credentials, which are a user and a password or a token: in its URL, in METAFLOW_CONDA_SRCS_AUTH_INFO, "
    "in .netrc, or where conda's or rattler's programs keep them"
)
_FAULTS = (
    (r"\((401|403|407) ", "refuses access", _CREDENTIALS),
    (
        r"could not find subdir",
        "is not a conda channel, or has gone",
        "check its name, and the spelling of its address",
    ),
    (r"\(429 ", "is busy", "try again later"),
    (r"certificate", "cannot be trusted", "set SSL_CERT_FILE to a file with the certificates of your network"),
    (r"status server error", "is out of order", "try again later"),
    (r"\(Connect\)|dns error|timed out|sending request|no answer within", "cannot be reached", _NETWORK),
    (r"decode|parse|deserialize|invalid|expected|frame", "answers with what is no conda metadata", "check its address"),
    (r"", "cannot be read", "check its address"),
)
_MASKED_TOKEN = re.compile(r"/t/[^/\s]+(?=/)")


def explained(error: WorkerError, request: CondaRequest, asked: dict[str, Any], worker: Worker) -> ExtensionError:
    """Return what the *worker*'s *error* means; it was given *asked*, see `conda.question`."""
    kind = ERRORS.get(error.kind)
    if kind is ResolveError:
        return unsatisfiable(error.message, request, asked, worker)
    if kind is SourceError or error.kind == "Stalled":
        return bad_source(error.message, error.details.get("channels", []))
    if kind is InputError and error.kind in ("InvalidChannelError", "InvalidUrlError"):
        return InputError(
            f"a channel cannot be understood: {' '.join(error.message.split())}",
            f"a channel is a name, a URL or a folder; those asked for are {_list(request.channels)}",
        )
    if kind is InputError:
        return InputError(
            f"py-rattler does not understand a requirement: {error.message.strip()}",
            "the requirements are: " + ", ".join(f"'{requirement}'" for requirement in request.requirements),
        )
    return error.translated()


def unsatisfiable(explanation: str, request: CondaRequest, asked: dict[str, Any], worker: Worker) -> ResolveError:
    """Return the error for a solver's *explanation*, completed by what *worker* finds in the channels."""
    text = explanation.removeprefix("Cannot solve the request because of:").strip()
    message = f"no set of conda packages for {request.arch} satisfies the requirements:\n{text}"
    kept = {package.name for package in request.pinned}
    specs = [spec for spec in asked["specs"] if spec["name"] not in kept]
    try:
        found = worker.request("look", {**asked, "specs": specs, "arches": list(ARCHES)})
    except WorkerError:  # the explanation above stands without it
        found = []
    obstacles = _obstacles(text, request.pinned)
    facts = [_kept(obstacles)] if kept else []
    facts += [fact for entry in found if (fact := _fact(entry, request))]
    hint = _hint(text, found, request)
    if obstacles:
        hint = f"ask for what agrees with {', '.join(obstacles)}, or resolve it without extending an environment"
    return ResolveError("\n".join([message, *(f"- {fact}" for fact in facts)]), hint)


def bad_source(message: str, channels: Iterable[tuple[str, str]]) -> SourceError:
    """Return the error for a *message* on one of *channels*: pairs of the name as asked and its URL."""
    lines = message.strip().splitlines()
    text = _MASKED_TOKEN.sub("", message)
    guilty = [name for name, url in channels if _names(text, url)] or [name for name, _ in channels]
    fault, hint = next((fault, hint) for pattern, fault, hint in _FAULTS if re.search(pattern, message))
    who = "channel" if len(guilty) == 1 else "one of the channels"
    return SourceError(f"{who} {_list(guilty)} {fault}: {_cause(lines)}", hint)


def _names(text: str, url: str) -> bool:
    bare = url.rstrip("/")
    where = unquote(urlsplit(bare).path) if bare.startswith("file:") else bare
    return bool(re.search(rf"{re.escape(where)}(?=[/'\s])", text)) or f"{bare}/" in text


def _cause(lines: list[str]) -> str:
    last = lines[-1].removeprefix("Caused by: ") if lines else "no reason given"
    return last if len(lines) < 2 or "://" in last else f"{last} ({lines[0]})"


def _obstacles(text: str, pinned: Iterable[CondaPackage]) -> list[str]:
    """Return the pinned packages that the solver's explanation says are in the way: ``name version``."""
    locked = set(re.findall(r"(\S+) \S+ is locked", text))
    # Where it says no more, they are those that something requires in another version.
    required = set(re.findall(r"([\w.\-]+) [^,\n]+, which cannot be installed", text))
    return [f"{package.name} {package.version}" for package in pinned if package.name in (locked or required)]


def _kept(obstacles: list[str]) -> str:
    told = "the packages of the environment to extend are kept as they are"
    return f"{told}; in the way is {', '.join(obstacles)}" if obstacles else told


def _fact(found: Mapping[str, Any], request: CondaRequest) -> str:
    """Return what the channels have of one requirement that nothing meets, or nothing."""
    name = found["name"]
    if found["versions"]:
        return "" if found["met"] else f"versions of {name} there: {_some(name, found['versions'])}"
    if found["platforms"]:
        return f"{name} is there for {_list(found['platforms'])} alone, not for {request.arch}"
    similar = f"; names like it: {', '.join(found['similar'])}" if found["similar"] else ""
    return (
        f"no channel has a package named {name} (looked in {_list(map(strip_credentials, request.channels))}){similar}"
    )


def _some(name: str, versions: list[str]) -> str:
    if name == "python":  # the minor version is what users choose
        versions = list(dict.fromkeys(".".join(version.split(".")[:2]) for version in versions))
        return ", ".join(versions)
    more = "..., " if len(versions) > _SHOWN_VERSIONS else ""
    return more + ", ".join(versions[-_SHOWN_VERSIONS:])


def _hint(text: str, found: list[dict[str, Any]], request: CondaRequest) -> str:
    virtual = sorted(set(re.findall(r"\b__[a-z0-9_]+", text)))
    if virtual:
        have = ", ".join(f"{package.name} {package.version}" for package in request.virtual) or "none"
        return f"the virtual packages of the target are: {have}; give others by @sys_packages"
    if any(entry["versions"] and not entry["met"] for entry in found):
        return "ask for a version that is there, or add a channel that has it"
    if any(entry["platforms"] for entry in found):
        return f"add a channel that builds it for {request.arch}, or leave it out there"
    if any(not entry["versions"] for entry in found):
        return "check the spelling, or add the channel that has it; what is on PyPI alone belongs to @pypi"
    return "loosen one of the requirements that are named above"


def _list(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names) or "(none)"
