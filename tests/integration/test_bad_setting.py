"""Configuration that cannot be, and folders that cannot hold an environment."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.project import FLOWS, Project
from tests.refusal import CLICK, ONE, check_refusal, half_made, refused
from tests.settled import settled

pytestmark = pytest.mark.slow

MIXED = "[conda(packages={'click': ''}), pypi(packages={'itsdangerous': ''})]"


@pytest.mark.parametrize(
    ("name", "value", "may_be"),
    [
        ("CONDA_CHANNELS", '["conda-forge", 3]', "a JSON list of texts"),
        ("CONDA_ENVS_ROOT", "envs", "an absolute path of a folder"),
        ("CONDA_DEPENDENCY_RESOLVER", "poetry", "'rattler' or 'micromamba' or 'mamba' or 'conda'"),
        ("CONDA_SYS_DEFAULT_PACKAGES", '{"linux-64": {"glibc": "2.28"}}', '{"linux-64": {"__glibc": "2.28"}}'),
    ],
)
def test_a_bad_setting_is_named(fresh: Project, name: str, value: str, may_be: str) -> None:
    """The variable, its value and what it may be are told; those of each setting are in its unit tests."""
    variable = f"METAFLOW_{name}"
    root = {"METAFLOW_CONDA_ENVS_ROOT": str(fresh.envs), variable: value}
    refused(fresh, f"{variable} is '{value}', which it cannot be", f"{variable} may be ", may_be, **root)


@pytest.mark.parametrize("name", ["GLIBC", "CUDA"])
def test_a_bad_override_is_named(fresh: Project, name: str) -> None:
    """The variables of conda are told by their own names."""
    refused(fresh, f"CONDA_OVERRIDE_{name} is 'new'", "may be a version", **{f"CONDA_OVERRIDE_{name}": "new"})


def test_a_bad_setting_does_not_stop_what_needs_none(fresh: Project) -> None:
    """`show`, and a flow without environments, do not look at the variable."""
    variables = {"METAFLOW_CONDA_SYS_DEFAULT_PACKAGES": "{"}
    shown = fresh.flow(ONE, "show", variables=variables)
    assert shown.returncode == 0, shown.output

    plain = fresh.write(
        "plain.py",
        "from metaflow import FlowSpec, step\n"
        "class PlainFlow(FlowSpec):\n"
        "    @step\n"
        "    def start(self):\n"
        "        self.next(self.end)\n"
        "    @step\n"
        "    def end(self):\n"
        "        pass\n"
        "PlainFlow()\n",
    )
    done = fresh.command(str(plain), "run", variables=variables)
    assert done.returncode == 0, done.output


@pytest.mark.parametrize(
    ("channel", "says"),
    [
        ("https://", "a channel cannot be understood"),
        ("a::b", "a channel cannot be understood: invalid channel name: 'a::b'"),
        ("http://127.0.0.1:99999/x", "those asked for are 'http://127.0.0.1:99999/x'"),
        ("htp://127.0.0.1/x", "channel 'htp://127.0.0.1/x' cannot be read: 'htp' is not a supported scheme"),
        ("~nobody-of-that-name/x", "~nobody-of-that-name/x' is not a conda channel"),
    ],
)
def test_a_bad_channel_is_named(fresh: Project, channel: str, says: str) -> None:
    """What cannot be a channel is told as such, wherever it was said."""
    refused(fresh, "step start", says, METAFLOW_CONDA_CHANNELS=channel)


@pytest.mark.parametrize("index", ["simple", "/nowhere/simple", "htp://127.0.0.1/x", "http://", "http://a:99999/"])
def test_an_index_that_is_no_url(fresh: Project, index: str) -> None:
    """An index that could not be asked is refused: uv would pass over it, and take packages from elsewhere."""
    spec = f"[pypi(packages={{'click': ''}}, extra_indices=['{index}'])]"
    refused(fresh, f"step start: @pypi: extra_indices: '{index}' is not the URL of an index", SPEC=spec)


@pytest.mark.parametrize("spec", [CLICK, MIXED], ids=["conda", "mixed"])
@pytest.mark.parametrize("place", ["file", "proc", "below-file"])
def test_a_folder_that_cannot_be_written(fresh: Project, place: str, spec: str) -> None:
    """The folder of environments that cannot be one is named, with the variable that says another."""
    file = fresh.write("file", "")
    root = {"file": str(file), "proc": "/proc/envs", "below-file": f"{file}/envs"}[place]
    done = fresh.flow(ONE, "run", variables={"SPEC": spec, "METAFLOW_CONDA_ENVS_ROOT": root})
    check_refusal(done, "step start", f"'{root}", "METAFLOW_CONDA_ENVS_ROOT")
    assert file.read_text() == ""


@pytest.mark.parametrize("name", ["RATTLER_CACHE_DIR", "UV_CACHE_DIR"])
def test_a_package_cache_that_cannot_be_written(fresh: Project, name: str) -> None:
    """The caches of the tools are told from the folder of environments."""
    done = fresh.flow(ONE, "run", variables={"SPEC": MIXED, name: "/proc/cache"})
    check_refusal(done, "step start", "cache", "/proc/cache")
    assert half_made(fresh.envs) == []


@pytest.fixture(name="small")
def _small(tmp_path: Path) -> Iterator[Path]:
    """A disk with room for less than an environment."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False) if os.geteuid() == 0 else None
    if done is None or done.returncode != 0:
        pytest.skip("a small disk cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk(fresh: Project, small: Path) -> None:
    """A disk that fills up leaves nothing behind, and the next run on a larger one works."""
    root = {"METAFLOW_CONDA_ENVS_ROOT": str(small / "envs")}
    done = fresh.flow(ONE, "run", variables={"SPEC": CLICK, **root})
    check_refusal(done, "step start: ", "No space left")
    assert half_made(small / "envs") == []

    done = fresh.flow(ONE, "run", variables={"SPEC": CLICK})
    assert done.returncode == 0, done.output


def test_a_folder_of_somebody_else(fresh: Project) -> None:
    """A folder without our marker in a prefix's place is left alone; once it is moved, the same command works."""
    fresh.run(FLOWS / "one.py", variables={"SPEC": CLICK})
    prefix = next(fresh.envs.glob("metaflow_*"))
    settled(prefix)
    prefix.rename(fresh.root / "aside")
    prefix.mkdir()
    (prefix / "precious").write_text("mine")
    done = fresh.flow(ONE, "run", variables={"SPEC": CLICK})
    check_refusal(done, "step start: ", str(prefix), "it is not ours to replace", "move it away")
    assert [path.name for path in prefix.iterdir()] == ["precious"]

    prefix.rename(fresh.root / "moved")
    fresh.run(FLOWS / "one.py", variables={"SPEC": CLICK})
