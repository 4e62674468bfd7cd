"""The start of a task in a container, up to where tools are needed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from metaflow_extensions.netflix_ext.host import compat
from metaflow_extensions.netflix_ext.host.containers.container import Container, activation, main
from metaflow_extensions.netflix_ext.host.store import MetaflowStore
from tests.fakes import resolved, wheel

ENVIRONMENT = resolved(pypi=[wheel("idna")])


@pytest.fixture(name="store")
def _store(tmp_path: Path) -> MetaflowStore:
    return MetaflowStore("local", str(tmp_path / "store"))


def test_a_prefix_that_is_there_is_used(
    tmp_path: Path, store: MetaflowStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a volume that other tasks have used, the prefix is found by its marker, and nothing is fetched."""
    root = tmp_path / "volume"
    prefix = root / ENVIRONMENT.env_id.prefix_name
    prefix.mkdir(parents=True)
    marker = {"id": list(ENVIRONMENT.env_id), "variables": {"HELLO": "it's"}}
    (prefix / ".metaflowenv").write_text(json.dumps(marker))
    monkeypatch.setattr(compat, "configured", lambda names: dict.fromkeys(names, str(root)))

    found = Container(store, str(tmp_path / "work"), {}).prefix(ENVIRONMENT.env_id)

    assert found == {"path": str(prefix), "python": f"{prefix}/bin/python", "variables": {"HELLO": "it's"}}
    assert "is there already" in capsys.readouterr().out
    assert not (tmp_path / "work").exists()


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
