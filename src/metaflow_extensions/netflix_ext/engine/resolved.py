"""A resolved environment and its document, schema 2. Imports on Python 3.7 (step side)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .errors import SchemaError, StoreError
from .identity import EnvID, full_id
from .package import (
    REPAIR,
    AnyPackage,
    CondaPackage,
    Interpreter,
    PypiPackage,
    is_free_threaded,
    package_from_dict,
    package_to_dict,
)

SCHEMA = 2
# What ``provenance`` says, as its ``schema``, of an environment that 1.x has resolved.
LEGACY = "1"


@dataclass(frozen=True)
class ResolvedEnvironment:
    """Every package pinned to one file, for one platform.

    ``spec`` is the canonical form of the spec, ``provenance`` says who resolved it, when (UTC, ISO 8601), and
    with which tool versions; neither takes part in the full id. ``stored`` names, by file name, the keys of packages
    that lie elsewhere in a store than their URL tells, as 1.x has put them. The ids that 1.x gave are kept as they are.
    ``interpreter`` is its Python where that comes from uv, and not from a channel.
    """

    env_id: EnvID
    spec: Mapping[str, Any]
    virtual: tuple[str, ...]
    conda: tuple[CondaPackage, ...]
    pypi: tuple[PypiPackage, ...]
    provenance: Mapping[str, str]
    stored: Mapping[str, str] = field(default_factory=dict)
    interpreter: Interpreter | None = None

    @classmethod
    def make(  # noqa: PLR0913 - one for each part
        cls,
        *,
        req_id: str,
        arch: str,
        spec: Mapping[str, Any],
        virtual: tuple[str, ...],
        conda: tuple[CondaPackage, ...],
        pypi: tuple[PypiPackage, ...],
        provenance: Mapping[str, str],
        stored: Mapping[str, str] | None = None,
        interpreter: Interpreter | None = None,
    ) -> ResolvedEnvironment:
        """Build an environment with its packages sorted and its id computed."""
        files = [("conda", package.filename, package.digest) for package in conda]
        files += [("pypi", package.filename, package.digest) for package in pypi]
        files += [("python", item.filename, item.digest) for item in (interpreter,) if item is not None]
        return cls(
            env_id=EnvID(req_id, full_id(files, arch), arch),
            spec=spec,
            virtual=tuple(virtual),
            conda=tuple(sorted(conda, key=lambda package: package.filename)),
            pypi=tuple(sorted(pypi, key=lambda package: package.filename)),
            provenance=provenance,
            stored=stored or {},
            interpreter=interpreter,
        )

    @property
    def packages(self) -> tuple[AnyPackage, ...]:
        """All files that it is made of, those of conda first; an interpreter that is installed is none."""
        found = self.interpreter
        return (*self.conda, *self.pypi, *((found,) if found is not None and not found.installed else ()))

    @property
    def python_version(self) -> str:
        """The exact version of Python in it."""
        if self.interpreter is not None:
            return self.interpreter.version
        return next((package.version for package in self.conda if package.name == "python"), "")

    @property
    def cache_tag(self) -> str:
        """What Python calls byte code for this environment; empty where that is not known."""
        parts = self.python_version.split(".")
        free = "t" if is_free_threaded(self.conda) else ""
        return f"cpython-{''.join(parts[:2])}{free}" if len(parts) > 1 else ""

    @property
    def size(self) -> int:
        """What its archives weigh, in bytes, as far as that is known."""
        return sum(package.size for package in self.packages)

    @property
    def legacy(self) -> bool:
        """Whether 1.x has resolved it: its ids are none that we could compute."""
        return self.provenance.get("schema") == LEGACY

    def to_dict(self) -> dict[str, Any]:
        """Return the document as plain values; a key in a store that has credentials in it stays out."""
        stored = {name: key for name, key in self.stored.items() if "@" not in key}
        return {
            "schema": SCHEMA,
            "id": list(self.env_id),
            "spec": dict(self.spec),
            "virtual": list(self.virtual),
            "conda": [package_to_dict(package) for package in self.conda],
            "pypi": [package_to_dict(package) for package in self.pypi],
            "provenance": dict(self.provenance),
            **({"stored": stored} if stored else {}),
            **({"interpreter": package_to_dict(self.interpreter)} if self.interpreter is not None else {}),
        }

    def to_bytes(self) -> bytes:
        """Return the document: sorted JSON, the same bytes for the same environment."""
        return (json.dumps(self.to_dict(), sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode("utf-8")

    @classmethod
    def from_bytes(cls, data: bytes, where: str) -> ResolvedEnvironment:
        """Read a document and check that its packages give the id it claims; *where* names it in errors."""
        try:
            document = json.loads(data.decode("utf-8"))
        except ValueError as error:
            raise StoreError(f"{where}: not an environment document ({error})", REPAIR) from None
        return cls.from_dict(document, where)

    @classmethod
    def from_dict(cls, document: Any, where: str) -> ResolvedEnvironment:
        """Read the plain values of `to_dict`."""
        if not isinstance(document, dict):
            raise StoreError(f"{where}: not an environment document", REPAIR)
        if document.get("schema") != SCHEMA:
            raise SchemaError(
                f"{where}: schema {document.get('schema')!r} is not one that this version reads ({SCHEMA})",
                "use the version of metaflow-netflixext that wrote it, or a newer one",
            )
        ids = document.get("id")
        if not isinstance(ids, list) or len(ids) != 3:
            raise StoreError(f"{where}.id: not an environment id", REPAIR)
        made = cls.make(
            req_id=str(ids[0]),
            arch=str(ids[2]),
            spec=_mapping(document, "spec", where),
            virtual=_strings(document, "virtual", where),
            conda=_packages(CondaPackage, document, "conda", where),
            pypi=_packages(PypiPackage, document, "pypi", where),
            provenance=_mapping(document, "provenance", where),
            stored=_mapping(document, "stored", where) if "stored" in document else {},
            interpreter=_interpreter(document, where),
        )
        if made.legacy:
            return replace(made, env_id=EnvID(*map(str, ids)))
        if list(made.env_id) != ids:
            raise StoreError(f"{where}: its packages do not hash to the id {ids[1]} that it claims", REPAIR)
        return made


def _mapping(document: dict[str, Any], key: str, where: str) -> dict[str, Any]:
    value = document.get(key)
    if not isinstance(value, dict):
        raise StoreError(f"{where}.{key}: expected an object", REPAIR)
    return value


def _strings(document: dict[str, Any], key: str, where: str) -> tuple[str, ...]:
    value = document.get(key)
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise StoreError(f"{where}.{key}: expected a list of texts", REPAIR)
    return tuple(value)


def _packages(kind: Any, document: dict[str, Any], key: str, where: str) -> tuple[Any, ...]:
    items = document.get(key)
    if not isinstance(items, list):
        raise StoreError(f"{where}.{key}: expected a list", REPAIR)
    return tuple(package_from_dict(kind, item, f"{where}.{key}[{index}]") for index, item in enumerate(items))


def _interpreter(document: dict[str, Any], where: str) -> Interpreter | None:
    item = document.get("interpreter")
    return None if item is None else package_from_dict(Interpreter, item, f"{where}.interpreter")


def package_document(environments: list[ResolvedEnvironment], provisions: Mapping[str, Any]) -> bytes:
    """Return the file that a code package carries: the documents of a flow's steps, sorted by id.

    *provisions* are what containers need beside them, a word each: see `host.containers.provisions`.
    """
    documents = [environment.to_dict() for environment in sorted(environments, key=lambda item: item.env_id)]
    found = {**provisions, "schema": SCHEMA, "environments": documents}
    return (json.dumps(found, sort_keys=True) + "\n").encode("utf-8")


def find_in_package(data: bytes, env_id: EnvID, where: str) -> ResolvedEnvironment | None:
    """Return the environment of that id from the bytes of `package_document`, or None."""
    try:
        documents = json.loads(data.decode("utf-8"))["environments"]
        wanted = [document for document in documents if document["id"] == list(env_id)]
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{where}: not a file of environments ({error})", REPAIR) from None
    return ResolvedEnvironment.from_dict(wanted[0], where) if wanted else None
