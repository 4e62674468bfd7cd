"""Byte code that has come with an environment: unpacked while packages are fetched, then moved into the prefix.

Imports on Python 3.7 (step side).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import zipfile
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from ...engine.package import AnyPackage

_FOLDER = "__pycache__"


class TravelledByteCode:
    """Byte code below *folder*, a folder for each package; see `ports.LinkedByteCode`. It never raises."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def unpack(self, archive: str, name: str) -> None:
        """Unpack the byte code of one package, which *name* names; several threads may do so at once."""
        target = os.path.join(self._folder, name)
        made = set()
        with contextlib.suppress(OSError, zipfile.BadZipFile), zipfile.ZipFile(archive) as packed:
            for member in packed.namelist():
                parts = member.split("/")
                if ".." in parts or member.startswith("/") or parts[-2:-1] != [_FOLDER]:
                    continue
                folder = os.path.join(target, *parts[:-1])
                if folder not in made:
                    os.makedirs(folder, exist_ok=True)
                    made.add(folder)
                with open(os.path.join(folder, parts[-1]), "wb") as file:
                    file.write(packed.read(member))

    def link(self, stage: Path, packages: Iterable[AnyPackage]) -> int:  # noqa: ARG002 - all that came
        """Move what there is beside the sources in *stage*, and return how many files."""
        count = 0
        with contextlib.suppress(OSError):
            for name in os.listdir(self._folder) if os.path.isdir(self._folder) else ():
                top = os.path.join(self._folder, name)
                for folder, _, files in list(os.walk(top)):
                    if os.path.basename(folder) == _FOLDER:
                        count += _moved(folder, os.path.join(str(stage), os.path.relpath(folder, top)), files)
        shutil.rmtree(self._folder, ignore_errors=True)
        return count


def _moved(folder: str, target: str, files: Iterable[str]) -> int:
    """Move *files* of *folder* to *target*; what lies there stays, and where no sources lie nothing goes."""
    names = list(files)
    if not os.path.isdir(os.path.dirname(target)):
        return 0
    if not os.path.exists(target):
        shutil.move(folder, target)
        return len(names)
    missing = [name for name in names if not os.path.exists(os.path.join(target, name))]
    for name in missing:
        shutil.move(os.path.join(folder, name), os.path.join(target, name))
    return len(missing)
