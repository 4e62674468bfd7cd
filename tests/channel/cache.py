"""Keep built sets on this machine, so that each is built once."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from .build import Order, build, talk
from .errors import ChannelError
from .interpreters import choose, describe, find
from .platforms import host
from .sets import Definition, definition

VARIABLE = "MFNX_CHANNEL_CACHE"
# What is not about how a set is built; what is in one is known by its definition.
_NOT_BUILDING = frozenset({"__init__.py", "__main__.py", "cache.py", "server.py", "sets.py"})


def folder() -> Path:
    """Return the folder of all built sets and downloads."""
    chosen = os.environ.get(VARIABLE)
    if chosen:
        return Path(chosen).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "metaflow-netflixext" / "channel"


def ensure(set_name: str, *, into: Path | None = None) -> Path:
    """Return the folder of a built set, building it first when it is not there yet.

    The folder has ``conda/`` (the channel), ``simple/`` and ``files/`` (the package
    index) and ``manifest.json``. With ``into``, that folder is used instead of the
    cache; it must be empty or absent.
    """
    wanted = definition(set_name)
    root = folder()
    order = Order(wanted, choose(wanted.minors, find(root), wanted.most), root / "wheels")
    if into is not None:
        if into.exists() and (not into.is_dir() or any(into.iterdir())):
            raise ChannelError(f"{into} is not an empty folder")
        _build_aside(order, into)
        return into
    target = root / f"{set_name}-{_digest(wanted, order)}"
    if not (target / "manifest.json").exists():
        with _locked(root / f"{target.name}.lock"):
            if not (target / "manifest.json").exists():
                _build_aside(order, target)
    return target


def _build_aside(order: Order, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    talk(f"building channel set {order.wanted.name} for Python {', '.join(order.interpreters)}")
    aside = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        build(order, aside)
        aside.chmod(0o755)
        if target.exists():
            shutil.rmtree(target)
        aside.replace(target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _digest(wanted: Definition, order: Order) -> str:
    tool = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        if path.name not in _NOT_BUILDING:
            tool.update(path.read_bytes())
    inputs = {
        "interpreters": [describe(one) for one in order.interpreters.values()],
        "set": asdict(wanted),
        "subdir": host(),
        "tool": tool.hexdigest(),
    }
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:16]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
