"""What the steps of a flow ask for, before anything is resolved."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from metaflow_extensions.netflix_ext.engine.alias import Alias, Pathspec
from metaflow_extensions.netflix_ext.engine.catalog import Pointer
from metaflow_extensions.netflix_ext.engine.errors import InputError, UnknownError
from metaflow_extensions.netflix_ext.engine.identity import EnvID
from metaflow_extensions.netflix_ext.engine.lookup import Lookup
from metaflow_extensions.netflix_ext.engine.resolved import ResolvedEnvironment
from metaflow_extensions.netflix_ext.host import steps
from metaflow_extensions.netflix_ext.host.workbench import Workbench
from tests.fakes import FakeMachine, conda_package, resolved

Words = tuple[str, Mapping[str, object]]


class Bench(Workbench):
    """A workbench in a folder of its own, which remembers what was said."""

    def __init__(self, root: Path) -> None:
        self.said: list[str] = []
        super().__init__(
            lambda text, **_: self.said.append(text),
            values={"CONDA_CHANNELS": "c", "CONDA_ENVS_ROOT": str(root / "envs")},
        )
        self.wiring.machine = FakeMachine()  # type: ignore[assignment]
        self.past: dict[str, EnvID] = {}
        self.__dict__["lookup"] = Lookup(catalog=self.wiring.catalog, task_env_id=self._past)

    def _past(self, pathspec: Pathspec) -> EnvID:
        return self.past[str(pathspec)]

    def name(self, alias: str, *packages: str, arch: str = "linux-64") -> ResolvedEnvironment:
        """Keep an environment with *packages* under a name."""
        found = resolved(*map(conda_package, packages), arch=arch)
        self.wiring.catalog.add(found)
        self.wiring.catalog.publish(Alias.parse(alias), Pointer(env_id=found.env_id))
        return found


@pytest.fixture(name="bench")
def _bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.chdir(tmp_path)
    return Bench(tmp_path)


def question(*words: Words, flow: tuple[Words, ...] = (), **facts: object) -> dict[str, Any]:
    """Return the question for a flow of one step, ``start``."""
    step = {"words": [list(word) for word in words], "compute": {}, "names": [], "gpu": False, **facts}
    return {
        "flow": [[list(word) for word in flow]],
        "steps": {"start": step},
        "folder": ".",
        "python": "3.11",
        "needs": {},
        "force": False,
    }


def read(bench: Bench, *words: Words, arch: str | None = None, **more: Any) -> steps.Step:
    return steps.read(question(*words, **more), bench, arch=arch)["start"]


def test_a_step_without_words(bench: Bench) -> None:
    """It asks for the launcher's Python on this machine."""
    step = read(bench)

    assert step.request is not None
    assert (step.arch, step.local, step.disabled, step.fetched, step.named) == ("linux-64", True, False, "", "")
    assert (step.request.spec.python, step.request.spec.channels) == ("3.11.*", ("c",))


def test_a_disabled_step(bench: Bench) -> None:
    """It asks for nothing and does not run in an environment of ours, whatever the flow names."""
    step = read(bench, ("conda", {"disabled": True}), flow=(("named_env_base", {"name": "nobody/knows"}),))

    assert (step.disabled, step.local, step.request, step.base, step.fetched) == (True, False, None, None, "")


def test_a_named_environment(bench: Bench) -> None:
    """What is named is the base; with something on top there is a request for this platform, and the rest stays."""
    base = bench.name("team/x:v1", "numpy")
    named = ("named_env", {"name": "team/x:v1"})

    alone = read(bench, named)
    met = read(bench, named, ("conda", {"packages": {"numpy": ">=1"}}))
    more = read(bench, named, ("conda", {"packages": {"zlib": ""}}))

    assert (alone.base, alone.request, alone.named) == (base, None, "team/x:v1")
    assert (met.base, met.request) == (base, None)
    assert more.base == base
    assert more.request is not None
    assert more.request.extension is not None
    assert [item.name for item in more.request.extension.conda] == ["zlib"]


def test_the_step_names_over_the_flow(bench: Bench) -> None:
    """A step's name takes the place of the flow's, also of the flow's pathspec, with the flow's packages on top."""
    own = bench.name("team/own", "numpy")
    flow = (("named_env_base", {"pathspec": "F/1/start"}), ("conda_base", {"packages": {"zlib": ""}}))

    step = read(bench, ("named_env", {"name": "team/own"}), flow=flow)

    assert step.base == own
    assert step.request is not None


def test_a_pathspec(bench: Bench) -> None:
    """The environment of a past step, or task, is the base; of another platform it is refused with what to do."""
    here, there = bench.name("a", "numpy"), bench.name("b", "numpy", arch="osx-arm64")
    bench.past = {"F/1/start": here.env_id, "F/1/start/3": here.env_id, "F/2/start": there.env_id}

    for text in ("F/1/start", "F/1/start/3", "step:F/1/start"):
        assert read(bench, ("named_env", {"pathspec": text})).base == here
    with pytest.raises(InputError, match=r"step start: 'step:F/2/start' ran on osx-arm64, and this step runs on linux"):
        read(bench, ("named_env", {"pathspec": "F/2/start"}))


def test_platforms(bench: Bench) -> None:
    """A compute decorator gives the platform and the place; another may be asked for; names are looked up for it."""
    arm = bench.name("team/x", "numpy", arch="linux-aarch64")
    named = ("named_env", {"name": "team/x"})
    remote = {"compute": {"kubernetes": "linux-aarch64"}, "names": ["conda", "kubernetes"]}

    there = read(bench, named, **remote)
    listed = read(bench, names=["batch"])
    asked = read(bench, arch="osx-arm64", **remote)

    assert (there.arch, there.local, there.base) == ("linux-aarch64", False, arm)
    assert (listed.arch, listed.local) == ("linux-64", False)
    assert (asked.arch, asked.local) == ("osx-arm64", False)
    with pytest.raises(UnknownError, match=r"step start: 'team/x:latest' is an environment for linux-aarch64, and"):
        read(bench, named)


def test_a_gpu(bench: Bench) -> None:
    """A step that asks for a GPU is resolved for a machine that has one."""
    step = read(bench, gpu=True)

    assert step.request is not None
    assert "__cuda=12.4=0" in {str(package) for package in step.request.spec.virtual}


@pytest.mark.parametrize("text", ["team/x", "team/x:@{METAFLOW_TASK_ID}", f"{'a' * 40}:{'b' * 40}", "abcd1234"])
def test_chosen_later(bench: Bench, text: str) -> None:
    """With fetch_at_exec nothing is looked up: the name is handed on, its variables in it."""
    step = read(bench, ("named_env", {"name": text, "fetch_at_exec": True}))

    assert (step.fetched, step.request, step.base, step.local) == (text, None, None, True)
    of_step = read(bench, ("conda", {"pathspec": "F/@{METAFLOW_RUN_ID}/start", "fetch_at_exec": True}))
    assert of_step.fetched == "step:F/@{METAFLOW_RUN_ID}/start"


def test_chosen_later_by_the_flow(bench: Bench) -> None:
    """The flow may say it for all; a step that names its own environment is not chosen later."""
    bench.name("team/own", "numpy")
    flow = (("named_env_base", {"name": "team/x", "fetch_at_exec": True}),)

    assert read(bench, flow=flow).fetched == "team/x"
    assert read(bench, ("named_env", {"name": "team/own"}), flow=flow).fetched == ""
    assert read(bench, ("named_env", {"fetch_at_exec": False, "name": "team/own"}), flow=flow).fetched == ""


@pytest.mark.parametrize(
    ("words", "flow", "says"),
    [
        ((("conda", {"packages": {"a": "1"}}),), (), "a ==1"),
        ((), (("conda_base", {"packages": {"a": "1"}}),), "a ==1 (of the flow)"),
        ((("pypi", {"extra_indices": ["https://i.example"]}),), (), "https://i.example"),
        ((("sys_packages", {"packages": {"__cuda": "12"}}),), (), "__cuda=12=0"),
        ((("pypi", {"packages": {"b": ""}}),), (("conda_base", {"python": "3.9"}),), "python 3.9.* (of the flow), b"),
    ],
)
def test_nothing_beside_what_is_chosen_later(
    bench: Bench, words: tuple[Words, ...], flow: tuple[Words, ...], says: str
) -> None:
    """Whatever else is asked for is named, and whether the flow does."""
    with pytest.raises(InputError) as caught:
        read(bench, ("named_env", {"name": "team/x", "fetch_at_exec": True}), *words, flow=flow)

    assert caught.value.message.startswith("step start: with fetch_at_exec")
    assert caught.value.message.endswith(f"and yet there is {says}")


@pytest.mark.parametrize(
    ("attributes", "says"),
    [
        ({"fetch_at_exec": True}, "fetch_at_exec is set, and no environment is named"),
        ({"name": "A", "fetch_at_exec": True}, "'A' cannot be the name of an environment"),
        ({"pathspec": "F/1", "fetch_at_exec": True}, "'F/1' names no step of a run"),
        ({"name": "@{NOBODY}"}, r"names the variable NOBODY, which is not set"),
        ({"name": "team/nobody"}, "no environment is called 'team/nobody'"),
    ],
)
def test_names_that_mean_nothing(bench: Bench, attributes: Mapping[str, object], says: str) -> None:
    """A name that cannot be is refused before any task starts."""
    with pytest.raises(InputError, match=f"step start: .*{says}"):
        read(bench, ("named_env", attributes))


def test_variables_at_launch(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process's variables and the step's name are filled in, and none of a run that happens to be around us."""
    base = bench.name("team/start-blue", "numpy")
    monkeypatch.setenv("COLOUR", "blue")
    monkeypatch.setenv("METAFLOW_STEP_NAME", "outer")
    for name in ("METAFLOW_RUN_ID", "METAFLOW_TASK_ID", "METAFLOW_INIT_X"):
        monkeypatch.setenv(name, "outer")

    step = read(bench, ("named_env", {"name": "team/@{METAFLOW_STEP_NAME}-@{COLOUR}"}))

    assert (step.base, step.named) == (base, "team/start-blue")
    for name in ("METAFLOW_RUN_ID", "METAFLOW_TASK_ID", "METAFLOW_INIT_X"):
        with pytest.raises(InputError, match=f"{name}, which is not set") as caught:
            read(bench, ("named_env", {"name": f"team/@{{{name}}}"}))
        assert "fetch_at_exec=True" in caught.value.hint


def test_what_is_asked_once(bench: Bench) -> None:
    """Steps that ask for the same make one request, which names them all; steps without one make none."""
    asked = question(("conda", {"packages": {"a": ""}}))
    asked["steps"]["end"] = asked["steps"]["start"]
    asked["steps"]["off"] = {**asked["steps"]["start"], "words": [["conda", {"disabled": True}]]}

    found = steps.asking(steps.read(asked, bench).values())

    assert list(found.values()) == ["steps start, end"]


def test_older_spellings_are_told(bench: Bench) -> None:
    """Deprecated decorators and words work, and say what to write instead."""
    bench.name("team/x", "numpy")
    read(bench, ("conda", {"name": "team/x", "pip_packages": {"click": ""}}), ("pip", {"packages": {"b": ""}}))

    assert [text.strip() for text in bench.said] == [
        "name of @conda is deprecated: use @named_env(name=...)",
        "pip_packages of @conda is deprecated: use @pypi(packages=...)",
        "@pip is deprecated: use @pypi",
    ]


def test_errors_of_the_flow_say_so(bench: Bench) -> None:
    """What is wrong with the flow's decorators is not blamed on a step."""
    with pytest.raises(InputError, match="the flow: @conda_base: packages=1 is not a dictionary"):
        read(bench, flow=(("conda_base", {"packages": 1}),))
