"""The three steps with packages from PyPI alone."""

import body
from metaflow import FlowSpec, pypi, step


class WheelsFlow(FlowSpec):
    """pandas, scikit-learn, nothing."""

    @pypi(packages={"pandas": ""}, python="3.11")
    @step
    def start(self):
        """Import pandas."""
        self.pandas = body.first()
        self.next(self.fit)

    @pypi(packages={"scikit-learn": ""}, python="3.10")
    @step
    def fit(self):
        """Import scikit-learn."""
        self.sklearn = body.second()
        self.next(self.end)

    @pypi(packages={"itsdangerous": ""}, python="3.11")
    @step
    def end(self):
        """Do nothing."""


if __name__ == "__main__":
    WheelsFlow()
