"""Conda packages from one format into the other, by conda-package-handling, which need not be installed."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

from ..engine.errors import PackageError, ToolError
from ..engine.formats import FORMATS
from . import disk

_INSTALL = "pip install conda-package-handling, or leave METAFLOW_CONDA_PREFERRED_FORMAT unset"
_EPOCH = (1980, 1, 1, 0, 0, 0)


class PackageHandling:
    """Packs with the library conda-package-handling: the same input gives the same bytes."""

    def transmute(self, archive: Path, extension: str, folder: Path) -> Path:
        """Return the file in *folder* with the content of *archive*, in the format that *extension* names.

        Raises ToolError where the library is not installed, PackageError where *archive* cannot be read.
        """
        try:
            from conda_package_handling import api
        except ImportError:
            raise ToolError(
                f"packing '{archive.name}' as {extension} needs the package conda-package-handling", _INSTALL
            ) from None
        stem = next(archive.name.removesuffix(known) for known in FORMATS if archive.name.endswith(known))
        target = folder / f"{stem}{extension}"
        try:
            errors = api.transmute(str(archive), extension, out_folder=str(folder))
        except OSError:
            raise
        except Exception as error:
            raise PackageError(
                f"'{archive.name}' cannot be unpacked: {error}", "resolve the environment anew"
            ) from error
        if errors or not target.is_file():
            raise PackageError(
                f"'{archive.name}' cannot be packed as {extension}: {errors}", "leave its format as it is"
            )
        if extension == ".conda":
            _forget_times(target)
        return target


def _forget_times(archive: Path) -> None:
    """Write *archive* anew without the time at which it was packed: its hash is its name."""
    with (
        disk.aside(archive) as aside,
        zipfile.ZipFile(archive) as source,
        zipfile.ZipFile(aside, "w", zipfile.ZIP_STORED) as target,
    ):
        for member in source.infolist():
            entry = zipfile.ZipInfo(member.filename, _EPOCH)
            entry.file_size = member.file_size
            with source.open(member) as data, target.open(entry, "w") as copied:
                shutil.copyfileobj(data, copied, 1 << 20)
