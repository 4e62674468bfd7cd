"""What is on or off may be said either way, as scripts for 1.x do."""

from __future__ import annotations

from typing import Any

import pytest
from metaflow._vendor import click
from metaflow._vendor.click.testing import CliRunner

from metaflow_extensions.netflix_ext.cmd.environment import create, resolve
from metaflow_extensions.netflix_ext.host.commands.flags import flag
from metaflow_extensions.netflix_ext.plugins.conda import cli


@pytest.mark.parametrize(
    ("words", "said"),
    [("", False), ("--dry-run", True), ("--no-dry-run", False), ("--dry-run --no-dry-run", False)],
)
def test_on_and_off(words: str, said: bool) -> None:
    """Off where nothing is said; the last word counts; the help shows one of them."""

    @click.command()
    @flag("--dry-run", "Keep nothing.")
    def command(dry_run: Any) -> None:
        click.echo(repr(dry_run))

    assert CliRunner().invoke(command, words.split()).output == f"{said}\n"
    assert "--no-dry-run" not in CliRunner().invoke(command, ["--help"]).output


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (resolve.command, {"--no-force", "--no-dry-run", "--no-set-default", "--no-skip-metaflow-deps", "--non-local"}),
        (create.command, {"--no-force", "--no-install-notebook", "--non-local"}),
        (cli.resolve, {"--no-force", "--no-dry-run"}),
    ],
)
def test_words_of_1x(command: Any, words: set[str]) -> None:
    """Each is understood by the command that had it."""
    known = {word for item in command.params for word in (*item.opts, *item.secondary_opts)}

    assert words <= known
