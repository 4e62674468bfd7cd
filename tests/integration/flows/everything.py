"""One flow with what Metaflow offers: foreach in foreach, joins, parallel, card, catch, retry, timeout, IncludeFile."""

import os
import subprocess
import sys

from metaflow import (
    FlowSpec,
    IncludeFile,
    Parameter,
    card,
    catch,
    conda,
    conda_base,
    current,
    parallel,
    pypi,
    retry,
    step,
    timeout,
)


def where():
    return [list(sys.version_info[:2]), sys.prefix]


@conda_base(python="3.11")
class EverythingFlow(FlowSpec):
    text = IncludeFile("text", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "included.txt"))
    width = Parameter("width", default=2)

    @card
    @step
    def start(self):
        self.included = self.text.strip()
        self.outer = list(range(self.width))
        self.start_where = where()
        self.next(self.spread, foreach="outer")

    @conda(python="3.8")
    @step
    def spread(self):
        self.number = self.input
        self.inner = ["a", "b"]
        self.next(self.work, foreach="inner")

    @retry(times=1, minutes_between_retries=0)
    @pypi(packages={"itsdangerous": "2.1.2"}, python="3.13")
    @step
    def work(self):
        import itsdangerous

        if current.retry_count == 0 and self.input == "b":
            raise ValueError("the first attempt of b fails")
        self.result = f"{self.number}{self.input}{itsdangerous.__version__}"
        self.work_where = where()
        self.next(self.gather)

    @step
    def gather(self, inputs):
        self.results = [item.result for item in inputs]
        self.work_where = inputs[0].work_where
        self.merge_artifacts(inputs, include=["number"])
        self.next(self.collect)

    @step
    def collect(self, inputs):
        self.results = sorted(result for item in inputs for result in item.results)
        self.work_where = inputs[0].work_where
        self.next(self.fork)

    @step
    def fork(self):
        self.next(self.many, num_parallel=2)

    @parallel
    @conda(libraries={"click": ""}, python="3.9")
    @step
    def many(self):
        import click

        self.node = [current.parallel.node_index, current.parallel.num_nodes, where(), bool(click)]
        self.next(self.together)

    @step
    def together(self, inputs):
        self.nodes = sorted(item.node for item in inputs)
        self.next(self.risky)

    @catch(var="failure")
    @timeout(seconds=120)
    @conda(libraries={"hello-tool": ""})
    @step
    def risky(self):
        self.said = subprocess.run(["hello-tool"], capture_output=True, text=True, check=True).stdout
        if self.said:
            raise RuntimeError("caught")
        self.next(self.end)

    @step
    def end(self):
        self.caught = str(self.failure)


if __name__ == "__main__":
    EverythingFlow()
