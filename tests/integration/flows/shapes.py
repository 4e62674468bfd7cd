"""Every shape of a flow that a debugged task can have: branches, nested foreaches, a switch, joins, a failure."""

from metaflow import FlowSpec, Parameter, conda_base, current, step


class Point:
    """Pickled as a class of `__main__`, which this file is while it runs."""

    def __init__(self, x):
        self.x = x

    def __repr__(self):
        return f"Point({self.x})"


_HIDDEN = 3


@conda_base(libraries={"itsdangerous": "2.1.2"}, python="3.11")
class ShapesFlow(FlowSpec):
    alpha = Parameter("alpha", default=0.5)
    fail = Parameter("fail", default=False)
    constant = (1, 2)

    @step
    def start(self):
        """Say what there is to go through."""
        # What follows stays with this comment.
        self.items = ["a", "b", "c"]

        self.point = Point(self.alpha)

        self.next(self.left, self.right)

    @step
    def left(self):
        self.side, self.common = "left", 1
        self.next(self.sides)

    @step
    def right(self):
        self.side, self.common = "right", 1
        self.next(self.sides)

    @step
    def sides(self, inputs):
        self.both = [inputs.left.side, inputs.right.side]
        self.merge_artifacts(inputs, exclude=["side"])
        self.next(self.fan)

    @step
    def fan(self):
        self.next(self.outer, foreach="items")

    @step
    def outer(self):
        import itsdangerous

        self.version = itsdangerous.__version__
        self.letter = self.input
        self.numbers = [10, 20]
        self.next(self.inner, foreach="numbers")

    @step
    def inner(self):
        self.seen = (self.letter, self.input, self.index, self.foreach_stack())
        if self.fail and self.seen[:2] == ("b", 20):
            raise ValueError("it was to fail: <b>&</b> `20`")
        self.next(self.after)

    @step
    def after(self):
        self.twice = self.seen[0] * 2
        self.next(self.numbers_joined)

    @step
    def numbers_joined(self, inputs):
        self.every = [given.twice for given in inputs]
        self.merge_artifacts(inputs, include=["point", "items"])
        self.next(self.letters_joined)

    @step
    def letters_joined(self, inputs):
        self.all = [given.every for given in inputs]
        self.merge_artifacts(inputs, include=["point", "items"])
        self.next(self.end)

    @step
    def end(self):
        self.sum = _HIDDEN + len(self.all)
        self.tags = sorted(tag for tag in current.tags if tag.startswith("my"))


if __name__ == "__main__":
    ShapesFlow()
