"""Package indexes of made-up wheels, in each of the forms that indexes have."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Made:
    """A wheel to be made: one module that knows its version."""

    name: str
    version: str = "1.0"
    tag: str = "py3-none-any"
    requires: tuple[str, ...] = ()

    @property
    def file(self) -> str:
        return f"{self.name}-{self.version}-{self.tag}.whl"

    @property
    def metadata(self) -> str:
        lines = ["Metadata-Version: 2.1", f"Name: {self.name}", f"Version: {self.version}"]
        return "\n".join([*lines, *(f"Requires-Dist: {text}" for text in self.requires), ""])

    def write(self, folder: Path) -> Path:
        """Write it into *folder*, which is made where there is none."""
        folder.mkdir(parents=True, exist_ok=True)
        info = f"{self.name}-{self.version}.dist-info"
        files = {
            f"{self.name}.py": f"__version__ = {self.version!r}\n",
            f"{info}/METADATA": self.metadata,
            f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {self.tag}\n",
        }
        files[f"{info}/RECORD"] = "".join(f"{file},,\n" for file in [*files, f"{info}/RECORD"])
        with zipfile.ZipFile(folder / self.file, "w") as archive:
            for file, text in files.items():
                archive.writestr(zipfile.ZipInfo(file), text)
        return folder / self.file


def index(root: Path, *wheels: Made, hashes: bool = True, metadata: bool = True, pages: bool = True) -> Path:
    """Write an index of *wheels* and return its folder.

    Without *pages* it has the JSON form alone (PEP 691), else the HTML form alone; without *metadata* it lacks the
    files of PEP 658, and without *hashes* it says none.
    """
    root.mkdir(parents=True, exist_ok=True)
    (root / "index.html").write_text("<!DOCTYPE html><html><body></body></html>")
    for name in sorted({wheel.name for wheel in wheels}):
        own = [wheel for wheel in wheels if wheel.name == name]
        folder = root / name
        files = [_file(wheel.write(folder), wheel, hashes=hashes, metadata=metadata) for wheel in own]
        if pages:
            (folder / "index.html").write_text(_page(files))
        else:
            document = {"meta": {"api-version": "1.0"}, "name": name, "files": files}
            (folder / "index.json").write_text(json.dumps(document))
    return root


def _file(path: Path, wheel: Made, *, hashes: bool, metadata: bool) -> dict[str, object]:
    found: dict[str, object] = {"filename": path.name, "url": path.name, "hashes": {}}
    if hashes:
        found["hashes"] = {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    if metadata:
        path.with_name(f"{path.name}.metadata").write_text(wheel.metadata)
        found["core-metadata"] = {"sha256": hashlib.sha256(wheel.metadata.encode()).hexdigest()}
    return found


def _page(files: Iterable[dict[str, object]]) -> str:
    lines = []
    for file in files:
        hashes, core = file["hashes"], file.get("core-metadata")
        assert isinstance(hashes, dict)
        fragment = f"#sha256={hashes['sha256']}" if hashes else ""
        attribute = f' data-core-metadata="sha256={core["sha256"]}"' if isinstance(core, dict) else ""
        lines.append(f'<a href="{file["url"]}{fragment}"{attribute}>{file["filename"]}</a><br>')
    return "\n".join(["<!DOCTYPE html><html><body>", *lines, "</body></html>"])
