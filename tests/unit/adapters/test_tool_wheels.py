"""Tools packed from what is installed here."""

from __future__ import annotations

import ctypes
import io
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import rattler
import uv

from metaflow_extensions.netflix_ext.adapters.tool_wheels import installed, without_symbols

LIBRARY = next(iter(Path(rattler.__file__).parent.glob("rattler*.so")), None)
needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="ELF is the format of Linux")


@needs_linux
def test_a_library_is_smaller_and_loads(tmp_path: Path) -> None:
    """Of py-rattler's library at least a tenth is symbols; without them it is loaded as before."""
    assert LIBRARY is not None
    small = tmp_path / LIBRARY.name
    small.write_bytes(without_symbols(LIBRARY.read_bytes()))

    assert small.stat().st_size < 0.9 * LIBRARY.stat().st_size
    assert ctypes.CDLL(str(small)).PyInit_rattler


@needs_linux
def test_a_program_still_runs(tmp_path: Path) -> None:
    """Uv's program is cut and runs."""
    small = tmp_path / "uv"
    small.write_bytes(without_symbols(Path(uv.find_uv_bin()).read_bytes()))
    small.chmod(0o755)

    done = subprocess.run([small, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("uv ")


@pytest.mark.parametrize("data", [b"", b"text", b"\x7fELF\x02\x01", b"\x7fELF\x01\x01" + bytes(100)])
def test_what_is_no_such_file_stays(data: bytes) -> None:
    """Text, a file that ends too early, and one of 32 bits are not touched."""
    assert without_symbols(data) == data


def test_a_file_whose_sections_come_first_stays() -> None:
    """Where cutting would cut segments, nothing is cut."""
    header = bytearray(b"\x7fELF\x02\x01" + bytes(58))
    header[32:40] = (64).to_bytes(8, "little")
    header[40:48] = (10).to_bytes(8, "little")
    data = bytes(header) + bytes(200)
    assert without_symbols(data) == data


def test_the_same_bytes_each_time() -> None:
    """What is installed is packed with its programs where a wheel has them, the same each time."""
    found = installed("uv")

    assert found is not None
    assert found == installed("uv")
    names = zipfile.ZipFile(io.BytesIO(found[1])).namelist()
    assert any(name.endswith(".data/scripts/uv") for name in names)
    assert installed("no-such-distribution") is None


@pytest.mark.parametrize(
    ("tags", "file"),
    [
        (["cp311-cp311-linux_x86_64"], None),
        (["cp311-cp311-linux_x86_64", "cp310-abi3-linux_x86_64"], "a_tool-1.0-cp310-abi3-linux_x86_64.whl"),
        (["py3-none-any"], "a_tool-1.0-py3-none-any.whl"),
        ([], None),
    ],
)
def test_what_fits_one_version_of_python_alone_is_not_packed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tags: list[str], file: str | None
) -> None:
    """A container may have another Python: the tag of the wheel says whether that matters."""
    facts = tmp_path / "a_tool-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: a-tool\nVersion: 1.0\n")
    (facts / "WHEEL").write_text("".join(f"Tag: {tag}\n" for tag in tags))
    (facts / "RECORD").write_text("a_tool.py,,\n")
    (tmp_path / "a_tool.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))

    found = installed("a-tool")

    assert (None if found is None else found[0]) == file
