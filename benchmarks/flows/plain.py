"""The three steps without environments: what the others are measured against."""

import body
from metaflow import FlowSpec, step


class PlainFlow(FlowSpec):
    """pandas, scikit-learn, nothing."""

    @step
    def start(self):
        """Import pandas."""
        self.pandas = body.first()
        self.next(self.fit)

    @step
    def fit(self):
        """Import scikit-learn."""
        self.sklearn = body.second()
        self.next(self.end)

    @step
    def end(self):
        """Do nothing."""


if __name__ == "__main__":
    PlainFlow()
