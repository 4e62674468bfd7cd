"""Stage 1 in a container: the ordinary creation, with tools and packages that stage 0 has fetched."""

from __future__ import annotations

from pathlib import Path

from ..engine import create as creation
from ..engine.events import Reporter
from ..engine.ports import ByteCode
from ..engine.resolved import ResolvedEnvironment
from .wiring import ContainerParts


class Stage:
    """Creates prefixes below *root* by way of the cache *packages*, with the tools in *tools*."""

    def __init__(self, tools: str, root: str, packages: str, byte_code: ByteCode) -> None:
        self._parts = ContainerParts(Path(tools), Path(root), Path(packages), byte_code)
        self._parts.begin()

    def create(self, environment: ResolvedEnvironment) -> dict[str, str]:
        """Return the activation variables of the prefix of *environment*, whose packages have URLs of this machine.

        A package with another URL is fetched from where it comes from.
        """
        return dict(creation.create(environment, self._parts.creator, Reporter()).variables)
