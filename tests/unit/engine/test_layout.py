"""The key of each thing in a store."""

from __future__ import annotations

import pytest

from metaflow_extensions.netflix_ext.engine.errors import StoreError
from metaflow_extensions.netflix_ext.engine.identity import EnvID
from metaflow_extensions.netflix_ext.engine.layout import (
    alias_key,
    check_key,
    environment_key,
    latest_by_key,
    latest_key,
    package_file_key,
    package_key,
    tool_key,
)

ENV_ID = EnvID("a" * 40, "b" * 40, "linux-64")


def test_keys_are_those_of_the_design() -> None:
    """Where things lie is a promise to every version to come."""
    assert f"envs/linux-64/{'a' * 40}/{'b' * 40}/env" == environment_key(ENV_ID)
    assert f"envs/linux-64/{'a' * 40}/latest" == latest_key("a" * 40, "linux-64")
    assert package_file_key(b"") == "code/e3b0c44298fc1c149afbf4c8996fb92427ae41e4/conda_v2.cnd"


def test_other_content_has_another_key() -> None:
    """The file of a code package lies where its content says."""
    assert package_file_key(b"a") != package_file_key(b"b")


@pytest.mark.parametrize("key", ["", "/", "/etc/passwd", "../a", "a/../../b", "a//b", "a/", "./a", "a\0b"])
def test_a_key_stays_in_its_store(key: str) -> None:
    """A key that is absolute or climbs is refused."""
    with pytest.raises(StoreError, match="cannot be a key"):
        check_key(key)


def test_ordinary_keys_pass() -> None:
    """Dots inside names are no climbing."""
    assert check_key("a/..b/c.d/.e") == "a/..b/c.d/.e"


SHA = "c" * 64
FILE = "numpy-2.1.0-py312_0.conda"


@pytest.mark.parametrize(
    ("url", "folder"),
    [
        (f"https://conda.example/forge/linux-64/{FILE}", "conda.example/forge/linux-64"),
        (f"https://conda.example:8443/forge/linux-64/{FILE}", "conda.example:8443/forge/linux-64"),
        (f"https://user:s3cret@conda.example/forge/linux-64/{FILE}", "conda.example/forge/linux-64"),
        (f"https://conda.example/t/s3cret/forge/linux-64/{FILE}", "conda.example/forge/linux-64"),
        (f"https://conda.example/forge/linux-64/{FILE}?sig=s3cret#sha256=1", "conda.example/forge/linux-64"),
        (f"https://conda.example/../../a/./b//{FILE}", "conda.example/a/b"),
        (f"https://conda.example/%2e%2e/a%2Fb/c d/{FILE}", "conda.example/a%2Fb/c%20d"),
        (f"file:///srv/channel/linux-64/{FILE}", "_local/srv/channel/linux-64"),
    ],
)
def test_a_package_lies_where_it_came_from(url: str, folder: str) -> None:
    """Host and path of its URL, its file and its hash, as 1.x had it; no credentials, no way out, one spelling."""
    assert package_key("conda", url, FILE, SHA) == f"packages/conda/{folder}/{FILE}/{FILE}/{SHA}/{FILE}"


@pytest.mark.parametrize("url", [f"file://..//srv/{FILE}", f"https://../{FILE}"])
def test_no_host_leads_out(url: str) -> None:
    """A URL whose host is a way up has no key."""
    with pytest.raises(StoreError):
        package_key("conda", url, FILE, SHA)


def test_a_package_that_was_made_of_another_file() -> None:
    """A wheel that was built from a source lies with its source; another form of a file beside it; by MD5, too."""
    source = "https://files.example/a/b/one-1.0.tar.gz"
    wheel = "one-1.0-py3-none-any.whl"

    assert package_key("pypi", source, wheel, SHA) == (
        f"packages/pypi/files.example/a/b/one-1.0.tar.gz/{wheel}/{SHA}/{wheel}"
    )
    assert package_key("conda", f"https://h.example/{FILE}", FILE, "md5:" + "d" * 32) == (
        f"packages/conda/h.example/{FILE}/{FILE}/md5-{'d' * 32}/{FILE}"
    )


def test_the_other_keys() -> None:
    """Tools by their hash; names and pointers below the folder of environments, whatever users are called."""
    assert tool_key("uv", SHA, "uv-1.whl") == f"tools/uv/{SHA}/uv-1.whl"
    assert alias_key("team/a", "v1", "linux-64") == "envs/aliases/team/a/@v1/linux-64"
    assert latest_by_key("a" * 40, "linux-64", "ada/..") == f"envs/linux-64/{'a' * 40}/latest-by/ada%2F.."
    for user in ("..", ".", "", "a/b"):
        check_key(latest_by_key("a" * 40, "linux-64", user))
