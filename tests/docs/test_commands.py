"""The pages of commands and of JSON say what the commands have."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from metaflow_extensions.netflix_ext.cmd.debug.cli import debug
from metaflow_extensions.netflix_ext.cmd.environment.cli import environment
from metaflow_extensions.netflix_ext.host.commands import view
from metaflow_extensions.netflix_ext.host.commands.inventory import Facts, Known
from tests.fakes import resolved

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
COMMANDS = environment.list_commands(None)


def options(command: object) -> set[str]:
    """Return every spelling of the options of a click command, but `--help`."""
    parameters = command.params  # type: ignore[attr-defined]
    shown = [item for item in parameters if item.param_type_name == "option" and not item.hidden]
    return {word for item in shown for word in (*item.opts, *item.secondary_opts)}


def section(name: str) -> str:
    """Return what is written of a command: a page of its own, or a section."""
    page = REFERENCE / "commands" / f"{name}.md"
    if page.exists():
        return page.read_text("utf-8")
    return (REFERENCE / "commands.md").read_text("utf-8").partition(f"\n## {name}\n")[2].partition("\n## ")[0]


def named(text: str) -> set[str]:
    """Return the options that the tables of *text* name in their first column."""
    heads = re.findall(r"^\| (`-[^|]*)\|", text, flags=re.M)
    found = {word for head in heads for word in re.findall(r"(?<![\w-])--?[a-z][\w-]*", head)}
    return found | {word for word in ("--extra", "--group") if f"`{word} NAME`" in text}


@pytest.mark.parametrize("name", COMMANDS)
def test_options_of_a_command(name: str) -> None:
    """The tables of a command name its options, all of them, and no others."""
    command = importlib.import_module(f"metaflow_extensions.netflix_ext.cmd.environment.{name}").command

    assert named(section(name)) == options(command)


@pytest.mark.parametrize("name", debug.list_commands(None))
def test_options_of_a_debug_command(name: str) -> None:
    """The same holds for the commands that open past tasks, which share a page."""
    command = importlib.import_module(f"metaflow_extensions.netflix_ext.cmd.debug.{name}").command
    text = (REFERENCE / "commands" / "debug.md").read_text("utf-8").partition(f"\n## {name}\n")[2].partition("\n## ")[0]

    assert named(text) == options(command)


def test_options_of_the_group() -> None:
    """The page of all commands names the options that stand before them."""
    text = (REFERENCE / "commands.md").read_text("utf-8").partition("\n## ")[0]

    assert named(text) == options(environment)


def test_keys_of_an_environment() -> None:
    """The page of JSON names each key of an environment and of its packages."""
    document = view.document(Facts(environment=resolved(), known=Known()))
    text = (REFERENCE / "json.md").read_text("utf-8").partition("## Environment")[2].partition("\n## ")[0]
    keys = {key for head in re.findall(r"^\| (`[^|]*)\|", text, flags=re.M) for key in re.findall(r"`(\w+)`", head)}
    packages = re.search(r"^\| `packages` \|(.*)$", text, flags=re.M)

    assert keys == set(document)
    assert packages is not None
    assert set(document["packages"][0]) <= set(re.findall(r"`(\w+)`", packages.group(1)))
    resolved_row = re.search(r"^\| `resolved` \|(.*)$", text, flags=re.M)
    assert resolved_row is not None
    assert set(document["resolved"]) == set(re.findall(r"`(\w+)`", resolved_row.group(1)))
