"""Two past tasks side by side: parameters, artifacts, code, environments. Nothing is created, and no code executed."""

from __future__ import annotations

import difflib
import hashlib
import io
import tarfile
from collections.abc import Callable, Container, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from ...engine.alias import step_name
from ...engine.package import CondaPackage
from ...engine.resolved import ResolvedEnvironment
from ..commands import unpacking
from ..flow import PACKAGE_FILE
from ..workbench import Workbench
from .past import Past

_SMALL, _SHOWN = 10_000, 80
_NOT_CODE = (
    ".mf_code/",
    ".mf_meta/",
    ".mf_install",
    "metaflow/",
    "metaflow_extensions/",
    "INFO",
    "CONFIG",
    PACKAGE_FILE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """How one thing differs: what only the first or the second has, and what both have in two ways, by name."""

    same: int
    first: dict[str, str]
    second: dict[str, str]
    changed: dict[str, tuple[str, str]]

    @property
    def differs(self) -> bool:
        """Whether there is any difference."""
        return bool(self.first or self.second or self.changed)

    def lines(self) -> list[str]:
        """Return the differences, a line each."""
        found = [f"- {name} {value}".rstrip() for name, value in self.first.items()]
        found += [f"+ {name} {value}".rstrip() for name, value in self.second.items()]
        found += [
            f"~ {name} {one} -> {other}" if one or other else f"~ {name}" for name, (one, other) in self.changed.items()
        ]
        return sorted(found, key=lambda line: line[2:])


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All of it; a part is None, with the reason in ``unknown``, where one of the tasks has not recorded it.

    ``diff`` are the lines that differ in files of the code.
    """

    parameters: Part
    artifacts: Part
    code: Part | None
    environment: Part | None
    unknown: dict[str, str]
    diff: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)


def compare(first: Past, second: Past, bench: Workbench) -> Comparison:
    """Compare two tasks."""
    unknown: dict[str, str] = {}
    names = {str(item["name"]) for past in (first, second) for item in past.graph.get("parameters", ())}
    parameters, artifacts = zip(_artifacts(first, names), _artifacts(second, names), strict=True)
    words = _values(first), _values(second)
    codes = _codes(first, second, unknown)
    environments = _environments(first, second, bench, unknown)
    return Comparison(
        parameters=_part(*parameters, *words),
        artifacts=_part(*artifacts, *words),
        code=None if codes is None else _part(_digests(codes[0]), _digests(codes[1])),
        environment=None if environments is None else _packages(*environments),
        unknown=unknown,
        diff=() if codes is None else tuple(_diff(*codes)),
    )


def _artifacts(past: Past, parameters: Container[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the digests of *parameters*, and of all other artifacts but those of Metaflow itself, by name."""
    found = {artifact.id: artifact.sha for artifact in past.task if not artifact.id.startswith("_")}
    found.pop("name", None)
    return (
        {name: digest for name, digest in found.items() if name in parameters},
        {name: digest for name, digest in found.items() if name not in parameters},
    )


def _values(past: Past) -> Callable[[str], str]:
    """Return words for the value of an artifact of a task: one that is small is read, if that can be done here."""

    def words(name: str) -> str:
        artifact = past.task[name]
        size = artifact.size or 0
        if size <= _SMALL:
            with suppress(Exception):  # what it is made of may be in its own environment alone
                text = repr(artifact.data)
                return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
        return f"({size:,} bytes)"

    return words


def _nothing(_: str) -> str:
    return ""


def _part(
    first: Mapping[str, str],
    second: Mapping[str, str],
    one: Callable[[str], str] = _nothing,
    other: Callable[[str], str] = _nothing,
) -> Part:
    """Return how contents differ, by digest; *one* and *other* have words for what is behind a name."""
    both = [name for name in first if name in second]
    return Part(
        same=sum(first[name] == second[name] for name in both),
        first={name: one(name) for name in first if name not in second},
        second={name: other(name) for name in second if name not in first},
        changed={name: (one(name), other(name)) for name in both if first[name] != second[name]},
    )


def _codes(first: Past, second: Past, unknown: dict[str, str]) -> tuple[dict[str, bytes], dict[str, bytes]] | None:
    without = [past.pathspec for past in (first, second) if not past.metadata.get("code-package")]
    if without:
        unknown["code"] = (
            f"{' and '.join(without)} kept no code package; "
            "METAFLOW_FEAT_ALWAYS_UPLOAD_CODE_PACKAGE=1 makes runs keep it"
        )
        return None
    return _files(first), _files(second)


def _files(past: Past) -> dict[str, bytes]:
    data = unpacking.package_of(past.task)
    found = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for member in archive:
            if member.isfile() and not member.name.startswith(_NOT_CODE):
                opened = archive.extractfile(member)
                found[member.name] = opened.read() if opened is not None else b""
    return found


def _digests(files: Mapping[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}


def _diff(first: Mapping[str, bytes], second: Mapping[str, bytes]) -> Iterable[str]:
    for name in sorted({*first, *second}):
        before, after = (files.get(name, b"").decode("utf-8", "replace").splitlines() for files in (first, second))
        yield from difflib.unified_diff(before, after, name, name, lineterm="")


def _environments(
    first: Past, second: Past, bench: Workbench, unknown: dict[str, str]
) -> tuple[ResolvedEnvironment, ResolvedEnvironment] | None:
    outside = [past.pathspec for past in (first, second) if not past.metadata.get("conda_env_id")]
    if outside:
        unknown["environment"] = f"{' and '.join(outside)} ran outside of environments"
        return None
    arch = bench.wiring.machine.arch()
    one, other = (bench.lookup.find(step_name(past.pathspec), arch) for past in (first, second))
    return one, other


def _packages(first: ResolvedEnvironment, second: ResolvedEnvironment) -> Part:
    one, other = _versions(first), _versions(second)
    return _part(one, other, one.__getitem__, other.__getitem__)


def _versions(environment: ResolvedEnvironment) -> dict[str, str]:
    return {
        f"{'conda' if isinstance(package, CondaPackage) else 'pypi'}::{package.name}": (
            f"{package.version} {package.build}" if isinstance(package, CondaPackage) else package.version
        )
        for package in environment.packages
    }
