"""The tools that containers need, in the store."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from pathlib import Path

import pytest

from metaflow_extensions.netflix_ext.adapters.tool_wheels import installed
from metaflow_extensions.netflix_ext.engine.errors import StoreError, ToolError
from metaflow_extensions.netflix_ext.engine.layout import tool_key
from metaflow_extensions.netflix_ext.host.containers import toolbox
from metaflow_extensions.netflix_ext.host.containers.toolbox import Toolbox, tools_needed
from tests.fakes import FakeArchives, FakePypiSolver, MemoryStore, Recorder


def box(store: MemoryStore, here: str = "linux-64") -> Toolbox:
    return Toolbox(
        store, index="default", here=here, installed=lambda name: (f"{name}-1-py3-none-any.whl", name.encode())
    )


def nobody() -> FakePypiSolver:
    raise AssertionError("no solver is needed")


def test_what_is_installed_is_published_once(tmp_path: Path) -> None:
    """The tools are named by their hashes, and the store has each; the next time that costs one look."""
    store, report = MemoryStore(), Recorder()

    tools = box(store).publish("linux-64", nobody, FakeArchives(web=tmp_path), report)

    assert [tool["name"] for tool in tools] == tools_needed()
    for tool in tools:
        data = store.get(tool_key(tool["name"], tool["sha256"], tool["file"]))
        assert data is not None
        assert hashlib.sha256(data).hexdigest() == tool["sha256"]
    again = Recorder()
    assert box(store).publish("linux-64", nobody, FakeArchives(), again) == tools
    assert again.tasks == []
    assert report.tasks == [("Publishing the tools that containers for linux-64 need", "")]


def test_what_tools_need_is_among_them() -> None:
    """Those that create environments come first; those that launch flows bring what they need."""
    found = tools_needed()

    assert found[:4] == ["py-rattler", "uv", "packaging", "platformdirs"]
    assert {"rich", "pygments", "mdurl", "ruamel.yaml"} <= set(found)
    assert len(found) == len(set(found))


def test_a_tool_that_was_removed_is_put_back(tmp_path: Path) -> None:
    """Where the store has lost one of them, all are published again."""
    store = MemoryStore()
    tools = box(store).publish("linux-64", nobody, FakeArchives(web=tmp_path), Recorder())
    listed = next(iter(store.list("tools/linux-64/")))
    other = MemoryStore()
    other.put(listed, store.get(listed) or b"")

    assert box(other).publish("linux-64", nobody, FakeArchives(web=tmp_path), Recorder()) == tools
    keys = {tool_key(tool["name"], tool["sha256"], tool["file"]) for tool in tools}
    assert other.present(keys) == keys


def test_for_another_platform_the_index_is_asked(tmp_path: Path) -> None:
    """Of each tool the very version that is installed here, for that platform and the oldest Python that will do."""
    store, solver, archives = MemoryStore(), FakePypiSolver(), FakeArchives(web=tmp_path)

    tools = box(store).publish("linux-aarch64", lambda: solver, archives, Recorder())

    assert {request.arch for request in solver.asked} == {"linux-aarch64"}
    assert {request.python for request in solver.asked} == {"3.10.0"}
    assert all(str(request.requirements[0]).count("==") == 1 for request in solver.asked)
    assert sorted(archives.fetches) == sorted(tool["file"] for tool in tools)


def test_what_is_missing_or_damaged_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A tool that is not installed is named; a list in the store that is none is, too."""
    store = MemoryStore()
    box(store).publish("linux-64", nobody, FakeArchives(), Recorder())
    (listed,) = store.list("tools/linux-64/")
    store.put(listed, json.dumps({"a": 1}).encode(), overwrite=True)
    with pytest.raises(StoreError, match="not a list of tools"):
        box(store).publish("linux-64", nobody, FakeArchives(), Recorder())

    monkeypatch.setattr(toolbox, "_LAUNCHING", ("no-such-tool",))
    with pytest.raises(ToolError, match="'no-such-tool' is not installed"):
        box(store).publish("linux-64", nobody, FakeArchives(), Recorder())


def test_a_wheel_of_what_is_installed() -> None:
    """It holds the files of the distribution, programs as scripts, the same bytes each time; the unknown gives none."""
    found = installed("uv")
    assert found is not None
    name, data = found
    assert name.startswith("uv-")
    assert name.endswith(".whl")
    members = zipfile.ZipFile(io.BytesIO(data)).namelist()
    assert [member for member in members if member.endswith(".data/scripts/uv")]
    assert "uv/__init__.py" in members
    assert not [member for member in members if "__pycache__" in member or member.endswith("INSTALLER")]
    assert installed("uv") == found
    assert installed("no-such-tool") is None
