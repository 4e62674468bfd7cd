"""What a list tells of an environment, read off its document without checking each package."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .identity import EnvID
from .resolved import SCHEMA
from .spec import CONDA_ONLY, MIXED, PYPI_ONLY

_BEGINNING = b'{\n "conda": ['
_OF_ITSELF = ("by", "on", "extends", "schema")


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
    def from_bytes(cls, data: bytes, env_id: EnvID) -> Outline | None:
        """Read the document of *env_id* that `ResolvedEnvironment.to_bytes` wrote; None where *data* is no such one.

        Its packages are not checked and its id is not computed, which takes four times as long: what begins otherwise,
        because another program has written it again, is left to those who do that.
        """
        if not data.startswith(_BEGINNING):
            return None
        try:
            document = json.loads(data)
            ours = document["schema"] == SCHEMA and document["id"] == list(env_id)
            return cls.from_document(document, env_id) if ours else None
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
            return None

    @classmethod
    def from_document(cls, document: Mapping[str, Any], env_id: EnvID) -> Outline:
        """Read the plain values of `ResolvedEnvironment.to_dict`."""
        spec, facts, conda, pypi = (document[name] for name in ("spec", "provenance", "conda", "pypi"))
        interpreter = [document["interpreter"]] if "interpreter" in document else []
        return cls(
            env_id=env_id,
            kind=(MIXED if spec.get("conda") else PYPI_ONLY) if spec.get("pypi") or interpreter else CONDA_ONLY,
            python=next((str(item["version"]) for item in (*interpreter, *conda) if item["name"] == "python"), ""),
            by=str(facts.get("by", "")),
            on=str(facts.get("on", "")),
            tools={str(name): str(version) for name, version in facts.items() if name not in _OF_ITSELF},
            extends=str(facts.get("extends", "")),
            requirements=_requirements(spec),
            sources=(
                *(f"conda::{channel}" for channel in spec.get("channels", ())),
                *(f"pypi::{index}" for index in spec.get("indexes", ())),
            ),
            conda=tuple([(str(item["name"]), str(item["version"]), str(item["build"])) for item in conda]),
            pypi=tuple([(str(item["name"]), str(item["version"])) for item in pypi]),
            size=sum([int(item.get("size") or 0) for item in (*conda, *pypi, *interpreter)]),
        )


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
