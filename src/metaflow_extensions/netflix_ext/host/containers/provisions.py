"""What containers need beside the documents of their environments; the store has all of it before it is named.

It goes into the file that a code package carries:

tools        by platform, the wheels with which environments are created (see `toolbox`)
installer    by platform, the program that is configured to install conda packages in their place: key, SHA-256
bytecode     by full id, byte code of packages (see `engine.compiled`)
formats      by digest, packages in the format that is preferred (see `engine.formats`)
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...engine import formats
from ...engine.errors import SettingError, unwritable
from ...engine.ports import Store
from ...engine.resolved import ResolvedEnvironment
from ..workbench import Workbench
from . import compiling


def prepare(environments: Sequence[ResolvedEnvironment], arches: Sequence[str], bench: Workbench) -> dict[str, Any]:
    """Return what containers for *arches* need to create *environments*, published if need be.

    Raises SettingError, ToolError, SourceError, PackageError, StoreError, CreateError.
    """
    store = bench.wiring.catalog.shared
    if store is None or not arches:
        return {}
    wiring, settings = bench.wiring, bench.settings
    name = "/".join(part for part in (settings.installer_folder, settings.installer) if part)
    try:
        with bench.background.interruptible(), bench.report.live():
            found: dict[str, Any] = {
                "tools": {arch: wiring.tools(store, arch, bench.report) for arch in arches},
                "installer": {arch: _installer(name, arch, store) for arch in arches if settings.installer},
                "formats": _preferred(environments, bench),
                "bytecode": {item.env_id.full_id: dict(compiling.byte_code(item, bench)) for item in environments},
            }
    except OSError as error:
        raise unwritable("", error) from error
    return {word: value for word, value in found.items() if value}


def _preferred(environments: Sequence[ResolvedEnvironment], bench: Workbench) -> formats.Forms:
    """Return packages of *environments* in the format that is preferred, which the store has from now on."""
    formatter = bench.wiring.formatter
    return formats.forms(environments, formatter, bench.report) if formatter is not None else {}


def _installer(name: str, arch: str, store: Store) -> Mapping[str, str]:
    key = name.replace("{arch}", arch)
    with tempfile.TemporaryDirectory(prefix="metaflow-installer-") as folder:
        path = Path(folder, "installer")
        if not store.copy(key, path):
            raise SettingError(
                f"the installer for containers, '{store.where(key)}', is not there",
                "put it there, or leave METAFLOW_CONDA_REMOTE_INSTALLER unset: then py-rattler does its work",
            )
        return {"key": key, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
