"""The program uv: where it is, what surrounds a call, and what its complaints mean."""

from __future__ import annotations

import hashlib
import os
import re
import ssl
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import IO
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from ..engine.create import Prefix
from ..engine.credentials import with_credentials
from ..engine.errors import CreateError, ExtensionError, ResolveError, SourceError, ToolError
from ..engine.platform import version_of
from ..engine.ports import PypiRequest
from ..engine.secret import authorization, redact, strip_credentials
from .process import Finished, run

# They would choose another interpreter, another folder or unverified files, or colour and log what we read.
_UNWANTED = (
    "UV_PYTHON",
    "UV_SYSTEM_PYTHON",
    "UV_MANAGED_PYTHON",
    "UV_NO_MANAGED_PYTHON",
    "UV_WORKING_DIR",
    "UV_PROJECT",
    "UV_NO_VERIFY_HASHES",
    "UV_COMPILE_BYTECODE",
    "UV_DRY_RUN",
    "RUST_LOG",
    "FORCE_COLOR",
    "CLICOLOR_FORCE",
)
_ALWAYS = {"UV_NO_PROGRESS": "1", "NO_COLOR": "1", "UV_PYTHON_DOWNLOADS": "never"}
# Three tries in some 3 s where nothing listens; a host that swallows packets costs 3 x 5 s more.
_UNLESS_SET = {"UV_HTTP_RETRIES": "2", "UV_HTTP_CONNECT_TIMEOUT": "5"}

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
_UNBUILT = ("Building source distributions", "building from source is disabled", "no usable wheels", "Failed to build")
_URL = re.compile(r"[a-z]+://[^\s`'\"<>()]+")
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """What uv said when it failed: its chain of reasons, a paragraph each, and its hints."""

    reasons: tuple[str, ...]
    hints: tuple[str, ...]

    @property
    def text(self) -> str:
        """The reasons and the hints, redacted, a line each."""
        return redact("\n".join((*self.reasons, *self.hints)))


_finding = threading.Lock()


def find_uv() -> str:
    """Return the path of the program. Raises ToolError where it is not installed."""
    # Where several threads ask sysconfig first, all but one see it half-filled (CPython 3.11).
    with _finding:
        return _find_uv()


@cache
def _find_uv() -> str:
    hint = "reinstall the extension's dependencies: pip install --force-reinstall uv"
    try:
        import uv
    except ImportError as error:
        raise ToolError("uv, which resolves and installs PyPI packages, is not installed", hint) from error
    try:
        return uv.find_uv_bin()
    except FileNotFoundError as error:
        raise ToolError(f"the package uv is installed but its program is missing: {error}", hint) from error


@cache
def uv_version(program: str) -> str:
    """Return the version of *program*."""
    words = run_uv(program, ["--version"]).stdout.split()
    return words[1] if len(words) > 1 else "unknown"


def run_uv(
    program: str,
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    text: str | None = None,
    folder: Path | None = None,
) -> Finished:
    """Run uv with the user's own UV_* settings, *environment* over them. Raises ToolError where it crashes."""
    finished = run(
        [program, *arguments],
        environment=surroundings(environment or {}),
        text=text,
        folder=folder,
        leashed=list(arguments[:2]) == ["pip", "install"],
    )
    if finished.returncode in (0, 1, 2):
        return finished
    raise ToolError(
        f"uv {' '.join(arguments[:2])} ended with status {finished.returncode}: {redact(finished.stderr.strip())}",
        "run the command again; if it stays, report it together with `uv --version`",
    )


def surroundings(extra: Mapping[str, str]) -> dict[str, str]:
    """Return the variables for a call; an empty value in *extra* takes the variable away."""
    kept = {name: value for name, value in os.environ.items() if name not in _UNWANTED}
    merged = {**_UNLESS_SET, **kept, **_ALWAYS, **extra}
    return {name: value for name, value in merged.items() if value or name not in extra}


def building(prefix: Prefix) -> dict[str, str]:
    """Return the variables for a build in *prefix*: it is activated, and its programs come first."""
    path = f"{prefix.path / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return {**prefix.variables, "CONDA_PREFIX": str(prefix.path), "PATH": path}


def default_index(program: str, environment: Mapping[str, str] = MappingProxyType({})) -> str:
    """Return the URL that uv takes as its default index here, credentials included: never to be written."""
    # The interpreter is named because uv searches the machine for one else (0.15 s).
    arguments = ["pip", "compile", "-", "--python", sys.executable, "--no-header", "--quiet", "--emit-index-url"]
    for line in run_uv(program, arguments, text="", environment=environment).stdout.splitlines():
        option, _, url = line.partition(" ")
        if option == "--index-url":
            return url.strip()
    return ""


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


def indexes_environment(urls: Sequence[str], default: str | None) -> dict[str, str]:
    """Return the variables that give uv *urls* in order of priority, and *default* after them (None: uv's own).

    By variable and not by argument, since the URLs may hold credentials and a command line is public.
    """
    found = {"UV_INDEX": " ".join(url.replace(" ", "%20") for url in urls), "UV_EXTRA_INDEX_URL": ""}
    if default is not None:
        found.update({"UV_DEFAULT_INDEX": default, "UV_INDEX_URL": ""})
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What was asked: *provided* stand-ins, and those of them (*real*) that the index had to know itself."""

    request: PypiRequest
    provided: tuple[tuple[str, str], ...]
    real: Mapping[str, str]
    secrets: Mapping[str, str]


def target_of(request: PypiRequest) -> str:
    """Return the target in words: ``linux-64 (glibc 2.28), Python 3.11.7``."""
    name = "__osx" if request.arch.startswith("osx") else "__glibc"
    floor = f"{'macOS' if name == '__osx' else 'glibc'} {version_of(request.virtual, name)}"
    return f"{request.arch} ({floor}), Python {request.python}"


def misfit(name: str, files: str, request: PypiRequest) -> ResolveError:
    """Return the error for a package whose wheels do not fit the target."""
    return ResolveError(
        f"'{name}' has no wheel for {target_of(request)}: there is {files}",
        "ask for a version, a Python or a platform that has a wheel",
    )


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
    message = "\n".join([f"for {target_of(asked.request)}: {text}", *map(redact, told), *_there(text, asked)])
    return ResolveError(message, _advice(text, unbuilt, asked))


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
    for index in asked.request.indexes:
        url = with_credentials(index, asked.secrets)
        if index.startswith(("http://", "https://")) and status_of(f"{url.rstrip('/')}/") in (404, 410):
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


def digests_of(url: str, kinds: Sequence[str], trusted: Sequence[str] = ()) -> tuple[dict[str, str], int]:
    """Return the hashes of those *kinds* and the size of the file at *url* (credentials allowed). Raises SourceError.

    The certificates of the *trusted* hosts are not checked.
    """
    digests, size = {kind: hashlib.new(kind) for kind in kinds}, 0
    try:
        with closing(_opened(url, timeout=30, trusted=trusted)) as response:
            while block := response.read(_BLOCK):
                for digest in digests.values():
                    digest.update(block)
                size += len(block)
    except (OSError, ValueError) as error:
        raise SourceError(
            f"the {' and '.join(kinds)} of {redact(url)} must be computed from its bytes, and it cannot be "
            f"fetched: {error}",
            "check that the file can be downloaded, or use an index that gives hashes, and SHA-256 in what you ask for",
        ) from error
    return {kind: digest.hexdigest() for kind, digest in digests.items()}, size


def status_of(url: str) -> int:
    """Return the HTTP status of *url* (credentials allowed), or 0 where there is no answer to speak of."""
    try:
        with closing(_opened(url, timeout=5)):
            return 200
    except HTTPError as error:
        error.close()
        return error.code
    except (OSError, ValueError):
        return 0


def _opened(url: str, timeout: float, trusted: Sequence[str] = ()) -> IO[bytes]:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https", "file"):
        raise ValueError(f"'{parts.scheme}' is no scheme that is read")
    userinfo, _, host = parts.netloc.rpartition("@")
    request = Request(parts._replace(netloc=host).geturl())  # noqa: S310 - the scheme is checked above
    if userinfo:
        request.add_unredirected_header("Authorization", authorization(userinfo))
    context = None
    if parts.scheme == "https" and {parts.hostname, host} & set(trusted):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    response: IO[bytes] = urlopen(request, timeout=timeout, context=context)  # noqa: S310
    return response
