"""The page for who comes from 1.x: what it says is the same is there, and what it says is not there is not."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from metaflow import plugins

from metaflow_extensions.netflix_ext.cmd.debug.cli import debug
from metaflow_extensions.netflix_ext.cmd.environment.cli import environment
from metaflow_extensions.netflix_ext.host.settings import NAMES
from metaflow_extensions.netflix_ext.plugins.conda import cli

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "parity.md").read_text("utf-8")
ROWS = [
    row for row in re.findall(r"^\| ([^|]*) \| ([^|]*) \| (.*)\|$", PAGE, flags=re.M) if row[1] not in ("in 2", "---")
]
OTHERS = {"DEBUG_CONDA", "CONDA_OVERRIDE_GLIBC", "CONDA_ENVS_DIRS", "CONDA_PKGS_DIRS", "METAFLOW_TASK_ID"}


def _commands() -> Iterator[object]:
    yield from (environment, debug, cli.resolve, cli.show)
    for group, package in ((environment, "environment"), (debug, "debug")):
        for name in group.list_commands(None):
            yield importlib.import_module(f"metaflow_extensions.netflix_ext.cmd.{package}.{name}").command


def known() -> set[str]:
    """Return every setting, decorator and option that there is."""
    parameters = [item for command in _commands() for item in command.params]  # type: ignore[attr-defined]
    options = {word for item in parameters for word in (*item.opts, *item.secondary_opts)}
    every = [*plugins.STEP_DECORATORS, *plugins.FLOW_DECORATORS]
    return {*NAMES, *OTHERS, *options, *(f"@{cls.name}" for cls in every)}


def named(text: str) -> set[str]:
    """Return the settings, decorators and options in *text*."""
    return set(re.findall(r"`((?:CONDA|DEBUG|METAFLOW)_[A-Z0-9_]*[A-Z0-9]|@\w+|--?[a-z][\w-]*)`", text))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:40])
def test_a_row_says_what_is(row: tuple[str, str, str]) -> None:
    """By the names in it: of what is the same or better each is there, of what is not there none."""
    with_1x, status, note = row
    assert status in ("same", "better", "new", "not there")
    if status == "not there":
        assert not named(with_1x) & known()
        assert note.strip(), "why not"
    else:
        assert named(with_1x) <= known()
    assert named(note) - {"--no-emit-project"} <= known() | {"CONDA_OVERRIDE_CUDA", "--pre"}


def test_every_setting_of_1x_is_there() -> None:
    """Each of ours that 1.x had has a row; the others are new in 2."""
    new = {"CONDA_CHANNELS", "CONDA_CHANNEL_ALIAS", "CONDA_CHANNEL_SETTINGS", "CONDA_ENVS_ROOT", "CONDA_INSTALLER"}
    new |= {"CONDA_BUILD_TIMEOUT", "CONDA_PYPI_PYTHON", "CONDA_INDEX_SETTINGS", "CONDA_TORCH_BACKEND"}

    assert set(NAMES) - new <= {name for with_1x, status, _ in ROWS for name in named(with_1x) if status != "not there"}
