"""Workflows for other machines than this one: another processor, and a GPU. Packages and tools are stand-ins."""

from __future__ import annotations

import hashlib
import json
import re
import sys
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

from metaflow_extensions.netflix_ext.engine.layout import tool_key
from metaflow_extensions.netflix_ext.host.containers.toolbox import tools_needed
from metaflow_extensions.netflix_ext.host.store import MetaflowStore
from tests.channel import Server, serve
from tests.channel.archive import Item, Package, write
from tests.channel.indexing import index
from tests.channel.simple import publish
from tests.channel.wheels import read
from tests.project import FLOWS, Project, somebody
from tests.remote.replay import deploy
from tests.servers import StoreServer

pytestmark = pytest.mark.slow

ARCH = "linux-aarch64"
PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
# The tools that are made for one kind of processor; the others are for any.
BUILT = {"py-rattler": "cp310-abi3-manylinux_2_17_{}", "uv": "py3-none-manylinux_2_17_{}"}


def packages() -> Iterator[Package]:
    """Yield what the flow and Metaflow ask for; Python is there for the other processor alone."""
    python = Item("bin/python", b"none", executable=True)
    yield Package("python", f"{PYTHON}.99", subdir=ARCH, items=[python])
    for name in ("click", "boto3", "requests"):
        yield Package(name, "99.0", noarch="generic", items=[Item(f"share/{name}", b"")])
    yield Package("needs-cuda", "1.0", noarch="generic", depends=("__cuda",), items=[Item("share/cuda", b"")])


def wheels(folder: Path) -> Iterator[Path]:
    """Yield wheels of the tools in the versions that are installed here, for two kinds of processors."""
    folder.mkdir()
    for name in tools_needed():
        tag, version = BUILT.get(name, "py3-none-any"), metadata.version(name)
        for processor in ("aarch64", "x86_64") if name in BUILT else ("any",):
            stem = f"{name.replace('-', '_')}-{version}"
            path = folder / f"{stem}-{tag.format(processor)}.whl"
            with zipfile.ZipFile(path, "w") as archive:
                facts = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
                archive.writestr(f"{stem}.dist-info/METADATA", facts)
                archive.writestr(f"{stem}.dist-info/WHEEL", f"Wheel-Version: 1.0\nTag: {tag.format(processor)}\n")
                archive.writestr(f"{stem}.dist-info/RECORD", "")
            yield path


@pytest.fixture(name="elsewhere")
def _elsewhere(tmp_path: Path) -> Iterator[Server]:
    """A channel and an index for the other processor."""
    root = tmp_path / "served"
    publish([read(path) for path in wheels(tmp_path / "wheels")], root)
    for package in packages():
        (root / "conda" / package.subdir).mkdir(parents=True, exist_ok=True)
        write(package, root / "conda")
    index(root / "conda")
    with serve(root) as server:
        yield server


@pytest.fixture(name="ada")
def _ada(tmp_path: Path, elsewhere: Server, s3_server: StoreServer) -> Project:
    found = somebody(tmp_path / "ada", elsewhere, s3_server)
    found.variables.update(TARGET_PYTHON=PYTHON, METAFLOW_KUBERNETES_CONDA_ARCH=ARCH)
    return found


def test_another_processor_and_a_gpu(
    ada: Project, s3_server: StoreServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Environments and tools are those of the containers' platform; who asks for a GPU is resolved with one."""
    s3_server.use(monkeypatch)
    workflow = deploy(ada, FLOWS / "targets.py", "--environment=conda")

    (packaged,) = ada.catalog.glob("code/*/conda_v2.cnd")
    document = json.loads(packaged.read_text())
    environments = {":".join(item["id"]): item for item in document["environments"]}
    seen = {}
    for step in ("start", "middle", "end"):
        found = re.search(rf"conda_env {ARCH} id=(\S+:{ARCH}) ", workflow.command(step))
        assert found is not None, workflow.command(step)
        environment = environments[found.group(1)]
        assert {package["subdir"] for package in environment["conda"]} == {ARCH, "noarch"}
        seen[step] = [name for name in environment["virtual"] if name.startswith("__cuda=")]
    assert seen == {"start": ["__cuda=12.4=0"], "middle": ["__cuda=12.4=0"], "end": []}

    tools = {tool["name"]: tool for tool in document["tools"].pop(ARCH)}
    assert document["tools"] == {}
    assert sorted(tools) == sorted(tools_needed())
    assert {name for name, tool in tools.items() if "aarch64" in tool["file"]} == set(BUILT)
    store = MetaflowStore("s3", f"{s3_server.root}/{tmp_path.name}/conda_env")
    keys = {tool_key(tool["name"], tool["sha256"], tool["file"]) for tool in tools.values()}
    assert store.present(keys) == keys


def test_another_installer_and_format(
    ada: Project, s3_server: StoreServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A workflow names the installer that is configured, and each package in the format that is preferred."""
    s3_server.use(monkeypatch)
    store = MetaflowStore("s3", f"{s3_server.root}/{tmp_path.name}/conda_env")
    store.put(f"installers/mamba-{ARCH}", b"a program")
    ada.variables.update(
        METAFLOW_CONDA_REMOTE_INSTALLER="mamba-{arch}",
        METAFLOW_CONDA_REMOTE_INSTALLER_DIRNAME="installers",
        METAFLOW_CONDA_PREFERRED_FORMAT=".tar.bz2",
    )
    deploy(ada, FLOWS / "targets.py", "--environment=conda")

    (packaged,) = ada.catalog.glob("code/*/conda_v2.cnd")
    document = json.loads(packaged.read_text())
    sha256 = hashlib.sha256(b"a program").hexdigest()
    assert document["installer"] == {ARCH: {"key": f"installers/mamba-{ARCH}", "sha256": sha256}}
    wanted = {package["sha256"] for one in document["environments"] for package in one["conda"]}
    assert set(document["formats"]) == wanted
    for form in document["formats"].values():
        assert form["file"].endswith(".tar.bz2")
        assert hashlib.sha256(store.get(form["key"]) or b"").hexdigest() == form["sha256"]
