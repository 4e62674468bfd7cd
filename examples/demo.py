"""Three steps, three environments, two versions of Python: `python demo.py --environment=conda run`."""

import importlib
import os
import sys
from importlib.metadata import version

from metaflow import FlowSpec, conda, conda_base, pypi, step

NEWER = os.environ.get("DEMO_NEWER_PYTHON", f"{sys.version_info[0]}.{sys.version_info[1]}")
OLDER = os.environ.get("DEMO_OLDER_PYTHON", NEWER)
COLUMNS = ("step", "kind", "Python", "imported", "environment")


def row(name, kind, *packages):
    """Import packages, which must come from this step's environment, and return a row of the table."""
    modules = {package: importlib.import_module(package) for package in packages}
    for package, module in modules.items():
        assert module.__file__.startswith(sys.prefix), f"{package} comes from outside: {module.__file__}"
    imported = ", ".join(f"{package} {version(package)}" for package in packages)
    req_id, full_id = os.path.basename(sys.prefix).split("_")[1:]
    return (name, kind, sys.version.split()[0], imported, f"{req_id[:8]}:{full_id[:8]}")


def table(rows):
    """Return rows as text, in columns."""
    widths = [max(len(line[number]) for line in [COLUMNS, *rows]) for number in range(len(COLUMNS))]
    lines = [COLUMNS, ["-" * width for width in widths], *rows]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


@conda_base(python=NEWER)
class DemoFlow(FlowSpec):
    """A conda-only, a PyPI-only and a mixed step."""

    @conda(libraries={"itsdangerous": ">=2"})
    @step
    def start(self):
        """Run with conda packages alone."""
        self.rows = [row("start", "conda", "itsdangerous")]
        self.next(self.wheels)

    @pypi(packages={"click": ">=8,<9"}, python=OLDER)
    @step
    def wheels(self):
        """Run with PyPI packages alone, on another Python where the channel has one."""
        self.rows += [row("wheels", "PyPI", "click")]
        self.next(self.end)

    @conda(libraries={"itsdangerous": "2.1.2"})
    @pypi(packages={"click": ">=8,<9"})
    @step
    def end(self):
        """Run with both, and print what every step saw."""
        self.rows += [row("end", "conda + PyPI", "itsdangerous", "click")]
        self.table = table(self.rows)
        print(self.table)


if __name__ == "__main__":
    DemoFlow()
