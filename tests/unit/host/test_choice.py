"""The question that a task puts at its start: which environment does the name mean for me?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from metaflow_extensions.netflix_ext.host import choice


@dataclass
class FakeDatastore:
    """The artifacts of one parent task; it remembers who was asked for."""

    artifacts: dict[str, object]
    asked: list[tuple[str, str, str]] = field(default_factory=list)

    def get_task_datastore(self, run: str, step: str, task: str) -> dict[str, object]:
        self.asked.append((run, step, task))
        return self.artifacts


class FakeFlow:
    """A flow with two parameters, one without a value, and a Config."""

    def _get_parameters(self) -> Iterator[tuple[str, Any]]:
        for variable, name, config in (("my_tag", "my-tag", False), ("none", "none", False), ("words", "words", True)):
            yield variable, SimpleNamespace(name=name, IS_CONFIG_PARAMETER=config)


def arguments(datastore: FakeDatastore, *paths: str) -> Any:
    """Return what Metaflow gives to decorators when it starts a task."""
    task = SimpleNamespace(
        run_id="12", step="work", task_id=7, flow=FakeFlow(), input_paths=list(paths), _flow_datastore=datastore
    )
    return SimpleNamespace(task=task, orig_flow_datastore=None)


def stored() -> FakeDatastore:
    return FakeDatastore({"my_tag": 3, "none": None, "words": {"a": "b"}})


def test_parameters_are_read_from_the_parent() -> None:
    """A parameter's value is the one that the first parent has stored, as text; Configs and empty ones are left out."""
    datastore = stored()
    name = "t:@{METAFLOW_INIT_MY_TAG}@{METAFLOW_INIT_NONE}@{METAFLOW_INIT_WORDS}"

    found = choice.question(name, arguments(datastore, "12/start/1", "12/start/2"))

    assert (found["name"], found["step"]) == (name, "work")
    assert {key: value for key, value in found["variables"].items() if "INIT" in key} == {"METAFLOW_INIT_MY_TAG": "3"}
    assert datastore.asked == [("12", "start", "1")]


def test_the_attempt_in_a_path_is_passed_over() -> None:
    """Spin names parents with their attempt: run, step and task come first all the same."""
    datastore = stored()
    choice.question("@{METAFLOW_INIT_MY_TAG}", arguments(datastore, "12/start/1/0"))

    assert datastore.asked == [("12", "start", "1")]


def test_nothing_is_read_that_the_name_does_not_need(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a parameter in the name the datastore is left alone, and of the process only what is named is told."""
    datastore = stored()
    monkeypatch.setenv("COLOUR", "blue")
    monkeypatch.setenv("PASSWORD", "secret")

    found = choice.question("t:@{COLOUR}", arguments(datastore, "12/start/1"))

    assert datastore.asked == []
    assert found["variables"] == {
        "COLOUR": "blue",
        "METAFLOW_RUN_ID": "12",
        "METAFLOW_RUN_ID_BASE": "12",
        "METAFLOW_STEP_NAME": "work",
        "METAFLOW_TASK_ID": "7",
    }


def test_the_task_goes_before_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a task that launched this run has left in the process does not count."""
    for name in ("METAFLOW_RUN_ID", "METAFLOW_TASK_ID", "METAFLOW_INIT_MY_TAG", "METAFLOW_INIT_NONE"):
        monkeypatch.setenv(name, "outer")
    name = "@{METAFLOW_RUN_ID}@{METAFLOW_TASK_ID}@{METAFLOW_INIT_MY_TAG}@{METAFLOW_INIT_NONE}"

    found = choice.question(name, arguments(stored(), "12/start/1"))["variables"]

    assert (found["METAFLOW_RUN_ID"], found["METAFLOW_TASK_ID"], found["METAFLOW_INIT_MY_TAG"]) == ("12", "7", "3")
    assert "METAFLOW_INIT_NONE" not in found
