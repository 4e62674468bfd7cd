"""What a user's conda, mamba and rattler are told of channels counts for environments, too; ours goes over it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests import standin
from tests.channel import Server
from tests.project import FLOWS, Project
from tests.refusal import refused

pytestmark = pytest.mark.slow

ONE = FLOWS / "one.py"
SPEC = "[conda(packages={'click': ''})]"
CANONICAL = "https://conda.nowhere.example/channel"


@pytest.fixture(name="theirs")
def _theirs(fresh: Project, tmp_path: Path) -> Project:
    """A user without settings of ours for channels, and with a home of their own."""
    home = tmp_path / "user"
    home.mkdir()
    del fresh.variables["METAFLOW_CONDA_CHANNELS"], fresh.variables["METAFLOW_CONDA_CHANNEL_SETTINGS"]
    fresh.variables.update(HOME=str(home), RATTLER_CACHE_DIR=str(tmp_path / "rattler"))
    return fresh


def documents(project: Project) -> list[dict[str, object]]:
    return [json.loads(path.read_bytes()) for path in project.catalog.rglob("env")]


def test_channels_are_those_of_condarc(theirs: Project, own: Server, tmp_path: Path) -> None:
    """A flow runs with a custom channel of the user's, by its name."""
    base, _, name = own.channel.rpartition("/")
    (tmp_path / "user" / ".condarc").write_text(f"channels: [{name}]\ncustom_channels:\n  {name}: {base}\n")

    theirs.run(ONE, variables={"SPEC": SPEC, "IMPORTS": "click"})

    assert theirs.latest("OneFlow", "list(run['start'].task.data.saw)") == ["click"]
    (document,) = documents(theirs)
    assert document["spec"]["channels"] == [name]  # type: ignore[index]


def test_a_name_lies_at_the_alias(theirs: Project, own: Server) -> None:
    """Our alias says where a channel of a bare name is; the spec holds the name."""
    base, _, name = own.channel.rpartition("/")
    theirs.write("environment.yml", "dependencies:\n- python=3.11\n- click\n")
    variables = {"METAFLOW_CONDA_CHANNELS": name, "METAFLOW_CONDA_CHANNEL_ALIAS": base}

    done = theirs.metaflow("environment", "resolve", "-f", "environment.yml", variables=variables)

    assert done.returncode == 0, done.output
    (document,) = documents(theirs)
    assert document["spec"]["channels"] == [name]  # type: ignore[index]
    assert all(package["url"].startswith(f"{own.channel}/") for package in document["conda"])  # type: ignore[attr-defined]


@pytest.mark.parametrize(("resolver", "installer"), [("rattler", "conda"), ("micromamba", "rattler")])
def test_a_mirror_is_read_in_the_place_of_a_channel(
    resolver: str, installer: str, theirs: Project, own: Server, tmp_path: Path
) -> None:
    """The environment is that of the channel, whose URLs it has; every byte comes from the mirror."""
    settings = f'[mirrors]\n"{CANONICAL}" = ["{own.channel}"]\n'
    (tmp_path / "user" / ".rattler").mkdir()
    (tmp_path / "user" / ".rattler" / "config.toml").write_text(settings)
    for name in ("micromamba", "conda"):
        standin.put(tmp_path / "bin", name)
    variables = {
        "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "METAFLOW_CONDA_CHANNELS": CANONICAL,
        "METAFLOW_CONDA_DEPENDENCY_RESOLVER": resolver,
        "METAFLOW_CONDA_INSTALLER": installer,
        "SPEC": SPEC,
        "IMPORTS": "click",
    }

    theirs.run(ONE, variables=variables)

    (document,) = documents(theirs)
    urls = [package["url"] for package in document["conda"]]  # type: ignore[attr-defined]
    assert urls
    assert all(url.startswith(f"{CANONICAL}/") for url in urls)


def test_a_syntax_error_is_told_by_file_and_line(theirs: Project, tmp_path: Path) -> None:
    """Whichever command meets it; it does not count where the files of others do not."""
    rc = tmp_path / "user" / ".condarc"
    rc.write_text("channels:\n  - a\n bad\n")

    refused(theirs, f"{rc}, line 3: this is not YAML", HOME=str(tmp_path / "user"))
    told = theirs.metaflow("environment", "config")
    ignored = theirs.metaflow("environment", "config", variables={"METAFLOW_CONDA_CHANNEL_SETTINGS": "none"})

    assert told.returncode == 1
    assert f"{rc}, line 3" in told.output
    assert ignored.returncode == 0, ignored.output


def test_config_shows_what_counts_and_who_said_it(theirs: Project, tmp_path: Path) -> None:
    """As text, in lines, and as JSON; credentials are masked."""
    rc = tmp_path / "user" / ".condarc"
    rc.write_text("channel_alias: https://alias.example\nproxy_servers:\n  https: http://me:s3cr3t@proxy.example\n")
    variables = {"METAFLOW_CONDA_CHANNELS": "https://u:s3cr3t@a.example/ch", "CONDA_PKGS_DIRS": "/some/pkgs"}
    variables["METAFLOW_CONDA_LOCK_TIMEOUT"] = "300"  # of 1.x

    shown, lines, document = (
        theirs.metaflow("environment", *words, variables=variables)
        for words in (("config",), ("--quiet", "config"), ("--json", "config"))
    )

    rows = {row["name"]: row for row in json.loads(document.stdout)["settings"]}
    assert rows["METAFLOW_CONDA_CHANNELS"]["value"] == "https://a.example/ch"
    assert rows["METAFLOW_CONDA_CHANNELS"]["source"] == "the variable METAFLOW_CONDA_CHANNELS"
    assert rows["METAFLOW_CONDA_CHANNEL_ALIAS"]["source"] == f"{rc}, line 1"
    assert rows["METAFLOW_CONDA_ENVS_ROOT"]["value"] == str(theirs.envs)
    assert rows["METAFLOW_CONDA_DEPENDENCY_RESOLVER"] == {
        "name": "METAFLOW_CONDA_DEPENDENCY_RESOLVER",
        "value": "rattler",
        "source": "default",
    }
    assert rows["pkgs_dirs"] == {"name": "pkgs_dirs", "value": "/some/pkgs", "source": "CONDA_PKGS_DIRS"}
    assert f"METAFLOW_CONDA_CHANNEL_ALIAS\thttps://alias.example\t{rc}, line 1" in lines.stdout.splitlines()
    assert "METAFLOW_CONDA_CHANNEL_ALIAS  https://alias.example" in shown.stdout
    assert "METAFLOW_CONDA_LOCK_TIMEOUT is set, and is no setting of ours" in shown.stderr
    assert shown.stderr.count("no setting of ours") == 1
    assert "LOCK_TIMEOUT" not in lines.output + document.stdout
    assert "s3cr3t" not in shown.output + lines.output + document.output
