"""What the user asked for: frozen, normalised, un-resolved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .identity import digest
from .platform import VirtualPackage
from .requirement import CondaRequirement, PypiRequirement

CONDA_ONLY, PYPI_ONLY, MIXED = "conda-only", "pypi-only", "mixed"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvSpec:
    """Requirements, ordered sources without credentials, Python, and asked virtual packages.

    Python itself and ``pip`` come from a channel even where all requirements are PyPI ones.
    An index is the word ``default`` or a URL.
    """

    python: str
    conda: tuple[CondaRequirement, ...] = ()
    pypi: tuple[PypiRequirement, ...] = ()
    channels: tuple[str, ...] = ()
    indexes: tuple[str, ...] = ()
    virtual: tuple[VirtualPackage, ...] = ()

    @classmethod
    def make(
        cls,
        *,
        python: str,
        conda: tuple[CondaRequirement, ...] = (),
        pypi: tuple[PypiRequirement, ...] = (),
        channels: tuple[str, ...] = (),
        indexes: tuple[str, ...] = (),
        virtual: tuple[VirtualPackage, ...] = (),
    ) -> EnvSpec:
        """Build a spec whose parts are sorted and said once; sources keep their order."""
        return cls(
            python=python,
            conda=tuple(sorted(set(conda))),
            pypi=tuple(sorted(set(pypi))),
            channels=tuple(dict.fromkeys(channels)),
            indexes=tuple(dict.fromkeys(indexes)),
            virtual=tuple(sorted(set(virtual))),
        )

    @property
    def kind(self) -> str:
        """``conda-only``, ``pypi-only`` or ``mixed``."""
        if not self.pypi:
            return CONDA_ONLY
        return MIXED if self.conda else PYPI_ONLY

    def to_dict(self) -> dict[str, Any]:
        """Return the canonical form, which is also what the id is made of."""
        return {
            "python": self.python,
            "conda": [str(requirement) for requirement in self.conda],
            "pypi": [str(requirement) for requirement in self.pypi],
            "channels": list(self.channels),
            "indexes": list(self.indexes) if self.pypi else [],
            "virtual": [str(package) for package in self.virtual],
        }

    @property
    def req_id(self) -> str:
        """The id of the spec (design section 3): nothing of the machine enters it."""
        return digest(self.to_dict())
