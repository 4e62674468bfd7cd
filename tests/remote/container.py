"""A command in a throw-away copy of a root, cut off from the machine as a container is."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .network import Network
from .roots import Root, mount_point

# What a container engine leaves to root by default.
_CAPABILITIES = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SYS_CHROOT",
    "MKNOD",
    "AUDIT_WRITE",
    "SETFCAP",
]
# $1: the mount point; $2: the layers; $3: the size of what can be written; $4: the host; $5: who owns /home/user.
_MOUNT = """set -e
mount -t tmpfs -o size="$3",mode=755 tmpfs "$1"
mkdir -m 755 "$1/upper" "$1/work" "$1/root" "$1/upper/etc" "$1/upper/home" "$1/upper/home/user"
chown "$5" "$1/upper/home/user"
printf '127.0.0.1 localhost %s\\n' "$4" > "$1/upper/etc/hosts"
printf '%s\\n' "$4" > "$1/upper/etc/hostname"
mount -t overlay overlay -o lowerdir="$2",upperdir="$1/upper",workdir="$1/work" "$1/root"
cd /
shift 5
exec "$@"
"""


@dataclass(frozen=True, kw_only=True)
class Container:
    """Where a command runs.

    Without a ``network`` there is loopback alone. ``folders`` maps paths inside to folders of the machine that are
    mounted there (volumes); ``files`` likewise, to be read alone. What is written elsewhere is gone at the end, and
    ``disk`` says how much can be. ``user`` is a number other than root's.
    """

    root: Root
    variables: Mapping[str, str] = field(default_factory=dict)
    network: Network | None = None
    folders: Mapping[str, Path] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)
    disk: str = "4g"
    host: str = "remote"
    user: int | None = None
    at: str = "/"


@dataclass(frozen=True)
class Line:
    """A line of output, and how many seconds after the start it came."""

    seconds: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a command ended: ``status`` as a shell gives it (137 if it was killed), both streams, seconds."""

    status: int
    lines: tuple[Line, ...]
    seconds: float
    killed: bool = False

    @property
    def output(self) -> str:
        return "\n".join(line.text for line in self.lines)

    def when(self, pattern: str) -> float:
        """Return the seconds at which the first line came that *pattern* is found in."""
        for line in self.lines:
            if re.search(pattern, line.text):
                return line.seconds
        raise LookupError(f"no line has {pattern!r}:\n{self.output}")


def run(
    container: Container,
    command: Sequence[str],
    *,
    kill_at: str | None = None,
    timeout: float = 600,
    started: Callable[[Callable[[], None]], None] | None = None,
) -> Ended:
    """Run *command* in a fresh copy of the container's root, and wait for its end.

    It is killed, with all that it has started, as soon as a line comes that the pattern *kill_at* is found in, and
    when the time is over, which raises TimeoutError. Without this process it ends too. *started* is given a function
    that kills it.
    """
    begun = time.monotonic()
    lines: list[Line] = []
    killed, late = False, threading.Event()
    with subprocess.Popen(
        [*_enter(container), *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        timer = threading.Timer(timeout, _end, (process, late))
        timer.start()
        try:
            if started is not None:
                started(process.kill)
            assert process.stdout is not None
            for raw in process.stdout:
                lines.append(Line(time.monotonic() - begun, raw.decode(errors="replace").rstrip("\n")))
                if kill_at is not None and not killed and re.search(kill_at, lines[-1].text):
                    killed = True
                    process.kill()
            status = process.wait()
        finally:
            timer.cancel()
            process.kill()
    ended = Ended(
        status=status if status >= 0 else 128 - status,
        lines=tuple(lines),
        seconds=time.monotonic() - begun,
        killed=killed,
    )
    if late.is_set():
        raise TimeoutError(f"not over after {timeout} s:\n{ended.output[-4000:]}")
    return ended


def _end(process: subprocess.Popen[bytes], late: threading.Event) -> None:
    late.set()
    process.kill()


def _enter(container: Container) -> list[str]:
    """Return the words before a command that let it run in a fresh copy of the root."""
    place = str(mount_point())
    layers = ":".join(str(layer) for layer in container.root.layers)
    owner = str(container.user or 0)
    # Each word starts the next in its own place, so that one process is to be killed; it dies with its parent.
    words = ["setpriv", "--pdeathsig", "KILL"]
    words += container.network.enter if container.network is not None else []
    words += ["unshare", "--mount", "--propagation", "private", "sh", "-c", _MOUNT, "sh"]
    words += [place, layers, container.disk, container.host, f"{owner}:{owner}"]
    words += ["bwrap", "--bind", f"{place}/root", "/", "--proc", "/proc", "--dev", "/dev"]
    words += ["--unshare-pid", "--unshare-ipc", "--unshare-uts", "--hostname", container.host]
    words += ["--as-pid-1", "--die-with-parent"]
    words += [] if container.network is not None else ["--unshare-net"]
    for inside, outside in container.folders.items():
        words += ["--bind", str(outside), inside]
    for inside, outside in container.files.items():
        words += ["--ro-bind", str(outside), inside]
    words += ["--cap-drop", "ALL"]
    for name in _CAPABILITIES:
        words += ["--cap-add", f"CAP_{name}"]
    words += ["--clearenv", "--chdir", container.at]
    for name, value in _variables(container).items():
        words += ["--setenv", name, value]
    if container.user is not None:
        words += ["setpriv", f"--reuid={owner}", f"--regid={owner}", "--clear-groups", "--"]
    return words


def _variables(container: Container) -> dict[str, str]:
    return {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root" if container.user is None else "/home/user",
        "HOSTNAME": container.host,
        "LANG": "C.UTF-8",
        **container.root.variables,
        **container.variables,
    }
