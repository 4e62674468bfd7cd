"""One resolved package: a file with its URL, size and hash. Imports on Python 3.7 (step side)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any, TypeVar, Union

from .errors import StoreError

# The host in the URL of a file that cannot be fetched: it lies in a store alone, as 1.x has put it there.
NOWHERE = "_fake"
# What to do about a damaged document.
REPAIR = "remove it, or resolve the environment again with --force-rebuild-environments"


@dataclass(frozen=True)
class CondaPackage:
    """A conda package file, with all that is needed to link it (repodata record fields, CEP 36)."""

    name: str
    version: str
    build: str
    build_number: int
    subdir: str
    channel: str
    filename: str
    url: str
    sha256: str = ""
    md5: str = ""
    size: int = 0
    noarch: str = ""
    depends: tuple[str, ...] = ()
    constrains: tuple[str, ...] = ()
    python_site_packages_path: str = ""
    purls: tuple[str, ...] = ()
    license: str = ""
    timestamp: int = 0

    @property
    def digest(self) -> str:
        """The content hash: SHA-256, or ``md5:...`` where the channel gives only that."""
        return self.sha256 or f"md5:{self.md5}"

    @property
    def fetchable(self) -> bool:
        """Whether its URL leads to it."""
        return f"//{NOWHERE}/" not in self.url


@dataclass(frozen=True)
class PypiPackage:
    """A wheel.

    *index* is where it was found, ``default`` or empty for a direct link; *origin* what it was built from (see
    `engine.origin`), empty for a wheel as it was published.
    """

    name: str
    version: str
    filename: str
    url: str
    sha256: str
    size: int = 0
    index: str = ""
    origin: str = ""

    @property
    def digest(self) -> str:
        """The content hash (SHA-256)."""
        return self.sha256

    @property
    def fetchable(self) -> bool:
        """Whether its URL leads to it."""
        return not self.origin and f"//{NOWHERE}/" not in self.url


@dataclass(frozen=True)
class Interpreter:
    """The CPython of an environment that comes from uv.

    It is either a build that uv manages, an archive with its URL, or one that is installed on this machine: then *url*
    is that of its executable, and *sha256* the executable's.
    """

    name: str
    version: str
    filename: str
    url: str
    sha256: str
    size: int = 0

    @property
    def digest(self) -> str:
        """The content hash (SHA-256)."""
        return self.sha256

    @property
    def installed(self) -> bool:
        """Whether it is on one machine alone."""
        return not self.filename.endswith(".tar.gz")

    @property
    def fetchable(self) -> bool:
        """Whether its URL leads to it."""
        return not self.installed


AnyPackage = Union[CondaPackage, PypiPackage, Interpreter]
_Package = TypeVar("_Package", CondaPackage, PypiPackage, Interpreter)
_TYPES = {"str": str, "int": int, "tuple[str, ...]": list}


def is_free_threaded(packages: Iterable[CondaPackage]) -> bool:
    """Tell whether the Python among *packages* has no global lock (PEP 703): its build names the ABI, ``cp313t``."""
    return any(re.search(r"cp3\d+t\b", item.build) for item in packages if item.name in ("python", "python_abi"))


def package_to_dict(package: AnyPackage) -> dict[str, Any]:
    """Return the required fields of *package* and those that differ from their default, tuples as lists."""
    values = asdict(package)
    return {
        field.name: list(values[field.name]) if isinstance(values[field.name], tuple) else values[field.name]
        for field in fields(package)
        if field.default is MISSING or values[field.name] != field.default
    }


def package_from_dict(kind: type[_Package], data: Any, where: str) -> _Package:
    """Read what `package_to_dict` wrote; *where* names the place in an error."""
    if not isinstance(data, dict):
        raise StoreError(f"{where}: expected an object, found {type(data).__name__}", REPAIR)
    values: dict[str, Any] = {}
    for field in fields(kind):
        if field.name not in data:
            if field.default is MISSING:
                raise StoreError(f"{where}.{field.name}: missing", REPAIR)
            continue
        value = data[field.name]
        if not isinstance(value, _TYPES[str(field.type)]) or isinstance(value, bool) or not _texts(value):
            raise StoreError(f"{where}.{field.name}: {value!r} is not of type {field.type}", REPAIR)
        values[field.name] = tuple(value) if isinstance(value, list) else value
    return kind(**values)


def _texts(value: Any) -> bool:
    return not isinstance(value, list) or all(isinstance(item, str) for item in value)
