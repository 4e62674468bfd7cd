"""Byte code of a package as a zip file, made from the package's own file; what was made is kept beside the prefixes.

<root>/.bytecode/<cache tag>/<package digest>/...     byte code by its path below a prefix; see `bytecode`
<root>/.bytecode/<cache tag>/<package digest>.zip     the same in one file
"""

from __future__ import annotations

import json
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from ..engine.errors import ToolError
from ..engine.package import AnyPackage, PypiPackage
from . import compile_sources, disk, process
from .bytecode import FLAGS, PROGRAM, with_sources

_EPOCH = (1980, 1, 1, 0, 0, 0)
_LIMIT_SECONDS = 1800.0
_HINT = "steps run without: what they import first takes longer"


class KeptByteCode:
    """Byte code below *root*, the folder of prefixes.

    Args:
        root: the folder of prefixes.
        unpack: unpacks a conda package into a folder.
        python: finds an interpreter for a Python minor, or None.
    """

    def __init__(self, root: Path, unpack: Callable[[Path, Path], None], python: Callable[[str], Path | None]) -> None:
        self._root = root / ".bytecode"
        self._unpack = unpack
        self._python = python

    def expects(self, package: AnyPackage) -> bool:
        """Tell whether *package* may have sources that lack byte code: Python itself brings its own."""
        return package.name != "python" and bool(with_sources([package]))

    def archive(self, package: AnyPackage, file: Path, minor: str) -> Path | None:
        """Return byte code of *package* for Python *minor*; see `ports.ByteCodeArchives`."""
        folder = self._root / f"cpython-{minor.replace('.', '')}" / with_sources([package])[0].folder
        if not folder.is_dir():
            self._compile(package, file, minor, folder)
        if not any(folder.iterdir()):
            return None
        made = folder.with_name(f"{folder.name}.zip")
        if not made.exists():
            with disk.aside(made) as aside:
                _pack(folder, aside)
        return made

    def _compile(self, package: AnyPackage, file: Path, minor: str, folder: Path) -> None:
        python = self._python(minor)
        if python is None:
            raise ToolError(f"there is no Python {minor} on this machine to make byte code with", _HINT)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".unpacked-", dir=folder.parent) as aside:
            tree = Path(aside, "tree")
            tree.mkdir()
            if isinstance(package, PypiPackage):
                _sources_of_wheel(file, tree, f"lib/python{minor}/site-packages")
            else:
                whole = Path(aside, "package")
                self._unpack(file, whole)
                _sources_of_conda(whole, tree, minor)
            request = {"tag": f"cpython-{minor.replace('.', '')}", "unpacked": str(tree), "target": str(folder)}
            command = [str(python), *FLAGS, str(PROGRAM)]
            done = process.run(command, environment={}, text=json.dumps(request), timeout=_LIMIT_SECONDS)
        if done.returncode != 0 or not folder.is_dir():
            raise ToolError(f"byte code of {package.filename} cannot be made: {done.stderr.strip()[-400:]}", _HINT)


def _sources_of_wheel(file: Path, tree: Path, site: str) -> None:
    with zipfile.ZipFile(file) as wheel:
        for name in wheel.namelist():
            parts = name.split("/")
            if not name.endswith(".py") or ".." in parts or name.startswith("/"):
                continue
            if parts[0].endswith(".data"):
                if parts[1] not in ("purelib", "platlib"):
                    continue
                parts = parts[2:]
            target = tree.joinpath(site, *parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(wheel.read(name))


def _sources_of_conda(whole: Path, tree: Path, minor: str) -> None:
    """Move the sources that a conda package brings without byte code to where they lie in a prefix.

    Those into which the prefix is written stay out: their byte code would be of one prefix.
    """
    library = f"lib/python{minor}/"
    tag = f"cpython-{minor.replace('.', '')}"
    paths = json.loads((whole / "info" / "paths.json").read_text("utf-8"))["paths"]
    every = {str(item["_path"]) for item in paths}
    for item in paths:
        path = str(item["_path"])
        inside = library + path if path.startswith("site-packages/") else path
        if (
            path.endswith(".py")
            and inside.startswith(library)
            and ".." not in path.split("/")
            and not item.get("prefix_placeholder")
            and compile_sources.compiled_path(path, tag) not in every
            and (whole / path).is_file()
        ):
            target = tree / inside
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(whole / path, target)


def _pack(folder: Path, target: Path) -> None:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for path in files:
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, path.read_bytes())
