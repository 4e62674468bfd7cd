"""uv's settings of indexes, as uv reads them."""

from __future__ import annotations

from pathlib import Path

import pytest

from metaflow_extensions.netflix_ext.adapters.uv_settings import uv_settings
from metaflow_extensions.netflix_ext.engine.errors import SettingError
from metaflow_extensions.netflix_ext.engine.index_settings import IndexSettings

FILE = """
index-strategy = "unsafe-best-match"
prerelease = "allow"
allow-insecure-host = ["one.example"]
keyring-provider = "subprocess"
find-links = ["wheels"]
[[index]]
name = "corp"
url = "https://corp.example/simple/"
[[index]]
name = "torch"
url = "https://torch.example/whl"
explicit = true
[[index]]
url = "https://default.example/simple"
default = true
[[index]]
url = "https://flat.example/page"
format = "flat"
[pip]
torch-backend = "cu128"
extra-index-url = ["https://older.example/simple"]
"""


@pytest.fixture(name="home")
def _home(tmp_path: Path) -> Path:
    """A user's home with no settings, in which no project is."""
    (tmp_path / "config" / "uv").mkdir(parents=True)
    (tmp_path / "work" / "inner").mkdir(parents=True)
    return tmp_path


def read(home: Path, **variables: str) -> IndexSettings:
    environ = {"XDG_CONFIG_HOME": str(home / "config"), "XDG_CONFIG_DIRS": str(home / "xdg"), **variables}
    return uv_settings(environ, home / "work" / "inner")


def test_what_a_file_says_of_indexes_is_read(home: Path) -> None:
    """Default, extra, explicit and flat indexes are told apart, and the older and the `pip` table's keys count."""
    (home / "config" / "uv" / "uv.toml").write_text(FILE)
    found = read(home)
    assert found.index == "https://default.example/simple"
    assert found.indexes == ("https://corp.example/simple", "https://older.example/simple")
    assert found.named == {"corp": "https://corp.example/simple", "torch": "https://torch.example/whl"}
    wheels = (home / "config" / "uv" / "wheels").as_uri()
    assert set(found.options.find_links) == {"https://flat.example/page", wheels}
    assert found.options.trusted_hosts == ("one.example",)
    assert (found.options.strategy, found.options.torch_backend) == ("unsafe-best-match", "cu128")
    assert (found.options.pre, found.keyring) == (True, True)


def test_variables_come_before_files_and_projects_before_the_user(home: Path) -> None:
    """A variable wins, then the nearest project with settings of uv, then the user's file."""
    (home / "config" / "uv" / "uv.toml").write_text('[[index]]\nurl = "https://user.example"\n')
    (home / "work" / "pyproject.toml").write_text('[[tool.uv.index]]\nurl = "https://project.example"\n')
    (home / "work" / "inner" / "pyproject.toml").write_text("[project]\nname = 'a'\n")
    found = read(home, UV_INDEX="a=https://a.example https://b.example/", UV_EXTRA_INDEX_URL="https://c.example")
    assert found.indexes == (
        "https://a.example",
        "https://b.example",
        "https://c.example",
        "https://project.example",
        "https://user.example",
    )
    assert found.named == {"a": "https://a.example"}
    (home / "work" / "inner" / "uv.toml").write_text('[[index]]\nurl = "https://inner.example"\n')
    assert read(home).indexes == ("https://inner.example", "https://user.example")
    assert read(home, UV_NO_CONFIG="1") == IndexSettings()
    own = home / "own.toml"
    own.write_text('index-url = "https://own.example"\n')
    assert (read(home, UV_CONFIG_FILE=str(own)).index, read(home, UV_CONFIG_FILE=str(own)).indexes) == (
        "https://own.example",
        (),
    )


def test_an_index_that_has_a_name_has_its_credentials_by_variable(home: Path) -> None:
    """UV_INDEX_<NAME>_USERNAME and _PASSWORD open the index of that name, wherever it is said."""
    (home / "config" / "uv" / "uv.toml").write_text(
        '[[index]]\nname = "my-corp"\nurl = "https://corp.example/simple"\n'
    )
    found = read(home, UV_INDEX_MY_CORP_USERNAME="u", UV_INDEX_MY_CORP_PASSWORD="p@ss")
    assert found.indexes == ("https://u:p%40ss@corp.example/simple",)
    assert found.urls == ("https://u:p%40ss@corp.example/simple",) * 2


@pytest.mark.parametrize(
    ("text", "variables", "says"),
    [
        ("[[index]]\n", {}, "an index without a url"),
        ("index = 3\n", {}, "index is no list"),
        ("[[index]]\nurl = 'ftp://u:s3cret@x'\n", {}, "is not the URL of an index"),
        ("nonsense\n", {}, "cannot be read"),
        ("index-strategy = 'best'\n", {}, "index-strategy in"),
        ("", {"UV_INDEX_STRATEGY": "any"}, "UV_INDEX_STRATEGY is 'any'"),
        ("", {"UV_INDEX": "a=ftp://u:s3cret@x"}, "UV_INDEX: 'ftp://****@x'"),
    ],
)
def test_settings_that_cannot_be_read_are_one_error(
    home: Path, text: str, variables: dict[str, str], says: str
) -> None:
    """The file or the variable is named, and no secret is shown."""
    (home / "config" / "uv" / "uv.toml").write_text(text)
    with pytest.raises(SettingError) as caught:
        read(home, **variables)
    assert says in caught.value.message
    assert "s3cret" not in str(caught.value)
    assert caught.value.hint
