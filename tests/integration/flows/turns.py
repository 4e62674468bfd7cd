"""A switch that loops, one that branches, retries, `@parallel`, configs: outside of environments."""

from metaflow import Config, FlowSpec, IncludeFile, card, config_expr, current, parallel, project, retry, step


@project(name=config_expr("settings.project"))
class TurnsFlow(FlowSpec):
    settings = Config("settings", default_value={"project": "demo", "n": 3})
    plain = Config("plain", default_value="hello", plain=True)
    text = IncludeFile("text", default="included.txt")

    @step
    def start(self):
        self.count = 0
        self.configured = (self.settings.n, self.plain, self.text)
        self.told = (
            (current.project_name, current.branch_name, current.project_flow_name),
            (current.is_user_branch, current.is_production, current.is_running_flow),
            (current.username, current.namespace, sorted(current.tags), current.origin_run_id),
            (current.flow_name, current.step_name, current.pathspec, sorted(current.parameter_names)),
        )
        self.next(self.loop)

    @retry(times=2, minutes_between_retries=0)
    @step
    def loop(self):
        if current.retry_count == 0 and self.count == 1:
            raise ValueError("again")
        self.tried = current.retry_count
        self.count += 1
        self.more = "again" if self.count < 3 else "done"
        self.next({"again": self.loop, "done": self.fork}, condition="more")

    @step
    def fork(self):
        self.way = "right"
        self.next({"left": self.left, "right": self.right}, condition="way")

    @step
    def left(self):
        self.next(self.met)

    @step
    def right(self):
        self.next(self.met)

    @card
    @step
    def met(self):
        self.from_way = self.way
        self.next(self.several, num_parallel=2)

    @parallel
    @step
    def several(self):
        self.node = (current.parallel.node_index, current.parallel.num_nodes, self.input, self.index)
        self.next(self.gathered)

    @step
    def gathered(self, inputs):
        self.nodes = [given.node for given in inputs]
        self.next(self.end)

    @step
    def end(self):
        if self.nodes:
            return
        print("never")


if __name__ == "__main__":
    TurnsFlow()
