"""What the scenarios share: a place of their own, timed commands, ratios, results."""

from __future__ import annotations

import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path

FLOWS = Path(__file__).parent / "flows"
RESULTS = Path(__file__).parent / "results"


@dataclass
class Place:
    """A folder with its own caches, catalog and prefixes, and the variables that say so."""

    root: Path
    channel: str
    index: str
    extra: Mapping[str, str] = field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        """Return the variables of a command in this place."""
        own = {
            "METAFLOW_CONDA_CHANNELS": self.channel,
            "METAFLOW_CONDA_DEFAULT_PYPI_SOURCE": self.index,
            "METAFLOW_CONDA_ENVS_ROOT": str(self.root / "envs"),
            "METAFLOW_CONDA_INDEX_SETTINGS": "none",
            "METAFLOW_DATASTORE_SYSROOT_LOCAL": str(self.root),
            "METAFLOW_DEFAULT_DATASTORE": "local",
            "METAFLOW_DEFAULT_METADATA": "local",
            "METAFLOW_HOME": str(self.root / "home"),
            "METAFLOW_USER": "bench",
            "RATTLER_CACHE_DIR": str(self.root / "rattler"),
            "UV_CACHE_DIR": str(self.root / "uv"),
            "NO_PROXY": "127.0.0.1",
        }
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        return {**kept, **own, **self.extra}

    def forget(self, *names: str) -> None:
        """Remove folders of this place: ``envs``, ``.metaflow``, ``rattler``, ``uv``."""
        for name in names:
            shutil.rmtree(self.root / name, ignore_errors=True)


@contextmanager
def in_memory(place: Place) -> Iterator[Place]:
    """Yield *place* on a disk in memory, where this machine has one; what is written there costs the same each time."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield place
        return
    with tempfile.TemporaryDirectory(prefix="bench-", dir=memory, ignore_cleanup_errors=True) as folder:
        yield replace(place, root=Path(folder))


@dataclass(frozen=True)
class Timing:
    """Seconds of one command: whole, and to the line with ``FIRST LINE`` (0 where there is none); what it printed."""

    whole: float
    first_line: float
    output: str


def timed(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> Timing:
    """Run *command*, which must succeed, after a ``sync``."""
    os.sync()
    begun = time.perf_counter()
    first = 0.0
    lines = []
    with subprocess.Popen(
        list(command), cwd=folder, env=dict(environment), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if not first and "FIRST LINE" in line:
                first = time.perf_counter() - begun
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{''.join(lines[-40:])}")
    return Timing(time.perf_counter() - begun, first, "".join(lines))


def flow(place: Place, name: str, *, environment: bool) -> Timing:
    """Run one of the flows in *place*."""
    options = ["--environment=conda"] if environment else []
    return timed([sys.executable, str(FLOWS / name), *options, "run"], place.environment(), place.root)


@dataclass(frozen=True)
class Figure:
    """One measured budget: medians of several runs, and their ratio or difference."""

    name: str
    budget: float
    unit: str
    subject: Sequence[float]
    baseline: Sequence[float]

    @property
    def value(self) -> float:
        """The ratio of medians; their difference, where the unit is ``s``, ``ms`` or ``requests``."""
        subject, baseline = statistics.median(self.subject), statistics.median(self.baseline)
        return {
            "x": lambda: subject / baseline,
            "s": lambda: subject - baseline,
            "ms": lambda: (subject - baseline) * 1e3,
            "requests": lambda: subject - baseline,
        }[self.unit]()

    def to_dict(self) -> dict[str, object]:
        """Return the figure for the results file."""
        return {
            "name": self.name,
            "value": round(self.value, 3),
            "unit": self.unit,
            "budget": self.budget,
            "kept": self.value <= self.budget,
            **{
                f"{word}_{'requests' if self.unit == 'requests' else 'seconds'}": [round(item, 4) for item in items]
                for word, items in (("subject", self.subject), ("baseline", self.baseline))
            },
        }


def pairs(
    subject: Callable[[], float], baseline: Callable[[], float], repetitions: int
) -> tuple[list[float], list[float]]:
    """Measure the two in turn, so that a drift of the machine meets both."""
    found: tuple[list[float], list[float]] = ([], [])
    for _ in range(repetitions):
        found[1].append(baseline())
        found[0].append(subject())
    return found


def save(figures: Sequence[Figure], label: str) -> Path:
    """Write the figures with machine and versions to a dated file."""
    document = {
        "label": label,
        "machine": {"system": platform.platform(), "processor": platform.machine(), "cores": os.cpu_count()},
        "versions": {
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in ("metaflow", "metaflow-netflixext", "py-rattler", "uv")},
        },
        "figures": [figure.to_dict() for figure in figures],
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{time.strftime('%Y-%m-%d')}-{label}.json"
    path.write_text(json.dumps(document, indent=1) + "\n")
    return path


def show(figure: Figure) -> None:
    """Print a figure as a line of the table."""
    kept = "kept" if figure.value <= figure.budget else "NOT kept"
    line = f"{figure.name:62} {figure.value:8.2f} {figure.unit:2}  budget {figure.budget:g} {figure.unit} {kept}"
    print(line, flush=True)
