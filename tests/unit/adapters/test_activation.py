"""What activating a prefix sets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from metaflow_extensions.netflix_ext.adapters.activation import ShellActivator
from metaflow_extensions.netflix_ext.engine.errors import CreateError

FINAL = Path("/final/place")


@pytest.fixture(name="stage")
def _stage(tmp_path: Path) -> Path:
    stage = tmp_path / "stage with blanks"
    (stage / "etc/conda/activate.d").mkdir(parents=True)
    (stage / "etc/conda/env_vars.d").mkdir()
    (stage / "conda-meta").mkdir()
    return stage


def script(stage: Path, name: str, text: str) -> None:
    (stage / "etc/conda/activate.d" / name).write_text(text)


def test_a_prefix_without_scripts_sets_nothing(stage: Path) -> None:
    """No script, no process, no variable."""
    assert ShellActivator().variables(stage, FINAL) == {}


def test_scripts_are_run_in_order(stage: Path) -> None:
    """Scripts see what those before them set, and the prefix's place is the final one in what they leave."""
    script(stage, "b.sh", 'export BOTH="$ONE two"\n')
    script(stage, "a.sh", 'export ONE="$CONDA_PREFIX/share"; echo noise; local_only=1\n')
    script(stage, "c.fish", "not for bash (\n")

    assert ShellActivator().variables(stage, FINAL) == {"BOTH": "/final/place/share two", "ONE": "/final/place/share"}


def test_values_may_hold_anything(stage: Path) -> None:
    """Line ends, equals signs and letters of all languages come through, and so does nothing at all."""
    script(stage, "a.sh", "export ODD=$'one\\ntwo=é' EMPTY=\n")

    assert ShellActivator().variables(stage, FINAL) == {"ODD": "one\ntwo=é", "EMPTY": ""}


def test_what_the_launcher_has_does_not_get_in(stage: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scripts run in a clean environment: nothing of the user's is taken for the prefix's."""
    monkeypatch.setenv("SECRET_OF_MINE", "s3cret")
    script(stage, "a.sh", 'export SEEN="<$SECRET_OF_MINE>"; export PATH=/elsewhere:$PATH\n')

    assert ShellActivator().variables(stage, FINAL) == {"SEEN": "<>"}


def test_declared_variables_count_too(stage: Path) -> None:
    """Packages and the prefix may declare variables in files; scripts come last."""
    (stage / "etc/conda/env_vars.d/p.json").write_text(json.dumps({"A": "package", "B": "package"}))
    (stage / "conda-meta/state").write_text(json.dumps({"env_vars": {"B": "state", "C": "state"}}))
    script(stage, "a.sh", 'export C="$C script"\n')

    assert ShellActivator().variables(stage, FINAL) == {"A": "package", "B": "state", "C": "state script"}


def test_a_failing_script_is_one_error(stage: Path) -> None:
    """A script that ends the shell is a CreateError with what it said."""
    script(stage, "a.sh", "echo broken >&2; exit 3\n")

    with pytest.raises(CreateError, match="broken"):
        ShellActivator().variables(stage, FINAL)


@pytest.mark.parametrize("text", ["{", "[]", "3", '"a"'])
@pytest.mark.parametrize("place", ["etc/conda/env_vars.d/p.json", "conda-meta/state"])
def test_a_damaged_file_is_one_error(stage: Path, place: str, text: str) -> None:
    """A file of variables that is none is a CreateError that names it."""
    (stage / place).write_text(text)

    with pytest.raises(CreateError, match=Path(place).name):
        ShellActivator().variables(stage, FINAL)
