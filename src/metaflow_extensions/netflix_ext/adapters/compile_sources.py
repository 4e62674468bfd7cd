"""Make byte code in the background. A program: run by path, by the Python that the byte code is for.

It reads one JSON request from its input and says nothing. In the syntax of Python 3.7, with the standard library alone.

    <cache>/<digest>/lib/python3.11/site-packages/pandas/__pycache__/frame.cpython-311.pyc
    <cache>/<digest>.partial/   a package being made; one that was killed goes on where it stopped
    <cache>/.lock               whom `flock` gives the right to make packages
    <cache>/.prefixes/<name>    whom `flock` gives the right to work on that prefix
"""

from __future__ import annotations

import contextlib
import marshal
import os
import shutil
from importlib.util import MAGIC_NUMBER, source_hash
from typing import NamedTuple

STATE = ".metaflowenv-bytecode"
_LONGEST_SECONDS = 1800
# PEP 552: known by a hash of its source, which an import does not look at.
_UNCHECKED = (1).to_bytes(4, "little")
_WRITING = ".writing"


class Source(NamedTuple):
    """A source file that a package brings: its path below the prefix, and its SHA-256 in hexadecimal."""

    path: str
    sha256: str
    size: int


class Stopped(Exception):  # noqa: N818 - said to the caller, no fault
    """The time is over."""


def compiled_path(path: str, tag: str) -> str:
    """Return where an import looks for the byte code of the source *path*."""
    folder, name = os.path.split(path)
    return os.path.join(folder, "__pycache__", "{}.{}.pyc".format(name[:-3], tag))  # noqa: UP032 - no f-string nests


def byte_code(source: bytes, path: str) -> bytes | None:
    """Return the content of a ``.pyc`` for *source*, with *path* in its tracebacks; None where it does not compile.

    An import replaces *path* by the path that it finds the source under.
    """
    try:
        code = compile(source, path, "exec", dont_inherit=True, optimize=0)
    except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError):
        return None
    return MAGIC_NUMBER + _UNCHECKED + source_hash(source) + marshal.dumps(code)


def link_folder(folder: str, prefix: str) -> int:
    """Put the files of *folder* into *prefix* and return how many; what is there stays, no package folder is made."""
    count = 0
    for parent, _, names in os.walk(folder):
        if not names:
            continue
        target = prefix + parent[len(folder) :]
        # Not its parents: a prefix that was removed must not come back as a folder of byte code.
        with contextlib.suppress(FileExistsError, FileNotFoundError):
            os.mkdir(target)
        count += sum(_linked(os.path.join(parent, name), os.path.join(target, name)) for name in names)
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
    if os.path.exists(target):
        return False
    aside = "{}.{}".format(target, os.getpid())  # noqa: UP032
    try:
        shutil.copyfile(source, aside)
        os.replace(aside, target)
    except FileNotFoundError:
        return False
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(aside)
    return True
