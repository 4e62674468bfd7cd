"""Byte code with real interpreters: made by a process of its own, linked, imported."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path

import pytest

from metaflow_extensions.netflix_ext.adapters import compile_sources
from metaflow_extensions.netflix_ext.adapters.bytecode import ByteCodeCache
from metaflow_extensions.netflix_ext.adapters.compile_sources import MARKER, STATE
from metaflow_extensions.netflix_ext.engine.identity import EnvID
from metaflow_extensions.netflix_ext.engine.package import PypiPackage

TAG = str(sys.implementation.cache_tag)
MINOR = f"python3.{sys.version_info.minor}"
ROOT = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
INTERPRETERS = sorted(path for path in ROOT.glob("versions/3.*/bin/python3.*") if path.name[8:].isdigit())
INTERPRETERS = [path for path in INTERPRETERS if int(path.name[8:]) >= 7] or [Path(os.path.realpath(sys.executable))]
NEEDS_PROC = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
SOURCE = "import sys\n\ndef where():\n    return sys._getframe().f_code.co_filename\n"


def package(name: str) -> PypiPackage:
    return PypiPackage(name, "1.0", f"{name}.whl", "https://i/w.whl", hashlib.sha256(name.encode()).hexdigest())


def put_wheel(prefix: Path, name: str, files: dict[str, str], minor: str = MINOR) -> PypiPackage:
    site = prefix / "lib" / minor / "site-packages"
    rows = []
    for path, text in files.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_text(text)
        digest = urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        rows.append(f"{path},sha256={digest},{len(text)}")
    info = site / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "RECORD").write_text("\n".join(rows) + "\n")
    return package(name)


def put_prefix(prefix: Path, interpreter: Path | None = None) -> Path:
    """Make a prefix whose interpreter is borrowed; return its site-packages."""
    interpreter = interpreter or Path(os.path.realpath(sys.executable))
    (prefix / "bin").mkdir(parents=True)
    (prefix / MARKER).touch()
    (prefix / "bin" / interpreter.name).symlink_to(interpreter)
    (prefix / "bin" / "python").symlink_to(interpreter.name)
    return prefix / "lib" / interpreter.name / "site-packages"


def until(said: Callable[[], object], seconds: float = 60.0) -> bool:
    end = time.monotonic() + seconds
    while not said() and time.monotonic() < end:
        time.sleep(0.02)
    return bool(said())


def workers(word: Path) -> list[int]:
    """Return the processes that compile for the interpreter below *word*."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if words[0].startswith(str(word)) and any("compile_sources" in text for text in words):
            found.append(int(path.parent.name))
    return found


def hold(path: Path) -> int:
    """Take a lock, so that the background waits where we want it; return what to close."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT)
    fcntl.flock(handle, fcntl.LOCK_EX)
    return handle


def run(python: Path, program: str, site: Path, *flags: str) -> str:
    done = subprocess.run(
        [str(python), "-s", "-B", *flags, "-c", program],
        env={"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("interpreter", INTERPRETERS, ids=lambda path: path.name)
def test_a_later_prefix_gets_what_the_first_one_made(tmp_path: Path, interpreter: Path) -> None:
    """For every Python: made in the background of one prefix, linked into the next, imported there under its own path.

    The source of the second prefix is blanked first: what runs can only come from the byte code.
    """
    cache = ByteCodeCache(tmp_path)
    files = {"mod.py": SOURCE, "old.py": "print 'two'\n"}
    put_prefix(tmp_path / "one", interpreter)
    wheel = put_wheel(tmp_path / "one", "mod", files, interpreter.name)

    cache.begin(tmp_path / "one", [wheel])

    assert until((tmp_path / "one" / STATE).exists)
    site = put_prefix(tmp_path / "two", interpreter)
    put_wheel(tmp_path / "two", "mod", files, interpreter.name)
    assert 1 == cache.link(tmp_path / "two", [wheel])
    assert (tmp_path / "two" / STATE).exists()
    (site / "mod.py").write_text("")
    assert str(site / "mod.py") == run(tmp_path / "two/bin/python", "import mod; print(mod.where())", site)


def test_real_sources(tmp_path: Path) -> None:
    """Every module of a real package gets byte code, and an import of it compiles nothing."""
    site = put_prefix(tmp_path / "p")
    source = Path(pytest.__file__).parent.parent / "_pytest"
    files = {f"_pytest/{path.relative_to(source)}": path.read_text("utf-8") for path in source.rglob("*.py")}
    wheel = put_wheel(tmp_path / "p", "mod", files)
    # Where the modules of the package were read from, as the interpreter tells it.
    program = "import _pytest.scope, _pytest.compat, _pytest.outcomes"

    ByteCodeCache(tmp_path).begin(tmp_path / "p", [wheel])

    assert until((tmp_path / "p" / STATE).exists)
    assert len(files) == len(list(site.rglob("*.pyc")))
    said = subprocess.run(
        [sys.executable, "-B", "-v", "-c", program],
        env={"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stderr
    lines = [line for line in said.splitlines() if line.startswith("# code object from ") and str(site) in line]
    assert len(lines) >= 3
    assert [] == [line for line in lines if not line.endswith((".pyc", ".pyc'"))]


@NEEDS_PROC
def test_the_background_is_nobodys_burden(tmp_path: Path) -> None:
    """Who reads the launcher to its end does not wait; the background is idle, of its own session, and unheard."""
    put_prefix(tmp_path / "p")
    wheel = put_wheel(tmp_path / "p", "mod", {"mod.py": SOURCE})
    handle = hold(tmp_path / ".bytecode" / TAG / ".lock")
    program = (
        "import sys, json; from pathlib import Path\n"
        "from metaflow_extensions.netflix_ext.adapters.bytecode import ByteCodeCache\n"
        "from metaflow_extensions.netflix_ext.engine.package import PypiPackage\n"
        "root, wheel = Path(sys.argv[1]), PypiPackage(**json.loads(sys.argv[2]))\n"
        "ByteCodeCache(root).begin(root / 'p', [wheel])\n"
    )
    fields = json.dumps({name: getattr(wheel, name) for name in ("name", "version", "filename", "url", "sha256")})

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, str(tmp_path), fields],
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )

    assert ("", "") == (done.stdout, done.stderr)
    assert until(lambda: workers(tmp_path))
    (pid,) = workers(tmp_path)
    assert until(lambda: os.getpriority(os.PRIO_PROCESS, pid) == 19)
    assert os.getsid(pid) != os.getsid(0)
    # In no folder of the user's: in the prefix, which it so knows from what may take its place.
    assert until(lambda: os.readlink(f"/proc/{pid}/cwd") == str(tmp_path / "p"))
    assert {"/dev/null"} == {os.readlink(f"/proc/{pid}/fd/{number}") for number in (1, 2)}
    if hasattr(os, "SCHED_IDLE"):
        assert until(lambda: os.sched_getscheduler(pid) == os.SCHED_IDLE)
    os.close(handle)
    assert until((tmp_path / "p" / STATE).exists)
    assert until(lambda: not workers(tmp_path))


@NEEDS_PROC
def test_one_works_on_a_prefix_and_the_next_goes_on_after_a_kill(tmp_path: Path) -> None:
    """A second begin leaves at once; after a kill the next one makes what is missing."""
    put_prefix(tmp_path / "p")
    wheel = put_wheel(tmp_path / "p", "mod", {"mod.py": SOURCE})
    cache = ByteCodeCache(tmp_path)
    handle = hold(tmp_path / ".bytecode" / TAG / ".lock")

    cache.begin(tmp_path / "p", [wheel])
    assert until(lambda: workers(tmp_path))
    (first,) = workers(tmp_path)
    assert until((tmp_path / ".bytecode" / TAG / ".prefixes" / "p").exists)
    time.sleep(0.2)
    cache.begin(tmp_path / "p", [wheel])
    time.sleep(0.2)
    assert until(lambda: workers(tmp_path) == [first])

    os.kill(first, signal.SIGKILL)
    assert until(lambda: not workers(tmp_path))
    assert not (tmp_path / "p" / STATE).exists()
    os.close(handle)
    cache.begin(tmp_path / "p", [wheel])
    assert until((tmp_path / "p" / STATE).exists)


@NEEDS_PROC
def test_a_prefix_may_go_while_it_is_worked_on(tmp_path: Path) -> None:
    """The background of a removed prefix leaves, brings nothing back, and keeps nothing incomplete."""
    put_prefix(tmp_path / "p")
    wheel = put_wheel(tmp_path / "p", "mod", {"mod.py": SOURCE})
    handle = hold(tmp_path / ".bytecode" / TAG / ".lock")
    ByteCodeCache(tmp_path).begin(tmp_path / "p", [wheel])
    assert until(lambda: workers(tmp_path))
    time.sleep(0.3)  # it has read what there is to make, and waits for the lock

    shutil.rmtree(tmp_path / "p")
    os.close(handle)

    assert until(lambda: not workers(tmp_path))
    assert not (tmp_path / "p").exists()
    assert {".lock", ".prefixes"} == set(os.listdir(tmp_path / ".bytecode" / TAG))


@NEEDS_PROC
def test_what_takes_the_place_of_a_prefix_gets_no_byte_code_of_it(tmp_path: Path) -> None:
    """Replaced while it is worked on, a prefix leaves nothing in its successor, whose own sources are imported."""
    put_prefix(tmp_path / "p")
    wheel = put_wheel(tmp_path / "p", "mod", {"mod.py": SOURCE})
    handle = hold(tmp_path / ".bytecode" / TAG / ".lock")
    ByteCodeCache(tmp_path).begin(tmp_path / "p", [wheel])
    assert until(lambda: workers(tmp_path))
    assert until((tmp_path / ".bytecode" / TAG / ".prefixes" / "p").exists)
    time.sleep(0.3)

    (tmp_path / "p").rename(tmp_path / "p.partial-replaced")
    site = put_prefix(tmp_path / "p")
    put_wheel(tmp_path / "p", "mod", {"mod.py": "def where():\n    return 'the successor'\n"})
    os.close(handle)

    assert until(lambda: not workers(tmp_path))
    assert (tmp_path / "p.partial-replaced" / STATE).exists()
    assert list(site.rglob("*.pyc")) == []
    assert not (tmp_path / "p" / STATE).exists()
    assert run(tmp_path / "p/bin/python", "import mod; print(mod.where())", site) == "the successor"


@NEEDS_PROC
@pytest.mark.parametrize("marker", ['{"id": ["other", "b", "c"]}', "{", "[]"], ids=["another's", "damaged", "strange"])
def test_a_prefix_that_has_come_to_be_anothers(tmp_path: Path, marker: str) -> None:
    """Asked for one environment, the background leaves the prefix of another alone; its own it completes."""
    put_prefix(tmp_path / "p")
    wheel = put_wheel(tmp_path / "p", "mod", {"mod.py": SOURCE})
    (tmp_path / "p" / MARKER).write_text(marker)

    ByteCodeCache(tmp_path).begin(tmp_path / "p", [wheel], EnvID("a", "b", "c"))
    until(lambda: workers(tmp_path), seconds=2)  # it may be gone before we look
    assert until(lambda: not workers(tmp_path))
    assert list((tmp_path / "p").rglob("*.pyc")) == []
    assert not (tmp_path / "p" / STATE).exists()

    (tmp_path / "p" / MARKER).write_text('{"id": ["a", "b", "c"]}')
    ByteCodeCache(tmp_path).begin(tmp_path / "p", [wheel], EnvID("a", "b", "c"))
    assert until((tmp_path / "p" / STATE).exists)


def test_two_prefixes_compile_a_package_once(tmp_path: Path) -> None:
    """Begun together, two prefixes end with the same files on disk."""
    cache = ByteCodeCache(tmp_path)
    for name in ("one", "two"):
        put_prefix(tmp_path / name)
        wheel = put_wheel(tmp_path / name, "mod", {f"mod{number}.py": SOURCE for number in range(50)})

    cache.begin(tmp_path / "one", [wheel])
    cache.begin(tmp_path / "two", [wheel])

    assert until(lambda: all((tmp_path / name / STATE).exists() for name in ("one", "two")))
    for number in range(50):
        path = Path("lib", MINOR, "site-packages", "__pycache__", f"mod{number}.{TAG}.pyc")
        assert (tmp_path / "one" / path).samefile(tmp_path / "two" / path)


def test_a_tree_is_compiled_in_its_place(tmp_path: Path) -> None:
    """Every source below the folder gets byte code that is taken unchecked, and the state says for which Python."""
    tree = tmp_path / "tree"
    (tree / "metaflow" / "plugins").mkdir(parents=True)
    (tree / "metaflow" / "__init__.py").write_text("VALUE = 1\n")
    (tree / "metaflow" / "plugins" / "__init__.py").write_text("")
    (tree / "metaflow" / "broken.py").write_text("def f(:\n")
    python = Path(sys.executable)

    ByteCodeCache(tmp_path).begin_tree(tree, python)

    assert until(Path(compile_sources.tree_state(str(tree), TAG)).exists)
    made = {path.relative_to(tree).as_posix() for path in tree.rglob("*.pyc")}
    assert {
        f"metaflow/__pycache__/__init__.{TAG}.pyc",
        f"metaflow/plugins/__pycache__/__init__.{TAG}.pyc",
    } == made
    (tree / "metaflow" / "__init__.py").write_text("VALUE = 2\n")
    assert "1" == run(python, "import metaflow; print(metaflow.VALUE)", tree, "-S")
