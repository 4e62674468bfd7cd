"""Steps that ask for a GPU, each in its way, and one that does not."""

import os

from metaflow import FlowSpec, conda, kubernetes, resources, step

PYTHON = os.environ["TARGET_PYTHON"]


class TargetsFlow(FlowSpec):
    @conda(python=PYTHON, libraries={"needs-cuda": ""})
    @kubernetes(gpu=1)
    @step
    def start(self):
        self.next(self.middle)

    @conda(python=PYTHON, libraries={"needs-cuda": ""})
    @resources(gpu=1)
    @step
    def middle(self):
        self.next(self.end)

    @conda(python=PYTHON, libraries={"click": ""})
    @step
    def end(self):
        pass


if __name__ == "__main__":
    TargetsFlow()
