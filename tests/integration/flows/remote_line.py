"""Two steps, one after the other: the smallest flow."""

import platform

from metaflow import FlowSpec, Parameter, step


class LineFlow(FlowSpec):
    """`end` says what `start` has left."""

    word = Parameter("word", default="plain")

    @step
    def start(self):
        self.python = platform.python_version()
        self.next(self.end)

    @step
    def end(self):
        print("start ran on Python", self.python, "and the word is", self.word)


if __name__ == "__main__":
    LineFlow()
