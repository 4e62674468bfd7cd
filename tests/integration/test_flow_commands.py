"""`python flow.py environment resolve|show`, and the same from Python."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.project import FLOWS, Finished, Project
from tests.refusal import check_refusal

pytestmark = pytest.mark.slow

MORE = """\
from metaflow import FlowSpec, conda, named_env, pypi, step


class MoreFlow(FlowSpec):
    @named_env(name="team/base:v1")
    @step
    def start(self):
        self.next(self.more)

    @named_env(name="team/base:v1")
    @conda(libraries={"hello-tool": ""})
    @step
    def more(self):
        self.next(self.chosen)

    @named_env(name="team/@{WHICH}", fetch_at_exec=True)
    @step
    def chosen(self):
        self.next(self.off)

    @conda(disabled=True)
    @step
    def off(self):
        self.next(self.end)

    @named_env(name="team/none")
    @step
    def end(self):
        pass


if __name__ == "__main__":
    MoreFlow()
"""


def environment(project: Project, *words: str, script: object = FLOWS / "three.py") -> Finished:
    return project.flow(str(script), "environment", *words)


def steps(project: Project, *words: str, script: object = FLOWS / "three.py") -> dict[str, Any]:
    """Call a command with `--json`, which must go well; return what it tells of each step on linux-64."""
    done = environment(project, *words, "--json", script=script)
    assert done.returncode == 0, done.output
    answer = json.loads(done.stdout)
    assert answer["schema"] == 1
    return {name: by_arch["linux-64"] for name, by_arch in answer["steps"].items()}


def test_resolve_and_show(fresh: Project) -> None:
    """Steps are unresolved, then resolved, then created by a run, which resolves nothing any more."""
    before = steps(fresh, "show")
    assert {tuple(item["states"]) for item in before.values()} == {("unresolved",)}

    resolved = steps(fresh, "resolve", "start", "middle")
    assert {name: item["new"] for name, item in resolved.items()} == {"start": True, "middle": True}
    assert "itsdangerous" in {package["name"] for package in resolved["start"]["environment"]["packages"]}
    again = environment(fresh, "resolve", "start")
    assert again.returncode == 0
    assert "No environments to resolve" in again.stderr
    assert steps(fresh, "resolve", "start", "--force")["start"]["new"] is True

    run = fresh.run(FLOWS / "three.py")
    assert run.output.count("Resolving") == 1
    after = steps(fresh, "show")
    assert {tuple(item["states"]) for item in after.values()} == {("resolved", "created")}


def test_every_state(fresh: Project) -> None:
    """A named, a derived, a disabled step, one whose environment is chosen later, and one that cannot be."""
    fresh.write("r.txt", "python==3.11\nclick\n")
    words = ("environment", "resolve", "-r", "r.txt", "--alias", "team/base:v1")
    assert fresh.metaflow(*words).returncode == 0
    script = fresh.write("more.py", MORE)

    shown = steps(fresh, "show", script=script)
    assert shown["start"]["states"] == ["named", "resolved"]
    assert (shown["more"]["states"], shown["more"]["named"]) == (["derived", "unresolved"], "team/base:v1")
    assert (shown["chosen"]["states"], shown["chosen"]["fetched"]) == (["fetched"], "team/@{WHICH}")
    assert shown["off"]["states"] == ["disabled"]
    assert "no environment is called 'team/none'" in shown["end"]["error"]

    derived = steps(fresh, "resolve", "more", script=script)["more"]["environment"]
    base = shown["start"]["environment"]
    assert {item["sha256"] for item in base["packages"]} < {item["sha256"] for item in derived["packages"]}
    readable = environment(fresh, "show", script=script)
    assert "Step chosen on linux-64: fetched at execution of team/@{WHICH}" in readable.stdout
    assert "Step more on linux-64: derived from team/base:v1, resolved" in readable.stdout


def test_lines_for_programs(fresh: Project) -> None:
    """`--quiet` prints lines alone: three a step for show, two an environment for resolve."""
    resolved = environment(fresh, "resolve", "--quiet").stdout.splitlines()
    shown = environment(fresh, "show", "--quiet").stdout.splitlines()

    assert resolved[::2] == ["start", "middle", "end"]
    assert [len(line.split(" ")) for line in resolved[1::2]] == [12, 12, 12]
    assert shown[::3] == ["start", "middle", "end"]
    assert shown[1] == "OK+ENV Environment is resolved."
    assert shown[2] == resolved[1]


def test_aliases_and_dry_runs(fresh: Project) -> None:
    """One environment can be named, several cannot; a dry run keeps neither."""
    steps(fresh, "resolve", "start", "--alias", "team/start:v1", "--dry-run")
    assert not fresh.catalog.exists()

    check_refusal(environment(fresh, "resolve", "--alias", "team/all:v1"), "cannot name the 3 environments")
    assert not list(fresh.catalog.rglob("env"))
    found = steps(fresh, "resolve", "start", "--alias", "team/start:v1")
    assert found["start"]["environment"]["aliases"] == ["team/start:v1"]
    assert fresh.metaflow("environment", "show", "team/start:v1").returncode == 0


def test_usage(fresh: Project) -> None:
    """An unknown step is a usage error that names those there are; without --environment it is said what to add."""
    unknown = environment(fresh, "show", "begin")
    without = fresh.command(str(FLOWS / "three.py"), "environment", "show")

    assert (unknown.returncode, without.returncode) == (2, 1)
    assert "no step is called begin; there are: start, middle, end" in unknown.stderr
    assert "--environment=conda" in without.output
    assert "Traceback" not in unknown.output + without.output


def test_from_python(fresh: Project) -> None:
    """`Runner(...).environment()` returns typed objects, and errors with the command's message."""
    program = (
        "from metaflow import Runner\n"
        f"commands = Runner({str(FLOWS / 'three.py')!r}, environment='conda').environment()\n"
        "found = commands.resolve('start', alias='team/start')['start']['linux-64']\n"
        "print('FOUND', found.new, found.states, found.environment.aliases, found.environment.python[:5])\n"
        "print('NAMES', sorted(package.name for package in found.environment.packages)[:2])\n"
        "print('SHOWN', {name: item['linux-64'].states for name, item in commands.show('start', 'end').items()})\n"
        "try:\n"
        "    commands.show('begin')\n"
        "except RuntimeError as error:\n"
        "    print('ERROR', str(error).splitlines()[-1])\n"
    )
    done = fresh.command("-c", program)

    assert "FOUND True ('resolved',) ('team/start:latest',) 3.11." in done.stdout, done.output
    assert "NAMES ['certifi', 'charset-normalizer']" in done.stdout
    assert "SHOWN {'start': ('resolved',), 'end': ('unresolved',)}" in done.stdout.replace(
        "{'end': ('unresolved',), 'start': ('resolved',)}", "{'start': ('resolved',), 'end': ('unresolved',)}"
    )
    assert "ERROR Error: no step is called begin" in done.stdout


def test_a_store_that_is_shared(fresh: Project) -> None:
    """What is in the shared store is cached; with --local-only it is neither asked nor written."""
    fresh.variables["METAFLOW_CONDA_LOCALROOT"] = str(fresh.root / "shared")
    alone = steps(fresh, "resolve", "start", "--local-only")
    assert alone["start"]["states"] == ["resolved"]
    assert not (fresh.root / "shared").exists()

    steps(fresh, "resolve", "end")
    assert steps(fresh, "show", "end")["end"]["states"] == ["resolved", "cached"]
    assert steps(fresh, "show", "end", "--local-only")["end"]["states"] == ["resolved"]
    assert steps(fresh, "show", "start")["start"]["states"] == ["resolved"]


def test_platforms(fresh: Project) -> None:
    """Steps that run elsewhere are resolved for there; --arch takes its place, also several times."""
    elsewhere = fresh.write(
        "elsewhere.py", MORE.replace('@named_env(name="team/none")', "@retry").replace("pypi", "retry")
    )
    variables = {"METAFLOW_CONDA_REMOTE_COMMANDS": "retry"}
    words = (str(elsewhere), "--environment=conda", "environment")

    resolved = fresh.command(*words, "resolve", "end", "--json", variables=variables)
    assert resolved.returncode == 0, resolved.output
    end = json.loads(resolved.stdout)["steps"]["end"]
    shown = fresh.command(*words, "show", "end", "--json", "--arch", "linux-64", "--arch", "osx-arm64")
    found = json.loads(shown.stdout)["steps"]["end"]
    wrong = fresh.command(*words, "show", "--arch", "windows")

    assert (list(end), end["linux-64"]["new"]) == (["linux-64"], True)
    assert {arch: item["states"] for arch, item in found.items()} == {
        "linux-64": ["resolved"],
        "osx-arm64": ["unresolved"],
    }
    check_refusal(wrong, "windows")


def test_nothing_to_name_and_nowhere_to_write(fresh: Project) -> None:
    """An alias for steps without environments, one that is final, and a file that cannot be written are refused."""
    script = fresh.write("more.py", MORE)
    none = environment(fresh, "resolve", "chosen", "off", "--alias", "team/x:v1", script=script)
    check_refusal(none, "team/x:v1 cannot name an environment", "the steps have none yet")

    steps(fresh, "resolve", "start", "--alias", "team/start:v1")
    final = environment(fresh, "resolve", "end", "--alias", "team/start:v1")
    check_refusal(final, "the alias 'team/start:v1' is final")
    assert steps(fresh, "show", "end")["end"]["states"] == ["unresolved"]

    nowhere = environment(fresh, "show", "--output", "no/such/folder")
    assert nowhere.returncode == 1
    assert "no/such/folder" in nowhere.stderr
    assert "Traceback" not in nowhere.output
    nothing = environment(fresh, "resolve", "off", script=script)
    assert (nothing.returncode, "No environments to resolve" in nothing.stderr) == (0, True)


def test_what_cannot_be_resolved(fresh: Project) -> None:
    """The solver's explanation is the message, with the steps that ask, and nothing is kept."""
    text = MORE.replace('@named_env(name="team/none")', '@conda(libraries={"no-such-thing": ""})')
    done = environment(fresh, "resolve", "end", script=fresh.write("more.py", text))

    check_refusal(done, "step end, for linux-64", "no-such-thing")
    assert not list(fresh.catalog.rglob("env"))


NOTEBOOK = """
import asyncio
from metaflow import Runner

async def cell():
    commands = Runner("more.py", environment="conda").environment()
    shown = commands.show()
    print("ERROR", shown["end"]["linux-64"].error)
    print("FETCHED", shown["chosen"]["linux-64"].fetched)
    try:
        commands.resolve("end")
    except RuntimeError as error:
        print("TOLD", "team/none" in str(error), "Traceback" in str(error))
    try:
        commands.show(timeout=0.01)
    except RuntimeError as error:
        print("LATE", "did not end within" in str(error))
    shown["off"]["linux-64"].step = "other"

try:
    asyncio.run(cell())
except AttributeError as error:
    print("FROZEN", type(error).__name__)
"""


def test_while_an_event_loop_runs(fresh: Project) -> None:
    """In a notebook's cell the calls work as elsewhere, whatever the flow prints; what comes back is frozen."""
    fresh.write("more.py", MORE.replace("class MoreFlow", 'print("{noise}")\n\n\nclass MoreFlow'))
    done = fresh.command("-c", NOTEBOOK)

    assert done.returncode == 0, done.output
    said = dict(line.split(" ", 1) for line in done.stdout.splitlines() if line[:1].isupper())
    assert "no environment is called 'team/none'" in said.pop("ERROR")
    assert said == {
        "FETCHED": "team/@{WHICH}",
        "TOLD": "True False",
        "LATE": "True",
        "FROZEN": "FrozenInstanceError",
    }
