"""A resolved environment to a prefix: whole or not at all, once, and only where it can run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from metaflow_extensions.netflix_ext.adapters.compile_sources import MARKER
from metaflow_extensions.netflix_ext.adapters.prefixes import PrefixFolder
from metaflow_extensions.netflix_ext.engine.create import check_machine, create, find
from metaflow_extensions.netflix_ext.engine.errors import CreateError, PackageError
from metaflow_extensions.netflix_ext.engine.events import Reporter
from tests.fakes import FakeActivator, FakeInstaller, FakeMachine, Recorder, conda_package, creator, resolved, wheel

ENVIRONMENT = resolved(conda_package("numpy"), pypi=[wheel("requests")])
NAME = ENVIRONMENT.env_id.prefix_name

# A creator in a process of its own: it says when it is in the middle, and stays there.
STUCK = """
import sys, time
from pathlib import Path
from metaflow_extensions.netflix_ext.adapters.prefixes import PrefixFolder
from metaflow_extensions.netflix_ext.engine.create import create
from metaflow_extensions.netflix_ext.engine.events import Reporter
from tests.fakes import FakeInstaller, creator
from tests.unit.engine.test_create import ENVIRONMENT

class Stuck(FakeInstaller):
    def install(self, packages, stage, final, report, **more):
        super().install(packages, stage, final, report, **more)
        print("in the middle", flush=True)
        time.sleep(60)

create(ENVIRONMENT, creator(PrefixFolder(Path(sys.argv[1])), wheels=Stuck()), Reporter())
"""


@pytest.fixture(name="prefixes")
def _prefixes(tmp_path: Path) -> PrefixFolder:
    return PrefixFolder(tmp_path / "envs")


def left(root: Path) -> list[str]:
    """Return what lies in the folder of prefixes, locks apart."""
    return sorted(path.name for path in root.iterdir() if path.name != ".locks")


def test_a_prefix_is_made_and_found_again(prefixes: PrefixFolder, tmp_path: Path) -> None:
    """The first create makes it, the second finds it, and installs nothing."""
    parts = creator(prefixes)

    made = create(ENVIRONMENT, parts, Reporter())
    again = create(ENVIRONMENT, creator(prefixes, conda=FakeInstaller(error=AssertionError())), Reporter())

    assert again == made == find(ENVIRONMENT, prefixes)
    assert made.path == tmp_path / "envs" / NAME
    assert made.python == made.path / "bin" / "python"
    assert made.variables == {"HELLO": str(made.path)}
    assert left(tmp_path / "envs") == [NAME]
    assert {"numpy-1.0-0.conda", "requests-1.0-py3-none-any.whl", MARKER} <= set(os.listdir(made.path))


def test_without_wheels_nobody_installs_wheels(prefixes: PrefixFolder) -> None:
    """An environment of conda packages alone does not start the installer of wheels."""
    wheels = FakeInstaller()
    create(resolved(), creator(prefixes, wheels=wheels), Reporter())

    assert wheels.calls == 0


@pytest.mark.parametrize("stage", ["conda", "wheels", "activator", "interrupt"])
def test_a_failure_leaves_nothing_behind(prefixes: PrefixFolder, tmp_path: Path, stage: str) -> None:
    """Whatever fails, when it fails: the error comes out as it is, no trace stays, and the next create works."""
    error: BaseException = KeyboardInterrupt() if stage == "interrupt" else PackageError("other bytes", "look")
    part = FakeActivator(PackageError("other bytes", "look")) if stage == "activator" else FakeInstaller(error)
    parts = creator(prefixes, **{"conda" if stage == "interrupt" else stage: part})

    with pytest.raises(type(error)):
        create(ENVIRONMENT, parts, Reporter())

    assert left(tmp_path / "envs") == []
    assert find(ENVIRONMENT, prefixes) is None
    assert create(ENVIRONMENT, creator(prefixes), Reporter()).path.is_dir()


def test_another_platform_is_refused_before_anything_is_done(prefixes: PrefixFolder, tmp_path: Path) -> None:
    """An environment for another platform is refused; no folder is made."""
    parts = creator(prefixes, machine=FakeMachine("osx-arm64"))

    with pytest.raises(CreateError, match="linux-64, and this machine is osx-arm64"):
        create(ENVIRONMENT, parts, Reporter())

    assert not (tmp_path / "envs").exists()
    assert isinstance(parts.conda, FakeInstaller)
    assert parts.conda.calls == 0


@pytest.mark.parametrize(
    ("environment", "glibc", "who", "has"),
    [
        (resolved(conda_package("a", depends=("__glibc >=2.28,<3.0.a0",))), "2.17", "a-1.0-0.conda", "2.17"),
        (resolved(conda_package("a", depends=("__glibc >=2.28",))), "", "a-1.0-0.conda", "none"),
        (resolved(conda_package("a", depends=("__cuda",))), "2.28", "a-1.0-0.conda", "none"),
        (resolved(pypi=[wheel("a", tag="cp311-cp311-manylinux_2_28_x86_64")]), "2.17", "a-1.0-cp311", "2.17"),
        (
            resolved(pypi=[wheel("a", tag="cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64")]),
            "2.26",
            ">=2.27",
            "2.26",
        ),
        (resolved(pypi=[wheel("a", tag="cp311-cp311-manylinux2014_x86_64")]), "2.12", ">=2.17", "2.12"),
    ],
)
def test_a_machine_that_cannot_is_told(environment: object, glibc: str, who: str, has: str) -> None:
    """A machine without what a package needs is refused, with the package, the need and what there is."""
    with pytest.raises(CreateError) as caught:
        check_machine(environment, FakeMachine(glibc=glibc))  # type: ignore[arg-type]

    assert who in caught.value.message
    assert caught.value.message.endswith(f"and this machine has {has}")
    assert "@sys_packages" in caught.value.hint


@pytest.mark.parametrize(
    "environment",
    [
        resolved(conda_package("a", depends=("__glibc >=2.17,<3.0.a0", "__unix", "python >=3.11"))),
        resolved(pypi=[wheel("a", tag="cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64")]),
        resolved(pypi=[wheel("a", tag="cp311-cp311-manylinux1_x86_64.manylinux_2_5_x86_64")]),
        resolved(pypi=[wheel("manylinux_2_99_x", tag="py3-none-any")]),
    ],
)
def test_a_machine_that_can_is_not_refused(environment: object) -> None:
    """A wheel of several tags needs the oldest of them; a name that looks like a tag is none."""
    check_machine(environment, FakeMachine(glibc="2.27"))  # type: ignore[arg-type]


def test_trusted_hosts_reach_those_who_fetch(prefixes: PrefixFolder) -> None:
    """A host that was trusted when the environment was resolved is so when its wheels are fetched."""
    spec = {**ENVIRONMENT.spec, "options": {"trusted_hosts": ["h.example"]}}
    wheels = FakeInstaller()

    create(replace(ENVIRONMENT, spec=spec), creator(prefixes, wheels=wheels), Reporter())

    assert ["h.example"] == wheels.trusted


def test_of_two_creators_one_builds(prefixes: PrefixFolder) -> None:
    """Two threads that want one prefix get the same, and it is built once."""
    together = threading.Barrier(2, timeout=10)

    class Slow(FakeInstaller):
        def install(self, *arguments: object) -> None:  # type: ignore[override]
            time.sleep(0.1)
            super().install(*arguments)  # type: ignore[arg-type]

    installer = Slow()
    found = []

    def work() -> None:
        together.wait()
        found.append(create(ENVIRONMENT, creator(prefixes, conda=installer), Reporter()))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert installer.calls == 1
    assert len(found) == 2
    assert found[0] == found[1]


def test_a_killed_creator_leaves_the_way_free(prefixes: PrefixFolder, tmp_path: Path) -> None:
    """Kill -9 in the middle: the lock is free, the left-over is removed, and the next creator makes it whole."""
    root = tmp_path / "envs"
    place = {"PYTHONPATH": str(Path(__file__).parents[3])}
    command = [sys.executable, "-c", STUCK, str(root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, **place}, text=True) as stuck:
        assert stuck.stdout is not None
        assert stuck.stdout.readline() == "in the middle\n"
        assert find(ENVIRONMENT, prefixes) is None
        stuck.send_signal(signal.SIGKILL)
    assert left(root) == [f"{NAME}.partial-{stuck.pid}"]

    report = Recorder()
    made = create(ENVIRONMENT, creator(prefixes), report)

    assert left(root) == [NAME]
    assert find(ENVIRONMENT, prefixes) == made
    assert report.notes == []


def test_a_folder_that_is_not_ours_is_untouched(prefixes: PrefixFolder, tmp_path: Path) -> None:
    """Something else in the prefix's place is refused by name, and stays as it was."""
    taken = tmp_path / "envs" / NAME
    taken.mkdir(parents=True)
    (taken / "precious").write_text("mine")

    with pytest.raises(CreateError, match="not ours to replace"):
        create(ENVIRONMENT, creator(prefixes), Reporter())

    assert (taken / "precious").read_text() == "mine"
    assert left(tmp_path / "envs") == [NAME]


@pytest.mark.parametrize("marker", ["", "{", "3", "{}", '{"id": ["a", "b", "c"], "variables": {}}', '{"id": null}'])
def test_a_marker_of_something_else_is_not_believed(prefixes: PrefixFolder, tmp_path: Path, marker: str) -> None:
    """A prefix whose marker is damaged, or names another environment, does not pass for this one."""
    taken = tmp_path / "envs" / NAME
    taken.mkdir(parents=True)
    (taken / MARKER).write_text(marker)

    assert find(ENVIRONMENT, prefixes) is None
