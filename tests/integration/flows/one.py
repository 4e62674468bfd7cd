"""One step whose decorators come from the environment: `SPEC` is a Python expression over the decorators."""

import os
import sys

from metaflow import FlowSpec, conda, conda_base, pip, pypi, pypi_base, step, sys_packages  # noqa: F401


def decorated(function):
    for decorator in reversed(eval(os.environ.get("SPEC", "[]"))):
        function = decorator(function)
    return function


def flow(cls):
    for decorator in reversed(eval(os.environ.get("FLOW_SPEC", "[]"))):
        cls = decorator(cls)
    return cls


@flow
class OneFlow(FlowSpec):
    @decorated
    @step
    def start(self):
        from importlib import import_module

        names = os.environ.get("IMPORTS", "").split()
        self.saw = {name: getattr(import_module(name), "__version__", "") for name in names}
        self.variables = dict(os.environ)
        self.python = list(sys.version_info[:3])
        self.prefix = sys.prefix
        self.path = sys.path
        self.next(self.end)

    @conda(disabled=True)
    @step
    def end(self):
        self.outside = [sys.executable, os.environ.get("_METAFLOW_CONDA_ENV")]


if __name__ == "__main__":
    OneFlow()
