"""Where rattler keeps unpacked packages, and what of them is there. Light: py-rattler is not imported."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import IO

from ..engine.package import CondaPackage

# A revision of eight bytes, then the SHA-256 of the archive that was unpacked.
_DIGEST = slice(8, 40)


def default_packages() -> Path:
    """Return the package cache that every program built on rattler shares."""
    chosen = os.environ.get("RATTLER_CACHE_DIR")
    if chosen:
        return Path(chosen) / "pkgs"
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        named = os.environ.get("XDG_CACHE_HOME", "")
        base = Path(named) if Path(named).is_absolute() else Path.home() / ".cache"
    return base / "rattler" / "cache" / "pkgs"


def is_unpacked(package: CondaPackage, packages: Path) -> bool:
    """Tell whether the folder *packages* holds *package*, unpacked from the archive that it names.

    A form of the cache that is not known here counts as not there.
    """
    folder = packages / f"{package.name}-{package.version}-{package.build}"
    try:
        digest = folder.with_name(f"{folder.name}.lock").read_bytes()[_DIGEST]
    except OSError:
        return False
    return bool(package.sha256) and digest.hex() == package.sha256 and folder.is_dir()


def mark_unpacked(package: CondaPackage, lock: IO[bytes]) -> None:
    """Write into the *lock* file of a package, which the caller holds, that its folder is there."""
    lock.seek(0)
    lock.truncate()
    lock.write((1).to_bytes(_DIGEST.start, "big") + bytes.fromhex(package.sha256))
    lock.flush()
