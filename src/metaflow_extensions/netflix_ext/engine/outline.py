"""What a list tells of an environment, read off its document without checking each package."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .errors import StoreError
from .identity import EnvID
from .resolved import SCHEMA
from .spec import CONDA_ONLY, MIXED, PYPI_ONLY

_OF_ITSELF = ("by", "on", "extends", "schema")
# A line break within a text is written as two characters: such a line is a field of a package, whatever texts hold.
_FIELD = re.compile('\n   "(name|version|build|size)": ([^\n]*)')

_Fields = tuple[str, str, int, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """An environment in short.

    ``on`` (UTC, ISO 8601) and ``by`` tell when it was resolved and by whom, ``tools`` with which versions of which
    tools, ``extends`` what it extends; all may be empty. ``conda`` are names, versions and builds, ``pypi`` names and
    versions, ``size`` the bytes of all archives, as far as they are known.
    """

    env_id: EnvID
    kind: str
    python: str
    by: str
    on: str
    tools: Mapping[str, str]
    extends: str
    requirements: tuple[str, ...]
    sources: tuple[str, ...]
    conda: tuple[tuple[str, str, str], ...]
    pypi: tuple[tuple[str, str], ...]
    size: int

    @property
    def count(self) -> int:
        """The number of its packages."""
        return len(self.conda) + len(self.pypi)

    @classmethod
    def from_document(cls, document: Mapping[str, Any], env_id: EnvID, where: str) -> Outline:
        """Read the plain values of `ResolvedEnvironment.to_dict`; raise StoreError with *where* in it."""
        try:
            return cls._make(document, _fields(document["conda"]), _fields(document["pypi"]), env_id)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StoreError(
                f"{where}: not an environment document ({error!r})", "remove it, and resolve the environment again"
            ) from None

    @classmethod
    def skim(cls, data: bytes, env_id: EnvID) -> Outline | None:
        """Read the document of *env_id* where it has the very form of `ResolvedEnvironment.to_bytes`, else return None.

        Of packages it reads the lines that tell name, version, build and size: as JSON, a document takes three times
        as long, which is a third of a second for five hundred.
        """
        try:
            text = data.decode("utf-8")
            facts = text.rindex(',\n "id": ')
            pypi = text.index(',\n "pypi": ', facts)
            rest = text.index(',\n "schema": ', pypi)
            head = json.loads("{" + text[facts + 1 : pypi] + text[rest:])
            if not text.startswith('{\n "conda": [') or head["schema"] != SCHEMA or head["id"] != list(env_id):
                return None
            return cls._make(head, _skimmed(text[:facts]), _skimmed(text[pypi:rest]), env_id)
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
            return None

    @classmethod
    def _make(cls, head: Mapping[str, Any], conda: list[_Fields], pypi: list[_Fields], env_id: EnvID) -> Outline:
        spec, facts = head["spec"], head["provenance"]
        return cls(
            env_id=env_id,
            kind=(MIXED if spec.get("conda") else PYPI_ONLY) if spec.get("pypi") else CONDA_ONLY,
            python=next((version for _, name, _, version in conda if name == "python"), ""),
            by=str(facts.get("by", "")),
            on=str(facts.get("on", "")),
            tools={str(name): str(version) for name, version in facts.items() if name not in _OF_ITSELF},
            extends=str(facts.get("extends", "")),
            requirements=_requirements(spec),
            sources=(
                *(f"conda::{channel}" for channel in spec.get("channels", ())),
                *(f"pypi::{index}" for index in spec.get("indexes", ())),
            ),
            conda=tuple([(name, version, build) for build, name, _, version in conda]),
            pypi=tuple([(name, version) for _, name, _, version in pypi]),
            size=sum([size for _, _, size, _ in (*conda, *pypi)]),
        )


def _fields(packages: Iterable[Mapping[str, Any]]) -> list[_Fields]:
    return [(item.get("build", ""), item["name"], item.get("size", 0), item["version"]) for item in packages]


def _skimmed(section: str) -> list[_Fields]:
    """Return the same for the packages of a section; raise ValueError where it is not as it must be."""
    found: list[_Fields] = []
    build, name, size = "", "", 0
    fields = _FIELD.findall(section)  # sorted, in each package: build, name, size, version
    for field, value in fields:
        if field == "version":
            found.append((build, name, size, value.strip('",')))
            build, name, size = "", "", 0
        elif field == "name":
            name = value.strip('",')
        elif field == "build":
            build = value.strip('",')
        else:
            size = int(value.rstrip(","))
    escaped = any("\\" in value for _, value in fields)
    if escaped or len(found) != section.count("\n  {\n") or not all(item[1] for item in found):
        raise ValueError(section[:20])
    return found


def _requirements(spec: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what was asked for, Python first, in 1.x's form: ``conda::name==1.2``, ``pypi::name>=1``, ``sys::...``."""
    return (
        *(f"conda::{_joined(f'python {python}')}" for python in (spec.get("python"),) if python),
        *(f"conda::{_joined(text)}" for text in (*spec.get("conda", ()), *spec.get("conda_only", ()))),
        *(f"pypi::{text}" for text in spec.get("pypi", ())),
        *(f"sys::{text.replace('=', '==', 1)}" for text in spec.get("virtual", ())),
    )


def _joined(text: str) -> str:
    """Return ``name constraint build`` without spaces, as conda also reads it."""
    name, _, constraint = text.partition(" ")
    if not constraint or constraint.startswith("* "):
        return text
    return f"{name}{'' if constraint[0] in '=<>!~' else '=='}{constraint.replace(' ', '=')}"
