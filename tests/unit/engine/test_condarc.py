"""What configuration files of conda, mamba and rattler say of channels."""

from __future__ import annotations

import pytest

from metaflow_extensions.netflix_ext.engine.condarc import Known, from_environment, merge, parse_toml, parse_yaml
from metaflow_extensions.netflix_ext.engine.errors import SettingError

YAML = """\
channels: [mine, defaults]
channel: late   # conda's older word for it is not read twice
custom_channels:
  mine: https://u:${TOKEN}@mine.example/$GROUP
custom_multichannels:
  both:
    - mine
    - other
mirrored_channels:
  conda-forge: [https://a.example/cf, https://b.example/cf]
proxy_servers:
  https: http://proxy.example:3128
ssl_verify: off
channel_priority: true
envs_path: ~/envs
auto_update_conda: no
"""


def test_yaml_is_read() -> None:
    """What concerns channels is taken with its line, variables are filled in, all else is passed over."""
    found = parse_yaml(YAML.replace("channel: late", "show_channel_urls: yes"), "rc", {"TOKEN": "t", "GROUP": "g"})

    assert {name: known.value for name, known in found.items()} == {
        "channels": ("mine", "defaults"),
        "custom_channels": {"mine": "https://u:t@mine.example/g"},
        "custom_multichannels": {"both": ("mine", "other")},
        "mirrored_channels": {"conda-forge": ("https://a.example/cf", "https://b.example/cf")},
        "proxy_servers": {"https": "http://proxy.example:3128"},
        "ssl_verify": "false",
        "channel_priority": "flexible",
        "envs_dirs": ("~/envs",),
    }
    assert found["channel_priority"].source == "rc, line 14"
    assert parse_yaml("# nothing\n", "rc", {}) == {}


def test_a_variable_that_is_not_set_stays() -> None:
    """As conda leaves it."""
    assert parse_yaml("channel_alias: https://$NOBODY.example\n", "rc", {})["channel_alias"].value == (
        "https://$NOBODY.example"
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("channels:\n  - a\n - b\n", "rc, line 3: this is not YAML"),
        ("channels: [a\n", "rc, line 2: this is not YAML"),
        ("just words\n", "rc, line 1: there are no keys"),
        ("\nchannels: {a: b}\n", "rc, line 2: channels is of another form"),
        ("custom_channels: [a]\n", "rc, line 1: custom_channels is of another form"),
        ("custom_channels: {a: [b]}\n", "rc, line 1: custom_channels is of another form"),
        ("custom_multichannels: {a: {b: c}}\n", "rc, line 1: custom_multichannels is of another form"),
        ("channel_alias: [a]\n", "rc, line 1: channel_alias is of another form"),
        ("channel_priority: first\n", "rc, line 1: channel_priority is 'first', which it cannot be"),
        ("a: !!python/object:os.system x\nchannels: [[b]]\n", "rc, line 2: channels is of another form"),
    ],
)
def test_what_cannot_be_read_is_told(text: str, says: str) -> None:
    """With file and line, and what it may be."""
    with pytest.raises(SettingError) as caught:
        parse_yaml(text, "rc", {})

    assert caught.value.message.startswith(says)
    assert caught.value.hint


def test_toml_is_read() -> None:
    """Of rattler's file, what concerns channels."""
    text = """
default-channels = ["conda-forge"]
tls-no-verify = true
pinning-strategy = "semver"
[mirrors]
"https://conda.anaconda.org/conda-forge" = ["https://m.example/cf"]
[proxy-config]
https = "http://proxy.example"
"""
    found = parse_toml(text, "config.toml", {})

    assert {name: known.value for name, known in found.items()} == {
        "channels": ("conda-forge",),
        "ssl_verify": "false",
        "mirrored_channels": {"https://conda.anaconda.org/conda-forge": ("https://m.example/cf",)},
        "proxy_servers": {"https": "http://proxy.example"},
    }
    with pytest.raises(SettingError, match=r"config.toml: this is not TOML: .*line 2"):
        parse_toml("\na = = b\n", "config.toml", {})
    with pytest.raises(SettingError, match=r"config\.toml: channels is of another form"):
        parse_toml("default-channels = 3\n", "config.toml", {})


def test_files_add_up() -> None:
    """Of lists and maps the first file's come first and count; of texts its own is taken."""
    user = {"channels": Known(("a", "b"), "user"), "channel_priority": Known("strict", "user")}
    system = {
        "channels": Known(("b", "c"), "system"),
        "channel_priority": Known("disabled", "system"),
        "custom_channels": Known({"x": "1", "y": "2"}, "system"),
    }

    found = merge([user, system, {"custom_channels": Known({"x": "3", "z": "4"}, "other")}])

    assert found["channels"] == Known(("a", "b", "c"), "user; system")
    assert found["channel_priority"] == Known("strict", "user")
    assert found["custom_channels"] == Known({"x": "1", "y": "2", "z": "4"}, "system; other")


def test_variables_are_read() -> None:
    """Those of conda, in the forms that conda reads."""
    found = from_environment(
        {"CONDA_CHANNELS": "a, b c", "CONDA_PKGS_DIRS": "/a b,/c", "CONDA_ENVS_PATH": "/d:/e", "CONDA_SSL_VERIFY": "no"}
    )

    assert {name: known.value for name, known in found.items()} == {
        "channels": ("a", "b", "c"),
        "pkgs_dirs": ("/a b", "/c"),
        "envs_dirs": ("/d", "/e"),
        "ssl_verify": "false",
    }
    with pytest.raises(SettingError, match="CONDA_CHANNEL_PRIORITY: channel_priority is 'x'"):
        from_environment({"CONDA_CHANNEL_PRIORITY": "x"})
