"""Clean Linux roots, made once on each machine: to a remote task here what an image is to one on a cluster."""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.servers import AbsentError

# The releases that can be had, and the Python of each.
RELEASES: Mapping[str, str] = {"bullseye": "3.9", "bookworm": "3.11", "trixie": "3.13"}
# What Metaflow would install in a container before it downloads the code package, for each kind of datastore.
CLIENTS: Mapping[str, tuple[str, ...]] = {
    "none": (),
    "s3": ("boto3", "requests", "python-dateutil<3"),
    "azure": ("azure-identity", "azure-storage-blob", "simple-azure-blob-downloader", "requests"),
    "gs": ("google-cloud-storage", "google-auth", "simple-gcp-object-downloader", "requests"),
}
# pip takes the conditions of requirements for its own Python: what they would say for another one.
_OLDER: Mapping[str, tuple[str, ...]] = {"3.9": ("urllib3<1.27", "boto3<1.43", "requests<2.33")}
_PACKAGES = ("python3", "python-is-python3", "ca-certificates")
_PROGRAMS = ("mmdebstrap", "bwrap", "unshare", "nsenter", "setpriv")
# Older than the C library of every release.
_GLIBC = "manylinux2014"
_known: dict[tuple[str, str], Root | str] = {}


@dataclass(frozen=True, kw_only=True)
class Root:
    """A root file system that nobody writes to: layers, the top one first, and the variables that an image sets."""

    release: str
    python: str
    layers: tuple[Path, ...]
    variables: Mapping[str, str] = field(default_factory=dict)


def root(release: str, clients: str = "s3") -> Root:
    """Return the root of *release* with the *clients* of a datastore, made first if need be; raise AbsentError.

    With clients, Metaflow is told to install none (METAFLOW_SKIP_INSTALL_DEPENDENCIES). What could not be had once
    is not tried again by this process.
    """
    key = release, clients
    if key not in _known:
        try:
            _known[key] = _root(release, clients)
        except AbsentError as error:
            _known[key] = str(error)
    found = _known[key]
    if isinstance(found, str):
        raise AbsentError(found)
    return found


def _root(release: str, clients: str) -> Root:
    check_machine()
    python = RELEASES[release]
    mirror = _mirror() if not _folder(*_root_recipe(release)).joinpath(".complete").exists() else ""
    base = _made(_root_recipe(release), lambda target: _bootstrap(release, mirror, target))
    layers = [base]
    packages = (*CLIENTS[clients], *_OLDER.get(python, ())) if CLIENTS[clients] else ()
    if packages:
        recipe = (f"{clients}-{python}", ("clients", python, *packages))
        layers.insert(0, _made(recipe, lambda target: _install(packages, python, base, target)))
    skip = {"METAFLOW_SKIP_INSTALL_DEPENDENCIES": "1"} if packages else {}
    return Root(release=release, python=python, layers=tuple(layers), variables=skip)


def check_machine() -> None:
    """Raise AbsentError if roots can be neither made nor entered here."""
    if sys.platform != "linux":
        raise AbsentError("clean Linux roots need Linux")
    if os.geteuid() != 0:
        raise AbsentError("clean Linux roots are made and entered by root alone")
    for name in _PROGRAMS:
        if shutil.which(name) is None:
            raise AbsentError(f"there is no '{name}' on this machine, which clean Linux roots need")
    words = ["unshare", "--mount", "--pid", "--net", "--ipc", "--uts", "--fork", "true"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise AbsentError(f"this machine lets nobody make namespaces: {done.stderr.strip()}")


def cache() -> Path:
    """Return the folder of all roots."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "metaflow-netflixext" / "roots"


def mount_point() -> Path:
    """Return a folder to mount a root on: one serves all, since each container mounts in a namespace of its own."""
    found = cache() / "mounted"
    found.mkdir(parents=True, exist_ok=True)
    return found


def _root_recipe(release: str) -> tuple[str, tuple[str, ...]]:
    return release, ("root", release, *_PACKAGES)


def _folder(name: str, recipe: tuple[str, ...]) -> Path:
    digest = hashlib.sha256("\n".join(recipe).encode()).hexdigest()[:12]
    return cache() / f"{name}-{digest}"


def _made(named: tuple[str, tuple[str, ...]], make: Callable[[Path], None]) -> Path:
    """Return the layer of a recipe, which *make* makes when it is not there yet."""
    folder = _folder(*named)
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / "layer"
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / ".complete").exists():
            shutil.rmtree(target, ignore_errors=True)
            make(target)
            (folder / ".complete").touch()
    return target


def _mirror() -> str:
    """Return the mirror that this machine's apt uses for Debian itself."""
    words = ["apt-get", "indextargets", "--format", "$(RELEASE) $(REPO_URI)", "Created-By: Packages"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except OSError:
        raise AbsentError("clean Linux roots come from a Debian mirror, which is known where apt is") from None
    for line in done.stdout.splitlines():
        suite, _, address = line.partition(" ")
        if not set(suite) & set("-/"):
            return address
    raise AbsentError("apt on this machine knows no Debian mirror, which clean Linux roots come from")


def _bootstrap(release: str, mirror: str, target: Path) -> None:
    words = ["mmdebstrap", "--quiet", "--variant=essential", f"--include={','.join(_PACKAGES)}"]
    with tempfile.TemporaryDirectory() as scratch:
        _do([*words, release, str(target), mirror], f"the root of {release}", {"TMPDIR": scratch})
    for name in ("etc/resolv.conf", "etc/hostname"):
        target.joinpath(name).unlink(missing_ok=True)


def _install(packages: Sequence[str], python: str, base: Path, target: Path) -> None:
    """Put *packages* where the Python of the root *base* looks for what its administrator installs."""
    site = target / "usr" / "local" / "lib" / f"python{python}" / "dist-packages"
    words = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    words += ["--only-binary=:all:", f"--python-version={python}", f"--platform={_GLIBC}_{platform.machine()}"]
    words += ["--target", str(site)]
    _do([*words, *packages], "the clients of a datastore")
    programs = target / "usr" / "local" / "bin"
    programs.mkdir(parents=True)
    for path in sorted(site.joinpath("bin").glob("*")):
        first, _, rest = path.read_text().partition("\n")
        programs.joinpath(path.name).write_text(f"#!/usr/bin/python3\n{rest}" if first.startswith("#!") else first)
        programs.joinpath(path.name).chmod(0o755)
    words = ["bwrap", "--ro-bind", str(base), "/", "--bind", str(target / "usr" / "local"), "/usr/local"]
    words += ["--dev", "/dev", "--unshare-all", "--clearenv", "--setenv", "PATH", "/usr/bin:/bin"]
    # It fails for files that are no Python of this version, which some packages have.
    subprocess.run([*words, "python3", "-m", "compileall", "-q", "/usr/local/lib"], capture_output=True, check=False)


def _do(words: Sequence[str], what: str, variables: Mapping[str, str] | None = None) -> None:
    environment = {**os.environ, "PIP_USER": "0", **(variables or {})}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise AbsentError(f"{what} cannot be had: {done.stderr.strip()[-600:]}")
