"""Flows whose steps name environments: as they are, extended, of a former run, and chosen when the task starts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.channel import Server
from tests.project import Finished, Project, project_at
from tests.refusal import check_refusal

pytestmark = pytest.mark.slow

HEAD = """\
import os
import sys

from metaflow import FlowSpec, Parameter, Runner, conda, conda_base, named_env, named_env_base, pypi, retry, step
"""
ONE = (
    HEAD
    + """

def decorated(words):
    def decorate(function):
        for decorator in reversed(eval(words)):
            function = decorator(function)
        return function

    return decorate


@decorated(os.environ.get("FLOW_SPEC", "[]"))
class NamedFlow(FlowSpec):
    my_tag = Parameter("my-tag", default="v1")

    @decorated(os.environ.get("SPEC", "[]"))
    @step
    def start(self):
        from importlib import import_module

        self.saw = [getattr(import_module(name), "__version__", "") for name in os.environ["IMPORTS"].split()]
        self.prefix = sys.prefix
        self.next(self.end)

    @conda(disabled=True)
    @step
    def end(self):
        pass


if __name__ == "__main__":
    NamedFlow()
"""
)
V1, V2 = "2.1.2", "2.2.0"


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory, server: Server, shared_envs: Path) -> Path:
    """A catalog where two environments have names, ``team/signing:v1`` and ``:v2``."""
    project = project_at(tmp_path_factory.mktemp("known"), server, shared_envs)
    for tag, version in (("v1", V1), ("v2", V2)):
        project.write(f"{tag}.txt", f"python==3.11\nitsdangerous=={version}\n")
        words = ("environment", "resolve", "-r", f"{tag}.txt", "--alias", f"team/signing:{tag}")
        done = project.metaflow(*words)
        assert done.returncode == 0, done.output
    return project.catalog


@pytest.fixture
def named(project: Project, known: Path) -> Project:
    """A folder with that catalog, and with a flow."""
    shutil.copytree(known, project.catalog)
    project.write("one.py", ONE)
    return project


def run(project: Project, spec: str, imports: str = "itsdangerous", *words: str, **variables: str) -> Finished:
    return project.flow("one.py", "run", *words, variables={"SPEC": spec, "IMPORTS": imports, **variables})


def good(project: Project, spec: str, imports: str = "itsdangerous", *words: str, **variables: str) -> Finished:
    done = run(project, spec, imports, *words, **variables)
    assert done.returncode == 0, done.output
    return done


def saw(project: Project, name: str = "saw") -> Any:
    return project.latest("NamedFlow", f"run['start'].task[{name!r}].data")


def ids(project: Project, flow: str = "NamedFlow", step: str = "start") -> list[str]:
    """Return the id that the step's task of the latest run has recorded."""
    found = project.latest(flow, f"run[{step!r}].task.metadata_dict['conda_env_id']")
    assert isinstance(found, str)
    return list(json.loads(found))


def saw_and_ids(project: Project) -> tuple[Any, list[str]]:
    """Return both, as the client tells them at once."""
    expression = "[run['start'].task['saw'].data, run['start'].task.metadata_dict['conda_env_id']]"
    found = project.latest("NamedFlow", expression)
    assert isinstance(found, list)
    return found[0], list(json.loads(found[1]))


def document(project: Project, name: str) -> dict[str, Any]:
    """Return what is known of an environment."""
    done = project.metaflow("environment", "--json", "show", name)
    assert done.returncode == 0, done.output
    found = json.loads(done.stdout)["environments"][0]["environment"]
    assert isinstance(found, dict)
    return found


def files(found: dict[str, Any]) -> set[tuple[str, str]]:
    return {(package["url"], package["sha256"]) for package in found["packages"]}


def test_a_named_environment_as_it_is(named: Project) -> None:
    """A step that names an environment runs in it; nothing is resolved, and its id is recorded."""
    done = good(named, "[named_env(name='team/signing:v1')]")

    found = document(named, "team/signing:v1")
    assert "Resolving" not in done.output
    assert saw_and_ids(named) == ([V1], [found["req_id"], found["full_id"], "linux-64"])


@pytest.mark.parametrize(
    ("more", "imports"),
    [
        ("pypi(packages={'click': ''})", "itsdangerous click"),
        ("conda(libraries={'hello-tool': ''})", "itsdangerous"),
    ],
)
def test_packages_on_top(named: Project, more: str, imports: str) -> None:
    """What is asked for on top is added; every package of the base stays the very file that it was."""
    first = good(named, f"[named_env(name='team/signing:v1'), {more}]", imports)
    seen, recorded = saw_and_ids(named)
    extended = document(named, ":".join(recorded[:2]))
    base = document(named, "team/signing:v1")

    assert first.output.count("Resolving") == 1
    assert seen[0] == V1
    assert files(base) < files(extended)
    assert extended["resolved"]["extends"] == f"{base['req_id']}:{base['full_id']}"
    again = good(named, f"[named_env(name='team/signing:v1'), {more}]", imports)
    assert "Resolving" not in again.output


def test_what_the_base_has_already(named: Project) -> None:
    """A request that the base meets re-uses the base itself."""
    spec = "[named_env(name='team/signing:v1'), pypi(packages={'itsdangerous': '>=2'}, python='3.11')]"
    done = good(named, spec)

    assert "Resolving" not in done.output
    assert ids(named)[1] == document(named, "team/signing:v1")["full_id"]


def test_what_the_base_has_otherwise(named: Project) -> None:
    """Another version of a package of the base, and another Python, are refused; both versions are named."""
    other = run(named, f"[named_env(name='team/signing:v1'), pypi(packages={{'itsdangerous': '=={V2}'}})]")
    python = run(named, "[named_env(name='team/signing:v1'), conda(python='3.12')]")

    check_refusal(other, "step start", V1, V2)
    check_refusal(python, "step start", "Python 3.12.* is asked for", "3.11.7")


def test_the_environment_of_a_former_run(named: Project) -> None:
    """A pathspec of a step, and one of a task, mean the environment that it ran in, extensions included."""
    good(named, "[named_env(name='team/signing:v1'), pypi(packages={'click': ''})]", "itsdangerous click")
    former = ids(named)
    task = str(named.latest("NamedFlow", "run['start'].task.pathspec"))
    of_step = task.rpartition("/")[0]

    for words in (f"named_env(pathspec='{of_step}')", f"named_env(pathspec='{task}')", f"conda(pathspec='{of_step}')"):
        done = good(named, f"[{words}]", "itsdangerous click")
        assert ids(named) == former
    assert "pathspec of @conda is deprecated: use @named_env(pathspec=...)" in done.output
    of_end = of_step.replace("/start", "/end")
    check_refusal(run(named, f"[named_env(pathspec='{of_end}')]"), "ran outside of environments")
    check_refusal(run(named, "[named_env(pathspec='NamedFlow/1/start')]"), "there is no 'NamedFlow/1/start'")


def test_flow_level_base_and_steps_own(named: Project) -> None:
    """The flow's named environment holds for its steps; a step may name another, extend it, or go without."""
    named.write(
        "flow.py",
        HEAD
        + """

@named_env_base(name="team/signing:v1")
class BaseFlow(FlowSpec):
    @step
    def start(self):
        import itsdangerous

        self.saw = [itsdangerous.__version__]
        self.next(self.other)

    @named_env(name="team/signing:v2")
    @step
    def other(self):
        import itsdangerous

        self.saw = [itsdangerous.__version__]
        self.next(self.more)

    @pypi(packages={"click": ""})
    @step
    def more(self):
        import click
        import itsdangerous

        self.saw = [itsdangerous.__version__, bool(click)]
        self.next(self.end)

    @conda(disabled=True)
    @step
    def end(self):
        self.saw = os.environ["_METAFLOW_CONDA_ENV"]


if __name__ == "__main__":
    BaseFlow()
""",
    )
    named.run("flow.py")

    found = named.latest("BaseFlow", "{s.id: s.task['saw'].data for s in run}")
    assert found == {"start": [V1], "other": [V2], "more": [V1, True], "end": ""}


CHOSEN = (
    HEAD
    + """

class ChosenFlow(FlowSpec):
    my_team = Parameter("my-team", default="team")
    number = Parameter("number", default=3)

    @conda(disabled=True)
    @step
    def start(self):
        self.tags = [1, 2]
        self.next(self.work, foreach="tags")

    @named_env(name="@{METAFLOW_INIT_MY_TEAM}/signing:t@{METAFLOW_TASK_ID}", fetch_at_exec=True)
    @retry(times=1, minutes_between_retries=0)
    @step
    def work(self):
        import itsdangerous
        from metaflow import current

        self.saw = [current.task_id, itsdangerous.__version__, current.retry_count]
        if current.retry_count == 0 and self.input == 2:
            raise ValueError("once more")
        self.next(self.join)

    @named_env(name="team/@{METAFLOW_STEP_NAME}-@{METAFLOW_INIT_NUMBER}-@{FROM_OUTSIDE}", fetch_at_exec=True)
    @step
    def join(self, inputs):
        import itsdangerous

        self.all_saw = sorted(i.saw for i in inputs)
        self.own = itsdangerous.__version__
        if os.environ.get("FAIL"):
            raise SystemExit(3)
        self.next(self.end)

    @conda(disabled=True)
    @step
    def end(self):
        pass


if __name__ == "__main__":
    ChosenFlow()
"""
)


def alias(project: Project, source: str, target: str) -> None:
    done = project.metaflow("environment", "alias", source, target)
    assert done.returncode == 0, done.output


def test_chosen_when_the_task_starts(named: Project) -> None:
    """Tasks of one foreach run in different environments, by their own ids; parameters and retries and resume obey."""
    for number, tag in ((2, "v1"), (3, "v2")):
        alias(named, f"team/signing:{tag}", f"team/signing:t{number}")
    alias(named, "team/signing:v2", "team/join-3-x")
    script = named.write("chosen.py", CHOSEN)
    variables = {"FROM_OUTSIDE": "x", "FAIL": "1"}

    failed = named.flow(script, "run", variables=variables)
    assert failed.returncode == 1
    assert "Resolving" not in failed.output
    resumed = named.flow(script, "resume", variables={**variables, "FAIL": ""})
    assert resumed.returncode == 0, resumed.output

    assert named.latest("ChosenFlow", "run['end'].task['all_saw'].data") == [["2", V1, 0], ["3", V2, 1]]
    assert named.latest("ChosenFlow", "run['end'].task['own'].data") == V2
    first, second = (document(named, f"team/signing:{tag}")["full_id"] for tag in ("v1", "v2"))
    recorded = named.latest("ChosenFlow", "[t.metadata_dict['conda_env_id'] for t in run['work']]")
    assert isinstance(recorded, list)
    assert {json.loads(text)[1] for text in recorded} == {first, second}
    assert ids(named, "ChosenFlow", "join")[1] == second


def test_an_unknown_environment_at_the_start_of_a_task(named: Project) -> None:
    """The run ends when the task would start, with one message that names the step and the name as filled in."""
    spec = "[named_env(name='team/none:@{METAFLOW_INIT_MY_TAG}', fetch_at_exec=True)]"
    done = run(named, spec, "itsdangerous", "--my-tag", "new")

    check_refusal(done, "step start", "no environment is called 'team/none:new'")
    assert "Workflow failed." in done.output


def test_a_variable_that_is_not_set(named: Project) -> None:
    """A variable that nobody has set is an error that names it, at the launch or at the start of the task."""
    at_start = run(named, "[named_env(name='team/x:@{NOBODY}', fetch_at_exec=True)]")
    no_parameter = run(named, "[named_env(name='team/x:@{METAFLOW_INIT_OTHER}', fetch_at_exec=True)]")
    at_launch = run(named, "[named_env(name='team/x:@{NOBODY}')]")
    too_early = run(named, "[named_env(name='team/x:@{METAFLOW_RUN_ID}')]", METAFLOW_RUN_ID="that of another run")

    for done in (at_start, at_launch):
        check_refusal(done, "step start", "'team/x:@{NOBODY}' names the variable NOBODY, which is not set")
    check_refusal(no_parameter, "METAFLOW_INIT_OTHER, which is not set", "check the name of the parameter")
    check_refusal(too_early, "METAFLOW_RUN_ID, which is not set", "fetch_at_exec=True")
    assert "Workflow starting" not in at_launch.output


def test_variables_at_launch(named: Project) -> None:
    """Without fetch_at_exec the process's variables and the step's name are filled in when the flow is launched."""
    alias(named, "team/signing:v2", "team/start-blue")
    good(named, "[named_env(name='team/@{METAFLOW_STEP_NAME}-@{COLOUR}')]", COLOUR="blue")

    assert saw(named) == [V2]


def test_the_task_goes_before_the_process(named: Project) -> None:
    """Of a variable that both have, the task's value counts, as in a flow that a task has launched."""
    alias(named, "team/signing:v1", "team/start")
    spec = "[named_env(name='team/@{METAFLOW_STEP_NAME}', fetch_at_exec=True)]"
    good(named, spec, METAFLOW_STEP_NAME="end", METAFLOW_TASK_ID="99")

    assert saw(named) == [V1]


@pytest.mark.parametrize(
    ("flow", "step", "says"),
    [
        ("[conda_base(libraries={'click': '>=8'})]", "", "click >=8 (of the flow)"),
        ("[]", ", pypi(packages={'click': '>=8'})", "click>=8"),
        ("[conda_base(python='3.11')]", "", "python 3.11.*"),
    ],
)
def test_nothing_beside_what_is_chosen_later(named: Project, flow: str, step: str, says: str) -> None:
    """fetch_at_exec allows no other requirement: the message says which there is, and whether the flow has it."""
    spec = f"[named_env(name='team/signing:v1', fetch_at_exec=True){step}]"
    done = run(named, spec, FLOW_SPEC=flow)

    check_refusal(done, "step start", says)
    assert "Workflow starting" not in done.output


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("[named_env()]", "neither name nor pathspec is given"),
        ("[named_env(name='a', pathspec='F/1/start')]", "both name and pathspec are given"),
        ("[named_env(name='Team/Signing')]", "'Team/Signing' cannot be the name of an environment"),
        ("[named_env(name='team/signing:v3')]", "no environment is called 'team/signing:v3'"),
        ("[named_env(name='team/signing:v3', fetch_at_exec='maybe')]", "fetch_at_exec='maybe' is neither"),
        ("[named_env(pathspec='start')]", "'start' names no step of a run"),
        ("[conda(fetch_at_exec=True)]", "fetch_at_exec is set, and no environment is named"),
        ("[named_env(name='a'), named_env(name='b')]", "name is said twice, with different values: b and a"),
    ],
)
def test_words_that_mean_nothing(named: Project, spec: str, says: str) -> None:
    """A name that cannot be, or contradicts itself, is one message with the step in it."""
    check_refusal(run(named, spec), "step start", says)


def test_by_id_and_by_the_command_line(named: Project) -> None:
    """The beginning of an id is a name, also where it is all digits, and --with names an environment for every step."""
    found = document(named, "team/signing:v2")
    good(named, f"[named_env(name='{found['full_id'][:12]}')]")
    assert ids(named)[1] == found["full_id"]

    named.write("one.py", ONE.replace("    @conda(disabled=True)\n", ""))
    good(named, "[]", "itsdangerous", "--with", f"named_env:name={found['req_id']}:{found['full_id']}")
    assert ids(named)[1] == found["full_id"]
    digits = run(named, "[]", "itsdangerous", "--with", "named_env:name=1234567890")
    check_refusal(digits, "no environment is called '1234567890'")


def test_a_flow_that_a_step_launches(named: Project) -> None:
    """A step on an older Python launches a flow that names environments, at its launch and when its task starts."""
    named.write(
        "outer.py",
        HEAD
        + """

class OuterFlow(FlowSpec):
    @conda(python="3.8")
    @step
    def start(self):
        self.saw = {}
        os.environ["IMPORTS"] = "itsdangerous"
        for spec in (
            "[named_env(name='team/signing:v2')]",
            "[named_env(name='team/signing:@{METAFLOW_INIT_MY_TAG}', fetch_at_exec=True)]",
        ):
            os.environ["SPEC"] = spec
            with Runner("one.py", environment="conda", show_output=False).run(my_tag="v1") as running:
                if running.returncode != 0:
                    raise RuntimeError(running.stdout + running.stderr)
                self.saw[spec] = running.run["start"].task["saw"].data
        shown = Runner("one.py", environment="conda").environment().show("start")
        self.states = [item.states for item in shown["start"].values()]
        self.own = sys.version_info[:2]
        self.next(self.end)

    @conda(disabled=True)
    @step
    def end(self):
        pass


if __name__ == "__main__":
    OuterFlow()
""",
    )
    named.run("outer.py")

    found = named.latest("OuterFlow", "[run['start'].task[name].data for name in ('own', 'saw', 'states')]")
    assert isinstance(found, list)
    assert found[0] == [3, 8]
    assert list(found[1].values()) == [[V2], [V1]]
    assert found[2] == [["fetched"]]


def test_spin_takes_the_parameters_of_the_run_it_repeats(named: Project) -> None:
    """A spun step whose environment is chosen at its start finds the parameters where the former run has left them."""
    spec = "[named_env(name='team/signing:@{METAFLOW_INIT_MY_TAG}', fetch_at_exec=True)]"
    variables = {"SPEC": spec, "IMPORTS": "itsdangerous"}
    good(named, spec, "itsdangerous", "--my-tag", "v2")
    done = named.flow("one.py", "spin", "start", variables=variables)

    assert done.returncode == 0, done.output
    assert "Traceback" not in done.output
