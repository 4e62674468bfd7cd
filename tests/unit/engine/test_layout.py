"""The key of each thing in a store."""

from __future__ import annotations

import pytest

from metaflow_extensions.netflix_ext.engine.errors import StoreError
from metaflow_extensions.netflix_ext.engine.identity import EnvID
from metaflow_extensions.netflix_ext.engine.layout import check_key, environment_key, latest_key, package_file_key

ENV_ID = EnvID("a" * 40, "b" * 40, "linux-64")


def test_keys_are_those_of_the_design() -> None:
    """Where things lie is a promise to every version to come."""
    assert f"envs/linux-64/{'a' * 40}/{'b' * 40}/env" == environment_key(ENV_ID)
    assert f"other/linux-64/{'a' * 40}/{'b' * 40}/env" == environment_key(ENV_ID, "other")
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
