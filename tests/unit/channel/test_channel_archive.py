"""Test the writing of conda archives."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
import zstandard

from tests.channel.archive import CONDA, PLACEHOLDER, TAR_BZ2, Item, Package, items_below, write

PACKAGE = Package(
    "thing",
    "1.0",
    noarch="python",
    depends=("python",),
    items=(
        Item("bin/link", link="tool"),
        Item("bin/tool", f"#!{PLACEHOLDER}/bin/x\n".encode(), executable=True, prefix="text"),
    ),
    entry_points=("thing = thing:main",),
)


def _part(path: Path, kind: str) -> tarfile.TarFile:
    with zipfile.ZipFile(path) as archive:
        data = archive.read(f"{kind}-thing-1.0-0.tar.zst")
    stream = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data))
    return tarfile.open(fileobj=io.BytesIO(stream.read()))


def _document(path: Path, name: str) -> Any:
    member = _part(path, "info").extractfile(f"info/{name}")
    assert member is not None
    return json.loads(member.read())


@pytest.mark.parametrize("suffix", [CONDA, TAR_BZ2])
def test_bytes_are_reproducible(tmp_path: Path, suffix: str) -> None:
    """Writing the same package twice gives the same bytes."""
    (first,) = write(PACKAGE, tmp_path / "a", formats=(suffix,))
    (second,) = write(PACKAGE, tmp_path / "b", formats=(suffix,))
    assert first.read_bytes() == second.read_bytes()


def test_conda_layout(tmp_path: Path) -> None:
    """A .conda file is an uncompressed zip of metadata, contents and information."""
    (path,) = write(PACKAGE, tmp_path)
    with zipfile.ZipFile(path) as archive:
        stems = ["metadata.json", "pkg-thing-1.0-0.tar.zst", "info-thing-1.0-0.tar.zst"]
        assert archive.namelist() == stems
        assert all(one.compress_type == zipfile.ZIP_STORED for one in archive.infolist())
        assert json.loads(archive.read("metadata.json")) == {"conda_pkg_format_version": 2}


def test_paths_describe_links_and_prefixes(tmp_path: Path) -> None:
    """The list of paths has checksums, links and the placeholder."""
    (path,) = write(PACKAGE, tmp_path)
    link, tool = _document(path, "paths.json")["paths"]
    data = PACKAGE.items[1].read()
    assert (link["path_type"], tool["path_type"]) == ("softlink", "hardlink")
    assert tool["sha256"] == link["sha256"] == hashlib.sha256(data).hexdigest()
    assert (tool["file_mode"], tool["prefix_placeholder"]) == ("text", PLACEHOLDER)
    assert "prefix_placeholder" not in link


def test_noarch_python_has_its_entry_points(tmp_path: Path) -> None:
    """A noarch Python package names its entry points for the installer."""
    (path,) = write(PACKAGE, tmp_path)
    noarch = _document(path, "link.json")["noarch"]
    assert noarch == {"type": "python", "entry_points": ["thing = thing:main"]}


def test_items_below_ignores_times(tmp_path: Path) -> None:
    """A folder is listed in order, with modes and links but without times."""
    (tmp_path / "run").write_text("x")
    (tmp_path / "run").chmod(0o755)
    (tmp_path / "also").symlink_to("run")
    os.utime(tmp_path / "run", (1, 1))
    assert [(item.path, item.link, item.executable) for item in items_below(tmp_path)] == [
        ("also", "run", False),
        ("run", None, True),
    ]
