"""Where the store lies that is shared with others."""

from __future__ import annotations

from typing import Any

import pytest

from metaflow_extensions.netflix_ext.engine.errors import SettingError
from metaflow_extensions.netflix_ext.host.settings import NAMES, read
from metaflow_extensions.netflix_ext.host.wiring import shared_root

ROOTS = {"CONDA_LOCALROOT": "/shared", "DATASTORE_SYSROOT_S3": "s3://b/x", "CONDA_GSROOT": "gs://b/y"}


@pytest.mark.parametrize(
    ("datastore", "values", "root"),
    [
        ("local", ROOTS, ("local", "/shared")),
        ("spin", ROOTS, ("local", "/shared")),
        ("s3", ROOTS, ("s3", "s3://b/x/conda_env")),
        ("gs", ROOTS, ("gs", "gs://b/y")),
        ("local", {}, None),
        ("spin", {}, None),
        ("somebodys", ROOTS, None),
        (None, ROOTS, None),
    ],
)
def test_the_root_is_that_of_the_datastore(
    datastore: str | None, values: dict[str, Any], root: tuple[str, str] | None
) -> None:
    """A flow's kind of datastore says where; `spin` is local, an unknown kind has no place."""
    assert shared_root(read({**dict.fromkeys(NAMES), **values}, {}), datastore) == root


def test_a_root_that_nobody_names_is_an_error() -> None:
    """A cloud without a root is refused."""
    with pytest.raises(SettingError, match="METAFLOW_CONDA_AZUREROOT is not set"):
        shared_root(read({**dict.fromkeys(NAMES), **ROOTS}, {}), "azure")
