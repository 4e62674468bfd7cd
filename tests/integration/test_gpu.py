"""Builds of PyTorch for a GPU: those that the target can run, from where uv knows them to be."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from metaflow_extensions.netflix_ext.adapters.uv_program import find_uv
from metaflow_extensions.netflix_ext.engine.platform import VirtualPackage
from metaflow_extensions.netflix_ext.engine.torch import CUDA, backend_for, check_backend
from tests.channel import Server, serve
from tests.indexes import Made, index
from tests.integration.test_indexes import document, resolve
from tests.integration.test_platforms import channel
from tests.project import Project
from tests.refusal import check_refusal
from tests.servers.everyone import Everyone, everyone

__all__ = ["channel"]
pytestmark = pytest.mark.slow

BACKENDS = ("cpu", "cu118", "cu124", "cu128")


@pytest.fixture(name="web")
def _web(tmp_path: Path) -> Iterator[Everyone]:
    """The indexes of PyTorch's builds, as a stand-in for the web has them."""
    root, keys = tmp_path / "web", tmp_path / "keys"
    keys.mkdir()
    for backend in BACKENDS:
        index(root / "whl" / backend, Made("torch", f"2.0+{backend}", "py3-none-any", ("part",)), Made("part", "0.1"))
    with everyone(root, keys) as found:
        yield found


@pytest.fixture(name="plain")
def _plain(tmp_path: Path) -> Iterator[Server]:
    """An index as the public one: PyTorch for whoever says nothing, and what it needs."""
    index(tmp_path / "plain", Made("torch", "2.0", requires=("part",)), Made("part", "1.0"))
    with serve(tmp_path / "plain") as running:
        yield running


@pytest.fixture(name="user")
def _user(project: Project, web: Everyone, plain: Server) -> Project:
    project.variables.update(
        {
            "METAFLOW_CONDA_DEFAULT_PYPI_SOURCE": plain.url,
            "HTTPS_PROXY": web.url,
            "SSL_CERT_FILE": str(web.authority),
            "UV_CACHE_DIR": str(project.root / "uv"),
            "UV_HTTP_RETRIES": "0",
            # What uv would take for the driver of this machine.
            "UV_CUDA_DRIVER_VERSION": "600.0",
        }
    )
    return project


def torch(found: Mapping[str, Any]) -> str:
    """Return the version of PyTorch; what it needs must be the public index's."""
    wheels = {item["name"]: item for item in found["packages"] if item["kind"] == "pypi"}
    assert wheels["part"]["version"] == "1.0"
    return str(wheels["torch"]["version"])


@pytest.mark.parametrize(
    ("lines", "arch", "expected"),
    [
        ("--torch-backend cu128\n", "linux-64", "2.0+cu128"),
        ("--torch-backend cpu\n", "osx-arm64", "2.0+cpu"),
        ("--torch-backend auto\n--sys-pkg __cuda=12.4\n", "linux-64", "2.0+cu124"),
        ("--torch-backend auto\n--sys-pkg __cuda=11.8\n", "linux-aarch64", "2.0+cu118"),
        ("--torch-backend auto\n", "linux-64", "2.0+cpu"),
        ("--torch-backend auto\n", "osx-arm64", "2.0+cpu"),
        ("", "linux-64", "2.0"),
    ],
)
def test_builds_are_those_of_the_target(
    user: Project, web: Everyone, channel: str, lines: str, arch: str, expected: str
) -> None:
    """A named backend is taken; `auto` goes by the target's `__cuda`, whatever driver this machine has."""
    user.variables["METAFLOW_CONDA_CHANNELS"] = channel
    found = document(resolve(user, f"{lines}torch\n", "--arch", arch, python="3.9"))
    assert torch(found) == expected
    backend = expected.partition("+")[2]
    assert {re.sub(r".*/whl/([^/]+)/.*", r"\1", url) for url in web.asked} == ({backend} if backend else set())


def test_it_can_be_configured(user: Project) -> None:
    """Our setting, uv's variable and uv's file say the same, in this order; what is asked for wins."""
    uv = {"UV_TORCH_BACKEND": "cu118"}
    ours = {"METAFLOW_CONDA_TORCH_BACKEND": "cu128"}
    assert torch(document(resolve(user, "torch\n", variables=uv))) == "2.0+cu118"
    assert torch(document(resolve(user, "torch\n", variables={**uv, **ours}))) == "2.0+cu128"
    asked = document(resolve(user, "--torch-backend cpu\ntorch\n", variables={**uv, **ours}))
    assert torch(asked) == "2.0+cpu"
    assert asked["spec"]["options"] == {"torch_backend": "cpu"}
    user.write("uv.toml", '[pip]\ntorch-backend = "cu118"\n')
    assert torch(document(resolve(user, "torch\n"))) == "2.0+cu118"


def test_a_step_that_asks_for_a_gpu(user: Project) -> None:
    """The decorator takes a backend; `auto` is decided by the `__cuda` that such a step is resolved with."""
    script = user.write(
        "gpu.py",
        "from metaflow import FlowSpec, pypi, resources, step\n\n\nclass GpuFlow(FlowSpec):\n"
        "    @resources(gpu=1)\n    @pypi(packages={'torch': ''}, torch_backend='auto', python='3.11')\n"
        "    @step\n    def start(self):\n        self.next(self.end)\n\n"
        "    @pypi(packages={'torch': ''}, torch_backend='auto', python='3.11')\n"
        "    @step\n    def end(self):\n        pass\n\n\nif __name__ == '__main__':\n    GpuFlow()\n",
    )
    simple = str(user.variables["METAFLOW_CONDA_CHANNELS"]).replace("/conda", "/simple")
    done = user.flow(script, "environment", "resolve", "--json", variables={"UV_INDEX": simple})
    assert done.returncode == 0, done.output
    names = re.findall(r"torch-2\.0\+(\w+)-py3", done.stdout.replace("%2B", "+"))
    assert set(names) == {"cu124", "cpu"}, done.stdout


@pytest.mark.parametrize(
    ("backend", "says"), [("cuda", "names no builds of PyTorch"), ("cu999", "cu999")], ids=["no name", "unknown to uv"]
)
def test_a_backend_that_is_none_is_told(user: Project, backend: str, says: str) -> None:
    """What names no builds, and what uv does not know, is one error."""
    check_refusal(resolve(user, f"--torch-backend {backend}\ntorch\n"), says, "torch_backend")


def test_uv_knows_the_same_versions_of_cuda() -> None:
    """`auto` chooses among the backends that uv has a name for."""
    command = [find_uv(), "pip", "compile", "-", "--torch-backend", "nonsense"]
    shown = subprocess.run(command, input="", capture_output=True, text=True, check=False).stderr
    names = shown.partition("possible values:")[2].partition("]")[0]
    known = set(re.findall(r"[a-z0-9.]+", names))
    assert {f"cu{major}{minor}" for major, minor in CUDA} == {name for name in known if name.startswith("cu")}
    assert [check_backend(name) for name in sorted(known)] == sorted(known)


@pytest.mark.parametrize(
    ("cuda", "expected"),
    [
        ("", "cpu"),
        ("7.5", "cpu"),
        ("11.8", "cu118"),
        ("12.7", "cu126"),
        ("12.4.1", "cu124"),
        ("13", "cu130"),
        ("99", "cu132"),
    ],
)
def test_the_newest_that_a_driver_runs(cuda: str, expected: str) -> None:
    """A version between two that there are builds for takes the older one."""
    virtual = [VirtualPackage("__cuda", cuda)] if cuda else []
    assert backend_for("auto", "linux-64", virtual) == expected
    assert backend_for("auto", "osx-64", virtual) == "cpu"
