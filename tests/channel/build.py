"""Build the contents of one set into a folder."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from . import extras, pythons, wheels
from .archive import write
from .conversion import Plan, convert, extras_asked
from .indexing import index
from .interpreters import Interpreter
from .platforms import host
from .sets import Definition
from .simple import publish
from .wheels import Wheel

Say = Callable[[str], None]


@dataclass(frozen=True)
class Order:
    """What to build, for which interpreters, and where downloads are kept."""

    wanted: Definition
    interpreters: Mapping[str, Interpreter]
    store: Path


def talk(text: str) -> None:
    """Tell the person at the terminal."""
    print(text, file=sys.stderr, flush=True)


def build(order: Order, root: Path, *, say: Say = talk) -> None:
    """Build a set: ``root/conda`` (channel), ``root/simple`` and ``root/files`` (index)."""
    start = time.monotonic()
    channel = root / "conda"
    subdir = host()
    for name in ("noarch", subdir):
        (channel / name).mkdir(parents=True)
    with ThreadPoolExecutor((os.cpu_count() or 2) + 2) as pool:
        downloads = _downloads(order, pool)
        archives = [pool.submit(_python, one, channel, subdir) for one in order.interpreters.values()]
        used = _used(downloads)
        say(f"{len(used)} wheels at hand after {time.monotonic() - start:.1f} s")
        plans = _plans(order, used, subdir)
        archives += [pool.submit(convert, plan, channel) for plan in plans]
        archives.append(pool.submit(_publish, plans, root))
        for name in order.wanted.extras:
            extras.add(name, channel, subdir=subdir)
        for future in archives:
            future.result()
    index(channel)
    extras.corrupt(channel)
    _manifest(order, root)
    say(f"built set {order.wanted.name} in {time.monotonic() - start:.1f} s")


def _python(one: Interpreter, channel: Path, subdir: str) -> list[Path]:
    with tempfile.TemporaryDirectory(prefix="python-") as folder:
        package = pythons.package(one, Path(folder, "root"), subdir=subdir)
        return [*write(package, channel), *write(pythons.abi(one), channel)]


def _downloads(order: Order, pool: ThreadPoolExecutor) -> dict[str, list[Future[list[Path]]]]:
    futures: dict[str, list[Future[list[Path]]]] = {}
    for minor, one in order.interpreters.items():
        for group in order.wanted.groups:
            if minor in group.minors:
                future = pool.submit(wheels.obtain, one, group.requirements, store=order.store)
                futures.setdefault(minor, []).append(future)
    return futures


def _used(downloads: Mapping[str, list[Future[list[Path]]]]) -> dict[Path, tuple[str, ...]]:
    """Return the minors each wheel was resolved for; equal file names are one wheel."""
    first: dict[str, Path] = {}
    minors: dict[Path, list[str]] = {}
    for minor, futures in downloads.items():
        for future in futures:
            for path in future.result():
                known = minors.setdefault(first.setdefault(path.name, path), [])
                if minor not in known:
                    known.append(minor)
    return {path: tuple(known) for path, known in minors.items()}


def _plans(order: Order, used: Mapping[Path, tuple[str, ...]], subdir: str) -> list[Plan]:
    read: dict[Path, Wheel] = {path: wheels.read(path) for path in used}
    lines = [line for group in order.wanted.groups for line in group.requirements]
    asked = extras_asked(read.values(), lines)
    plans = [
        Plan(
            wheel=wheel,
            used=used[path],
            interpreters=order.interpreters,
            extras=asked.get(wheel.name, frozenset()),
            subdir=subdir,
        )
        for path, wheel in read.items()
    ]
    # The largest first: the last task decides when everything is done.
    return sorted(plans, key=lambda plan: -plan.wheel.path.stat().st_size)


def _publish(plans: list[Plan], root: Path) -> list[Path]:
    publish([plan.wheel for plan in plans], root)
    return []


def _manifest(order: Order, root: Path) -> None:
    archives = sorted(
        path.relative_to(root).as_posix()
        for path in (root / "conda").glob("*/*")
        if path.name.endswith((".conda", ".tar.bz2"))
    )
    document = {
        "archives": archives,
        "minors": {minor: one.version for minor, one in order.interpreters.items()},
        "set": order.wanted.name,
        "subdir": host(),
    }
    (root / "manifest.json").write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")
