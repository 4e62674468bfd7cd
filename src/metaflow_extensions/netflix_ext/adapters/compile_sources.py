"""Make byte code in the background. A program: run by path, by the Python that the byte code is for.

It reads one JSON request from its input and says nothing. In the syntax of Python 3.7, with the standard library alone.

    <cache>/<digest>/lib/python3.11/site-packages/pandas/__pycache__/frame.cpython-311.pyc
    <cache>/<digest>.partial/   a package being made; one that was killed goes on where it stopped
    <cache>/.lock               whom `flock` gives the right to make packages: one at a time
    <cache>/.prefixes/<name>    whom `flock` gives the right to work on that prefix
"""

from __future__ import annotations

import contextlib
import csv
import fcntl
import hashlib
import json
import marshal
import os
import re
import shutil
import signal
import sys
from base64 import urlsafe_b64decode
from importlib.util import MAGIC_NUMBER, source_hash
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

MARKER = ".metaflowenv"
STATE = ".metaflowenv-bytecode"
_LONGEST_SECONDS = 1800
# PEP 552: by the hash of its source, which an import does not look at.
_UNCHECKED = (1).to_bytes(4, "little")
_WRITING = ".writing"
# Nobody imports them, and they are half of the sources of the large packages.
_TESTS = re.compile(r"(^|/)tests/|^lib/[^/]*/test/")
_CANNOT_COMPILE = (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError)


class Source(NamedTuple):
    """A source file that a package brings: its path below the prefix, its SHA-256 in hexadecimal, its size."""

    path: str
    sha256: str
    size: int


class Package(NamedTuple):
    """A package of a prefix: ``wheel`` or ``conda``, its name or the stem of its file, the name of its folder."""

    kind: str
    name: str
    folder: str


def compiled_path(path: str, tag: str) -> str:
    """Return where an import looks for the byte code of the source *path*."""
    folder, name = os.path.split(path)
    return os.path.join(folder, "__pycache__", f"{name[:-3]}.{tag}.pyc")


def byte_code(source: bytes, path: str) -> bytes | None:
    """Return the content of a ``.pyc`` for *source*; None where it does not compile.

    *path* is for tracebacks: an import puts the path in its place under which it finds the source.
    """
    try:
        code = compile(source, path, "exec", dont_inherit=True, optimize=0)
    except _CANNOT_COMPILE:
        return None
    return MAGIC_NUMBER + _UNCHECKED + source_hash(source) + marshal.dumps(code)


def link_folder(folder: str, prefix: str) -> int:
    """Put the files of *folder* into *prefix* and return how many; what is there stays."""
    count = 0
    for parent, _, names in os.walk(folder):
        if not names:
            continue
        target = prefix + parent[len(folder) :]
        # Not its parents: a prefix that was removed must not come back as a folder of byte code.
        with contextlib.suppress(FileExistsError, FileNotFoundError, NotADirectoryError):
            os.mkdir(target)
        for name in names:
            count += _linked(f"{parent}/{name}", f"{target}/{name}")
    return count


def _linked(source: str, target: str) -> bool:
    try:
        os.link(source, target)
    except (FileExistsError, FileNotFoundError, NotADirectoryError):
        return False
    except OSError:  # another file system, or more links than it allows
        return _copied(source, target)
    return True


def _copied(source: str, target: str) -> bool:
    aside = f"{target}.{os.getpid()}"
    if os.path.exists(target):
        return False
    try:
        shutil.copyfile(source, aside)
        os.replace(aside, target)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(aside)
    return True


def sources(prefix: str, library: str, package: Package) -> list[Source]:
    """Return the sources that *package* brought below *library* of *prefix* and that have no byte code of its own.

    Raises FileNotFoundError where the prefix does not say what it brought.
    """
    read = _files_of_wheel if package.kind == "wheel" else _files_of_conda
    files = list(read(prefix, library, package.name))
    paths = {file.path for file in files}
    tag = str(sys.implementation.cache_tag)
    return [
        file
        for file in files
        if file.path.endswith(".py")
        and file.path.startswith(library + "/")
        and ".." not in file.path.split("/")
        and not _TESTS.search(file.path)
        and compiled_path(file.path, tag) not in paths
    ]


def _files_of_wheel(prefix: str, library: str, name: str) -> Iterator[Source]:
    site = f"{library}/site-packages"
    wanted = _normal(name)
    for found in os.listdir(f"{prefix}/{site}"):
        if found.endswith(".dist-info") and _normal(found.partition("-")[0]) == wanted:
            with open(f"{prefix}/{site}/{found}/RECORD", encoding="utf-8", newline="") as file:
                rows = [row for row in csv.reader(file) if len(row) == 3]
            for path, digest, size in rows:
                yield Source(f"{site}/{path}", _hexadecimal(digest), int(size or 0))
            return
    raise FileNotFoundError(name)


def _files_of_conda(prefix: str, library: str, stem: str) -> Iterator[Source]:  # noqa: ARG001 - one form for both
    with open(f"{prefix}/conda-meta/{stem}.json", encoding="utf-8") as file:
        record = json.load(file)
    for item in (record.get("paths_data") or {}).get("paths") or ():
        # The hash is that of the package's file; where the prefix was written into it, the file belongs to the prefix.
        yield Source(item["_path"], item.get("sha256") or "", item.get("size_in_bytes") or 0)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _hexadecimal(digest: str) -> str:
    algorithm, _, text = digest.partition("=")
    return urlsafe_b64decode(text + "=" * (-len(text) % 4)).hex() if algorithm == "sha256" else ""


class Cache:
    """Byte code of packages below *folder*, made with one prefix's sources."""

    def __init__(self, folder: str, prefix: str, library: str) -> None:
        self._folder = folder
        self._prefix = prefix
        self._library = library

    def link(self, package: Package) -> bool:
        """Put what is known of *package* into the prefix; tell whether it is known."""
        folder = f"{self._folder}/{package.folder}"
        known = os.path.isdir(folder)
        if known:
            link_folder(folder, self._prefix)
        return known

    def listed(self, packages: Iterable[Package]) -> list[tuple[Package, list[Source]]]:
        """Return *packages* with their sources, the smallest first, without those that say nothing about themselves.

        The small are mostly what the large import first, and most packages are ready soon.
        """
        found = []
        for package in packages:
            with contextlib.suppress(FileNotFoundError, ValueError, KeyError, TypeError, csv.Error):
                found.append((package, sources(self._prefix, self._library, package)))
        return sorted(found, key=lambda item: sum(source.size for source in item[1]))

    def make(self, package: Package, files: list[Source]) -> None:
        """Compile *files* into the folder of *package*, which appears when it is complete.

        A package of which a source is missing is left out. Raises OSError where the disk takes no more: what was
        half made is gone then.
        """
        final = f"{self._folder}/{package.folder}"
        aside = f"{final}.partial"
        os.makedirs(self._folder, exist_ok=True)
        with locked(f"{self._folder}/.lock"):
            if os.path.isdir(final):
                return
            try:
                os.makedirs(aside, exist_ok=True)
                for source in files:
                    self._compile(source, aside)
                os.rename(aside, final)
            except OSError as error:
                shutil.rmtree(aside, ignore_errors=True)
                if not isinstance(error, FileNotFoundError):
                    raise

    def _compile(self, source: Source, aside: str) -> None:
        target = f"{aside}/{compiled_path(source.path, str(sys.implementation.cache_tag))}"
        if os.path.exists(target):
            return
        with open(f"{self._prefix}/{source.path}", "rb") as file:
            content = file.read()
        # Somebody may have edited it in this prefix; the byte code is for all prefixes.
        if hashlib.sha256(content).hexdigest() == source.sha256:
            compiled = byte_code(content, source.path)
            if compiled is not None:
                os.makedirs(os.path.dirname(target), exist_ok=True)
                write(target, compiled, f"{self._folder}/{_WRITING}")


def write(path: str, content: bytes, aside: str) -> None:
    """Write *content* to *aside* and rename it; nobody writes into it ever after, since many prefixes share it."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(aside)
    try:
        with open(aside, "wb") as file:
            file.write(content)
            os.fchmod(file.fileno(), 0o444)
        os.rename(aside, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(aside)
        raise


@contextlib.contextmanager
def locked(path: str, *, wait: bool = True) -> Iterator[None]:
    """Hold an exclusive ``flock`` on *path*; raise BlockingIOError where another holds it and we do not *wait*."""
    with open(path, "ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield


def compile_packages(request: dict[str, Any]) -> None:
    """Make and link what a prefix lacks, then write its state file."""
    folder, name = request["cache"], os.path.basename(request["prefix"])
    packages = [Package(*item) for item in request["packages"]]
    # From here on the very folder is meant, and not what may take its place: nobody would notice byte code of others.
    os.chdir(request["prefix"])
    prefix = "."
    if "id" in request and _id_of(prefix) != request["id"]:
        return
    cache = Cache(folder, prefix, request["library"])
    os.makedirs(f"{folder}/.prefixes", exist_ok=True)
    with locked(f"{folder}/.prefixes/{name}", wait=False):
        missing = [package for package in packages if not cache.link(package)]
        for package, files in cache.listed(missing):
            cache.make(package, files)
            cache.link(package)
        if os.path.exists(f"{prefix}/{MARKER}"):
            write_state(f"{prefix}/{STATE}")


def compile_unpacked(request: dict[str, Any]) -> None:
    """Compile the sources below a folder into one of their own, which appears when it is complete."""
    tree, final = request["unpacked"], request["target"]
    aside, tag = f"{final}.{os.getpid()}", str(sys.implementation.cache_tag)
    try:
        os.makedirs(aside)
        for path in sorted(tree_sources(tree)):
            with open(f"{tree}/{path}", "rb") as file:
                compiled = None if _TESTS.search(path) else byte_code(file.read(), path)
            if compiled is not None:
                target = f"{aside}/{compiled_path(path, tag)}"
                os.makedirs(os.path.dirname(target), exist_ok=True)
                write(target, compiled, f"{target}.writing")
        with contextlib.suppress(OSError):  # another process was faster
            os.rename(aside, final)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _id_of(prefix: str) -> Any:
    try:
        with open(f"{prefix}/{MARKER}", encoding="utf-8") as file:
            return json.load(file)["id"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_state(path: str) -> None:
    """Say that there is nothing more to do."""
    write(path, f"{sys.implementation.cache_tag}\n".encode(), f"{path}.{os.getpid()}")


def tree_state(folder: str, tag: str) -> str:
    """Return the state file of a tree of sources for one cache tag."""
    return f"{folder}/{STATE}-{tag}"


def compile_tree(request: dict[str, Any]) -> None:
    """Compile every source below a folder in its place, then write its state file."""
    tree, tag = request["tree"], str(sys.implementation.cache_tag)
    state = tree_state(tree, tag)
    with locked(f"{state}.lock", wait=False):
        for path in sorted(tree_sources(tree), key=_turn):
            target = compiled_path(f"{tree}/{path}", tag)
            if os.path.exists(target):
                continue
            with open(f"{tree}/{path}", "rb") as file:
                compiled = byte_code(file.read(), f"{tree}/{path}")
            if compiled is not None:
                # Not its parents: a tree that was removed must not come back as folders of byte code.
                with contextlib.suppress(FileExistsError):
                    os.mkdir(os.path.dirname(target))
                write(target, compiled, f"{state}.writing")
        write_state(state)


def tree_sources(tree: str) -> Iterator[str]:
    """Yield the paths of the sources below *tree*."""
    for parent, _, names in os.walk(tree):
        for name in names:
            if name.endswith(".py"):
                yield os.path.relpath(os.path.join(parent, name), tree)


def _turn(path: str) -> tuple[bool, int, str]:
    # What Metaflow brings for older Pythons comes last; a task needs most of the rest, what is on top first.
    return "/_vendor/v3_" in path, path.count("/"), path


def step_aside() -> None:
    """Take only processor time that nobody else wants, and leave when the longest time is over."""
    signal.alarm(_LONGEST_SECONDS)
    with contextlib.suppress(OSError):
        os.nice(19)
    if hasattr(os, "SCHED_IDLE"):
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    # Linux gives each session the same share of the processor, whatever the priorities inside: we are one of our own.
    _tell("/proc/self/autogroup", "19")
    # Where memory runs out, this is the process to end.
    _tell("/proc/self/oom_score_adj", "1000")


def _tell(path: str, text: str) -> None:
    with contextlib.suppress(OSError), open(path, "r+", encoding="ascii") as file:
        file.write(text)


def main(text: str) -> int:
    """Do what the request *text* asks, as far as the disk lets us."""
    request = json.loads(text)
    if request["tag"] != sys.implementation.cache_tag:
        return 1
    work: Callable[[dict[str, Any]], None] = compile_tree if "tree" in request else compile_packages
    if "unpacked" in request:  # somebody waits for it
        work = compile_unpacked
    else:
        step_aside()
    try:
        work(request)
    except OSError:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.stdin.read()))
