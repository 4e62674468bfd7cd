"""Byte code that has come with an environment."""

from __future__ import annotations

import zipfile
from pathlib import Path

from metaflow_extensions.netflix_ext.host.containers.travelled import TravelledByteCode

SITE = "lib/python3.11/site-packages"


def packed(path: Path, members: dict[str, bytes]) -> str:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return str(path)


def prefix(folder: Path) -> Path:
    (folder / SITE / "a" / "b").mkdir(parents=True)
    return folder


def test_it_lies_beside_the_sources(tmp_path: Path) -> None:
    """Files of several packages land in their folders, those that are there stay, and nothing is left over."""
    stage = prefix(tmp_path / "stage")
    (stage / SITE / "a" / "__pycache__").mkdir()
    (stage / SITE / "a" / "__pycache__" / "x.pyc").write_bytes(b"own")
    code = TravelledByteCode(str(tmp_path / "code"))
    code.unpack(
        packed(tmp_path / "1.zip", {f"{SITE}/a/__pycache__/x.pyc": b"1", f"{SITE}/a/__pycache__/y.pyc": b"2"}), "one"
    )
    code.unpack(packed(tmp_path / "2.zip", {f"{SITE}/a/b/__pycache__/z.pyc": b"3"}), "two")

    assert code.link(stage, ()) == 2

    assert (stage / SITE / "a" / "__pycache__" / "x.pyc").read_bytes() == b"own"
    assert (stage / SITE / "a" / "__pycache__" / "y.pyc").read_bytes() == b"2"
    assert (stage / SITE / "a" / "b" / "__pycache__" / "z.pyc").read_bytes() == b"3"
    assert not (tmp_path / "code").exists()


def test_nothing_else_gets_in(tmp_path: Path) -> None:
    """Neither what is no byte code, nor what leads out, nor what belongs to no package here."""
    stage = prefix(tmp_path / "stage")
    code = TravelledByteCode(str(tmp_path / "code"))
    members = {
        f"{SITE}/a/evil.py": b"",
        "../__pycache__/out.pyc": b"",
        "/abs/__pycache__/out.pyc": b"",
        f"{SITE}/other/__pycache__/x.pyc": b"",
    }
    code.unpack(packed(tmp_path / "1.zip", members), "one")
    (tmp_path / "broken.zip").write_bytes(b"no zip")
    code.unpack(str(tmp_path / "broken.zip"), "two")

    assert code.link(stage, ()) == 0
    assert [path for path in stage.rglob("*") if path.is_file()] == []
    assert not (tmp_path / "__pycache__").exists()


def test_without_any(tmp_path: Path) -> None:
    """An environment that none came with is as it is."""
    assert TravelledByteCode(str(tmp_path / "code")).link(prefix(tmp_path / "stage"), ()) == 0
