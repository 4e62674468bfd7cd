"""How wheels are picked, beside what is asked for and where it is looked for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from .requirement import PypiRequirement
from .secret import strip_credentials

T = TypeVar("T")
# uv's words for: the first index that has a name is asked for it alone; each index gives way to the next where it has
# no version that will do.
FIRST_INDEX, FIRST_MATCH = "first-index", "unsafe-first-match"


@dataclass(frozen=True, slots=True)
class HashedRequirement:
    """A requirement that only these files may meet; each hash is ``algorithm:digits``, any of them will do."""

    requirement: PypiRequirement
    hashes: tuple[str, ...]

    def __str__(self) -> str:
        return " ".join([str(self.requirement), *(f"--hash={text}" for text in self.hashes)])

    @classmethod
    def parse(cls, text: str) -> HashedRequirement:
        """Read what ``str`` wrote."""
        requirement, *hashes = text.split(" --hash=")
        return cls(PypiRequirement.parse(requirement), tuple(hashes))


@dataclass(frozen=True, slots=True, kw_only=True)
class PypiOptions:
    """What is said beside requirements and indexes, in a requirements.txt or elsewhere.

    Attributes:
        constraints: versions that hold only for what is installed anyway (``-c``)
        find_links: folders and pages of archives, as URLs
        trusted_hosts: hosts whose certificates are not checked
        hashed: the requirements and constraints that name the hashes of their files
        pre: whether pre-releases are welcome
        no_index: whether nothing but ``find_links`` may be asked
        package_indexes: name (canonical) and index of each package that comes from that index alone
        strategy: how several indexes are asked, as uv names it, where it is not the first that has a name
        torch_backend: which builds of PyTorch are taken, as uv names them; ``auto`` by the ``__cuda`` of the target
    """

    constraints: tuple[PypiRequirement, ...] = ()
    find_links: tuple[str, ...] = ()
    trusted_hosts: tuple[str, ...] = ()
    hashed: tuple[HashedRequirement, ...] = ()
    pre: bool = False
    no_index: bool = False
    package_indexes: tuple[tuple[str, str], ...] = ()
    strategy: str = ""
    torch_backend: str = ""

    def hashes_of(self, name: str) -> frozenset[str]:
        """Return the hashes that the distribution *name* (canonical) may have; nothing where any will do."""
        return frozenset(text for item in self.hashed if item.requirement.name == name for text in item.hashes)

    def joined(self, other: PypiOptions) -> PypiOptions:
        """Return what holds where both are said: sources keep their order, and of two that exclude each other, ours."""
        return PypiOptions(
            constraints=_once((*self.constraints, *other.constraints)),
            find_links=_once((*self.find_links, *other.find_links)),
            trusted_hosts=_once((*self.trusted_hosts, *other.trusted_hosts)),
            hashed=_once((*self.hashed, *other.hashed)),
            pre=self.pre or other.pre,
            no_index=self.no_index or other.no_index,
            package_indexes=tuple({**dict(other.package_indexes), **dict(self.package_indexes)}.items()),
            strategy=self.strategy or other.strategy,
            torch_backend=self.torch_backend or other.torch_backend,
        )

    def clean(self) -> PypiOptions:
        """Return the same without credentials, its unordered parts sorted."""
        return PypiOptions(
            constraints=tuple(sorted({item.clean() for item in self.constraints})),
            find_links=_once(strip_credentials(url) for url in self.find_links),
            trusted_hosts=tuple(sorted(set(self.trusted_hosts))),
            hashed=tuple(
                sorted({replace(item, requirement=item.requirement.clean()) for item in self.hashed}, key=str)
            ),
            pre=self.pre,
            no_index=self.no_index,
            package_indexes=tuple(sorted((name, strip_credentials(url)) for name, url in self.package_indexes)),
            strategy="" if self.strategy == FIRST_INDEX else self.strategy,
            torch_backend=self.torch_backend,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return what is said, in JSON's types; nothing for what is not."""
        values = {
            "constraints": [str(requirement) for requirement in self.constraints],
            "find_links": list(self.find_links),
            "trusted_hosts": list(self.trusted_hosts),
            "hashed": [str(requirement) for requirement in self.hashed],
            "pre": self.pre,
            "no_index": self.no_index,
            "package_indexes": dict(self.package_indexes),
            "strategy": self.strategy,
            "torch_backend": self.torch_backend,
        }
        return {name: value for name, value in values.items() if value}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> PypiOptions:
        """Read what `to_dict` wrote; raise InputError, KeyError or TypeError where it is anything else."""
        return cls(
            constraints=tuple(PypiRequirement.parse(text) for text in values.get("constraints", ())),
            find_links=tuple(values.get("find_links", ())),
            trusted_hosts=tuple(values.get("trusted_hosts", ())),
            hashed=tuple(HashedRequirement.parse(text) for text in values.get("hashed", ())),
            pre=bool(values.get("pre", False)),
            no_index=bool(values.get("no_index", False)),
            package_indexes=tuple(sorted(values.get("package_indexes", {}).items())),
            strategy=str(values.get("strategy", "")),
            torch_backend=str(values.get("torch_backend", "")),
        )


def _once(items: Iterable[T]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(items))
