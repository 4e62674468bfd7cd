"""The configuration: every variable by its default, a good value and a bad one."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from metaflow_extensions.netflix_ext import host
from metaflow_extensions.netflix_ext.engine.channel_settings import DEFAULT_CHANNELS, DEFAULTS, ChannelSettings
from metaflow_extensions.netflix_ext.engine.condarc import Known
from metaflow_extensions.netflix_ext.engine.errors import SettingError
from metaflow_extensions.netflix_ext.engine.obtain import Trust
from metaflow_extensions.netflix_ext.engine.platform import ARCHES, VirtualPackage
from metaflow_extensions.netflix_ext.host.settings import NAMES, Settings, channel_name, check_envs_root, read

CONFIG = Path(host.__file__).parents[1] / "config" / "mfextinit_netflixext.py"
GLIBC = {"linux-64": (VirtualPackage("__glibc", "2.31"),)}
DEFAULT_GPU = {arch: (VirtualPackage("__cuda", "12.4"),) for arch in ARCHES if arch.startswith("linux")}
FOLDERS = {"packages": "packages", "envs": "envs"}


def alias(url: str | None) -> ChannelSettings:
    """Return what is said of channels where nothing but their alias is."""
    return ChannelSettings(alias=url, named={DEFAULTS: DEFAULT_CHANNELS})


# variable, good value, the field it sets, what it sets it to, its default
BY_HOST = {"https://a.example": "https://u:p%40@a.example", "http://a.example": "http://u:p%40@a.example"}
GOOD: list[tuple[str, Any, str, object, object]] = [
    ("CONDA_CHANNELS", "a, b", "channels", ("a", "b"), ("conda-forge",)),
    ("CONDA_CHANNELS", '["a", "b"]', "channels", ("a", "b"), ("conda-forge",)),
    ("CONDA_CHANNELS", ["a", "b"], "channels", ("a", "b"), ("conda-forge",)),
    ("CONDA_CHANNELS", "  ", "channels", ("conda-forge",), ("conda-forge",)),
    ("CONDA_CHANNEL_ALIAS", "https://a.example/", "channel_settings", alias("https://a.example"), alias(None)),
    ("CONDA_CHANNEL_SETTINGS", "none", "package_folders", (), ()),
    ("CONDA_ENVS_ROOT", "/some/where", "envs_root", Path("/some/where"), None),
    ("CONDA_LOCALROOT", "/some/where", "local_root", Path("/some/where"), None),
    ("CONDA_S3ROOT", "s3://b/a/base/", "roots", {"s3": "s3://b/a/base"}, {}),
    ("CONDA_S3ROOT", "s3://b", "roots", {"s3": "s3://b"}, {}),
    ("CONDA_AZUREROOT", "box/a/root", "roots", {"azure": "box/a/root"}, {}),
    ("CONDA_GSROOT", "gs://b/root", "roots", {"gs": "gs://b/root"}, {}),
    ("CONDA_PACKAGES_DIRNAME", "pk-1.x", "folders", {"packages": "pk-1.x", "envs": "envs"}, FOLDERS),
    ("CONDA_ENVS_DIRNAME", "_mine", "folders", {"packages": "packages", "envs": "_mine"}, FOLDERS),
    ("CONDA_DEPENDENCY_RESOLVER", "mamba", "resolver", "mamba", "rattler"),
    ("CONDA_INSTALLER", "conda", "conda_installer", "conda", "rattler"),
    ("CONDA_LOCAL_PATH", "/opt/conda", "distribution", Path("/opt/conda"), None),
    ("CONDA_LOCAL_DIST_DIRNAME", "some/folder", "distribution_key", "", ""),
    *(("CONDA_PYPI_DEPENDENCY_RESOLVER", value, "pypi", value, "uv") for value in ("none", "uv", "pip")),
    ("CONDA_MIXED_DEPENDENCY_RESOLVER", "none", "mixed", "none", "default"),
    ("CONDA_MIXED_DEPENDENCY_RESOLVER", "conda-lock", "mixed", "conda-lock", "default"),
    ("CONDA_DEFAULT_PYPI_SOURCE", "https://a.example/simple/", "index", "https://a.example/simple", "default"),
    ("CONDA_PREFERRED_FORMAT", ".tar.bz2", "preferred_format", ".tar.bz2", ""),
    ("CONDA_PREFERRED_FORMAT", "none", "preferred_format", "", ""),
    ("CONDA_REMOTE_INSTALLER", "mamba-{arch}", "installer", "mamba-{arch}", ""),
    ("CONDA_REMOTE_INSTALLER_DIRNAME", "some/installers", "installer_folder", "some/installers", ""),
    ("CONDA_SYS_DEFAULT_PACKAGES", '{"linux-64": {"__glibc": "2.31"}}', "virtual", GLIBC, {}),
    ("CONDA_SYS_DEFAULT_PACKAGES", {"linux-64": {"__glibc": "2.31"}}, "virtual", GLIBC, {}),
    ("CONDA_SYS_DEFAULT_GPU_PACKAGES", '{"linux-64": {"__glibc": "2.31"}}', "gpu_virtual", GLIBC, DEFAULT_GPU),
    ("CONDA_REMOTE_COMMANDS", "batch,mine", "remote_commands", ("batch", "mine"), ("batch", "kubernetes")),
    ("CONDA_USE_REMOTE_LATEST", ":any:", "trust", Trust(users=None), Trust()),
    ("CONDA_USE_REMOTE_LATEST", ":none:", "trust", Trust(users=()), Trust()),
    ("CONDA_USE_REMOTE_LATEST", "ada, grace", "trust", Trust(users=("ada", "grace")), Trust()),
    ("CONDA_PYPI_PYTHON", "conda", "interpreter", "", ""),
    ("CONDA_PYPI_PYTHON", "uv", "interpreter", "uv", ""),
    ("CONDA_PYPI_PYTHON", "uv-managed", "interpreter", "uv-managed", ""),
    *(("CONDA_BUILD_TIMEOUT", value, "build_seconds", 90.0, 3600.0) for value in ("90", 90)),
    ("CONDA_INDEX_SETTINGS", "none", "index_settings", False, True),
    ("CONDA_TORCH_BACKEND", "cu128", "torch_backend", "cu128", ""),
    ("CONDA_SRCS_AUTH_INFO", '{"a.example": ["u", "p@"]}', "secrets", BY_HOST, {}),
]
BAD: list[tuple[str, Any]] = [
    ("CONDA_CHANNELS", '["a", 3]'),
    ("CONDA_CHANNELS", '["a"'),
    ("CONDA_CHANNEL_ALIAS", "a.example"),
    ("CONDA_CHANNEL_SETTINGS", "some"),
    ("CONDA_ENVS_ROOT", "relative/folder"),
    ("CONDA_LOCALROOT", "relative/folder"),
    *(
        ("CONDA_S3ROOT", value)
        for value in ("b/root", "s3:/b", "s3://", "gs://b", "s3://b//a", "s3://b/../c", "s3://b?c")
    ),
    *(("CONDA_AZUREROOT", value) for value in ("azure://b/c", "/b/c", "b//c", "b/./c", "B/c")),
    *(("CONDA_GSROOT", value) for value in ("s3://b/root", "b/root", "gs:///root")),
    *(("CONDA_PACKAGES_DIRNAME", value) for value in ("a/b", "..", ".a", "tools", "code", "a b")),
    *(("CONDA_ENVS_DIRNAME", value) for value in ("a/b", "packages", "tools")),
    ("CONDA_DEPENDENCY_RESOLVER", "poetry"),
    ("CONDA_DEPENDENCY_RESOLVER", 3),
    ("CONDA_INSTALLER", "mamba"),
    ("CONDA_LOCAL_PATH", "conda"),
    ("CONDA_LOCAL_DIST", "../conda.tar"),
    ("CONDA_LOCAL_DIST_DIRNAME", "/folder"),
    ("CONDA_PYPI_DEPENDENCY_RESOLVER", "poetry"),
    ("CONDA_MIXED_DEPENDENCY_RESOLVER", "poetry"),
    ("CONDA_DEFAULT_PYPI_SOURCE", "ftp://a.example"),
    ("CONDA_PREFERRED_FORMAT", "conda"),
    ("CONDA_REMOTE_INSTALLER", "../mamba"),
    ("CONDA_REMOTE_INSTALLER_DIRNAME", "/absolute"),
    ("CONDA_SYS_DEFAULT_PACKAGES", "{"),
    ("CONDA_SYS_DEFAULT_PACKAGES", "null"),
    ("CONDA_SYS_DEFAULT_PACKAGES", '{"win-64": {}}'),
    ("CONDA_SYS_DEFAULT_PACKAGES", '{"linux-64": {"__glibc": 2.31}}'),
    ("CONDA_SYS_DEFAULT_PACKAGES", '{"linux-64": {"__glibc": ">=2"}}'),
    ("CONDA_SYS_DEFAULT_GPU_PACKAGES", '{"linux-64": 3}'),
    ("CONDA_REMOTE_COMMANDS", "[1]"),
    ("CONDA_USE_REMOTE_LATEST", ":all:"),
    ("CONDA_USE_REMOTE_LATEST", ":none:,ada"),
    ("CONDA_PYPI_PYTHON", "pyenv"),
    *(("CONDA_BUILD_TIMEOUT", value) for value in ("soon", "0", "-1", "nan", "inf")),
    ("CONDA_INDEX_SETTINGS", "uv"),
    ("CONDA_TORCH_BACKEND", "cuda"),
    *(
        ("CONDA_SRCS_AUTH_INFO", value)
        for value in ("{", "[]", '{"a.example": "s3cret"}', '{"a.example": ["u"]}', '{"https://a": ["u", "s3cret"]}')
    ),
]


def settings(environ: dict[str, str] | None = None, **values: Any) -> Settings:
    return read({**dict.fromkeys(NAMES), **values}, environ or {})


@pytest.mark.parametrize(("name", "value", "field", "expected", "default"), GOOD)
def test_a_good_value_is_taken(name: str, value: Any, field: str, expected: object, default: object) -> None:
    """A variable that is not set has its default; a good value is taken, as text or as Metaflow's files hold it."""
    if default is not None or field != "envs_root":
        assert getattr(settings(), field) == default
    assert getattr(settings(**{name: value}), field) == expected


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_bad_value_is_one_error(name: str, value: Any) -> None:
    """A bad value is a SettingError that names the variable, the value, and what it may be."""
    with pytest.raises(SettingError) as caught:
        settings(**{name: value})

    if name == "CONDA_SRCS_AUTH_INFO":  # where it may be a secret
        assert f"METAFLOW_{name} holds what it cannot" in caught.value.message
        assert "s3cret" not in str(caught.value)
    else:
        assert f"METAFLOW_{name} is '{value}'" in caught.value.message
    assert caught.value.hint.startswith(f"METAFLOW_{name} may be ")


def test_roots_lie_below_those_of_metaflow() -> None:
    """Where Metaflow's own root of a datastore is known and ours is not, ours lies below it."""
    found = settings(
        DATASTORE_SYSROOT_S3="s3://b/metaflow/",
        DATASTORE_SYSROOT_GS="gs://b",
        DATASTORE_SYSROOT_AZURE="box/metaflow",
        CONDA_AZUREROOT="box/ours",
    )

    assert found.roots == {"s3": "s3://b/metaflow/conda_env", "azure": "box/ours", "gs": "gs://b/conda_env"}


def test_a_secret_in_a_root_is_not_told() -> None:
    """Credentials do not belong into a root: it is refused, and the message masks them."""
    with pytest.raises(SettingError) as caught:
        settings(CONDA_S3ROOT="s3://key:s3cret@bucket/root")

    assert "s3cret" not in str(caught.value)


def test_every_variable_is_tested() -> None:
    """No variable is without a good and a bad value here."""
    assert {name for name, *_ in GOOD} == set(NAMES) - {"CONDA_LOCAL_DIST"}  # which is nothing without another
    assert {name for name, _ in BAD} == set(NAMES)


def test_names_are_those_declared() -> None:
    """What Metaflow's configuration declares is what is read, each by its own name."""
    declared = {}
    for node in ast.parse(CONFIG.read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            assert isinstance(node.targets[0], ast.Name)
            assert isinstance(node.value.args[0], ast.Constant)
            declared[node.targets[0].id] = node.value.args[0].value

    assert set(declared) == set(NAMES)
    assert all(name == value for name, value in declared.items())


def test_the_default_folder_is_the_users_cache() -> None:
    """Prefixes lie in the cache folder of the user, below our name."""
    root = settings().envs_root

    assert root.is_absolute()
    assert root.parts[-2:] == ("metaflow-netflixext", "envs")


def test_a_home_in_a_path_is_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    """``~`` stands for the home folder."""
    monkeypatch.setenv("HOME", "/home/someone")

    assert settings(CONDA_ENVS_ROOT="~/envs").envs_root == Path("/home/someone/envs")


def test_conda_s_own_channels_are_a_second_choice() -> None:
    """``CONDA_CHANNELS`` without ``METAFLOW_`` counts where ours is not set."""
    environ = {"CONDA_CHANNELS": "theirs"}

    assert settings(environ).channels == ("theirs",)
    assert settings(environ, CONDA_CHANNELS="ours").channels == ("ours",)


def test_a_distribution_needs_its_place() -> None:
    """Its key is that of its folder and its name; one without a place on this machine contradicts itself."""
    whole = {"CONDA_LOCAL_DIST": "conda-{arch}.tar.gz", "CONDA_LOCAL_PATH": "/opt/conda"}

    assert settings(**whole).distribution_key == "conda-{arch}.tar.gz"
    assert settings(**whole, CONDA_LOCAL_DIST_DIRNAME="a/b").distribution_key == "a/b/conda-{arch}.tar.gz"
    with pytest.raises(SettingError, match="METAFLOW_CONDA_LOCAL_PATH does not say where") as caught:
        settings(CONDA_LOCAL_DIST="conda.tar.gz")
    assert caught.value.hint


def test_what_others_say_of_channels_counts_after_ours() -> None:
    """Our variables go over conda's settings; of these, all that is said of channels is taken, credentials apart."""
    others = {
        "channels": Known(("mine", "https://u:s3cret@d.example/ch"), "a file"),
        "channel_alias": Known("https://alias.example", "a file"),
        "custom_channels": Known({"mine": "https://u:s3cret@e.example/conda"}, "a file"),
        "custom_multichannels": Known({"both": ("mine", "other")}, "a file"),
        "mirrored_channels": Known({"other": ("https://mirror.example/other/",)}, "a file"),
        "channel_priority": Known("disabled", "a file"),
        "ssl_verify": Known("/some/ca.pem", "a file"),
        "proxy_servers": Known({"https": "http://proxy.example"}, "a file"),
        "envs_dirs": Known(("/dev/null/nowhere", str(CONFIG.parent)), "a file"),
        "pkgs_dirs": Known(("/some/pkgs",), "a file"),
    }
    values = dict.fromkeys(NAMES)

    found = read(values, {}, lambda _: others)
    channels = found.channel_settings
    ours = read({**values, "CONDA_CHANNELS": "ours", "CONDA_ENVS_ROOT": "/ours"}, {}, lambda _: others)
    alone = read({**values, "CONDA_CHANNEL_SETTINGS": "none"}, {}, lambda _: others)

    assert found.channels == ("mine", "https://d.example/ch")
    assert channels.places("mine") == ("https://e.example/conda/mine",)
    assert channels.places("both") == ("https://e.example/conda/mine", "other")
    assert channels.places("mine/label/dev") == ("https://e.example/conda/mine/label/dev",)
    assert channels.places("defaults") == DEFAULT_CHANNELS
    assert channels.places("https://f.example/ch") == ("https://f.example/ch",)
    assert channels.mirrors == {"https://alias.example/other": "https://mirror.example/other"}
    assert (channels.priority, channels.certificates) == ("disabled", "/some/ca.pem")
    assert channels.variables({}) == {"HTTPS_PROXY": "http://proxy.example", "SSL_CERT_FILE": "/some/ca.pem"}
    assert channels.variables({"https_proxy": "mine", "REQUESTS_CA_BUNDLE": "mine"}) == {}
    assert found.envs_root == CONFIG.parent, "the first that may be written to"
    assert found.package_folders == (Path("/some/pkgs"),)
    assert set(found.secrets) == {"https://d.example/ch", "https://e.example/conda/mine"}
    assert "s3cret" not in repr(channels)
    assert (ours.channels, ours.envs_root) == (("ours",), Path("/ours"))
    assert alone.channels == ("conda-forge",)
    assert alone.channel_settings == alias(None)


def test_credentials_are_kept_apart() -> None:
    """URLs are held clean; one mapping alone knows the credentials, by the clean URL."""
    found = settings(
        CONDA_CHANNELS="https://u:s3cret@a.example/ch/, https://a.example/t/s3cret/b",
        CONDA_CHANNEL_ALIAS="https://u:s3cret@b.example",
        CONDA_DEFAULT_PYPI_SOURCE="https://u:s3cret@c.example/simple/",
    )

    assert found.channels == ("https://a.example/ch", "https://a.example/b")
    assert (found.channel_settings.alias, found.index) == ("https://b.example", "https://c.example/simple")
    assert found.secrets == {
        "https://a.example/ch": "https://u:s3cret@a.example/ch",
        "https://a.example/b": "https://a.example/t/s3cret/b",
        "https://b.example": "https://u:s3cret@b.example",
        "https://c.example/simple": "https://u:s3cret@c.example/simple",
    }


def test_a_secret_in_a_bad_value_is_not_told() -> None:
    """The error about a value masks the password in it."""
    with pytest.raises(SettingError) as caught:
        settings(CONDA_CHANNELS='["https://u:s3cret@a.example"')

    assert "s3cret" not in str(caught.value)


def test_conda_s_overrides_hold_where_they_mean_something() -> None:
    """``CONDA_OVERRIDE_GLIBC`` is for Linux, ``_OSX`` for macOS, ``_CUDA`` for all, over what is configured."""
    environ = {"CONDA_OVERRIDE_GLIBC": "2.35", "CONDA_OVERRIDE_OSX": "14.0", "CONDA_OVERRIDE_CUDA": "12.1"}

    found = settings(environ, CONDA_SYS_DEFAULT_PACKAGES=json.dumps({"linux-64": {"__glibc": "2.17"}}))

    assert {str(package) for package in found.virtual["linux-64"]} == {"__glibc=2.35=0", "__cuda=12.1=0"}
    assert {str(package) for package in found.virtual["osx-arm64"]} == {"__osx=14.0=0", "__cuda=12.1=0"}
    assert str(found.gpu_virtual["linux-64"][0]) == "__cuda=12.1=0"


@pytest.mark.parametrize("name", ["CONDA_OVERRIDE_GLIBC", "CONDA_OVERRIDE_OSX", "CONDA_OVERRIDE_CUDA"])
def test_a_bad_override_is_told_by_its_own_name(name: str) -> None:
    """A senseless override is a SettingError that names it, and none of ours."""
    with pytest.raises(SettingError, match=f"{name} is 'new'"):
        settings({name: "new"})


@pytest.mark.parametrize(
    ("channel", "name"),
    [
        ("conda-forge", "conda-forge"),
        (" conda-forge/ ", "conda-forge"),
        ("conda-forge/label/x", "conda-forge/label/x"),
        ("https://a.example/ch/", "https://a.example/ch"),
        ("https://u:p@a.example/ch", "https://a.example/ch"),
        ("/a/folder/", "file:///a/folder"),
    ],
)
def test_channels_have_one_name(channel: str, name: str) -> None:
    """A channel is a name, a clean URL, or the URL of a folder."""
    assert channel_name(channel) == name


def test_prefixes_do_not_lie_where_metaflow_packs(tmp_path: Path) -> None:
    """A folder of prefixes below the flow's is refused, unless Metaflow passes it over for its dot."""
    check_envs_root(tmp_path / "elsewhere", tmp_path / "flow")
    check_envs_root(tmp_path / "flow" / ".envs", tmp_path / "flow")
    with pytest.raises(SettingError, match="below the folder of the flow"):
        check_envs_root(tmp_path / "flow" / "envs", tmp_path / "flow")
