"""What was asked of 1.x, in our words. Imports on Python 3.7 (step side).

1.x writes a dependency as ``category::name==version``, where the version may itself begin with an operator:
``pypi::requests==>=2.21.0``. The result is `spec.EnvSpec.to_dict`'s form, as `spec.EnvSpec.from_dict` reads it; what
has no form there is kept as it was, below UNTRANSLATED.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from .conda_version import comparison
from .secret import is_public_index, redact, strip_credentials

UNTRANSLATED = "untranslated"

_NAME = r"(?P<name>[A-Za-z0-9_][\w.\-]*)"
_VERSION = r"(?:==(?P<version>.*))?"
_CONDA = re.compile(rf"(?:(?P<channel>[^\s=]+)::)?{_NAME}{_VERSION}", re.ASCII)
_PYPI = re.compile(rf"{_NAME}(?P<extras>\[[\w\s,.\-]*\])?{_VERSION}", re.ASCII)
_DIRECT = re.compile(rf"{_NAME}(?P<extras>\[[\w\s,.\-]*\])?\s*@\s*(?P<url>[^\s@]*://\S+?)(?:==)?", re.ASCII)
_MARKER = re.compile(r"""[\w\s.'"<>=!~()\-]+""")
_SYS = re.compile(r"(?P<name>__[a-z0-9_]+)==={0,2}(?P<version>\d[\w.]*)(?:=(?P<build>\w+))?", re.ASCII)

_CONDA_BUILD = re.compile(r"={0,2}(?P<version>\w[\w.+!\-]*)=(?P<build>[\w*.]+)")
_NUMBERS = r"(?:\d+!)?\d+(?:\.\d+)*"
_SUFFIX = r"(?:[-_.]?(?:a|b|c|rc|alpha|beta|pre|preview|post|rev|r|dev)[-_.]?\d*)*(?:\+[a-z0-9]+(?:[.\-_][a-z0-9]+)*)?"
_PYPI_PART = re.compile(
    rf"(?P<operator>[<>]=?|===|[=!]=|~=)?\s*(?P<version>{_NUMBERS}(?:\.\*|{_SUFFIX}))", re.IGNORECASE
)
_PYTHON_PART = re.compile(r"(?P<operator>[<>]=?|[=!]=|~=)?(?P<version>\d+(?:\.\d+)*)(?P<star>\.\*)?")


def translate(deps: Iterable[str], sources: Iterable[str], extras: Iterable[str], python: str) -> dict[str, Any]:
    """Return what was asked for; *python* is the version that came of it, for where none was asked for."""
    found = _Found()
    for text in deps:
        found.dependency(text)
    for text in sources:
        found.source(text)
    for text in extras:
        found.option(text)
    return found.spec(python)


class _Found:
    def __init__(self) -> None:
        self._python = ""
        self._lists: dict[str, list[str]] = {
            name: [] for name in ("conda", "pypi", "conda_only", "virtual", "channels", "indexes", UNTRANSLATED)
        }
        self._options: dict[str, Any] = {}

    def dependency(self, text: str) -> None:
        category, _, value = text.partition("::")
        read = _READERS.get(category)
        if category == "conda" and value.startswith("python=="):
            self._python = python_constraint(value[len("python==") :])
            read = None
            if self._python:
                return
        said = read[1](value) if read is not None else None
        if read is None or said is None:
            self._lists[UNTRANSLATED].append(redact(text))
        else:
            self._lists[read[0]].append(said)

    def source(self, text: str) -> None:
        category, _, value = text.partition("::")
        value = strip_credentials(value.strip())
        if category == "conda" and value:
            self._lists["channels"].append(value)
        elif category in ("pypi", "pip") and value:
            self._lists["indexes"].append("default" if is_public_index(value) else value)
        else:
            self._lists[UNTRANSLATED].append(redact(text))

    def option(self, text: str) -> None:
        category, _, value = text.partition("::")
        name, _, argument = value.strip().lstrip("-").replace(" ", "=", 1).partition("=")
        if category in ("pypi", "pip") and name in ("pre", "no-index") and not argument:
            self._options[name.replace("-", "_")] = True
        elif category in ("pypi", "pip") and name in ("find-links", "trusted-host") and argument:
            plural = "find_links" if name == "find-links" else "trusted_hosts"
            self._options.setdefault(plural, []).append(strip_credentials(argument.strip()))
        else:
            self._lists[UNTRANSLATED].append(redact(text))

    def spec(self, python: str) -> dict[str, Any]:
        lists = self._lists
        pypi = bool(lists["pypi"])
        more = {
            "conda_only": sorted(set(lists["conda_only"])),
            "options": self._options if pypi else {},
            UNTRANSLATED: lists[UNTRANSLATED],
        }
        return {
            "python": self._python or python_constraint(python),
            "conda": sorted(set(lists["conda"])),
            "pypi": sorted(set(lists["pypi"])),
            "channels": list(dict.fromkeys(lists["channels"])),
            "indexes": list(dict.fromkeys(lists["indexes"])) if pypi else [],
            "virtual": sorted(set(lists["virtual"])),
            **{name: value for name, value in more.items() if value},
        }


def python_constraint(text: str) -> str:
    """Return what was asked of Python, ``3.10`` as any 3.10; empty where it cannot be told."""
    parts = [_PYTHON_PART.fullmatch(part.strip()) for part in text.split(",") if part.strip()]
    said = []
    for part in parts:
        if part is None:
            return ""
        operator, version = part.group("operator") or "==", part.group("version")
        whole = operator == "==" and (part.group("star") or version.count(".") < 2)
        said.append(f"{version}.*" if whole else f"{operator}{version}{part.group('star') or ''}")
    return ",".join(sorted(said))


def _conda(value: str) -> str | None:
    match = _CONDA.fullmatch(value)
    if match is None:
        return None
    name, version, channel = match.group("name").lower(), (match.group("version") or "").strip(), match.group("channel")
    build = _CONDA_BUILD.fullmatch(version)
    groups = [_constraint(group, _conda_part) for group in version.split("|")]
    if not build and None in groups:
        return None
    said = "" if "" in groups else "|".join(map(str, groups))
    if build:
        said = f"=={build.group('version')} {build.group('build')}"
    head = f"{strip_credentials(channel)}::{name}" if channel else name
    return f"{head} {said}".strip()


def _constraint(text: str, part: Callable[[str], str | None]) -> str | None:
    """Return the constraints of *text*, each read by *part*; None where one of them cannot be read."""
    said = set()
    for word in filter(None, (word.strip() for word in text.split(","))):
        one = part(word)
        if one is None:
            return None
        said.add(one)
    return ",".join(sorted(said - {"*"}))


def _conda_part(text: str) -> str | None:
    try:
        return comparison(re.sub(r"^([<>=!~]+)\s+(?=\w)", r"\1", text))
    except ValueError:
        return None


def _pypi(value: str) -> str | None:
    value, semicolon, marker = (part.strip() for part in value.partition(" ;" if "://" in value else ";"))
    if semicolon and not _MARKER.fullmatch(marker):
        return None
    said = _without_marker(value)
    return f"{said} ; {marker}" if said and semicolon else said


def _without_marker(value: str) -> str | None:
    direct = _DIRECT.fullmatch(value)
    if direct is not None:
        return f"{_head(direct)} @ {strip_credentials(direct.group('url'))}"
    match = _PYPI.fullmatch(value)
    if match is None:
        return None
    said = _constraint(match.group("version") or "", _pypi_part)
    return None if said is None else f"{_head(match)}{said}"


def _head(match: re.Match[str]) -> str:
    name = re.sub(r"[-_.]+", "-", match.group("name")).lower()
    inner = (match.group("extras") or "").strip("[]").split(",")
    extras = sorted({re.sub(r"[-_.]+", "-", extra.strip()).lower() for extra in inner if extra.strip()})
    return f"{name}[{','.join(extras)}]" if extras else name


def _pypi_part(text: str) -> str | None:
    if text == "*":
        return "*"
    match = _PYPI_PART.fullmatch(text)
    if match is None:
        return None
    operator, version = match.group("operator") or "==", match.group("version").lower()
    if version.endswith(".*") and operator not in ("==", "!="):
        return None
    return f"{operator}{version}"


def _virtual(value: str) -> str | None:
    match = _SYS.fullmatch(value)
    return f"{match.group('name')}={match.group('version')}={match.group('build') or '0'}" if match else None


# A category: the part of a spec that it goes to, and how one of its values is read.
_READERS: dict[str, tuple[str, Callable[[str], str | None]]] = {
    "conda": ("conda", _conda),
    "npconda": ("conda_only", _conda),
    "pypi": ("pypi", _pypi),
    "pip": ("pypi", _pypi),
    "sys": ("virtual", _virtual),
}
