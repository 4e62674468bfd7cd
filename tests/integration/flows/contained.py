"""Steps in containers: each kind of environment, and what each task saw."""

import json
import os
import sys

from metaflow import FlowSpec, Parameter, conda, current, named_env, pypi, step

NEWEST = os.environ.get("NEWEST", "3.13")


def seen():
    """Return what a task sees of where it runs."""
    path = os.environ["PATH"].split(os.pathsep)[0]
    prefix = os.path.dirname(os.path.dirname(sys.executable))
    return {
        "python": f"{sys.version_info[0]}.{sys.version_info[1]}",
        "inside": sys.prefix == prefix == os.path.dirname(path) == os.environ.get("CONDA_PREFIX"),
        "id": json.loads(os.environ.get("_METAFLOW_CONDA_ENV") or "null"),
    }


class ContainedFlow(FlowSpec):
    word = Parameter("word", default="plain")

    @conda(python="3.11", libraries={"click": ""})
    @step
    def start(self):
        import click

        self.start_saw = {**seen(), "click": click.__name__}
        self.numbers = [1, 2]
        self.next(self.each, foreach="numbers")

    @conda(python=NEWEST, libraries={"numpy": ""})
    @pypi(packages={"itsdangerous": ""})
    @step
    def each(self):
        import itsdangerous
        import numpy

        self.saw = {**seen(), "double": int(numpy.int64(self.input) * 2), "wheel": itsdangerous.__name__}
        self.next(self.join)

    @conda(disabled=True)
    @step
    def join(self, inputs):
        self.each_saw = [one.saw for one in inputs]
        self.join_saw = seen()
        self.start_saw = inputs[0].start_saw
        self.next(self.chosen)

    @named_env(name="team/@{METAFLOW_INIT_WORD}:@{METAFLOW_STEP_NAME}", fetch_at_exec=True)
    @step
    def chosen(self):
        self.chosen_saw = seen()
        self.next(self.end)

    @step
    def end(self):
        self.end_saw = {**seen(), "pathspec": current.pathspec}
        print("done")


if __name__ == "__main__":
    ContainedFlow()
