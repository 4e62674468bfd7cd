"""A step in a container that launches another flow from there."""

import os

from metaflow import FlowSpec, Runner, conda, step

INNER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "remote_env.py")


class LaunchingFlow(FlowSpec):
    @conda(python="3.11", libraries={"click": ""})
    @step
    def start(self):
        with Runner(INNER, environment="conda", show_output=False).run() as running:
            if running.returncode != 0:
                raise RuntimeError(running.stdout + running.stderr)
            self.inner = running.run["start"].task["saw"].data
        self.next(self.end)

    @conda(disabled=True)
    @step
    def end(self):
        self.inner = self.inner


if __name__ == "__main__":
    LaunchingFlow()
