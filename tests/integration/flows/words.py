"""Requirements from a base class, a FlowMutator and a Config."""

import sys

from metaflow import Config, FlowMutator, FlowSpec, conda, conda_base, pypi, step


class addclick(FlowMutator):  # noqa: N801 - used as a decorator
    def mutate(self, mutable_flow):
        for name, one in mutable_flow.steps:
            if name == "start":
                one.add_decorator(pypi, deco_kwargs={"packages": {"click": ">=8"}})


@conda_base(libraries={"itsdangerous": "2.1.2"})
class Base(FlowSpec):
    pass


@addclick
@conda_base(python="3.11")
class WordsFlow(Base):
    config = Config("config", default_value={"libraries": {"hello-tool": ""}, "python": "3.9"})

    @step
    def start(self):
        import click
        import itsdangerous

        self.saw = [itsdangerous.__version__, bool(click), list(sys.version_info[:2])]
        self.next(self.end)

    @conda(libraries=config.libraries, python=config.python)
    @step
    def end(self):
        import itsdangerous

        self.saw = [itsdangerous.__version__, list(sys.version_info[:2])]


if __name__ == "__main__":
    WordsFlow()
