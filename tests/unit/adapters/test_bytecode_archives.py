"""Byte code of packages, made from their own files, as zip files."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from metaflow_extensions.netflix_ext.adapters.bytecode_archives import KeptByteCode
from metaflow_extensions.netflix_ext.engine.errors import ToolError
from metaflow_extensions.netflix_ext.engine.package import CondaPackage, PypiPackage
from tests.fakes import PYTHON, conda_package, wheel

MINOR = f"3.{sys.version_info.minor}"
TAG = str(sys.implementation.cache_tag)
SITE = f"lib/python{MINOR}/site-packages"
WHEEL = replace(wheel("idna"), sha256="ab" * 32)
CONDA = replace(conda_package("click", sha256="cd" * 32, noarch="python"), depends=("python >=3.8",))


def kept(root: Path, python: Path | None = Path(sys.executable)) -> KeptByteCode:
    """Return byte code below *root*, for which folders stand for conda's archives."""

    def unpack(archive: Path, target: Path) -> None:
        shutil.copytree(archive, target)

    return KeptByteCode(root, unpack, lambda minor: python if minor == MINOR else None)


def wheel_file(folder: Path, files: Mapping[str, str]) -> Path:
    path = folder / "a.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def conda_folder(folder: Path, files: Mapping[str, str], *, prefixed: str = "") -> Path:
    path = folder / "package"
    for name, text in files.items():
        target = path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    entries = [{"_path": name, **({"prefix_placeholder": "/x"} if name == prefixed else {})} for name in files]
    (path / "info").mkdir()
    (path / "info" / "paths.json").write_text(json.dumps({"paths": entries}))
    return path


def names(made: Path | None) -> list[str]:
    assert made is not None
    return zipfile.ZipFile(made).namelist()


def compiled(path: str) -> str:
    """Return where an import looks for the byte code of the module *path*."""
    return importlib.util.cache_from_source(path)


def test_a_wheel_is_compiled_for_its_place_in_a_prefix(tmp_path: Path) -> None:
    """Its modules, those of its data folders too, and nothing that would lie elsewhere or is no source."""
    source = "answer = 42\n"
    file = wheel_file(
        tmp_path,
        {
            "idna/core.py": source,
            "idna-1.0.data/purelib/more.py": "",
            "idna-1.0.data/scripts/run.py": "",
            "idna/data.txt": "no source",
            "../outside.py": "",
        },
    )

    made = kept(tmp_path / "envs").archive(WHEEL, file, MINOR)

    assert names(made) == sorted([compiled(f"{SITE}/idna/core.py"), compiled(f"{SITE}/more.py")])
    assert made == tmp_path / "envs" / ".bytecode" / TAG / f"{WHEEL.sha256}.zip"
    data = zipfile.ZipFile(made).read(compiled(f"{SITE}/idna/core.py"))
    assert data[:4] == importlib.util.MAGIC_NUMBER
    assert data[8:16] == importlib.util.source_hash(source.encode())
    assert not (tmp_path / "outside.py").exists()


def test_a_conda_package_is_compiled_where_it_lacks_byte_code(tmp_path: Path) -> None:
    """Sources that have it, and those into which the prefix is written, stay out; those of `noarch` get their place."""
    library = f"lib/python{MINOR}"
    files = {
        "site-packages/click/core.py": "",
        f"{library}/site-packages/own.py": "",
        compiled(f"{library}/site-packages/own.py"): "brought along",
        f"{library}/config.py": "prefix = '/x'",
        "bin/tool.py": "",
        "lib/python2.7/old.py": "",
    }
    file = conda_folder(tmp_path, files, prefixed=f"{library}/config.py")

    assert names(kept(tmp_path / "envs").archive(CONDA, file, MINOR)) == [compiled(f"{SITE}/click/core.py")]


def test_the_same_package_gives_the_same_bytes(tmp_path: Path) -> None:
    """Whoever makes it, wherever and whenever: the name of what travels is its hash."""
    file = wheel_file(tmp_path, {"idna/core.py": "answer = 42\n", "idna/other.py": "import idna\n"})

    found = [kept(tmp_path / name).archive(WHEEL, file, MINOR) for name in ("one", "other")]

    assert 1 == len({hashlib.sha256(made.read_bytes()).hexdigest() for made in found if made is not None})
    assert None not in found


def test_what_was_made_is_kept(tmp_path: Path) -> None:
    """The second time neither the package nor a Python is needed; what linked prefixes have kept is packed as it is."""
    file = wheel_file(tmp_path, {"idna/core.py": ""})
    made = kept(tmp_path / "envs").archive(WHEEL, file, MINOR)
    assert made is not None

    assert kept(tmp_path / "envs", None).archive(WHEEL, tmp_path / "gone", MINOR) == made
    made.unlink()
    assert kept(tmp_path / "envs", None).archive(WHEEL, tmp_path / "gone", MINOR) == made
    assert names(made) == [compiled(f"{SITE}/idna/core.py")]


def test_a_package_without_sources_has_none(tmp_path: Path) -> None:
    """That is an answer, and is remembered as one; a source that does not compile is left out."""
    empty = wheel_file(tmp_path, {"idna/data.txt": ""})
    assert kept(tmp_path / "envs").archive(WHEEL, empty, MINOR) is None
    assert kept(tmp_path / "envs", None).archive(WHEEL, tmp_path / "gone", MINOR) is None

    broken = wheel_file(tmp_path, {"idna/core.py": "", "idna/template.py": "{{ no python }}"})
    assert names(kept(tmp_path / "other").archive(WHEEL, broken, MINOR)) == [compiled(f"{SITE}/idna/core.py")]


def test_what_stands_in_the_way_is_told(tmp_path: Path) -> None:
    """No Python of that minor, and one that cannot do it; nothing is kept then."""
    file = wheel_file(tmp_path, {"idna/core.py": ""})
    with pytest.raises(ToolError, match=r"there is no Python 3\.5 on this machine"):
        kept(tmp_path / "envs").archive(WHEEL, file, "3.5")

    bad = tmp_path / "python"
    bad.write_text("#!/bin/sh\necho 'no such thing' >&2\nexit 3\n")
    bad.chmod(0o755)
    with pytest.raises(ToolError, match=r"byte code of idna-1\.0-py3-none-any\.whl cannot be made: no such thing"):
        kept(tmp_path / "envs", bad).archive(WHEEL, file, MINOR)

    assert [path for path in (tmp_path / "envs").rglob("*") if path.is_file()] == []
    assert kept(tmp_path / "envs").archive(WHEEL, file, MINOR) is not None


@pytest.mark.parametrize(
    ("package", "expected"),
    [(WHEEL, True), (CONDA, True), (conda_package("zlib", sha256="ef" * 32), False), (PYTHON, False)],
    ids=["wheel", "noarch", "library", "Python"],
)
def test_which_packages_may_have_sources(tmp_path: Path, package: CondaPackage | PypiPackage, expected: bool) -> None:
    """Wheels and conda packages that need Python; Python itself brings its own byte code."""
    assert kept(tmp_path).expects(package) is expected
