"""The three steps in three conda environments: pandas on 3.11, scikit-learn on 3.10, plain."""

import body
from metaflow import FlowSpec, conda, step


class ThreeEnvironmentsFlow(FlowSpec):
    """pandas, scikit-learn, nothing."""

    @conda(libraries={"pandas": ""}, python="3.11")
    @step
    def start(self):
        """Import pandas."""
        self.pandas = body.first()
        self.next(self.fit)

    @conda(libraries={"scikit-learn": ""}, python="3.10")
    @step
    def fit(self):
        """Import scikit-learn."""
        self.sklearn = body.second()
        self.next(self.end)

    @conda(python="3.11")
    @step
    def end(self):
        """Do nothing."""


if __name__ == "__main__":
    ThreeEnvironmentsFlow()
