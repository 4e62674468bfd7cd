"""Clean roots, containers in them, and networks without a way out: what the other tests of remote tasks rest on."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.remote import Container, isolated, run
from tests.remote.fixtures import MakeRoot, bare, remote_root
from tests.remote.pods import Pod, run_pod
from tests.remote.roots import RELEASES, check_machine
from tests.servers import AbsentError

__all__ = ["bare", "remote_root"]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def sleeping() -> str:
    """A command that sleeps long, and whose processes are known from all others by its words."""
    return f"sleep {random.randrange(10**6, 10**9)}.5"


def processes_with(word: str) -> list[str]:
    """Return the command lines on this machine, in whatever namespace, that have *word* in them."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            text = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if word in text and int(path.parent.name) != os.getpid():
                found.append(text)
    return found


def inside(word: str) -> bool:
    """Tell whether a process runs whose command line is *word* alone, as a container's is."""
    return word in [text.strip() for text in processes_with(word)]


def gone(word: str) -> bool:
    """Tell whether, soon, no process is left that has *word* in its command line."""
    limit = time.monotonic() + 5
    while processes_with(word):
        if time.monotonic() > limit:
            return False
        time.sleep(0.05)
    return True


# --- roots


@pytest.mark.parametrize("release", RELEASES)
def test_each_release_has_its_python_and_clients(remote_root: MakeRoot, release: str) -> None:
    """`python` is the release's, and talks to S3 with nothing installed first."""
    container = Container(root=remote_root(release))
    program = "import sys, boto3, requests; print('%d.%d' % sys.version_info[:2])"

    ended = run(container, ["sh", "-c", f'test -n "$METAFLOW_SKIP_INSTALL_DEPENDENCIES" && python -c "{program}"'])

    assert ended.status == 0, ended.output
    assert RELEASES[release] == ended.lines[-1].text


def test_somebody_who_is_not_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told that root alone can."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(sys, "platform", "linux")

    with pytest.raises(AbsentError, match="by root alone"):
        check_machine()


def test_a_machine_without_the_programs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is told which one is missing."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(sys, "platform", "linux")

    with pytest.raises(AbsentError, match="there is no 'mmdebstrap' on this machine"):
        check_machine()


# --- containers


def test_nothing_of_the_machine_is_seen(bare: Container, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither variables, nor files, nor processes, nor the host's name."""
    monkeypatch.setenv("OF_THE_MACHINE", "1")

    ended = run(replace(bare, host="pod-7"), ["sh", "-c", f"env; hostname; ls {ROOT}; ls -d /proc/[0-9]* | wc -l"])

    assert "OF_THE_MACHINE" not in ended.output
    assert "pod-7" in ended.output.splitlines()
    assert "No such file or directory" in ended.output
    assert int(ended.lines[-1].text) < 6


def test_each_copy_is_fresh_and_volumes_stay(bare: Container, tmp_path: Path) -> None:
    """What is written is gone with the container, unless it was in a volume; a file to be read stays as it was."""
    tmp_path.joinpath("given").write_text("given")
    volume = tmp_path / "volume"
    volume.mkdir()
    container = replace(bare, folders={"/mnt/volume": volume}, files={"/etc/given": tmp_path / "given"})
    writing = "rm /usr/bin/env; echo kept > /mnt/volume/kept; cat /etc/given; echo; echo x > /etc/given"

    first = run(container, ["sh", "-c", writing])
    second = run(container, ["sh", "-c", "test -x /usr/bin/env && cat /mnt/volume/kept"])

    assert "given" == first.lines[0].text
    assert "Read-only file system" in first.output
    assert tmp_path.joinpath("given").read_text() == "given"
    assert (second.status, second.output) == (0, "kept")


def test_somebody_else_than_root(bare: Container) -> None:
    """Another user may write at home, not elsewhere."""
    words = ["sh", "-c", "id -u; echo 1 > $HOME/file && cat $HOME/file; echo 2 > /file"]

    ended = run(replace(bare, user=1000), words)

    assert [line.text for line in ended.lines[:2]] == ["1000", "1"]
    assert "Permission denied" in ended.output


def test_a_full_disk(bare: Container) -> None:
    """What may be written is as much as was said."""
    command = ["sh", "-c", "head -c 3000000 /dev/zero > /tmp/a && echo fits && head -c 9000000 /dev/zero > /var/b"]

    ended = run(replace(bare, disk="8m"), command)

    assert ended.lines[0].text == "fits"
    assert "No space left on device" in ended.output
    assert ended.status == 1


def test_killed_at_a_line(bare: Container, tmp_path: Path, sleeping: str) -> None:
    """All that runs is killed when the line comes; lines say when they came."""
    command = f"echo first; sleep 0.5; ({sleeping} &); echo ready 1; {sleeping}; echo never; touch /mnt/late"

    ended = run(replace(bare, folders={"/mnt": tmp_path}), ["sh", "-c", command], kill_at=r"^ready \d")

    assert (ended.status, ended.killed) == (137, True)
    assert ended.output == "first\nready 1"
    assert 0.4 < ended.when("ready") - ended.when("first") < 5
    assert gone(sleeping)
    assert list(tmp_path.iterdir()) == []


def test_its_own_status_and_time(bare: Container, sleeping: str) -> None:
    """A status is passed on as it is, and what takes too long is an error that shows what was said."""
    assert run(bare, ["sh", "-c", "exit 7"]).status == 7
    with pytest.raises(TimeoutError, match="said before"):
        run(bare, ["sh", "-c", f"echo said before; {sleeping}"], timeout=1)
    assert gone(sleeping)


def test_a_container_ends_with_the_test_run(bare: Container, sleeping: str) -> None:
    """Whoever started it is killed: it ends too."""
    program = (
        "from tests.remote import Container, root, run; import sys\n"
        "run(Container(root=root('bookworm', 'none')), ['sh', '-c', sys.argv[1]])"
    )
    starter = subprocess.Popen([sys.executable, "-c", program, sleeping], cwd=ROOT)
    try:
        limit = time.monotonic() + 20
        while not inside(sleeping) and time.monotonic() < limit:
            time.sleep(0.05)
        assert inside(sleeping)
    finally:
        starter.kill()
        starter.wait()

    assert gone(sleeping)


def test_a_pod(bare: Container, tmp_path: Path) -> None:
    """It has its variables, facts about itself, volumes that stay and some that do not; outputs are read at its end."""
    script = "echo $GIVEN $NAME $IMAGE > /mnt/out/said; echo kept > /mnt/shelf/kept; hostname"
    env = [
        {"name": "GIVEN", "value": "{x}"},
        {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
    ]
    mounts = [{"name": "out", "mountPath": "/mnt/out"}, {"name": "shelf", "mountPath": "/mnt/shelf"}]
    pod = Pod(
        name="A_pod",
        spec={"command": ["sh", "-c", script], "env": env, "volumeMounts": mounts},
        volumes=[{"name": "out", "emptyDir": {}}, {"name": "shelf", "persistentVolumeClaim": {"claimName": "shelf"}}],
        fill=lambda text: text.replace("{x}", "filled"),
        claims={"shelf": tmp_path},
    )

    done = run_pod(pod, replace(bare, variables={"IMAGE": "image"}), {"said": "/mnt/out/said", "not": "/mnt/out/not"})

    assert (done.ended.status, done.ended.output) == (0, "a-pod")
    assert done.outputs == {"said": "filled A_pod image"}
    assert tmp_path.joinpath("kept").read_text() == "kept\n"


# --- networks


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server of this process that sends back what it gets, on all connections beside each other."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:

        def answer(connection: socket.socket) -> None:
            with connection:
                while block := connection.recv(65536):
                    connection.sendall(block)

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield int(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)


PROBE = """
import socket, sys
here, chosen, other = "127.0.0.1", int(sys.argv[1]), int(sys.argv[2])
for host, port in ((here, chosen), (here, other), ("192.0.2.1", 80), ("a.example", 80)):
    try:
        socket.create_connection((host, port), timeout=3).close()
        print("open")
    except OSError as error:
        print(error)
"""


def test_no_way_out(bare: Container, echo: int) -> None:
    """The ports that were chosen are open; other ports of the machine, other hosts and names are not there."""
    with socket.create_server(("127.0.0.1", 0)) as other, isolated([echo]) as network:
        words = ["python", "-c", PROBE, str(echo), str(other.getsockname()[1])]
        ended = run(replace(bare, network=network), words)
        without = run(bare, words)

    said = [line.text for line in ended.lines]
    assert said[0] == "open"
    assert "Connection refused" in said[1]
    assert "Network is unreachable" in said[2]
    assert "name resolution" in said[3] or "not known" in said[3]
    assert network.opened == {echo: 1}
    assert "Connection refused" in without.lines[0].text
    assert "Network is unreachable" in without.lines[2].text


MANY = """
import hashlib, os, socket, sys
port, count = int(sys.argv[1]), 200
opened = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(count)]
for number, one in enumerate(opened):
    one.sendall(b"%d;" % number * 1000)
    one.shutdown(socket.SHUT_WR)
good = 0
for number, one in enumerate(opened):
    got = b""
    while block := one.recv(65536):
        got += block
    good += got == b"%d;" % number * 1000
print(good)
"""


def test_two_hundred_connections_at_once(bare: Container, echo: int) -> None:
    """All are open beside each other, and each gets its own answer to the last byte."""
    with isolated([echo]) as network:
        ended = run(replace(bare, network=network), ["python", "-c", MANY, str(echo)])

    assert ended.output == "200"
    assert network.opened == {echo: 200}


def test_a_server_that_goes_away(bare: Container, echo: int) -> None:
    """A port can be closed while tasks run."""
    with isolated([echo]) as network:
        network.closed.add(echo)
        program = f"import socket; s = socket.create_connection(('127.0.0.1', {echo})); print(s.recv(1) or 'closed')"
        ended = run(replace(bare, network=network), ["python", "-c", program])

    assert "closed" in ended.output or "reset by peer" in ended.output
    assert network.opened == {}
