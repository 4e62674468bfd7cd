"""Copies of a channel and index, to change or to serve otherwise."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def hard_copy(source: Path, target: Path) -> None:
    """Copy a folder, by hard links where they are possible; replace files in it, never write into them."""

    def link(one: str, other: str) -> None:
        try:
            os.link(one, other)
        except OSError:
            shutil.copy2(one, other)

    shutil.copytree(source, target, copy_function=link)


def with_token(built: Path, root: Path, token: str) -> None:
    """Lay out *built* below *root*, with the channel once more below conda's path of a token."""
    hard_copy(built / "conda", root / "t" / token / "conda")
    for folder in ("conda", "simple", "files"):
        hard_copy(built / folder, root / folder)
