"""What a user reads of a setting that cannot be."""

from __future__ import annotations

import pytest

from metaflow_extensions.netflix_ext.host.settings import NAMES, SettingError, read


@pytest.mark.parametrize(
    ("name", "value", "may_be"),
    [
        ("CONDA_CHANNELS", "[conda-forge", "a comma-separated list"),
        ("CONDA_CHANNELS", '["conda-forge", 3]', "a JSON list of texts"),
        ("CONDA_CHANNEL_ALIAS", "channels.example", "a URL that begins with https://"),
        ("CONDA_ENVS_ROOT", "envs", "an absolute path of a folder"),
        ("CONDA_ENVS_ROOT", "~nobody-of-that-name/envs", "an absolute path of a folder"),
        ("CONDA_LOCALROOT", "cache", "an absolute path of a folder"),
        ("CONDA_S3ROOT", "bucket/root", "s3://BUCKET/PREFIX"),
        ("CONDA_AZUREROOT", "https://account.example/box", "CONTAINER/PREFIX, without a scheme"),
        ("CONDA_GSROOT", "s3://bucket/root", "gs://BUCKET/PREFIX"),
        ("CONDA_PACKAGES_DIRNAME", "../packages", "the name of one folder"),
        ("CONDA_ENVS_DIRNAME", "packages", "none of 'tools', 'code', 'packages'"),
        ("CONDA_DEPENDENCY_RESOLVER", "poetry", "'rattler' or 'micromamba' or 'mamba' or 'conda'"),
        ("CONDA_INSTALLER", "mamba", "'rattler' or 'micromamba' or 'conda'"),
        ("CONDA_LOCAL_PATH", "conda", "an absolute path of a folder"),
        ("CONDA_PYPI_DEPENDENCY_RESOLVER", "poetry", "'uv' or 'pip' or 'none'"),
        ("CONDA_MIXED_DEPENDENCY_RESOLVER", "poetry", "'default' or 'conda-lock' or 'none'"),
        ("CONDA_DEFAULT_PYPI_SOURCE", "index.example/simple", "a URL that begins with https://"),
        ("CONDA_DEFAULT_PYPI_SOURCE", "http://127.0.0.1:99999/simple", "a URL that begins with https://"),
        ("CONDA_SYS_DEFAULT_PACKAGES", "{", "a JSON object such as"),
        ("CONDA_SYS_DEFAULT_PACKAGES", '{"linux-64": {"glibc": "2.28"}}', '{"linux-64": {"__glibc": "2.28"}}'),
        ("CONDA_SYS_DEFAULT_PACKAGES", '{"windows": {"__glibc": "2.28"}}', "for linux-64, linux-aarch64"),
        ("CONDA_SYS_DEFAULT_GPU_PACKAGES", "[]", "a JSON object such as"),
        ("CONDA_REMOTE_COMMANDS", "[3]", "a comma-separated list"),
        ("CONDA_USE_REMOTE_LATEST", ":all:", "':none:', ':username:', ':any:', or names of users"),
    ],
)
def test_a_bad_setting_is_named(name: str, value: str, may_be: str) -> None:
    """The variable, its value and what it may be are told."""
    with pytest.raises(SettingError) as caught:
        read({**dict.fromkeys(NAMES), name: value}, {})

    assert f"METAFLOW_{name} is '{value}', which it cannot be" in caught.value.message
    assert caught.value.hint.startswith(f"METAFLOW_{name} may be ")
    assert may_be in caught.value.hint
