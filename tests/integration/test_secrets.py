"""Credentials in the addresses of sources: used, and written nowhere."""

from __future__ import annotations

import base64
import gzip
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.channel import Rule, Server, serve
from tests.project import Project, project_at
from tests.refusal import ONE, check_refusal
from tests.settled import settled

pytestmark = pytest.mark.slow

SECRET = "s3cr3tw0rd"
BASIC = base64.b64encode(f"user:{SECRET}".encode()).decode()
SPEC = "[conda(packages={'click': ''}%s), pypi(packages={'itsdangerous': ''}%s)]"


@pytest.fixture(name="private", scope="module")
def _private(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A channel behind a token, and an index behind a password."""

    def link(one: str, other: str) -> None:
        try:
            os.link(one, other)
        except OSError:
            shutil.copy2(one, other)

    root = tmp_path_factory.mktemp("private")
    shutil.copytree(built / "conda", root / "t" / SECRET / "conda", copy_function=link)
    for folder in ("conda", "simple", "files"):
        shutil.copytree(built / folder, root / folder, copy_function=link)
    with serve(root) as running:
        running.rules.append(Rule(r"^/(?!t/)", require_token=BASIC, headers=(("WWW-Authenticate", "Basic"),)))
        yield running


@pytest.fixture(name="closed")
def _closed(private: Server, tmp_path: Path) -> Project:
    """A user's folder with nothing cached, so that every file is asked for."""
    project = project_at(tmp_path, private, tmp_path / ".envs")
    project.variables["RATTLER_CACHE_DIR"] = str(tmp_path / "rattler")
    project.variables["UV_CACHE_DIR"] = str(tmp_path / "uv")
    return project


def with_secret(url: str) -> str:
    return url.replace("://", f"://user:{SECRET}@")


def holders(folder: Path, secrets: tuple[str, ...]) -> list[str]:
    """Return the files below *folder* that hold one of *secrets*, packed artifacts of Metaflow too."""
    found = []
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            data = path.read_bytes()
            if data[:2] == b"\x1f\x8b":
                data = gzip.decompress(data)
            if any(secret.encode() in data for secret in secrets):
                found.append(str(path.relative_to(folder)))
    return found


def watched(
    project: Project, script: Path, variables: Mapping[str, str]
) -> tuple[subprocess.CompletedProcess[str], set[str]]:
    """Run the flow, and return how it ended and every command line that was seen meanwhile."""
    command = [sys.executable, str(script), "--environment=conda", "run"]
    with subprocess.Popen(
        command,
        cwd=project.root,
        env=project.environment(variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        seen: set[str] = set()
        while process.poll() is None:
            for entry in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.add(entry.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
                except OSError:
                    continue
            time.sleep(0.01)
        assert process.stdout is not None
        output = process.stdout.read()
    return subprocess.CompletedProcess(command, process.returncode, output, ""), seen


@pytest.mark.parametrize("said", ["setting", "decorator"])
def test_credentials_are_used_and_written_nowhere(closed: Project, private: Server, said: str, tmp_path: Path) -> None:
    """A token and a password open the sources; no output, document, prefix, artifact or command line has them."""
    channel, index = f"{private.url}/t/{SECRET}/conda", with_secret(private.simple)
    if said == "setting":
        variables = {"METAFLOW_CONDA_CHANNELS": channel, "METAFLOW_CONDA_DEFAULT_PYPI_SOURCE": index}
        variables["SPEC"] = SPEC % ("", "")
    else:
        # A channel and an index that are configured without credentials, and a decorator that has them.
        variables = {"SPEC": SPEC % (f", channels=['{channel}']", f", extra_indices=['{index}']")}
    # A task keeps its variables as an artifact in this flow, and these are the user's own.
    script = tmp_path / "one.py"
    script.write_text(ONE.read_text().replace("self.variables = dict(os.environ)", "self.variables = {}"))
    done, seen = watched(closed, script, {**variables, "IMPORTS": "click itsdangerous"})

    assert done.returncode == 0, done.stdout
    assert SECRET not in done.stdout
    assert BASIC not in done.stdout
    assert any("rattler_worker" in line for line in seen)
    assert not [line for line in seen if SECRET in line or BASIC in line]
    script.unlink()
    for prefix in closed.envs.glob("metaflow_*"):
        settled(prefix)
    assert holders(tmp_path, (SECRET, BASIC)) == []


@pytest.mark.parametrize("kind", ["conda", "pypi"])
def test_wrong_credentials_are_told_and_hidden(closed: Project, private: Server, kind: str) -> None:
    """A refused password is told with the address of the source, and masked."""
    wrong = "wr0ngw0rd"
    good = {
        "METAFLOW_CONDA_CHANNELS": with_secret(private.channel),
        "METAFLOW_CONDA_DEFAULT_PYPI_SOURCE": with_secret(private.simple),
    }
    name = "METAFLOW_CONDA_CHANNELS" if kind == "conda" else "METAFLOW_CONDA_DEFAULT_PYPI_SOURCE"
    variables = {**good, name: good[name].replace(SECRET, wrong), "SPEC": SPEC % ("", "")}
    done = closed.flow(ONE, "run", variables=variables)

    # What is known of the channel may be in a cache that is good for a while: then its packages are refused.
    check_refusal(done, "step start", private.url.partition("://")[2], "credentials")
    assert wrong not in done.output
    assert SECRET not in done.output
    assert holders(closed.root, (wrong,)) == []


def test_errors_of_words_hide_credentials(closed: Project, private: Server) -> None:
    """A word that cannot be read is shown without its credentials."""
    spec = f"[conda(channels='{with_secret(private.channel)}')]"
    done = closed.flow(ONE, "run", variables={"SPEC": spec})
    check_refusal(done, "step start: @conda: channels=", "is not a list of texts")
    assert SECRET not in done.output

    done = closed.flow(ONE, "run", variables={"METAFLOW_CONDA_DEFAULT_PYPI_SOURCE": f"htp://user:{SECRET}@x/simple"})
    check_refusal(done, "METAFLOW_CONDA_DEFAULT_PYPI_SOURCE is 'htp://****@x/simple'")
    assert SECRET not in done.output
