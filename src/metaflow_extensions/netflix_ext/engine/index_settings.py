"""What a user's settings of pip and uv say of indexes, as sources of whatever is resolved here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .options import PypiOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexSettings:
    """What one tool's settings say, or those of several together; URLs are as the user wrote them, with credentials.

    Attributes:
        index: what takes the place of the default index; empty where nothing does
        indexes: those that are asked before it, in order
        options: what else they say of how packages are picked
        named: the URLs of indexes that have a name, those among them that serve only what names them
        keyring: whether passwords are asked of the program ``keyring``
        skipped: a sentence for each entry that counts for nothing, for people
    """

    index: str = ""
    indexes: tuple[str, ...] = ()
    options: PypiOptions = field(default_factory=PypiOptions)
    named: Mapping[str, str] = field(default_factory=dict)
    keyring: bool = False
    skipped: tuple[str, ...] = ()

    @property
    def urls(self) -> tuple[str, ...]:
        """Every source, as the user wrote it."""
        index = (self.index,) if self.index else ()
        return (*index, *self.indexes, *self.options.find_links, *self.named.values())

    def over(self, other: IndexSettings) -> IndexSettings:
        """Return both together: these come first, and win where there can be only one."""
        return IndexSettings(
            index=self.index or other.index,
            indexes=tuple(dict.fromkeys((*self.indexes, *other.indexes))),
            options=self.options.joined(other.options),
            named={**other.named, **self.named},
            keyring=self.keyring or other.keyring,
            skipped=(*self.skipped, *other.skipped),
        )
