"""Resolving and creating over the same calls made directly to py-rattler and uv; deciding on known environments."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .bench import Figure, Place, in_memory, pairs, timed
from .cases import ARCH, CASES

PROJECT = Path(__file__).resolve().parents[1]
BARE = [sys.executable, str(PROJECT / "benchmarks" / "bare.py")]


def ours(what: str, folder: Path) -> list[str]:
    """Return the command that lets the engine do *what*."""
    return [sys.executable, "-m", "benchmarks.ours", what, str(folder)]


def by_us(place: Place, what: str, folder: Path) -> float:
    """Time the engine, without the seconds in which it loads Metaflow, which every flow has loaded anyway."""
    timing = timed(ours(what, folder), place.environment(), PROJECT)
    return timing.whole - float(timing.output.partition("METAFLOW ")[2].split()[0])


def bare(place: Place, what: str, question: dict[str, Any]) -> float:
    """Time the direct calls."""
    path = place.root / "question.json"
    path.write_text(json.dumps(question))
    return timed(["sh", "-c", f'exec "$0" "$@" < {path}', *BARE, what], place.environment(), place.root).whole


def folder_of(place: Place) -> Path:
    """Return an empty folder for documents."""
    folder = place.root / "documents"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def resolving(place: Place, repetitions: int) -> Iterator[Figure]:
    """Resolve four environments, repodata cached, over py-rattler and uv called directly."""
    specs = {"pandas": ["pandas"], "scikit-learn": ["scikit-learn"], "plain": [], "wheels": []}
    versions = {"scikit-learn": "3.10"}
    question = {
        "channel": place.channel,
        "index": place.index,
        "arch": ARCH,
        "environments": [
            {
                "specs": [
                    f"python {versions.get(name, '3.11')}.*",
                    *specs[name],
                    *([] if name == "wheels" else ["requests >=2.21.0"]),
                ],
                "pypi": ["pandas", "requests>=2.21.0"] if name == "wheels" else [],
            }
            for name in CASES
        ],
    }
    bare(place, "resolve", question)
    timed(ours("resolve", folder_of(place)), place.environment(), PROJECT)
    subject, baseline = pairs(
        lambda: by_us(place, "resolve", folder_of(place)),
        lambda: bare(place, "resolve", question),
        repetitions,
    )
    yield Figure("resolve four environments, over py-rattler and uv directly", 1.2, "x", subject, baseline)


def creating(place: Place, repetitions: int) -> Iterator[Figure]:
    """Create them, over py-rattler and uv called directly; byte code, which those do not link, apart."""
    name = "create four environments, over py-rattler and uv directly"
    yield Figure(name, 1.2, "x", *_created(place, repetitions, cached=True))
    name = "create four environments, nothing cached, over the same"
    yield Figure(name, 1.2, "x", *_created(place, repetitions, cached=False))
    with in_memory(place) as other:
        yield Figure(f"{name}, disk in memory", 1.2, "x", *_created(other, repetitions, cached=False))


def _created(place: Place, repetitions: int, *, cached: bool) -> tuple[list[float], list[float]]:
    """Return the seconds of creating by us, and directly."""
    place.forget("envs/.bytecode")
    folder = folder_of(place)
    timed(ours("resolve", folder), place.environment(), PROJECT)
    documents = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]

    def forget() -> None:
        shutil.rmtree(place.root / "bare", ignore_errors=True)
        for prefix in (place.root / "envs").glob("metaflow_*"):
            shutil.rmtree(prefix)
        if not cached:
            place.forget("rattler", "uv")

    def subject() -> float:
        forget()
        return by_us(place, "create", folder)

    def baseline() -> float:
        forget()
        environments = [
            {"records": one["conda"], "pylock": pylock(one["pypi"]), "prefix": str(place.root / "bare" / str(number))}
            for number, one in enumerate(documents)
        ]
        return bare(place, "create", {"environments": environments, "offline": cached})

    subject()
    baseline()
    return pairs(subject, baseline, repetitions)


def pylock(wheels: list[dict[str, Any]]) -> str:
    """Return wheels as a lock that uv installs."""
    lines = ['lock-version = "1.0"', 'created-by = "bench"']
    for wheel in wheels:
        lines += [
            "[[packages]]",
            f'name = "{wheel["name"]}"',
            f'version = "{wheel["version"]}"',
            f'index = "{wheel["index"]}"',
            f'wheels = [{{ url = "{wheel["url"]}", hashes = {{ sha256 = "{wheel["sha256"]}" }} }}]',
        ]
    return "\n".join(lines) if wheels else ""


def known(place: Place, repetitions: int) -> Iterator[Figure]:
    """Decide that fifty known environments need nothing; the baseline is nothing at all."""
    folder = folder_of(place)
    timed(ours("resolve", folder), place.environment(), PROJECT)
    seconds = []
    for _ in range(repetitions):
        command = ours("known", folder)
        done = subprocess.run(command, env=place.environment(), cwd=PROJECT, capture_output=True, text=True, check=True)
        count, missing, taken = done.stdout.partition("KNOWN ")[2].split()
        assert (count, missing) == ("50", "0"), done.stdout
        seconds.append(float(taken))
    yield Figure("deciding that 50 known environments need nothing", 0.1, "s", seconds, [0.0])
