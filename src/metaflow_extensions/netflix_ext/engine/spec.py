"""What the user asked for: frozen, normalised, un-resolved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .errors import ExtensionError, StoreError
from .identity import digest
from .options import PypiOptions
from .platform import VirtualPackage
from .requirement import CondaRequirement, PypiRequirement
from .secret import strip_credentials

CONDA_ONLY, PYPI_ONLY, MIXED = "conda-only", "pypi-only", "mixed"
# uv's Python: one that is installed or one that it manages, as uv prefers; and one that it manages, for any machine.
UV, UV_MANAGED = "uv", "uv-managed"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvSpec:
    """Requirements, ordered sources without credentials, Python, and asked virtual packages.

    Python itself and ``pip`` come from a channel even where all requirements are PyPI ones.
    An index is the word ``default`` or a URL. ``conda_only`` are conda packages that bring no Python, beside PyPI ones.
    ``base`` is the full id of the environment that this one extends, if any: its packages stay what they are.
    ``interpreter`` says where Python comes from where that is no channel: one of the words below.
    """

    python: str
    conda: tuple[CondaRequirement, ...] = ()
    pypi: tuple[PypiRequirement, ...] = ()
    channels: tuple[str, ...] = ()
    indexes: tuple[str, ...] = ()
    virtual: tuple[VirtualPackage, ...] = ()
    conda_only: tuple[CondaRequirement, ...] = ()
    options: PypiOptions = field(default_factory=PypiOptions)
    base: str = ""
    interpreter: str = ""

    @classmethod
    def make(  # noqa: PLR0913 - one for each part
        cls,
        *,
        python: str,
        conda: tuple[CondaRequirement, ...] = (),
        pypi: tuple[PypiRequirement, ...] = (),
        channels: tuple[str, ...] = (),
        indexes: tuple[str, ...] = (),
        virtual: tuple[VirtualPackage, ...] = (),
        conda_only: tuple[CondaRequirement, ...] = (),
        options: PypiOptions | None = None,
        base: str = "",
        interpreter: str = "",
    ) -> EnvSpec:
        """Build a spec without credentials, whose parts are sorted and said once; sources keep their order."""
        return cls(
            python=python,
            conda=tuple(sorted({item.clean() for item in conda})),
            pypi=tuple(sorted({item.clean() for item in pypi})),
            channels=tuple(dict.fromkeys(map(strip_credentials, channels))),
            indexes=tuple(dict.fromkeys(map(strip_credentials, indexes))),
            virtual=tuple(sorted(set(virtual))),
            conda_only=tuple(sorted({item.clean() for item in conda_only})),
            options=(options or PypiOptions()).clean(),
            base=base,
            interpreter=interpreter,
        )

    @property
    def kind(self) -> str:
        """``conda-only``, ``pypi-only`` or ``mixed``."""
        if not self.pypi and not self.interpreter:
            return CONDA_ONLY
        return MIXED if self.conda else PYPI_ONLY

    def to_dict(self) -> dict[str, Any]:
        """Return the canonical form, which is also what the id is made of."""
        options = self.options.to_dict() if self.pypi else {}
        more = {
            "conda_only": [str(requirement) for requirement in self.conda_only],
            "options": options,
            "base": self.base,
            "interpreter": self.interpreter,
        }
        return {
            "python": self.python,
            "conda": [str(requirement) for requirement in self.conda],
            "pypi": [str(requirement) for requirement in self.pypi],
            "channels": list(self.channels),
            "indexes": list(self.indexes) if self.pypi else [],
            "virtual": [str(package) for package in self.virtual],
            **{name: value for name, value in more.items() if value},
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: str) -> EnvSpec:
        """Read what `to_dict` wrote, as an environment's document holds it; *where* names the document in an error."""
        try:
            return cls.make(
                python=str(values["python"]),
                conda=tuple(CondaRequirement.parse(text) for text in values.get("conda", ())),
                pypi=tuple(PypiRequirement.parse(text) for text in values.get("pypi", ())),
                channels=tuple(values.get("channels", ())),
                indexes=tuple(values.get("indexes", ())),
                virtual=tuple(VirtualPackage.parse(text) for text in values.get("virtual", ())),
                conda_only=tuple(CondaRequirement.parse(text) for text in values.get("conda_only", ())),
                options=PypiOptions.from_dict(values.get("options", {})),
                base=str(values.get("base", "")),
                interpreter=str(values.get("interpreter", "")),
            )
        except (ExtensionError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise StoreError(
                f"{where}: what was asked for cannot be read ({error})", "resolve it anew, from its requirements"
            ) from None

    @property
    def req_id(self) -> str:
        """The id of the spec (design section 3): nothing of the machine enters it."""
        return digest(self.to_dict())
