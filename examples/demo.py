"""Three steps, three environments, two versions of Python: `python demo.py --environment=conda run`."""

import importlib
import json
import os
import sys

from metaflow import FlowSpec, conda, conda_base, pypi, step

NEWER = os.environ.get("DEMO_NEWER_PYTHON", f"{sys.version_info[0]}.{sys.version_info[1]}")
OLDER = os.environ.get("DEMO_PYTHON", NEWER)


def imported(*names):
    """Import modules and say which version came from which environment."""
    prefix = sys.prefix
    modules = [importlib.import_module(name) for name in names]
    return {
        "python": sys.version.split()[0],
        "environment": os.path.basename(prefix),
        "imported": {module.__name__: getattr(module, "__version__", "?") for module in modules},
        "inside": all(module.__file__.startswith(prefix) for module in modules),
    }


@conda_base(python=NEWER)
class DemoFlow(FlowSpec):
    """A conda-only, a PyPI-only and a mixed step."""

    @conda(libraries={"itsdangerous": ">=2"})
    @step
    def start(self):
        """Run with conda packages alone."""
        self.seen = {"conda-only": imported("itsdangerous")}
        self.next(self.from_pypi)

    @pypi(packages={"click": ">=8,<9"}, python=OLDER)
    @step
    def from_pypi(self):
        """Run with PyPI packages alone, on another Python where the machine has one."""
        self.seen["PyPI-only"] = imported("click")
        self.next(self.end)

    @conda(libraries={"itsdangerous": "2.1.2"})
    @pypi(packages={"click": ">=8,<9"})
    @step
    def end(self):
        """Run with both, and print what every step saw."""
        self.seen["mixed"] = imported("itsdangerous", "click")
        print(json.dumps(self.seen, indent=2))


if __name__ == "__main__":
    DemoFlow()
