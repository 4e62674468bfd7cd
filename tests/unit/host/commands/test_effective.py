"""Every setting as it counts now, and who has set it."""

from __future__ import annotations

from pathlib import Path

import pytest

from metaflow_extensions.netflix_ext.engine.index_settings import IndexSettings
from metaflow_extensions.netflix_ext.host import compat, outside
from metaflow_extensions.netflix_ext.host.commands import effective
from metaflow_extensions.netflix_ext.host.settings import read

RC = "channels: [theirs]\npkgs_dirs: [/of/a/file]\n"


def row(name: str, environ: dict[str, str], options: dict[str, str] | None = None, **values: str) -> tuple[str, str]:
    """Return the value of a setting and its source; *values* are configured, or by *options* said."""
    settings = read(values, environ, outside.read)
    found = effective.rows(environ, settings, {"ours": IndexSettings()}, options or {})
    return next((item.value, item.source) for item in found if item.name == name)


@pytest.mark.parametrize("files", ["all", "none"])
def test_condas_variables_count_without_its_files(files: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files may be left out; a variable goes over them, and is named as what has set it."""
    (tmp_path / ".condarc").write_text(RC)
    environ = {"HOME": str(tmp_path), "CONDA_PKGS_DIRS": "/of/a/variable"}
    values = {"CONDA_CHANNEL_SETTINGS": files}
    monkeypatch.setattr(compat, "configured", lambda names: {name: values.get(name) for name in names})

    channels = row("METAFLOW_CONDA_CHANNELS", environ, **values)

    assert row("pkgs_dirs", environ, **values) == ("/of/a/variable", "CONDA_PKGS_DIRS")
    assert channels == {"all": ("theirs", f"{tmp_path}/.condarc, line 1"), "none": ("conda-forge", "default")}[files]


def test_an_option_goes_over_the_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a command is told is named as its source."""
    monkeypatch.setattr(compat, "configured", dict.fromkeys)
    root = {"CONDA_S3ROOT": "s3://b/x"}

    found = row("METAFLOW_CONDA_S3ROOT", {}, dict.fromkeys(root, "--conda-root"), **root)

    assert found == ("s3://b/x", "--conda-root")
