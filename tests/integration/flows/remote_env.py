"""A step in an environment of its own in a container, and one in the container's own Python."""

import os
import sys

from metaflow import FlowSpec, Parameter, conda, pypi, step


class EnvFlow(FlowSpec):
    word = Parameter("word", default="plain")

    @conda(python=os.environ.get("NEWEST", "3.13"), libraries={"click": ""})
    @pypi(packages={"itsdangerous": ""})
    @step
    def start(self):
        import click
        import itsdangerous

        self.saw = [click.__name__, itsdangerous.__name__, f"{sys.version_info[0]}.{sys.version_info[1]}"]
        self.cached = [os.path.exists(module.__cached__) for module in (click, itsdangerous)]
        self.prefix = sys.prefix
        self.next(self.end)

    @conda(disabled=True)
    @step
    def end(self):
        print("start ran on Python", self.saw[2], "and the word is", self.word)


if __name__ == "__main__":
    EnvFlow()
