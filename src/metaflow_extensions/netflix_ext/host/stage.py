"""Stage 1 in a container: the ordinary creation, with tools and packages that stage 0 has fetched."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ..engine import create as creation
from ..engine.events import Reporter
from ..engine.ports import ByteCode
from ..engine.resolved import ResolvedEnvironment
from .wiring import ContainerParts


class Stage:
    """Creates prefixes below *root* with the tools unpacked in *tools*, and with the byte code that has come along."""

    def __init__(self, tools: str, root: str, byte_code: ByteCode) -> None:
        self._parts = ContainerParts(Path(tools), Path(root), byte_code)

    def begin(self) -> None:
        """Start what takes time to start."""
        self._parts.begin()

    def create(self, environment: ResolvedEnvironment, archives: Mapping[str, str]) -> dict[str, str]:
        """Return the activation variables of the prefix of *environment*, made from *archives* (by file name).

        What is not among those is fetched from where it comes from.
        """
        urls = {name: Path(os.path.abspath(path)).as_uri() for name, path in archives.items()}
        local = replace(
            environment,
            stored={},
            conda=tuple(replace(item, url=urls.get(item.filename, item.url)) for item in environment.conda),
            pypi=tuple(
                replace(item, url=urls[item.filename], index="") if item.filename in urls else item
                for item in environment.pypi
            ),
        )
        return dict(creation.create(local, self._parts.creator, Reporter()).variables)
