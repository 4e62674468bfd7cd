"""The program uv: where it is, what surrounds a call, and what its complaints mean."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ..engine.errors import ToolError
from ..engine.secret import redact, strip_credentials
from .process import Finished, run

# They would choose another interpreter, another folder or unverified files, or colour and log what we read.
_UNWANTED = (
    "UV_PYTHON",
    "UV_SYSTEM_PYTHON",
    "UV_MANAGED_PYTHON",
    "UV_NO_MANAGED_PYTHON",
    "UV_WORKING_DIR",
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
_DRAWING = re.compile(r"^[\s×╰─▶│├]*(?:Caused by:|cause:|error:)?\s*")
_STARTS = re.compile(r"^\s*(?:error:|cause:|Caused by:|×|╰|├)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """What uv said when it failed: its chain of reasons, a paragraph each, and its hints."""

    reasons: tuple[str, ...]
    hints: tuple[str, ...]

    @property
    def text(self) -> str:
        """The reasons and the hints, redacted, a line each."""
        return redact("\n".join((*self.reasons, *self.hints)))


def find_uv() -> str:
    """Return the path of the program. Raises ToolError where it is not installed."""
    hint = "reinstall the extension's dependencies: pip install --force-reinstall uv"
    try:
        import uv
    except ImportError as error:
        raise ToolError("uv, which resolves and installs PyPI packages, is not installed", hint) from error
    try:
        return uv.find_uv_bin()
    except FileNotFoundError as error:
        raise ToolError(f"the package uv is installed but its program is missing: {error}", hint) from error


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
    finished = run([program, *arguments], environment=surroundings(environment or {}), text=text, folder=folder)
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


def default_index(program: str) -> str:
    """Return the URL that uv takes as its default index here, credentials included: never to be written."""
    arguments = ["pip", "compile", "-", "--no-header", "--quiet", "--emit-index-url", "--format", "requirements.txt"]
    for line in run_uv(program, arguments, text="").stdout.splitlines():
        option, _, url = line.partition(" ")
        if option == "--index-url":
            return url.strip()
    return ""


def complaint(stderr: str) -> Complaint:
    """Read what uv printed: no colours, no prefixes, wrapped lines joined, warnings left out."""
    reasons: list[str] = []
    hints: list[str] = []
    current: list[str] | None = None
    for line in _ANSI.sub("", stderr).splitlines():
        if line.startswith("hint:"):
            hints.append(line.removeprefix("hint:").strip())
            current = hints
        elif _STARTS.match(line):
            reasons.append(_DRAWING.sub("", line).strip().rstrip(":"))
            current = reasons
        elif not line.startswith(" ") and line.strip():
            current = None
        elif line.strip() and current:
            current[-1] = f"{current[-1]} {_DRAWING.sub('', line).strip()}"
    return Complaint(reasons=tuple(reasons) or (stderr.strip() or "uv gave no reason",), hints=tuple(hints))


def indexes_environment(urls: Sequence[str], default: str | None) -> dict[str, str]:
    """Return the variables that give uv *urls* in order of priority, and *default* after them (None: uv's own).

    By variable and not by argument, since the URLs may hold credentials and a command line is public.
    """
    found = {"UV_INDEX": " ".join(url.replace(" ", "%20") for url in urls), "UV_EXTRA_INDEX_URL": ""}
    if default is not None:
        found.update({"UV_DEFAULT_INDEX": default, "UV_INDEX_URL": ""})
    return found


def with_credentials(url: str, secrets: Mapping[str, str]) -> str:
    """Return *url* with the credentials known for it: for itself, or for the nearest folder above it, by *secrets*.

    *secrets* maps a clean URL to the same with credentials. Where no folder above is known, those for the same
    host serve.
    """
    if "://" not in url:
        return url
    plain = {clean.rstrip("/"): secret for clean, secret in secrets.items()}
    above = [clean for clean in plain if f"{url.rstrip('/')}/".startswith(f"{clean}/")]
    if above:
        clean = max(above, key=len)
        return plain[clean].rstrip("/") + url[len(clean) :]
    parts = urlsplit(url)
    for clean in sorted(plain):
        known = urlsplit(plain[clean])
        if (known.scheme, known.netloc.rpartition("@")[2]) == (parts.scheme, parts.netloc) and "@" in known.netloc:
            return parts._replace(netloc=known.netloc).geturl()
    return url


def secrets_for(urls: Sequence[str], secrets: Mapping[str, str]) -> tuple[str, ...]:
    """Return the URLs of *secrets* that share a host with one of *urls*."""
    hosts = {urlsplit(strip_credentials(url)).netloc for url in urls}
    return tuple(sorted({secret for clean, secret in secrets.items() if urlsplit(clean).netloc in hosts}))
