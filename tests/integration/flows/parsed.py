"""Requirements read from files by ``Config``: one parser a step."""

import shutil
import sys

from metaflow import (
    Config,
    FlowSpec,
    conda,
    pypi,
    pyproject_toml_parser,
    req_parser,
    step,
    yml_parser,
)


class ParsedFlow(FlowSpec):
    needs = Config("needs", default="requirements.txt", parser=req_parser)
    more = Config("more", default="environment.yml", parser=yml_parser)
    mine = Config("mine", default="pyproject.toml", parser=pyproject_toml_parser)

    @pypi(**needs)
    @step
    def start(self):
        import itsdangerous

        self.start_saw = [itsdangerous.__version__, sys.version_info[:2], bool(shutil.which("hello-tool"))]
        self.next(self.middle)

    @conda(**more)
    @step
    def middle(self):
        import click
        import itsdangerous

        self.middle_saw = [itsdangerous.__version__, sys.version_info[:2], bool(click)]
        self.next(self.end)

    @pypi(**mine)
    @step
    def end(self):
        import click

        self.end_saw = [bool(click), sys.version_info[:2]]


if __name__ == "__main__":
    ParsedFlow()
