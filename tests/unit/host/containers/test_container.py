"""The start of a task in a container, up to where tools are needed."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from metaflow_extensions.netflix_ext.engine.errors import StoreError
from metaflow_extensions.netflix_ext.engine.layout import package_key
from metaflow_extensions.netflix_ext.engine.package import CondaPackage
from metaflow_extensions.netflix_ext.engine.resolved import ResolvedEnvironment
from metaflow_extensions.netflix_ext.host import compat
from metaflow_extensions.netflix_ext.host.containers.container import Container, activation, main
from metaflow_extensions.netflix_ext.host.store import MetaflowStore
from tests.fakes import PYTHON, conda_package, resolved, wheel

ENVIRONMENT = resolved(pypi=[wheel("idna")])


@pytest.fixture(name="store")
def _store(tmp_path: Path) -> MetaflowStore:
    return MetaflowStore("local", str(tmp_path / "store"))


@pytest.mark.parametrize(
    ("envs_root", "pkgs_dirs", "where"),
    [
        ("{}/volume", "", "volume"),
        ("{}/volume", "{}/packages", "volume"),
        ("", "{}/packages,{}/more", "packages/.metaflow"),
        ("{}/file/below", "{}/packages", "packages/.metaflow"),
        ("{}/with blank", "{}/file", "work/envs"),
    ],
)
def test_a_prefix_that_is_there_is_used(
    tmp_path: Path,
    store: MetaflowStore,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    envs_root: str,
    pkgs_dirs: str,
    where: str,
) -> None:
    """On a volume that other tasks have used, the prefix is found by its marker, and nothing is fetched.

    Folders that cannot be written to, or whose names have blanks, are passed over.
    """
    (tmp_path / "file").touch()
    prefix = tmp_path / where / ENVIRONMENT.env_id.prefix_name
    prefix.mkdir(parents=True)
    marker = {"id": list(ENVIRONMENT.env_id), "variables": {"HELLO": "it's"}}
    (prefix / ".metaflowenv").write_text(json.dumps(marker))
    monkeypatch.setattr(compat, "configured", lambda names: dict.fromkeys(names, envs_root.format(tmp_path)))
    monkeypatch.setenv("CONDA_PKGS_DIRS", pkgs_dirs.replace("{}", str(tmp_path)))

    found = Container(store, str(tmp_path / "work"), {}).prefix(ENVIRONMENT.env_id)

    assert found == {"path": str(prefix), "python": f"{prefix}/bin/python", "variables": {"HELLO": "it's"}}
    assert "is there already" in capsys.readouterr().out
    assert not (tmp_path / "work" / "tools").exists()


def unpacked(volume: Path, package: CondaPackage) -> None:
    """Let *package* lie on the volume as another task has left it."""
    folder = volume / ".metaflow" / ".packages" / f"{package.name}-{package.version}-{package.build}"
    folder.mkdir(parents=True)
    folder.with_name(f"{folder.name}.lock").write_bytes(bytes(8) + bytes.fromhex(package.sha256))


@pytest.mark.parametrize(
    ("here", "said"),
    [
        ([], "Fetching 3 packages, and 1 tool to install them ..."),
        (["python"], "Fetching 2 of 3 packages, and 1 tool to install them ..."),
        (["python", "abc", "xyz"], "Fetching 1 tool; all 3 packages are here, unpacked ..."),
    ],
)
def test_what_is_fetched_is_told(
    here: list[str],
    said: str,
    tmp_path: Path,
    store: MetaflowStore,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What lies unpacked on a volume does not count, in whatever format it has come."""
    environment = resolved(conda_package("abc"), conda_package("xyz"))
    arch, abc = environment.env_id.arch, environment.conda[1]
    form = {"key": "k", "sha256": "ab" * 32, "file": "abc-1.0-0.tar.bz2"}
    for package in environment.conda:
        if package.name in here:
            unpacked(tmp_path / "volume", replace(package, sha256=form["sha256"]) if package == abc else package)
    monkeypatch.setenv("CONDA_PKGS_DIRS", str(tmp_path / "volume"))
    monkeypatch.setattr(compat, "configured", dict.fromkeys)
    gone = {"name": "packaging", "file": "packaging.whl", "sha256": "cd" * 32}
    document = {"environments": [environment.to_dict()], "tools": {arch: [gone]}, "formats": {abc.digest: form}}

    with pytest.raises(StoreError, match=r"packaging\.whl' is not there any more"):
        Container(store, str(tmp_path / "work"), document).prefix(environment.env_id)

    assert capsys.readouterr().out.split("] ")[1].strip() == said


def test_an_installer_is_given_files(tmp_path: Path, store: MetaflowStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not know what others have unpacked on a volume: without its files it would ask the source."""
    python = replace(PYTHON, sha256=hashlib.sha256(b"python").hexdigest())
    environment = ResolvedEnvironment.make(
        req_id="a" * 40, arch="linux-64", spec={}, virtual=(), conda=(python,), pypi=(), provenance={}
    )
    arch = environment.env_id.arch
    unpacked(tmp_path / "volume", python)
    monkeypatch.setenv("CONDA_PKGS_DIRS", str(tmp_path / "volume"))
    monkeypatch.setattr(compat, "configured", dict.fromkeys)
    program = b'#!/bin/sh\nmkdir -p "$6" && cp "$8" "$6/listed"\n'
    store.put("installer", program)
    store.put(package_key("conda", python.url, python.filename, python.digest), b"python")
    document = {
        "environments": [environment.to_dict()],
        "tools": {arch: []},
        "installer": {arch: {"key": "installer", "sha256": hashlib.sha256(program).hexdigest()}},
    }

    found = Container(store, str(tmp_path / "work"), document).prefix(environment.env_id)

    assert Path(found["path"], "listed").read_text().split()[1].startswith(f"file://{tmp_path}/work/archives/")


def test_a_shell_reads_what_activates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Values with quotes, spaces and dollars arrive as they are; the id is JSON; PYTHONPATH is the code package."""
    monkeypatch.setenv("METAFLOW_EXTRACTED_ROOT", "/some/where")
    odd = "a 'b' \"c\" $HOME `x` \\ \n d"
    prefix = {"path": "/p q", "python": "/p q/bin/python", "variables": {"ODD": odd}}
    file = tmp_path / "activate"
    file.write_text(activation(prefix, ENVIRONMENT.env_id, {"folder": "/the tools"}))
    program = f'. {file}; "{sys.executable}" -S -c "import json, os; print(json.dumps(dict(os.environ)))"'

    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True)

    seen = json.loads(done.stdout)
    assert (seen["ODD"], seen["CONDA_PREFIX"]) == (odd, "/p q")
    assert json.loads(seen["_METAFLOW_CONDA_ENV"]) == list(ENVIRONMENT.env_id)
    assert seen["PYTHONPATH"] == "/some/where/.mf_code"
    assert seen["PATH"].startswith("/p q/bin:")
    launcher = json.loads(seen["_METAFLOW_CONDA_LAUNCHER"])
    assert (launcher["python"], launcher["root"], launcher["tools"]["folder"]) == (
        sys.executable,
        "/some/where",
        "/the tools",
    )
    assert "PYTHONHOME" not in seen


def test_failures_are_told_on_one_line_of_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A failure is a message with a hint and status 1, without a traceback."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(compat, "package_member", lambda name: None)

    assert main(["start", "local", str(tmp_path / "store"), "linux-64", f"id={':'.join(ENVIRONMENT.env_id)}"]) == 1
    told = capsys.readouterr().err
    assert "the code package has no conda_v2.cnd" in told
    assert "hint: " in told
    assert "Traceback" not in told
