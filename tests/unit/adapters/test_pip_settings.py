"""pip's settings of indexes, as pip reads them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from metaflow_extensions.netflix_ext.adapters.pip_settings import pip_settings
from metaflow_extensions.netflix_ext.engine.errors import SettingError
from metaflow_extensions.netflix_ext.engine.index_settings import IndexSettings

# The public index, whose address no source of ours names.
PUBLIC = "https://{}.org/simple".format("".join(("py", "pi")))


@pytest.fixture(name="home")
def _home(tmp_path: Path) -> Path:
    """A user's home with no settings."""
    home = tmp_path / "home"
    home.mkdir()
    return home


def read(home: Path, text: str = "", **variables: str) -> IndexSettings:
    """Return what pip's settings say to a user whose own file holds *text*."""
    (home / ".config" / "pip").mkdir(parents=True, exist_ok=True)
    (home / ".config" / "pip" / "pip.conf").write_text(text)
    environ = {"HOME": str(home), "XDG_CONFIG_DIRS": str(home / "xdg"), **variables}
    return pip_settings({"PIP_CONFIG_FILE": str(home / "none"), **environ}, home / "prefix")


def test_what_a_file_says_of_indexes_is_read(home: Path) -> None:
    """Each setting that decides where packages come from has its place, credentials included."""
    links = home / "wheels"
    links.mkdir()
    found = read(
        home,
        "[global]\nindex-url = https://u:p@one.example/simple/\nextra_index_url =\n  https://two.example/simple\n"
        f"  https://three.example/simple\n[install]\nfind-links = {links} https://links.example/x\npre = yes\n"
        "trusted-host = one.example two.example:8443\nkeyring-provider = subprocess\n[list]\nno-index = true\n",
    )
    assert found.index == "https://u:p@one.example/simple"
    assert found.indexes == ("https://two.example/simple", "https://three.example/simple")
    assert found.options.find_links == (links.as_uri(), "https://links.example/x")
    assert found.options.trusted_hosts == ("one.example", "two.example:8443")
    assert (found.options.pre, found.options.no_index, found.keyring) == (True, False, True)
    assert found.skipped == ()


def test_the_stronger_setting_wins(home: Path) -> None:
    """A command's section wins over the global one, its Python over the user, a named file and a variable over all."""
    text = "[global]\nindex-url = https://one.example\n[install]\nindex-url = https://two.example\n"
    assert read(home, text).index == "https://two.example"
    (home / "prefix").mkdir()
    (home / "prefix" / "pip.conf").write_text("[global]\nindex-url = https://three.example\n")
    assert read(home, text).index == "https://three.example"
    (home / "none").write_text("[global]\nindex-url = https://four.example\n")
    assert read(home, text).index == "https://four.example"
    assert read(home, text, PIP_INDEX_URL="https://five.example").index == "https://five.example"
    assert read(home, text, PIP_INDEX_URL="").index == "https://four.example"
    assert read(home, text, PIP_CONFIG_FILE=os.devnull) == IndexSettings()


def test_what_is_not_there_is_skipped_with_a_word(home: Path) -> None:
    """A missing folder and what is no URL are told, and the rest counts."""
    found = read(
        home,
        "[global]\nfind-links = /nowhere/wheels\nextra-index-url = file:///nowhere/simple https://u:p@two.example ftp://x\n",
        PIP_INDEX_URL="/nowhere/index",
    )
    assert (found.index, found.indexes, found.options.find_links) == ("", ("https://u:p@two.example",), ())
    assert len(found.skipped) == 4
    file = home / ".config" / "pip" / "pip.conf"
    assert (
        f"pip's find-links in {file}: '/nowhere/wheels' is skipped: it is neither a file nor a folder" in found.skipped
    )
    assert "pip's PIP_INDEX_URL: '/nowhere/index' is skipped: it is neither a file nor a folder" in found.skipped


def test_a_public_index_never_comes_before_a_private_one(home: Path) -> None:
    """To pip all are alike; a private index comes first where it is the default one and the public one is extra."""
    found = read(home, f"[global]\nindex-url = https://mine.example\nextra-index-url = {PUBLIC}/ https://two.example\n")
    assert found.indexes == ("https://two.example", "https://mine.example")
    assert found.index == PUBLIC


@pytest.mark.parametrize(
    ("text", "variables", "says"),
    [
        ("index-url = https://a.example\n", {}, "cannot be read"),
        ("[global]\nx\n", {}, "cannot be read"),
        ("[global]\npre = perhaps\n", {}, "pip's pre in"),
        ("", {"PIP_NO_INDEX": "maybe"}, "pip's PIP_NO_INDEX is 'maybe'"),
    ],
)
def test_settings_that_cannot_be_read_are_one_error(
    home: Path, text: str, variables: dict[str, str], says: str
) -> None:
    """The file or the variable is named."""
    with pytest.raises(SettingError) as caught:
        read(home, text, **variables)
    assert says in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("said", ["index-url", "extra-index-url", "find-links", "trusted-host"])
def test_pip_itself_says_the_same(home: Path, said: str) -> None:
    """What `pip config list` shows for files and variables is what is read."""
    text = f"[global]\n{said} = https://global.example\n[install]\n{said} = https://install.example\n"
    variable = f"PIP_{said.upper().replace('-', '_')}"
    read(home, text)
    environ = {"HOME": str(home), "XDG_CONFIG_DIRS": str(home / "xdg"), variable: "https://variable.example"}
    shown = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], env=environ, capture_output=True, text=True, check=True
    ).stdout
    assert f":env:.{said}='https://variable.example'" in shown
    assert f"install.{said}='https://install.example'" in shown
    found = pip_settings(environ, home)
    assert "https://variable.example" in (
        found.index,
        *found.indexes,
        *found.options.find_links,
        *found.options.trusted_hosts,
    )
