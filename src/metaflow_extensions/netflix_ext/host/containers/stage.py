"""Stage 1 in a container: the ordinary creation, with tools and packages that stage 0 has fetched."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ...engine import create as creation
from ...engine.events import Reporter
from ...engine.resolved import ResolvedEnvironment
from .delivery import Additions
from .parts import ContainerParts

if TYPE_CHECKING:
    from ...adapters.worker import Worker


class Stage:
    """Creates prefixes below *root* by *worker*, uv in *tools* and the cache *packages*; *headers* open URLs.

    *say* tells the log.
    """

    # Whether packages may have URLs of the store.
    reads = True

    def __init__(
        self,
        worker: Worker,
        tools: str,
        root: str,
        packages: str,
        headers: Mapping[str, Mapping[str, str]],
        say: Callable[[str], None],
    ) -> None:
        self._parts = ContainerParts(worker, Path(tools), Path(root), Path(packages), headers)
        self._report = _Notes(say)

    def create(self, environment: ResolvedEnvironment, additions: Additions) -> dict[str, str]:
        """Return the activation variables of the prefix of *environment*, whose packages have URLs that can be read.

        A package with another URL is fetched from where it comes from; wheels are those of *additions*.
        """
        return dict(creation.create(environment, self._parts.creator(additions), self._report).variables)


class _Notes(Reporter):
    """Tells a log what people should know, such as that another task is waited for, and no progress."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say

    def note(self, message: str) -> None:
        """See `Reporter.note`."""
        self._say(message)
