"""A conda-only, a PyPI-only and a mixed step, on two Pythons."""

import os
import sys

from metaflow import FlowSpec, conda, pypi, step


class ThreeFlow(FlowSpec):
    @conda(libraries={"itsdangerous": ">=2"}, python="3.11")
    @step
    def start(self):
        import itsdangerous

        self.start_saw = [sys.version_info[:2], sys.prefix, itsdangerous.__file__]
        self.next(self.middle)

    @pypi(packages={"click": ">=8"}, python="3.9")
    @step
    def middle(self):
        import click

        self.middle_saw = [sys.version_info[:2], sys.prefix, click.__file__]
        self.next(self.end)

    @conda(libraries={"itsdangerous": "2.1.2"}, python="3.11")
    @pypi(packages={"click": ""})
    @step
    def end(self):
        import click
        import itsdangerous

        self.end_saw = [sys.version_info[:2], sys.prefix, click.__file__, itsdangerous.__version__]
        self.path = os.environ["PATH"]


if __name__ == "__main__":
    ThreeFlow()
