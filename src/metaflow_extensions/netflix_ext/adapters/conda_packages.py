"""What the user's own conda has on this machine: archives, and folders that it has unpacked.

All is checked before it is used, nothing is written there, and what is taken is copied: a prefix shares its files with
the cache that it is linked from, and conda's are not ours to share.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..engine.events import Reporter
from ..engine.formats import FORMATS
from ..engine.package import CondaPackage
from ..engine.ports import CondaInstaller
from .digest import file_digest, parts_of
from .rattler_cache import is_unpacked, mark_unpacked


class CondaPackages:
    """The packages in *folders*, as conda's ``pkgs_dirs`` names them."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders

    def archive(self, package: CondaPackage) -> Path | None:
        """Return the archive of *package* that conda has kept, if its bytes are those that were resolved."""
        algorithm, expected = parts_of(package.digest)
        for folder in self._folders:
            path = folder / package.filename
            try:
                if expected and path.is_file() and file_digest(path, algorithm) == expected:
                    return path
            except OSError:
                continue
        return None

    def adopt(self, package: CondaPackage, packages: Path) -> bool:
        """Copy what conda has unpacked of *package* to rattler's cache *packages*; tell whether it is there by now.

        Each of its files must be what the package itself says, and the package the one that was resolved.
        """
        stem = next((package.filename.removesuffix(end) for end in FORMATS if package.filename.endswith(end)), "")
        found = next((place for folder in self._folders if _is_it(place := folder / stem, package)), None)
        if found is None or not stem or not package.sha256:
            return False
        target = packages / f"{package.name}-{package.version}-{package.build}"
        aside = packages / f".{target.name}.{secrets.token_hex(4)}"
        try:
            packages.mkdir(parents=True, exist_ok=True)
            with target.with_name(f"{target.name}.lock").open("a+b") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if is_unpacked(package, packages):
                    return True
                if target.exists():  # another package of that name: whoever needs that one has it
                    return False
                shutil.copytree(found, aside, symlinks=True)
                if not _is_whole(aside):
                    return False
                aside.rename(target)
                mark_unpacked(package, lock)
        except OSError:
            return False
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        return True


class Adopting:
    """Links by *installer* from the cache *packages*, to which it copies what the user's *conda* has unpacked."""

    def __init__(self, installer: CondaInstaller, conda: CondaPackages, packages: Path) -> None:
        self._installer = installer
        self._conda = conda
        self._packages = packages

    def install(self, packages: tuple[CondaPackage, ...], stage: Path, final: Path, report: Reporter) -> None:
        """See `ports.CondaInstaller.install`."""
        self._installer.install(packages, stage, final, report)

    def unpacked(self, package: CondaPackage) -> bool:
        """Tell whether *package* lies unpacked on this machine, copied from conda's folders if that is where it is."""
        return self._installer.unpacked(package) or self._conda.adopt(package, self._packages)


def _is_it(folder: Path, package: CondaPackage) -> bool:
    record = _json(folder / "info" / "repodata_record.json")
    return record.get("fn") == package.filename and record.get("sha256") == package.sha256 != ""


def _is_whole(folder: Path) -> bool:
    """Tell whether every file that the package has is there, with the hash that the package says."""
    paths = _json(folder / "info" / "paths.json").get("paths")
    if not isinstance(paths, list):
        return False
    try:
        return all(
            os.path.islink(folder / path["_path"])
            if path["path_type"] == "softlink"
            else (folder / path["_path"]).is_dir()
            if path["path_type"] == "directory"
            else file_digest(folder / path["_path"], "sha256") == path["sha256"]
            for path in paths
        )
    except (OSError, KeyError, TypeError):
        return False


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
