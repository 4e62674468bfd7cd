"""Flows that run locally, each step in its own environment."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from tests.channel import Server
from tests.project import FLOWS, Project, project_at

pytestmark = pytest.mark.slow


def test_three_kinds_of_environment(tmp_path: Path, server: Server) -> None:
    """Conda-only, PyPI-only and mixed steps import from their own prefix; a second run resolves and creates nothing."""
    fresh = project_at(tmp_path, server, tmp_path / ".envs", own_code=True)
    first = fresh.run(FLOWS / "three.py")
    prefixes = {path.name for path in fresh.envs.glob("metaflow_*")}

    start, middle, end = fresh.latest(
        "ThreeFlow",
        "[run['start'].task['start_saw'].data, run['middle'].task['middle_saw'].data, run['end'].task['end_saw'].data]",
    )
    assert [start[0], middle[0], end[0]] == [[3, 11], [3, 9], [3, 11]]
    assert [start[2].startswith(start[1]), middle[2].startswith(middle[1]), end[2].startswith(end[1])] == [True] * 3
    assert end[3] == "2.1.2"
    assert {Path(saw[1]).name for saw in (start, middle, end)} == prefixes
    assert first.output.count("Resolving") == 3

    second = fresh.run(FLOWS / "three.py")
    assert "Resolving" not in second.output
    assert "Creating" not in second.output
    assert prefixes == {path.name for path in fresh.envs.glob("metaflow_*")}


def test_changed_requirements_are_resolved_alone(project: Project) -> None:
    """A changed requirement resolves that step again and leaves the others known."""
    text = (FLOWS / "three.py").read_text()
    script = project.write("three.py", text)
    project.run(script)
    project.write("three.py", text.replace('"itsdangerous": "2.1.2"', '"itsdangerous": "2.2.0"'))
    done = project.run(script)

    assert re.findall(r"Resolving step (\w+)", done.output) == ["end"]
    assert project.latest("ThreeFlow", "run['end'].task['end_saw'].data[3]") == "2.2.0"


def test_force_resolves_what_is_known(project: Project) -> None:
    """With --force-rebuild-environments known environments are resolved again; the same packages make no new prefix."""
    project.run(FLOWS / "three.py")
    prefixes = {path.name for path in project.envs.glob("metaflow_*")}
    done = project.flow(FLOWS / "three.py", "--force-rebuild-environments", "run")

    assert done.returncode == 0, done.output
    assert done.output.count("Resolving") == 3
    assert len(prefixes) >= 3
    assert prefixes == {path.name for path in project.envs.glob("metaflow_*")}


def test_everything_metaflow_offers(project: Project) -> None:
    """Foreach, joins, parallel, card, catch, retry, timeout and IncludeFile work across Python 3.8 to 3.13."""
    project.run(FLOWS / "everything.py")

    found = project.latest(
        "EverythingFlow",
        "{'included': run['start'].task['included'].data, 'results': run['collect'].task['results'].data,"
        " 'work': run['collect'].task['work_where'].data[0], 'nodes': run['together'].task['nodes'].data,"
        " 'caught': run['end'].task['caught'].data, 'said': run['risky'].task['said'].data,"
        " 'spread': [t.metadata_dict['python_version'] for t in run['spread']]}",
    )
    assert isinstance(found, dict)
    assert found["included"] == "included text"
    assert found["results"] == ["0a2.1.2", "0b2.1.2", "1a2.1.2", "1b2.1.2"]
    assert found["work"] == [3, 13]
    assert [node[:2] for node in found["nodes"]] == [[0, 2], [1, 2]]
    assert [node[2][0] for node in found["nodes"]] == [[3, 9], [3, 9]]
    assert "caught" in found["caught"]
    assert "hello" in found["said"].lower()
    assert {"3.8"} == {".".join(version.split(".")[:2]) for version in found["spread"]}


def test_resume_and_spin(project: Project) -> None:
    """A failed run resumes in the same environments, and one step of it spins."""
    script = project.write(
        "again.py",
        "import os, sys\n"
        "from metaflow import FlowSpec, conda, step\n"
        "class AgainFlow(FlowSpec):\n"
        "    @conda(libraries={'itsdangerous': '2.1.2'}, python='3.9')\n"
        "    @step\n"
        "    def start(self):\n"
        "        import itsdangerous\n"
        "        self.value = itsdangerous.__version__\n"
        "        self.next(self.end)\n"
        "    @conda(libraries={'click': ''}, python='3.9')\n"
        "    @step\n"
        "    def end(self):\n"
        "        import click\n"
        "        if os.environ.get('FAIL'):\n"
        "            raise SystemExit(3)\n"
        "        self.both = [self.value, sys.version_info[1], bool(click)]\n"
        "if __name__ == '__main__':\n"
        "    AgainFlow()\n",
    )
    failed = project.flow(script, "run", variables={"FAIL": "1"})
    assert failed.returncode == 1

    resumed = project.flow(script, "resume")
    assert resumed.returncode == 0, resumed.output
    assert project.latest("AgainFlow", "run['end'].task['both'].data") == ["2.1.2", 9, True]

    spun = project.flow(script, "spin", "end")
    assert spun.returncode == 0, spun.output


def test_requirements_from_base_class_mutator_and_config(project: Project) -> None:
    """A base class's, a FlowMutator's and a Config's words all reach the step."""
    project.run(FLOWS / "words.py")

    assert project.latest("WordsFlow", "[run['start'].task['saw'].data, run['end'].task['saw'].data]") == [
        ["2.1.2", True, [3, 11]],
        ["2.1.2", [3, 9]],
    ]


def test_with_adds_to_what_the_step_says(project: Project) -> None:
    """`--with conda:python=3.10` keeps 3.10 apart from 3.1, and adds to static decorators."""
    variables = {"SPEC": "[conda(libraries={'click': ''})]", "IMPORTS": "click"}
    done = project.flow(FLOWS / "one.py", "run", "--with", "conda:python=3.10", variables=variables)

    # Steps that are disabled refuse to be enabled by --with: the two words contradict each other.
    assert done.returncode == 1
    assert "step end: disabled is said twice" in done.output

    script = project.write("enabled.py", (FLOWS / "one.py").read_text().replace("@conda(disabled=True)", "@pypi()"))
    done = project.flow(script, "run", "--with", "conda:python=3.10", variables=variables)
    assert done.returncode == 0, done.output
    assert project.latest("OneFlow", "run['start'].task['python'].data[:2]") == [3, 10]


def test_activation_and_isolation(project: Project, tmp_path: Path) -> None:
    """PATH and activation variables are the environment's; the user's Python variables and packages stay outside."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "click.py").write_text("__version__ = 'the wrong one'\n")
    done = project.flow(
        FLOWS / "one.py",
        "run",
        variables={
            "SPEC": "[conda(libraries={'activate-demo': '', 'click': '', 'hello-tool': ''}, python='3.9')]",
            "IMPORTS": "click",
            "PYTHONPATH": str(outside),
            "PYTHONUSERBASE": str(outside),
            "LD_LIBRARY_PATH": str(outside),
        },
    )
    assert done.returncode == 0, done.output

    found = project.latest(
        "OneFlow",
        "{name: run['start'].task[name].data for name in ('saw', 'variables', 'prefix', 'path')}",
    )
    assert isinstance(found, dict)
    variables, prefix = found["variables"], found["prefix"]
    assert found["saw"]["click"] != "the wrong one"
    assert f"{prefix}/bin" == variables["PATH"].split(":")[0]
    assert prefix == variables["CONDA_PREFIX"]
    assert variables["LD_LIBRARY_PATH"].startswith(f"{prefix}/lib:")
    demo = {name: value for name, value in variables.items() if "ACTIVATE_DEMO" in name}
    assert demo
    assert not [value for value in demo.values() if ".partial-" in value]
    assert str(outside) not in found["path"]
    assert not [entry for entry in found["path"] if "site-packages" in entry and not entry.startswith(prefix)]


def test_disabled_steps_run_outside(project: Project) -> None:
    """A disabled step runs in the launcher's interpreter and records that it has no environment."""
    project.run(FLOWS / "one.py")

    assert [sys.executable, ""] == project.latest("OneFlow", "run['end'].task['outside'].data")
    assert project.latest("OneFlow", "run['end'].task.metadata_dict['conda_env_id']") == ""


def test_environment_id_and_information(project: Project) -> None:
    """Tasks record their id, and the client tells what was in the environment."""
    variables = {"METAFLOW_FEAT_ALWAYS_UPLOAD_CODE_PACKAGE": "1"}
    script = project.write("slow.py", (FLOWS / "three.py").read_text())
    project.run(script, variables=variables)

    ids, information = project.latest(
        "ThreeFlow",
        "[run['end'].task.metadata_dict['conda_env_id'], run['end'].task.environment_info]",
    )
    req_id, full_id, arch = json.loads(ids)
    assert (project.catalog / "envs" / arch / req_id / full_id / "env").is_file()
    assert full_id == information["full_id"]
    assert information["conda_packages"]["itsdangerous"] == "2.1.2"
    assert [name for name in information["pypi_packages"] if name == "click"] == ["click"]


def test_runner_inside_a_step(project: Project) -> None:
    """A step on Python 3.8 launches a flow whose step runs on 3.13; the outer id does not leak."""
    project.run(FLOWS / "outer.py")

    own, inner, outside = project.latest(
        "OuterFlow", "[run['start'].task[name].data for name in ('own', 'inner', 'outside')]"
    )
    assert own == [3, 8]
    assert inner[:2] == [{"itsdangerous": "2.1.2"}, [3, 13]]
    assert outside[1] == ""


def test_runner_from_outside(project: Project) -> None:
    """`Runner(..., environment="conda")` runs a flow from a plain script."""
    program = (
        "from metaflow import Runner\n"
        f"with Runner({str(FLOWS / 'one.py')!r}, environment='conda', show_output=False).run() as running:\n"
        "    print('STATUS', running.status, running.run['start'].task['python'].data[:2])\n"
    )
    done = project.command("-c", program, variables={"SPEC": "[pypi(packages={'click': ''}, python='3.9')]"})

    assert "STATUS successful [3, 9]" in done.stdout, done.output


def test_reading_commands_need_no_environment(project: Project) -> None:
    """Without --environment, `show` works and `run` says what to add."""
    shown = project.command(str(FLOWS / "three.py"), "show")
    assert shown.returncode == 0, shown.output

    run = project.command(str(FLOWS / "three.py"), "run")
    assert run.returncode == 1
    assert "--environment=conda" in run.output
    assert "Traceback" not in run.output


def test_pypi_is_another_name(project: Project) -> None:
    """`--environment=pypi` selects the same environments."""
    variables = {"SPEC": "[conda(libraries={'itsdangerous': '2.1.2'}), pypi(packages={'click': ''})]"}
    done = project.command(str(FLOWS / "one.py"), "--environment=pypi", "run", variables=variables)
    assert done.returncode == 0, done.output
    assert "Resolving" in done.output

    again = project.run(FLOWS / "one.py", variables=variables)
    assert "Resolving" not in again.output


def test_every_python_at_hand(project: Project, built: Path) -> None:
    """Steps run on each version of Python that the channel has, from 3.7 on."""
    minors = json.loads((built / "manifest.json").read_text())["minors"]
    names = [f"on_{minor.replace('.', '_')}" for minor in minors]
    steps = "".join(
        f"    @conda(python='{minor}')\n"
        "    @step\n"
        f"    def {name}(self):\n"
        "        self.seen = [*self.seen, '%d.%d' % sys.version_info[:2]]\n"
        f"        self.next(self.{following})\n"
        for minor, name, following in zip(minors, names, [*names[1:], "end"], strict=True)
    )
    script = project.write(
        "every.py",
        "import sys\n"
        "from metaflow import FlowSpec, conda, step\n"
        "class EveryFlow(FlowSpec):\n"
        "    @step\n"
        "    def start(self):\n"
        "        self.seen = []\n"
        f"        self.next(self.{names[0]})\n"
        f"{steps}"
        "    @step\n"
        "    def end(self):\n"
        "        pass\n"
        "if __name__ == '__main__':\n"
        "    EveryFlow()\n",
    )
    done = project.run(script)

    assert list(minors) == project.latest("EveryFlow", "run['end'].task['seen'].data")
    assert "exception occurred" not in done.output


def test_a_known_run_loads_nothing_it_does_not_need(project: Project) -> None:
    """A run that has nothing to resolve or create loads no tool, none of their adapters, and no live display."""
    project.run(FLOWS / "three.py")
    words = ("-X", "importtime", str(FLOWS / "three.py"), "--environment=conda", "run")
    done = project.command(*words)
    assert done.returncode == 0, done.output

    launcher = (
        done.stderr[: done.stderr.index("Workflow starting")] if "Workflow starting" in done.stderr else done.stderr
    )
    loaded = set(re.findall(r"^import time:.*\| +(\S+)$", launcher, re.MULTILINE))
    ours = {name.rpartition(".")[2] for name in loaded if name.startswith("metaflow_extensions.netflix_ext.adapters.")}
    assert "metaflow" in loaded
    assert {"rattler", "uv", "rich", "tomllib"}.isdisjoint(loaded)
    assert {"worker", "conda", "prefix", "pypi", "site", "uv_program", "activation"}.isdisjoint(ours)
