"""Resolving and creating over the same calls made directly to py-rattler and uv; deciding on known environments."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .bench import Figure, Place, pairs, timed
from .cases import ARCH, CASES

PROJECT = Path(__file__).resolve().parents[1]
BARE = [sys.executable, str(PROJECT / "benchmarks" / "bare.py")]


def ours(what: str, folder: Path) -> list[str]:
    """Return the command that lets the engine do *what*."""
    return [sys.executable, "-m", "benchmarks.ours", what, str(folder)]


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
        lambda: timed(ours("resolve", folder_of(place)), place.environment(), PROJECT).whole,
        lambda: bare(place, "resolve", question),
        repetitions,
    )
    yield Figure("resolve four environments, over py-rattler and uv directly", 1.2, "x", subject, baseline)


def creating(place: Place, repetitions: int) -> Iterator[Figure]:
    """Create them, over py-rattler and uv called directly; byte code, which those do not link, apart."""
    place.forget("envs/.bytecode")
    folder = folder_of(place)
    timed(ours("resolve", folder), place.environment(), PROJECT)

    def question() -> dict[str, Any]:
        shutil.rmtree(place.root / "bare", ignore_errors=True)
        documents = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
        return {
            "environments": [
                {
                    "records": one["conda"],
                    "pylock": pylock(one["pypi"]),
                    "prefix": str(place.root / "bare" / str(number)),
                }
                for number, one in enumerate(documents)
            ]
        }

    def subject() -> float:
        for prefix in (place.root / "envs").glob("metaflow_*"):
            shutil.rmtree(prefix)
        return timed(ours("create", folder), place.environment(), PROJECT).whole

    subject()
    bare(place, "create", question())
    found = pairs(subject, lambda: bare(place, "create", question()), repetitions)
    yield Figure("create four environments, over py-rattler and uv directly", 1.2, "x", *found)

    def cold(create: Callable[[], float]) -> float:
        place.forget("rattler", "uv")
        return create()

    online = lambda: {**question(), "offline": False}  # noqa: E731 - a question like the other
    found = pairs(lambda: cold(subject), lambda: cold(lambda: bare(place, "create", online())), repetitions)
    yield Figure("create four environments, nothing cached, over the same", 1.2, "x", *found)


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
        _, count, missing, taken = done.stdout.split()
        assert (count, missing) == ("50", "0"), done.stdout
        seconds.append(float(taken))
    yield Figure("deciding that 50 known environments need nothing", 0.1, "s", seconds, [0.0])
