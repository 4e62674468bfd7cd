"""Read what metaflow-netflixext 1.x has written of one environment. Imports on Python 3.7 (step side).

Such a document has no ``schema``, and does not hold its id: its key does. Nothing here writes.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any
from urllib.parse import unquote, urlsplit

from .errors import StoreError
from .identity import EnvID
from .layout import check_key
from .legacy_spec import translate
from .package import NOWHERE, CondaPackage, PypiPackage
from .resolved import LEGACY, ResolvedEnvironment
from .secret import strip_credentials

# The formats of an archive, the best first.
_CONDA = (".conda", ".tar.bz2")
_PYPI = (".whl", ".tar.gz", ".zip")
_FORMATS = {"conda": _CONDA, "pypi": _PYPI, "pip": _PYPI}

_NAME = re.compile(r"[A-Za-z0-9_][\w.+!\-]*")
_HASH = re.compile(r"[0-9a-f]{32}|[0-9a-f]{64}")
_PYTHON_BUILD = re.compile(r"(?:^|_|\d)py(?:h|_|\d|$)")
_NUMBER = re.compile(r"(?:^|_)(\d+)(?:_[a-z]\w*)?$")
_HINT = "it was written by metaflow-netflixext 1.x and is damaged; resolve the environment again"


def read(data: bytes, env_id: EnvID, where: str) -> ResolvedEnvironment:
    """Read a document, of 1.x or ours; one of 1.x is taken to be *env_id*. Raises StoreError; *where* names it."""
    try:
        document = json.loads(data.decode("utf-8"))
    except ValueError:
        document = {"schema": None}
    if isinstance(document, dict) and "schema" not in document and "packages" in document:
        return from_document(document, env_id, where)
    return ResolvedEnvironment.from_bytes(data, where)


def from_document(document: Any, env_id: EnvID, where: str) -> ResolvedEnvironment:
    """Return the environment that the plain values of a document of 1.x describe; raise StoreError."""
    fields = _Fields(document, where)
    items = fields.items("packages")
    conda, pypi, stored = [], [], {}
    for index, item in enumerate(items):
        archive = _archive(_Fields(item, f"{where}.packages[{index}]"))
        if archive.kind == "conda":
            conda.append(_conda_package(archive))
        else:
            pypi.append(_pypi_package(archive))
        if archive.key:
            stored[archive.file] = archive.key
    python = next((package.version for package in conda if package.name == "python"), "")
    spec = translate(fields.texts("deps"), fields.texts("sources"), fields.texts("extras"), python)
    return ResolvedEnvironment(
        env_id=env_id,
        spec=spec,
        virtual=tuple(spec["virtual"]),
        conda=tuple(sorted(conda, key=lambda package: package.filename)),
        pypi=tuple(sorted(pypi, key=lambda package: package.filename)),
        provenance={
            "by": fields.text("resolved_by", ""),
            "on": _utc(fields.text("resolved_on", "")),
            "schema": LEGACY,
        },
        stored=stored,
    )


class _Fields:
    """The values of a JSON object, by name and type."""

    def __init__(self, values: Any, where: str) -> None:
        if not isinstance(values, dict):
            raise StoreError(f"{where}: expected an object, found {type(values).__name__}", _HINT)
        self.where = where
        self._values = values

    def wrong(self, name: str, why: str) -> StoreError:
        return StoreError(f"{self.where}.{name}: {why}", _HINT)

    def _value(self, name: str, kind: type, default: Any) -> Any:
        value = self._values.get(name)
        if value is None and default is not None:
            return default
        if not isinstance(value, kind):
            why = f"{value!r} is not of type {kind.__name__}" if name in self._values else "missing"
            raise self.wrong(name, why)
        return value

    def text(self, name: str, default: str | None = None) -> str:
        return str(self._value(name, str, default))

    def items(self, name: str) -> list[Any]:
        found: list[Any] = self._value(name, list, None)
        return found

    def object(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self._value(name, dict, {})
        return found

    def texts(self, name: str) -> list[str]:
        found: list[str] = self._value(name, list, [])
        if not all(isinstance(text, str) for text in found):
            raise self.wrong(name, "expected a list of texts")
        return found


@dataclass(frozen=True)
class _Archive:
    """The file that stands for a package: of several formats, the one that can be had both from store and source."""

    kind: str
    stem: str
    format: str
    url: str
    digest: str
    key: str

    @property
    def file(self) -> str:
        return self.stem + self.format


def _archive(fields: _Fields) -> _Archive:
    kind, stem, own = fields.text("_type"), fields.text("filename"), fields.text("url_format")
    if kind not in _FORMATS:
        raise fields.wrong("_type", f"'{kind}' is not a kind of package that 1.x had")
    if own not in _FORMATS[kind]:
        raise fields.wrong("url_format", f"'{own}' is not a format of {kind} packages")
    if not _NAME.fullmatch(stem):
        raise fields.wrong("filename", f"'{stem}' cannot be the name of a package's file")
    cached = {name: _cache_key(info, fields) for name, info in fields.object("cache_info").items()}
    hashes = _hashes(fields)
    # A conda archive as its URL has it can be fetched again; of a distribution nothing but a wheel is installed.
    preferred = (own, *_CONDA) if kind == "conda" else _PYPI
    having = [name for name in preferred if name in cached and name in hashes]
    chosen = having[0] if having else own
    url = strip_credentials(fields.text("url"))
    file, digest = stem + chosen, hashes.get(chosen, "")
    return _Archive(
        kind="conda" if kind == "conda" else "pypi",
        stem=stem,
        format=chosen,
        url=_url(url, file, fields),
        digest=digest,
        key=cached[chosen] if having else "" if cached else _usual_key(kind, url, file, digest),
    )


def _hashes(fields: _Fields) -> dict[str, str]:
    found = {}
    for name, text in fields.object("hashes").items():
        if text is None:  # 1.x knew none: such a file is told, and never installed
            continue
        if not isinstance(text, str) or not _HASH.fullmatch(text.lower()):
            raise fields.wrong(f"hashes[{name!r}]", f"{text!r} is no MD5 and no SHA-256")
        found[name] = text.lower()
    return found


def _cache_key(info: Any, fields: _Fields) -> str:
    url = info.get("url") if isinstance(info, dict) else None
    if not isinstance(url, str):
        raise fields.wrong("cache_info", "expected an object with the text 'url' for each format")
    return check_key(url)


def _usual_key(kind: str, url: str, file: str, digest: str) -> str:
    """Return where 1.x puts a file, for a document that does not say whether it has; empty where it can have none."""
    parts = urlsplit(url)
    try:
        return check_key(f"packages/{kind}/{parts.netloc}{parts.path}/{file}/{digest}/{file}")
    except StoreError:
        return ""


def _url(url: str, file: str, fields: _Fields) -> str:
    """Return where *file* can be fetched; where it cannot, what it was made from, in a form that says so."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError as error:
        raise fields.wrong("url", f"'{url}' is not a URL ({error})") from None
    if not parts.scheme:
        raise fields.wrong("url", f"'{url}' is not a URL")
    if host == NOWHERE or unquote(parts.path).rpartition("/")[2] == file:
        return url
    return f"{parts.scheme}://{NOWHERE}/{parts.netloc}{parts.path}/{file}"


def _conda_package(archive: _Archive) -> CondaPackage:
    parts = archive.stem.rsplit("-", 2)
    if len(parts) != 3:
        raise StoreError(f"'{archive.file}' is not the file of a conda package: name-version-build", _HINT)
    name, version, build = parts
    folder = archive.url.rpartition("/")[0]
    if archive.url.endswith(f"/{archive.file}") and f"//{NOWHERE}/" in archive.url:
        folder = folder.rpartition("/")[0].replace(f"//{NOWHERE}/", "//")
    channel, _, subdir = folder.rpartition("/")
    number = _NUMBER.search(build)
    # 1.x kept no dependencies. The build tells that Python is needed, which others must know.
    python = name != "python" and _PYTHON_BUILD.search(build) is not None
    return CondaPackage(
        name=name,
        version=version,
        build=build,
        build_number=int(number.group(1)) if number else 0,
        subdir=subdir,
        channel=channel,
        filename=archive.file,
        url=archive.url,
        noarch="python" if python and subdir == "noarch" else "",
        depends=("python",) if python else (),
        sha256=archive.digest if len(archive.digest) == 64 else "",
        md5=archive.digest if len(archive.digest) == 32 else "",
    )


def _pypi_package(archive: _Archive) -> PypiPackage:
    parts = archive.stem.split("-")
    name, version = parts[:2] if archive.format == ".whl" and len(parts) >= 5 else ("", "")
    if archive.format != ".whl":
        name, _, version = archive.stem.rpartition("-")
    if not name or not version:
        raise StoreError(f"'{archive.file}' is not the file of a Python distribution: name-version-...", _HINT)
    return PypiPackage(
        name=re.sub(r"[-_.]+", "-", name).lower(),
        version=version,
        filename=archive.file,
        url=archive.url,
        sha256=archive.digest,
    )


def _utc(text: str) -> str:
    """Return a time of 1.x, which was local and did not say where, as if it had been UTC: the same for all readers."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return ""
    if found.tzinfo is None:
        found = found.replace(tzinfo=timezone.utc)
    return found.astimezone(timezone.utc).isoformat(timespec="seconds")
