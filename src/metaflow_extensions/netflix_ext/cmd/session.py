"""One call of a command: the options that commands have in common, and how the answer is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metaflow._vendor import click

from ..engine.errors import InputError
from ..host import compat
from ..host.commands import view
from ..host.commands.flags import JSON, LOCAL_ONLY, QUIET, Option, together
from ..host.store import ROOT_NAMES
from ..host.workbench import Workbench

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a command answers, in its three forms: lines for programs, a document, and a view for people.

    ``lines`` are those of ``--quiet``; ``document`` is completed by the version of its form.
    """

    lines: Callable[[], Sequence[str]]
    document: Callable[[], Mapping[str, Any]]
    view: Callable[[Console], None]


class Session:
    """The parts for one call, chosen by its options.

    Args:
        group: the options of the group, ``metaflow environment`` or ``metaflow debug``.
        own: the command's own ``quiet``, ``as_json`` and ``local_only``, as far as it has them.
    """

    def __init__(self, group: Mapping[str, Any], own: Mapping[str, Any]) -> None:
        self.quiet = bool(group["quiet"] or own.get("quiet"))
        self.as_json = bool(group["as_json"] or own.get("as_json"))
        self._file = group.get("quiet_file_output")
        self.datastore = group["datastore"] or compat.default_datastore()
        if group["metadata"]:
            compat.use_metadata(group["metadata"])
        self.bench = Workbench(
            compat.silence if self.quiet else _talk,
            values=_values(self.datastore, group["conda_root"]),
            local_only=bool(own.get("local_only")),
            datastore=self.datastore,
        )

    def say(self, text: str) -> None:
        """Tell people something, on standard error; nothing when asked to be quiet."""
        self.bench.echo(text)

    def warn(self, error: Exception) -> None:
        """Tell an error that does not end the command, on standard error, even when asked to be quiet."""
        compat.trace(error)
        click.echo(compat.told(error), err=True)

    def give(self, answer: Answer) -> None:
        """Print *answer* on standard output, in the form that was asked for."""
        if self._file:
            _write(self._file, answer.lines())
        if self.as_json:
            click.echo(view.json_text(answer.document()))
        elif self.quiet:
            for line in answer.lines():
                click.echo(line)
        else:
            answer.view(view.console())


pathspec_option = click.option(
    "--pathspec", is_flag=True, help="What is named is a step or a task of a past run: Flow/Run/Step[/Task]."
)


def shared_options(*, local_only: bool = False) -> Option:
    """Return what gives a command the options ``--quiet`` and ``--json``, and with *local_only* that one, too."""
    return together(QUIET, JSON, *([LOCAL_ONLY] if local_only else []))


def _values(datastore: str, root: str | None) -> dict[str, str]:
    """Return the settings that the options of the group replace."""
    if not root:
        return {}
    if datastore in ROOT_NAMES:
        return {ROOT_NAMES[datastore]: root}
    return {"CONDA_LOCALROOT": str(Path(root).expanduser().absolute())}


def _talk(text: str, **style: Any) -> None:
    style.pop("highlight", None)
    click.secho(text, err=True, **style)


def _write(file: str, lines: Sequence[str]) -> None:
    try:
        Path(file).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    except OSError as error:
        raise InputError(f"'{file}' cannot be written: {error.strerror}", "name a file in a folder of yours") from error
