"""A step that launches another flow from within its own environment."""

import os
import sys

from metaflow import FlowSpec, Runner, conda, step

INNER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "one.py")


class OuterFlow(FlowSpec):
    @conda(libraries={"click": ""}, python="3.8")
    @step
    def start(self):
        os.environ["SPEC"] = "[pypi(packages={'itsdangerous': '2.1.2'}, python='3.13')]"
        os.environ["IMPORTS"] = "itsdangerous"
        self.own = list(sys.version_info[:2])
        with Runner(INNER, environment="conda", show_output=False).run() as running:
            if running.returncode != 0:
                raise RuntimeError(running.stdout + running.stderr)
            run = running.run
            self.inner = [run["start"].task["saw"].data, run["start"].task["python"].data[:2], run.pathspec]
            self.outside = run["end"].task["outside"].data
        self.next(self.end)

    @conda(disabled=True)
    @step
    def end(self):
        pass


if __name__ == "__main__":
    OuterFlow()
