"""Byte code of packages, made once for each Python minor and linked into every prefix.

<root>/.bytecode/<cache tag>/<package digest>/...   byte code by its path below a prefix; `compile_sources` has more
<prefix>/.metaflowenv-bytecode                      there is nothing more to make for this prefix
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..engine.errors import ToolError
from ..engine.identity import EnvID
from ..engine.package import AnyPackage, CondaPackage, PypiPackage
from . import compile_sources, process
from .compile_sources import STATE, Package

PROGRAM = Path(compile_sources.__file__)
# Neither the user's variables nor site-packages, no byte code of its own, and no word about the code of others.
FLAGS = ("-I", "-S", "-B", "-W", "ignore")
_PYTHON = re.compile(r"python3\.(?P<minor>\d+)(?P<free>t?)")
_DIGEST = re.compile(r"[0-9a-f]{64}|md5:[0-9a-f]{32}")


class ByteCodeCache:
    """Byte code beside the prefixes of *root*. Nothing here raises: a prefix works without it."""

    def __init__(self, root: Path) -> None:
        self._root = root / ".bytecode"

    def link(self, stage: Path, packages: Iterable[AnyPackage]) -> int:
        """Put what is known of *packages* into *stage* and return how many files; a complete one is marked so."""
        minor = minor_of(stage / "bin" / "python")
        if minor is None:
            return 0
        count, complete = 0, True
        with contextlib.suppress(OSError):
            for package in with_sources(packages):
                folder = self._root / _tag(minor) / package.folder
                known = folder.is_dir()
                complete = complete and known
                count += compile_sources.link_folder(str(folder), str(stage)) if known else 0
            if complete:
                (stage / STATE).write_text(f"{_tag(minor)}\n", encoding="utf-8")
        return count

    def begin(self, prefix: Path, packages: Iterable[AnyPackage], env_id: EnvID | None = None) -> None:
        """Let a process of its own make what *prefix* lacks, at the lowest priority; return at once.

        With *env_id* it does nothing where the prefix has come to be another environment's.
        """
        python = prefix / "bin" / "python"
        if (prefix / STATE).exists() or (minor := minor_of(python)) is None:
            return
        _start(
            python,
            {
                "tag": _tag(minor),
                "cache": str((self._root / _tag(minor)).absolute()),
                "prefix": str(prefix.absolute()),
                "library": f"lib/python3.{minor}",
                "packages": [list(package) for package in with_sources(packages)],
                **({"id": list(env_id)} if env_id is not None else {}),
            },
        )

    def begin_tree(self, folder: Path, python: Path) -> None:
        """Let a process of its own compile the sources below *folder* in their place for *python*; return at once.

        Only for a folder that nobody edits: an import will not look whether the sources changed.
        """
        minor = minor_of(python)
        if minor is not None and not os.path.exists(compile_sources.tree_state(str(folder), _tag(minor))):
            _start(python, {"tag": _tag(minor), "tree": str(folder.absolute())})


def minor_of(python: Path) -> str | None:
    """Return what follows ``python3.`` in the name of the interpreter; None where it is no CPython that we know."""
    match = _PYTHON.fullmatch(os.path.basename(os.path.realpath(python)))
    return match["minor"] + match["free"] if match else None


def _tag(minor: str) -> str:
    return f"cpython-3{minor}"


def with_sources(packages: Iterable[AnyPackage]) -> list[Package]:
    """Return those that may bring sources, as `compile_sources` names them."""
    found = []
    for package in packages:
        folder = package.digest.replace(":", "-")
        if not _DIGEST.fullmatch(package.digest):
            continue
        if isinstance(package, PypiPackage):
            found.append(Package("wheel", package.name, folder))
        elif isinstance(package, CondaPackage) and _may_have_sources(package):
            found.append(Package("conda", f"{package.name}-{package.version}-{package.build}", folder))
    return found


def _may_have_sources(package: CondaPackage) -> bool:
    needs = {depend.partition(" ")[0] for depend in package.depends}
    return package.noarch == "python" or package.name == "python" or "python" in needs


def _start(python: Path, request: dict[str, Any]) -> None:
    with contextlib.suppress(ToolError):
        process.detach([str(python.absolute()), *FLAGS, str(PROGRAM)], environment={}, text=json.dumps(request))
