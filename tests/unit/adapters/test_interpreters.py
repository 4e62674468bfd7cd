"""What uv says of the interpreters there are, and how they are put in place."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from metaflow_extensions.netflix_ext.adapters.archives import KeptArchives
from metaflow_extensions.netflix_ext.adapters.http import HttpFetcher
from metaflow_extensions.netflix_ext.adapters.interpreters import UvPythonInstaller, UvPythons
from metaflow_extensions.netflix_ext.engine.errors import CreateError, PackageError, ResolveError, ToolError
from metaflow_extensions.netflix_ext.engine.package import Interpreter
from tests.fakes import MemoryStore, interpreter


def entry(version: str, *, path: str = "", **facts: object) -> dict[str, object]:
    key = f"cpython-{version}-linux-x86_64-gnu"
    values: dict[str, object] = {"os": "linux", "arch": "x86_64", "libc": "gnu", "implementation": "cpython"}
    url = None if path else f"file:///nowhere/{key}.tar.gz"
    return {"key": key, "version": version, "path": path or None, "url": url, "variant": "default", **values, **facts}


def pythons(tmp_path: Path, *entries: dict[str, object], text: str = "", own: str | None = None) -> UvPythons:
    """Return what asks a program that lists *entries* as uv does."""
    program = tmp_path / "uv"
    (tmp_path / "listed").write_text(text or json.dumps(entries))
    program.write_text(f"#!/bin/sh\ncat {tmp_path / 'listed'}\n")
    program.chmod(0o755)
    archives = KeptArchives(tmp_path / "files", (), HttpFetcher())
    return UvPythons("linux-64", archives, MemoryStore(), program=str(program), own=own)


def test_the_newest_that_is_installed_is_taken(tmp_path: Path) -> None:
    """Of CPython, of the usual kind, no pre-release, and within the bound; it is known by its executable."""
    listed = pythons(
        tmp_path,
        entry("3.11.99"),
        entry("3.11.2", path="/no/such/python"),
        entry("3.11.7", path=sys.executable),
        entry("3.12.1", path="/no/such/python"),
        entry("3.11.8", path="/no/such/python", implementation="pypy"),
        entry("3.11.9", path="/no/such/python", variant="freethreaded"),
        entry("3.11.10rc1", path="/no/such/python"),
        entry("3.11.11", path="/no/such/python", libc="musl"),
    )
    found = listed.picked("3.11.*", "linux-64", managed=False)
    assert (found.version, found.filename) == ("3.11.7", "cpython-3.11.7-linux-x86_64-gnu")
    assert found.url == Path(sys.executable).resolve().as_uri()
    assert found.installed
    assert len(found.sha256) == 64


def test_the_one_that_runs_is_taken_where_it_fits(tmp_path: Path) -> None:
    """Nobody asks uv then, which runs every Python there is; and only for this platform, and not for a build."""
    newer = entry("3.11.99", url=(tmp_path / "build").as_uri())
    (tmp_path / "build").write_bytes(b"a build")
    listed = pythons(tmp_path, newer, own="3.11.7")
    found = listed.picked("3.11.*", "linux-64", managed=False)
    assert (found.version, found.filename) == ("3.11.7", "cpython-3.11.7-linux-x86_64-gnu")
    assert (found.url, found.installed) == (Path(sys.executable).resolve().as_uri(), True)
    assert listed.picked(">3.11.7", "linux-64", managed=False).version == "3.11.99"
    assert listed.picked("3.11.*", "linux-64", managed=True).version == "3.11.99"


def test_uv_is_asked_once(tmp_path: Path) -> None:
    """However many environments, and threads, want a Python."""
    listed = pythons(tmp_path, entry("3.11.7", path=sys.executable))
    program = tmp_path / "uv"
    program.write_text(program.read_text() + f"echo asked >> {tmp_path / 'asked'}\n")
    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(lambda _: listed.picked("3.11.*", "linux-64", managed=False), range(4)))
    assert len(found) == 1
    assert (tmp_path / "asked").read_text() == "asked\n"


def test_builds_are_hashed_once(tmp_path: Path) -> None:
    """What was learnt of one is kept; the newest within the bound is taken."""
    build = tmp_path / "cpython-3.11.99.tar.gz"
    build.write_bytes(b"a build")
    listed = pythons(tmp_path, entry("3.11.99", url=build.as_uri()), entry("3.11.98"), entry("3.12.1"))
    found = listed.picked(">=3.10,<3.12", "linux-64", managed=True)
    assert (found.version, found.filename, found.size) == ("3.11.99", build.name, 7)
    build.unlink()
    assert listed.picked("3.11.*", "linux-64", managed=False) == found


def test_no_download_means_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's own word on downloads holds."""
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS", "never")
    with pytest.raises(ResolveError, match=r"uv knows no CPython 3\.11\.\* for linux-64"):
        pythons(tmp_path, entry("3.11.99")).picked("3.11.*", "linux-64", managed=False)


@pytest.mark.parametrize("text", ["no json", "[{}]"])
def test_what_cannot_be_read_is_told(tmp_path: Path, text: str) -> None:
    """It is uv's fault, and says how to look."""
    with pytest.raises(ToolError, match="does not say which Pythons there are"):
        pythons(tmp_path, text=text).picked("3.11.*", "linux-64", managed=False)


def test_one_that_does_not_run_is_told(tmp_path: Path) -> None:
    """By its path."""
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho broken >&2\nexit 1\n")
    broken.chmod(0o755)
    with pytest.raises(ToolError, match=r"python' does not run: broken"):
        pythons(tmp_path, entry("3.11.7", path=str(broken))).picked("3.11.*", "linux-64", managed=False)


def test_an_installed_one_that_was_replaced_is_refused(tmp_path: Path) -> None:
    """So is one that is gone; both say that it was taken as it was."""
    executable = tmp_path / "python3.11"
    executable.write_text("another")
    installer = UvPythonInstaller(tmp_path / "pythons", HttpFetcher())
    found = Interpreter(name="python", version="3.11.7", filename="cpython", url=executable.as_uri(), sha256="ab" * 32)
    with pytest.raises(CreateError, match="is not the one any more"):
        installer.install(found, tmp_path / "stage", tmp_path / "final")
    executable.unlink()
    with pytest.raises(CreateError, match="is not on this machine"):
        installer.install(found, tmp_path / "stage", tmp_path / "final")


def test_a_build_without_python_is_refused(tmp_path: Path) -> None:
    """Nothing of it is kept."""
    import tarfile

    path = tmp_path / "cpython.tar.gz"
    (tmp_path / "empty").mkdir()
    with tarfile.open(path, "w:gz") as archive:
        archive.add(tmp_path / "empty", "python")
    build = interpreter()
    found = Interpreter(
        name="python", version="3.11.9", filename=build.filename, url=path.as_uri(), sha256=build.sha256
    )
    with pytest.raises(PackageError, match="holds no Python"):
        UvPythonInstaller(tmp_path / "pythons", HttpFetcher()).install(found, tmp_path / "stage", tmp_path / "final")
    assert list((tmp_path / "pythons").iterdir()) == []
