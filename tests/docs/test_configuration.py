"""The page of settings says what the code has: every name, its default, what may be chosen, the platforms' defaults."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from metaflow_extensions.netflix_ext.engine.condarc import KEYS
from metaflow_extensions.netflix_ext.engine.index_settings import IndexSettings
from metaflow_extensions.netflix_ext.engine.platform import ARCHES, virtual_packages
from metaflow_extensions.netflix_ext.host import compat
from metaflow_extensions.netflix_ext.host.commands import effective
from metaflow_extensions.netflix_ext.host.settings import CHOICES, NAMES, SYSROOTS, read

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "configuration.md").read_text("utf-8")
ROWS = re.findall(r"^\| `METAFLOW_(\w+)` \| ([^|]+) \| (.+) \|$", PAGE, flags=re.M)
# Defaults that are described, and what `metaflow environment config` shows of them.
DESCRIBED = {
    "none": "",
    "the root": "",
    "conda's public one": "",
    "uv's default index": "",
    "`metaflow-netflixext/envs` in the user's cache folder": "/cache/metaflow-netflixext/envs",
    "`conda_env` below `METAFLOW_DATASTORE_SYSROOT_S3`": "s3://bucket/conda_env",
    "`conda_env` below `METAFLOW_DATASTORE_SYSROOT_AZURE`": "box/conda_env",
    "`conda_env` below `METAFLOW_DATASTORE_SYSROOT_GS`": "gs://bucket/conda_env",
    "`__cuda` 12.4 on Linux": "linux-64: __cuda=12.4; linux-aarch64: __cuda=12.4",
}
SYSROOT_VALUES = dict(zip(SYSROOTS, ("s3://bucket", "box", "gs://bucket"), strict=True))


def test_the_page_names_every_setting_once() -> None:
    """No setting is missing, none is there that the code does not know, anywhere on the page."""
    written = [name for name, _, _ in ROWS]
    assert sorted(written) == sorted(NAMES)
    assert set(re.findall(r"METAFLOW_(CONDA_\w*[A-Z])\b(?!\*)", PAGE)) <= set(NAMES)


def test_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing is set, what counts is what the page says."""
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    monkeypatch.setattr(compat, "configured", lambda names: {name: SYSROOT_VALUES.get(name) for name in names})
    monkeypatch.setattr(effective, "others", lambda values, environ: {})
    settings = read(SYSROOT_VALUES, {})
    shown = {
        row.name.removeprefix("METAFLOW_"): row.value
        for row in effective.rows({}, settings, {"ours": IndexSettings()}, {})
    }

    said = {name: DESCRIBED.get(default, default.strip("`").replace(",", ", ")) for name, default, _ in ROWS}

    assert said == {name: shown[name] for name in NAMES}


@pytest.mark.parametrize("name", CHOICES)
def test_choices(name: str) -> None:
    """What may be chosen is what the page names, in code marks, and nothing else."""
    (meaning,) = (text for row, _, text in ROWS if row == name)
    words = set(re.findall(r"`([a-z.][a-z0-9.-]*)`", meaning))

    assert words == set(CHOICES[name])


def test_settings_of_conda() -> None:
    """The table of conda's settings has those that are read."""
    table = PAGE.partition("| setting | what it does here |")[2].partition("\n\n")[0]
    heads = re.findall(r"^\| ([^|]+) \|", table, flags=re.M)
    # in parentheses is what rattler calls it
    words = {word for head in heads for word in re.findall(r"`(\w+)`", head.partition("(")[0])}

    assert words == set(KEYS)


@pytest.mark.parametrize("arch", ARCHES)
def test_virtual_packages_of_a_platform(arch: str) -> None:
    """The table of the platforms' defaults has what environments are resolved for."""
    (row,) = re.findall(rf"^\| `{arch}` \| (.+) \|$", PAGE, flags=re.M)
    said = dict(re.findall(r"`(\w+)`(?: ([\w.]+))?", row))

    assert said == {item.name: _told(item.version, item.build) for item in virtual_packages(arch)}


def _told(version: str, build: str) -> str:
    return build if build != "0" else version if version != "0" else ""
