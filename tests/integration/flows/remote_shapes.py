"""Every shape of a graph: a parameter, static branches, a foreach in a foreach, joins."""

import platform
import socket

from metaflow import FlowSpec, Parameter, step


class ShapesFlow(FlowSpec):
    """What `end` knows went through all the others."""

    word = Parameter("word", default="plain")
    count = Parameter("count", type=int, default=2)

    @step
    def start(self):
        print("start runs on", socket.gethostname())
        self.python = platform.python_version()
        self.next(self.left, self.right)

    @step
    def left(self):
        self.side = "left"
        self.next(self.both)

    @step
    def right(self):
        self.side = "right"
        self.next(self.both)

    @step
    def both(self, inputs):
        self.sides = [one.side for one in inputs]
        self.merge_artifacts(inputs, include=["python"])
        self.next(self.fan)

    @step
    def fan(self):
        self.numbers = list(range(self.count))
        self.next(self.outer, foreach="numbers")

    @step
    def outer(self):
        self.number = self.input
        self.letters = "ab"
        self.next(self.inner, foreach="letters")

    @step
    def inner(self):
        self.label = f"{self.number}{self.input}"
        self.next(self.after)

    @step
    def after(self):
        self.label += "!"
        self.next(self.inner_join)

    @step
    def inner_join(self, inputs):
        self.labels = [one.label for one in inputs]
        self.next(self.outer_join)

    @step
    def outer_join(self, inputs):
        self.labels = [label for one in inputs for label in one.labels]
        self.next(self.end)

    @step
    def end(self):
        self.said = f"{self.word} {self.count}"
        print("labels:", *self.labels)


if __name__ == "__main__":
    ShapesFlow()
