"""Files from a store in a container, and the tools that flows launched there need."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import zipfile
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import pytest

from metaflow_extensions.netflix_ext.engine.errors import CreateError, PackageError, StoreError
from metaflow_extensions.netflix_ext.engine.layout import tool_key
from metaflow_extensions.netflix_ext.host import answer
from metaflow_extensions.netflix_ext.host.containers import nested
from metaflow_extensions.netflix_ext.host.containers.arrivals import Arrivals
from metaflow_extensions.netflix_ext.host.store import MetaflowStore


@pytest.fixture(name="store")
def _store(tmp_path: Path) -> MetaflowStore:
    return MetaflowStore("local", str(tmp_path / "store"))


def tool(store: MetaflowStore, members: dict[str, bytes]) -> dict[str, str]:
    """Publish an archive and return what the code package tells of it."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    sha256 = hashlib.sha256(buffer.getvalue()).hexdigest()
    store.put(tool_key("uv", sha256, "uv.whl"), buffer.getvalue())
    return {"name": "uv", "file": "uv.whl", "sha256": sha256}


def test_a_tool_is_unpacked_with_its_program(tmp_path: Path, store: MetaflowStore) -> None:
    """Modules land in the folder of tools, programs below bin, where they can be run; nothing else does."""
    told = tool(store, {"uv/__init__.py": b"x = 1", "uv-1.data/scripts/uv": b"#!/bin/sh\necho it runs\n"})
    Arrivals(store, str(tmp_path / "archives")).unpack(told, str(tmp_path / "tools"))

    tools = tmp_path / "tools"
    assert (tools / "uv" / "__init__.py").read_bytes() == b"x = 1"
    assert subprocess.run([tools / "bin" / "uv"], capture_output=True, check=True).stdout == b"it runs\n"
    assert sorted(path.name for path in tools.iterdir()) == ["bin", "uv"]


def test_a_tool_of_other_bytes_is_refused(tmp_path: Path, store: MetaflowStore) -> None:
    """A tool that was changed in the store is not unpacked, and both hashes are told."""
    told = tool(store, {"uv/__init__.py": b"x = 1"})
    path = Path(store.root, tool_key("uv", told["sha256"], "uv.whl"))
    path.write_bytes(path.read_bytes() + b"!")

    with pytest.raises(PackageError, match=f"expected {told['sha256']}, got"):
        Arrivals(store, str(tmp_path / "archives")).unpack(told, str(tmp_path / "tools"))
    assert not (tmp_path / "tools").exists()


def test_what_is_lacking_arrives_once(tmp_path: Path, store: MetaflowStore) -> None:
    """The first who needs the tools gets all of them; the next finds them, and asks the store for nothing."""
    told = tool(store, {"uv/__init__.py": b"x = 1"})
    tools = {"datastore": "local", "store": store.root, "folder": str(tmp_path / "tools"), "tools": [told]}

    nested.complete(tools)

    assert (tmp_path / "tools" / "uv" / "__init__.py").read_bytes() == b"x = 1"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["store", "tools"]
    Path(store.root, tool_key("uv", told["sha256"], "uv.whl")).unlink()
    nested.complete(tools)


def test_what_broke_off_is_done_again(tmp_path: Path, store: MetaflowStore) -> None:
    """Where a tool cannot be had, that is told, and whoever comes next tries again."""
    told = tool(store, {"uv/__init__.py": b"x = 1"})
    path = Path(store.root, tool_key("uv", told["sha256"], "uv.whl"))
    data = path.read_bytes()
    path.unlink()
    tools = {"datastore": "local", "store": store.root, "folder": str(tmp_path / "tools"), "tools": [told]}

    with pytest.raises(StoreError, match=r"uv\.whl' is not there any more"):
        nested.complete(tools)
    path.write_bytes(data)
    nested.complete(tools)

    assert (tmp_path / "tools" / "uv" / "__init__.py").exists()


def test_an_old_python_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the container's Python is too old for the tools, the message says which it is, and what would do.

    The step that launches a flow there gets it as its answer.
    """
    monkeypatch.setattr(nested, "OLDEST", (9, 1))
    with pytest.raises(CreateError, match=r"is 3\.\d+, and the tools that create environments need 9\.1"):
        nested.check_python()
    question: list[Any] = ["fetch", [{}], "local", {"folder": "/nowhere", "tools": []}]
    monkeypatch.setattr(sys, "stdin", StringIO(json.dumps(question)))

    answer.main()

    found = json.loads(capsys.readouterr().out)
    assert found["error"] == "CreateError"
    assert "need 9.1" in found["message"]
