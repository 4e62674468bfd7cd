"""The file of a wheel."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from metaflow_extensions.netflix_ext.adapters.wheel_file import checked, labelled
from metaflow_extensions.netflix_ext.engine.errors import PackageError

METADATA = "Metadata-Version: 2.1\nName: a.B\nVersion: 1.0\nRequires-Dist: c (==1.0)\n\nVersion: told in the text\n"


def wheel(folder: Path, name: str, files: Mapping[str, str]) -> Path:
    path = folder / name
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in files.items():
            item = zipfile.ZipInfo(file)
            item.external_attr = (0o100755 if "scripts" in file else 0o100644) << 16
            archive.writestr(item, text)
    return path


def sound(folder: Path, version: str = "1.0") -> Path:
    metadata = METADATA.replace("1.0\nRequires", f"{version}\nRequires")
    files = {
        "a.py": "x",
        f"a_b-{version}.data/scripts/run": "#!python",
        f"a_b-{version}.dist-info/METADATA": metadata,
        f"a_b-{version}.dist-info/WHEEL": "Wheel-Version: 1.0\n",
        f"a_b-{version}.dist-info/RECORD": "a.py,,\n",
    }
    return wheel(folder, f"a_b-{version}-py3-none-any.whl", files)


def test_a_label_is_in_name_metadata_and_records(tmp_path: Path) -> None:
    """The version carries it wherever it is written; files, rights and dependencies stay, hashes agree."""
    found = labelled(sound(tmp_path), "g0123456789ab")

    assert found.name == "a_b-1.0+g0123456789ab-py3-none-any.whl"
    stem = "a_b-1.0+g0123456789ab"
    with zipfile.ZipFile(found) as archive:
        assert archive.namelist() == [
            "a.py",
            f"{stem}.data/scripts/run",
            f"{stem}.dist-info/METADATA",
            f"{stem}.dist-info/WHEEL",
            f"{stem}.dist-info/RECORD",
        ]
        assert archive.read(f"{stem}.dist-info/METADATA").decode() == METADATA.replace(
            "Version: 1.0", "Version: 1.0+g0123456789ab"
        )
        assert archive.getinfo(f"{stem}.data/scripts/run").external_attr >> 16 == 0o100755
        rows = list(csv.reader(io.StringIO(archive.read(f"{stem}.dist-info/RECORD").decode())))
        for name, digest, size in rows[:-1]:
            content = archive.read(name)
            sha256 = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            assert (digest, size) == (f"sha256={sha256}", str(len(content)))
        assert rows[-1] == [f"{stem}.dist-info/RECORD", "", ""]
    assert checked(found) == found


def test_a_local_version_is_kept(tmp_path: Path) -> None:
    """The label comes after what is there, and not at all where that tells the state already."""
    assert labelled(sound(tmp_path, "1.0+cpu"), "g0123456789ab").name.startswith("a_b-1.0+cpu.g0123456789ab-")
    told = sound(tmp_path, "1.0+g0123456")
    assert labelled(told, "g0123456789ab") == told


def test_the_same_wheel_gives_the_same_bytes(tmp_path: Path) -> None:
    """What is hashed does not depend on when it was labelled."""
    path = sound(tmp_path)
    first = labelled(path, "h1").read_bytes()
    assert labelled(path, "h1").read_bytes() == first


@pytest.mark.parametrize(
    ("name", "files", "said"),
    [
        ("x-1.0-py3-none-any.whl", {"a_b-1.0.dist-info/METADATA": METADATA}, r"by its own metadata it is a\.B 1\.0"),
        ("a_b-2.0-py3-none-any.whl", {"a_b-2.0.dist-info/METADATA": METADATA}, r"by its own metadata it is a\.B 1\.0"),
        ("a_b-1.0-py3-none-any.whl", {"a.py": ""}, "it has 0 folders"),
        ("a_b-1.0-py3-none-any.whl", {"a_b-1.0.dist-info/WHEEL": ""}, "METADATA"),
        ("a_b-1.0.whl", {"a_b-1.0.dist-info/METADATA": METADATA}, "no sound wheel"),
        ("a_b-1.0-py3-none-any.whl", {"a_b-1.0.dist-info/METADATA": "Name: a-b\n"}, "no sound wheel"),
    ],
)
def test_a_wheel_that_lies_is_refused(tmp_path: Path, name: str, files: dict[str, str], said: str) -> None:
    """Its name, its metadata or its form are not what they should be, and the message says which."""
    with pytest.raises(PackageError, match=said):
        checked(wheel(tmp_path, name, files))


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    """Any file can be called a wheel."""
    path = tmp_path / "a_b-1.0-py3-none-any.whl"
    path.write_text("text")
    with pytest.raises(PackageError, match="no sound wheel"):
        checked(path)
