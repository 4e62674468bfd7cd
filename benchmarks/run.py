"""Measure the budgets of local work, as ratios in one run: `scripts/bench --all`, or `scripts/bench SCENARIO ...`."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from benchmarks import commands, containers, debugging, engine, flows, resolvers, startup, stores, wheels
from benchmarks.bench import Figure, Place, save, show
from tests.channel import ensure, serve

Scenario = Callable[[Place, int], Iterator[Figure]]
SCENARIOS: dict[str, Scenario] = {
    "import": startup.imports,
    "second": flows.second_run,
    "first": flows.first_run,
    "wheels": flows.wheels,
    "alone": wheels.second_run,
    "resolve": engine.resolving,
    "resolvers": resolvers.resolving,
    "resolve-wheels": wheels.resolving,
    "create": engine.creating,
    "known": engine.known,
    "commands": commands.commands,
    "caching": stores.caching,
    "second-s3": stores.second_run,
    "debug": debugging.debugging,
    "bootstrap": containers.bootstrapping,
    "volume": containers.on_a_volume,
    "first-import": containers.importing,
}


@contextmanager
def place() -> Iterator[Place]:
    """Yield a place of its own, with the set `bench` served over loopback."""
    with ExitStack() as stack:
        server = stack.enter_context(serve(ensure("bench")))
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True)))
        yield Place(root, server.channel, server.simple)


def main() -> int:
    """Run the chosen scenarios, print and keep their figures; the exit status tells whether all budgets were kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=", ".join(SCENARIOS))
    parser.add_argument("--all", action="store_true", help="all of them, in this order")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--label", default="local")
    parser.add_argument(
        "--dont-write-bytecode", action="store_true", help="set PYTHONDONTWRITEBYTECODE for all commands"
    )
    asked = parser.parse_args()
    names = list(SCENARIOS) if asked.all else asked.scenarios
    if not names or not set(names) <= set(SCENARIOS):
        parser.error(f"say --all, or some of {', '.join(SCENARIOS)}")
    found: list[Figure] = []
    with place() as here:
        for name in names:
            print(f"measuring {name} ...", file=sys.stderr, flush=True)
            here.extra = {"PYTHONDONTWRITEBYTECODE": "1"} if asked.dont_write_bytecode else {}
            for figure in SCENARIOS[name](here, asked.repetitions):
                show(figure)
                found.append(figure)
            save(found, asked.label)
    return 0 if all(figure.value <= figure.budget for figure in found) else 1


if __name__ == "__main__":
    os.environ.setdefault("NO_PROXY", "127.0.0.1")
    sys.exit(main())
