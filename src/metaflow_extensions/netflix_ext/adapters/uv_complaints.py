"""What uv complains of when it fails, and what that means."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ..engine.errors import CreateError, ExtensionError, ResolveError, SourceError, ToolError
from ..engine.ports import PypiRequest
from ..engine.secret import redact, strip_credentials
from .fitness import floor_of

_PATIENCE_SECONDS = 5.0
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_DRAWING = re.compile(r"^[\s\u00d7\u2500-\u257f\u25b6]*(?:Caused by:|cause:|error:)?\s*")
_STARTS = re.compile(r"^\s*(?:error:|cause:|Caused by:|\u00d7|\u2570|\u251c)")

_HEADLINE = re.compile(r"No solution found when resolving dependencies.*")
_REFUSED = re.compile(r"\((\S+)\) (?:could not be queried due to a lack of|returned a (403))")
_UNKNOWN = re.compile(r"([\w.\-]+) was not found in the (?:package registry|cache|provided)")
_BROKEN = (
    "Failed to fetch",
    "Failed to download",
    "Unsupported `Content-Type`",
    "error sending request",
    "Failed to parse",
    "Received some unexpected",
    "Failed to read `--find-links`",
    "Distribution not found at",
)
_BUSY = re.compile(r"\((?:429|5\d\d) ")
_LATER = "compatible version may be available on a subsequent index"
_LATER_ADVICE = (
    "of several indexes, the first that has a name is the only one that is asked for it. Where settings of pip or uv "
    "name that index, METAFLOW_CONDA_INDEX_SETTINGS=none leaves them out; where all indexes are trusted alike, "
    "UV_INDEX_STRATEGY=unsafe-best-match asks all of them"
)
_UNBUILT = ("Building source distributions", "building from source is disabled", "no usable wheels", "Failed to build")
_URL = re.compile(r"[a-z]+://[^\s`'\"<>()]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """What uv said when it failed: its chain of reasons, a paragraph each, and its hints."""

    reasons: tuple[str, ...]
    hints: tuple[str, ...]

    @property
    def text(self) -> str:
        """The reasons and the hints, redacted, a line each."""
        return redact("\n".join((*self.reasons, *self.hints)))


def complaint(stderr: str) -> Complaint:
    """Read what uv printed: no colours, no prefixes, wrapped lines joined, lists in one line, warnings left out."""
    reasons: list[str] = []
    hints: list[str] = []
    current: list[str] | None = None
    base, in_list = 0, False
    for line in _ANSI.sub("", stderr).splitlines():
        text = line.strip()
        if line.startswith("hint:"):
            hints.append(text.removeprefix("hint:").strip())
            current, base = hints, 0
        elif _STARTS.match(line):
            base = len(line) - len(_DRAWING.sub("", line))
            reasons.append(line[base:].strip())
            current = reasons
        elif text and not line.startswith(" "):
            current = None
        elif text and current:
            item = len(line) - len(line.lstrip()) >= base + 4
            current[-1] += f", {text}" if in_list else f" {text}"
            in_list = item
            continue
        in_list = False
    return Complaint(reasons=tuple(reasons) or (stderr.strip() or "uv gave no reason",), hints=tuple(hints))


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What was asked: *provided* stand-ins, and those of them (*real*) that the index had to know itself."""

    request: PypiRequest
    provided: tuple[tuple[str, str], ...]
    real: Mapping[str, str]
    secrets: Mapping[str, str]


def is_unbuilt(complaint: Complaint) -> bool:
    """Tell whether something has no wheel."""
    return any(mark in complaint.text for mark in _UNBUILT)


def translated(complaint: Complaint, asked: Asked) -> ExtensionError:
    """Return the error that *complaint* amounts to."""
    unsolved = any(_HEADLINE.match(reason) for reason in complaint.reasons)
    text = redact("\n".join(reason for reason in complaint.reasons if not _HEADLINE.match(reason)))
    refused = _REFUSED.search(" ".join(complaint.hints))
    if refused:
        return _refusal(refused, text)
    if not unsolved and any(mark in text for mark in _BROKEN):
        return _broken_index(text, asked.request)
    unbuilt = is_unbuilt(complaint)
    if text.startswith("Failed to initialize cache"):
        return CreateError(f"uv cannot use its cache: {text}", "set UV_CACHE_DIR to a folder that you may write to")
    if not unsolved and not unbuilt:
        return ToolError(f"uv failed: {text}", "if the message does not tell why, report it with `uv --version`")
    absent = _absent_index(text, asked)
    if absent:
        return absent
    told = (hint.partition(" By default, uv will only")[0] for hint in complaint.hints if "--no-build" not in hint)
    # Who reads it is told the platform already: `engine.resolve`.
    target = f"with Python {asked.request.python} and {floor_of(asked.request)}"
    message = "\n".join([f"{target}: {text}", *map(redact, told), *_there(text, asked)])
    later = any(_LATER in hint for hint in complaint.hints)
    return ResolveError(message, _LATER_ADVICE if later else _advice(text, unbuilt, asked))


def _refusal(refused: re.Match[str], text: str) -> SourceError:
    status = "403 Forbidden" if refused.group(2) else "401 Unauthorized"
    return SourceError(
        f"the index {redact(refused.group(1))} answers {status}; so: {text}",
        "check the URL of the index, and give its credentials: in that URL, in METAFLOW_CONDA_SRCS_AUTH_INFO, in "
        ".netrc or by keyring",
    )


def _broken_index(text: str, request: PypiRequest) -> SourceError:
    urls = [strip_credentials(url.rstrip(".,:;)")) for url in _URL.findall(text)]
    sources = (*(index for index in request.indexes if index != "default"), *request.options.find_links)
    known = [strip_credentials(source).rstrip("/") for source in sources]
    named = [index for index in known if any(url.startswith(index) for url in urls)]
    links = {strip_credentials(link).rstrip("/") for link in request.options.find_links}
    who = "an index or a link"
    if named:
        who = f"{'what --find-links names,' if named[0] in links else 'the index'} {redact(named[0])}"
    hint = "check the URL and the network (a proxy, a VPN, credentials), then run the command again"
    if _BUSY.search(text):
        hint = "the server is busy or out of order: try again later"
    return SourceError(f"{who} cannot be used: {text}", hint)


def _absent_index(text: str, asked: Asked) -> SourceError | None:
    """Return an error where an unknown project is due to an index that does not exist.

    uv takes 404 for "has no such project"; only the root of an index can tell the two apart, and it is asked only then.
    """
    unknown = _UNKNOWN.search(text)
    if not unknown:
        return None
    from .http import HttpFetcher  # slow to import, and hardly ever needed

    fetcher = HttpFetcher(asked.secrets, timeout=_PATIENCE_SECONDS)
    for index in asked.request.indexes:
        if index.startswith(("http://", "https://")) and fetcher.status_of(f"{index.rstrip('/')}/") in (404, 410):
            return SourceError(
                f"the index {redact(index)} answers 404 Not Found, for itself and for '{unknown.group(1)}'",
                "check the URL (that of an index mostly ends in /simple) and the spelling of the name",
            )
    return None


def _there(text: str, asked: Asked) -> list[str]:
    """Return the sentence that says which names of *text* are those of what is there."""
    named = [
        f"{name} {version}"
        for name, version in asked.provided
        if re.search(rf"(?<![\w.\-]){re.escape(name)}(?![\w\-])", text)
    ]
    if not named:
        return []
    return [f"Already there, from conda or from the environment to extend, and never replaced: {', '.join(named)}."]


def _advice(text: str, unbuilt: bool, asked: Asked) -> str:
    if any(name in text for name in asked.real):
        return (
            f"an extra of {', '.join(asked.real)} is asked for, which is there already, without its extras: ask for "
            "the packages of that extra by name"
        )
    if _there(text, asked):
        return "change the constraint, or the version that conda is asked for or that the environment to extend has"
    if unbuilt:
        return "ask for a version that has wheels, or see why its source does not build"
    if _UNKNOWN.search(text) and asked.request.options.no_index:
        return (
            "with --no-index only what --find-links names is looked at: check that it has the package, and its spelling"
        )
    if _UNKNOWN.search(text):
        return "check the spelling of the name, and that the index that has it is among the sources"
    return "loosen a constraint, or choose another Python or platform"
