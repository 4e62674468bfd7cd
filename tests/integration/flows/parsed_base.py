"""Requirements of a whole flow read from a file by ``Config``."""

from metaflow import Config, FlowSpec, config_expr, pypi_base, req_parser, step


@pypi_base(**config_expr("needs"))
class ParsedBaseFlow(FlowSpec):
    needs = Config("needs", default="requirements.txt", parser=req_parser)

    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        import itsdangerous

        self.saw = itsdangerous.__version__


if __name__ == "__main__":
    ParsedBaseFlow()
