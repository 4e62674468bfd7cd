"""A foreach, whose tasks are multiplied."""

from metaflow import FlowSpec, conda_base, step


@conda_base(python="3.11")
class WideFlow(FlowSpec):
    """What is done in each costs nothing."""

    @step
    def start(self):
        """Go through two."""
        self.items = [1, 2]
        self.next(self.each, foreach="items")

    @step
    def each(self):
        """Keep which."""
        self.number = self.input
        self.next(self.join)

    @step
    def join(self, inputs):
        """Add them."""
        self.total = sum(given.number for given in inputs)
        self.next(self.end)

    @step
    def end(self):
        """End."""


if __name__ == "__main__":
    WideFlow()
