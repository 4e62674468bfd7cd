"""Where the files of conda, mamba and rattler are looked for, and which goes over which."""

from __future__ import annotations

from pathlib import Path

import pytest

from metaflow_extensions.netflix_ext.engine.errors import SettingError
from metaflow_extensions.netflix_ext.host import outside


def test_a_users_file_goes_over_the_machines(tmp_path: Path) -> None:
    """The one that a variable names comes first, mamba's before conda's, variables before all files."""
    environ = {"HOME": str(tmp_path / "home"), "CONDA_ROOT": str(tmp_path / "root"), "CONDARC": str(tmp_path / "named")}
    for path, channel in (
        ("home/.condarc", "home"),
        ("home/.mambarc", "mamba"),
        ("home/.config/conda/condarc", "config"),
        ("root/.condarc", "root"),
        ("root/condarc.d/10.yml", "part"),
        ("named", "named"),
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(f"channels: [{channel}]\nchannel_alias: https://{channel}.example\n")
    (tmp_path / "home/.config/pixi").mkdir()
    (tmp_path / "home/.config/pixi/config.toml").write_text('default-channels = ["pixi"]\n')

    found = outside.read(environ)

    assert found["channels"].value[:6] == ("named", "mamba", "home", "config", "root", "part")
    assert found["channels"].value[-1] == "pixi"
    assert found["channel_alias"].value == "https://named.example"
    assert found["channel_alias"].source == f"{tmp_path}/named, line 2"
    assert outside.read({**environ, "CONDA_CHANNELS": "said"})["channels"].value == ("said",)


def test_a_home_without_files_says_nothing(tmp_path: Path) -> None:
    """A folder of that name is no file, and a file of another program in a home is not conda's."""
    (tmp_path / ".condarc").mkdir()
    (tmp_path / "condarc").write_text("channels: [other]\n")

    assert "channels" not in outside.read({"HOME": str(tmp_path)})


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """By its name."""
    (tmp_path / ".condarc").write_bytes(b"channels: [\xff]\n")

    with pytest.raises(SettingError, match=r"\.condarc' is not text in UTF-8"):
        outside.read({"HOME": str(tmp_path)})
