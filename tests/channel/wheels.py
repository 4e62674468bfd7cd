"""Resolve, download and read wheels from the package index that pip is set up for."""

from __future__ import annotations

import ast
import configparser
import functools
import importlib.util
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path

from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version

from .errors import ChannelError
from .interpreters import Interpreter
from .specifiers import applies, environment, requirement


@dataclass(frozen=True)
class Wheel:
    """One downloaded wheel and what its metadata says."""

    path: Path
    name: str
    version: str
    pure: bool
    requires: tuple[str, ...]
    requires_python: str
    entry_points: tuple[str, ...]
    summary: str
    license: str
    metadata: bytes


def obtain(one: Interpreter, requirements: Iterable[str], *, store: Path) -> list[Path]:
    """Resolve requirements for an interpreter and return the wheels, downloading what lacks."""
    folder = store / one.abi
    folder.mkdir(parents=True, exist_ok=True)
    pins = _resolve(one, requirements)
    present = _stored(folder)
    missing = [pin for pin in pins if pin not in present]
    if missing:
        _download(one, missing, folder)
        present = _stored(folder)
    lost = [f"{name}=={version}" for name, version in pins if (name, version) not in present]
    if lost:
        raise ChannelError(f"pip found no wheel for Python {one.minor} of {', '.join(lost)}")
    return [present[pin] for pin in pins]


def read(path: Path) -> Wheel:
    """Read the metadata of a wheel."""
    name, version, _, tags = parse_wheel_filename(path.name)
    pure = all(tag.abi == "none" and tag.platform == "any" and tag.interpreter[:3] in {"py2", "py3"} for tag in tags)
    with zipfile.ZipFile(path) as archive:
        info = dist_info(archive)
        metadata = archive.read(f"{info}/METADATA")
        names = archive.namelist()
        points = f"{info}/entry_points.txt"
        entries = archive.read(points).decode() if points in names else ""
    headers = HeaderParser().parsestr(metadata.decode(errors="replace"))
    return Wheel(
        path=path,
        name=str(name),
        version=str(version),
        pure=pure,
        requires=_all(headers, "Requires-Dist"),
        requires_python=str(headers.get("Requires-Python") or "").strip(),
        entry_points=_entry_points(entries),
        summary=str(headers.get("Summary") or ""),
        license=str(headers.get("License-Expression") or "Unknown"),
        metadata=metadata,
    )


def dist_info(archive: zipfile.ZipFile) -> str:
    """Return the name of the dist-info folder of a wheel."""
    for name in archive.namelist():
        top = name.partition("/")[0]
        if top.endswith(".dist-info"):
            return top
    raise ChannelError(f"{archive.filename} has no dist-info folder")


def _all(headers: Message, key: str) -> tuple[str, ...]:
    return tuple(str(value).strip() for value in headers.get_all(key) or ())


def _entry_points(text: str) -> tuple[str, ...]:
    parser = configparser.ConfigParser(delimiters=("=",), interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(text)
    found = []
    for section in ("console_scripts", "gui_scripts"):
        if parser.has_section(section):
            for name, target in parser.items(section):
                found.append(f"{name} = {target.partition('[')[0].strip()}")
    return tuple(sorted(found))


def _resolve(one: Interpreter, requirements: Iterable[str]) -> list[tuple[str, str]]:
    markers = environment(one.version)
    lines = [line for line in requirements if applies(requirement(line), markers)]
    command = [*_uv(), "pip", "compile", "-q", "--no-header", "--no-annotate", "--no-config"]
    command += ["--only-binary", ":all:", "--python-version", one.version]
    command += ["--python", sys.executable, *_index_options(), "-"]
    problem = f"could not resolve for Python {one.minor}"
    text = _run(command, "\n".join(lines), problem, more=_trust())
    pins = []
    for line in text.splitlines():
        name, found, version = line.partition("==")
        if found:
            plain = name.partition("[")[0]
            pins.append((str(canonicalize_name(plain)), str(Version(version.split()[0]))))
    return pins


def _uv() -> list[str]:
    return [sys.executable, "-m", "uv"] if importlib.util.find_spec("uv") else ["uv"]


def _index_options() -> list[str]:
    """Pass on to uv what pip is told about indexes; uv does not read pip's settings."""
    settings = _pip_settings()
    options = []
    if settings.get("index-url"):
        options += ["--default-index", settings["index-url"]]
    extra = settings.get("extra-index-url", "").split()
    # pip warns about an index that is not there, uv stops: local folders are left to pip.
    for url in extra:
        if url.startswith("http"):
            options += ["--index", url]
    for place in settings.get("find-links", "").split():
        if "://" in place or Path(place).is_dir():
            options += ["--find-links", place]
    if options:
        options += ["--index-strategy", "unsafe-best-match"]
    return options


@functools.cache
def _pip_settings() -> dict[str, str]:
    text = _run([sys.executable, "-m", "pip", "config", "list"], "", "pip config failed")
    settings: dict[str, str] = {}
    # Later lines win, and pip lists its sources from weak to strong; ":env:" is the strongest.
    for line in sorted(text.splitlines(), key=_strength):
        name, found, value = line.partition("=")
        if found:
            settings[name.partition(".")[2]] = str(ast.literal_eval(value))
    return settings


def _strength(line: str) -> int:
    section = line.partition(".")[0]
    return {"global": 0, "download": 1, ":env:": 2}.get(section, -1)


def _stored(folder: Path) -> dict[tuple[str, str], Path]:
    found = {}
    for path in sorted(folder.glob("*.whl")):
        name, version, _, _ = parse_wheel_filename(path.name)
        found[str(name), str(version)] = path
    return found


def _download(one: Interpreter, pins: Iterable[tuple[str, str]], folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder) as aside:
        lines = [f"{name}=={version}" for name, version in pins]
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-input"]
        command += ["--only-binary=:all:", "--python-version", one.minor, "--dest", aside, *lines]
        _run(command, "", f"could not download wheels for Python {one.minor}")
        for path in Path(aside).glob("*.whl"):
            path.replace(folder / path.name)


def _trust() -> dict[str, str]:
    """Tell uv about the certificates pip trusts."""
    bundle = _pip_settings().get("cert") or os.environ.get("REQUESTS_CA_BUNDLE")
    if bundle and "SSL_CERT_FILE" not in os.environ:
        return {"SSL_CERT_FILE": bundle}
    return {}


def _run(command: list[str], text: str, problem: str, *, more: Mapping[str, str] | None = None) -> str:
    environ = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **(more or {})}
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, env=environ)
    except OSError as error:
        raise ChannelError(f"{problem}: {error}") from error
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise ChannelError(f"{problem}: {' '.join(lines[-4:])}")
    return done.stdout
