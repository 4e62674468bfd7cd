"""Two steps with packages from PyPI, each of which imports in two processes, in turn, and prints how long that took."""

import os
import subprocess
import sys
import time

from metaflow import FlowSpec, conda, pypi, step


def imports(module):
    """Print seconds, and seconds of processor time, of two processes that import *module*."""
    for _ in range(2):
        begun, used = time.perf_counter(), os.times()
        subprocess.run([sys.executable, "-c", "import " + module], check=True)
        seconds, now = time.perf_counter() - begun, os.times()
        processor = now.children_user + now.children_system - used.children_user - used.children_system
        print("IMPORTED", seconds, processor, flush=True)


class ImportsFlow(FlowSpec):
    """pandas, scikit-learn."""

    @pypi(packages={"pandas": ""}, python="3.11")
    @step
    def start(self):
        """Import pandas."""
        imports("pandas")
        self.next(self.fit)

    @pypi(packages={"scikit-learn": ""}, python="3.10")
    @step
    def fit(self):
        """Import scikit-learn."""
        imports("sklearn.ensemble")
        self.next(self.end)

    @conda(disabled=True)
    @step
    def end(self):
        """Do nothing."""


if __name__ == "__main__":
    ImportsFlow()
