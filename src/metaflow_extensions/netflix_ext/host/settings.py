"""The configuration, with types and defaults. A bad value is one error that names its variable."""

from __future__ import annotations

import getpass
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from ..engine.channel_settings import ChannelSettings
from ..engine.condarc import Found, from_environment
from ..engine.errors import ExtensionError, SettingError
from ..engine.formats import FORMATS
from ..engine.layout import FOLDER_NAMES, check_key
from ..engine.obtain import Trust
from ..engine.platform import ARCHES, VirtualPackage
from ..engine.request import DEFAULT_INDEX
from ..engine.secret import has_credentials, is_url, strip_credentials
from ..engine.spec import UV, UV_MANAGED
from ..engine.torch import check_backend
from . import auth_info, outside
from .store import ROOT_NAMES

NAMES = (
    "CONDA_CHANNELS",
    "CONDA_CHANNEL_ALIAS",
    "CONDA_CHANNEL_SETTINGS",
    "CONDA_ENVS_ROOT",
    "CONDA_LOCALROOT",
    "CONDA_S3ROOT",
    "CONDA_AZUREROOT",
    "CONDA_GSROOT",
    "CONDA_PACKAGES_DIRNAME",
    "CONDA_ENVS_DIRNAME",
    "CONDA_DEPENDENCY_RESOLVER",
    "CONDA_INSTALLER",
    "CONDA_LOCAL_DIST",
    "CONDA_LOCAL_DIST_DIRNAME",
    "CONDA_LOCAL_PATH",
    "CONDA_PYPI_DEPENDENCY_RESOLVER",
    "CONDA_MIXED_DEPENDENCY_RESOLVER",
    "CONDA_DEFAULT_PYPI_SOURCE",
    "CONDA_PREFERRED_FORMAT",
    "CONDA_REMOTE_INSTALLER",
    "CONDA_REMOTE_INSTALLER_DIRNAME",
    "CONDA_SYS_DEFAULT_PACKAGES",
    "CONDA_SYS_DEFAULT_GPU_PACKAGES",
    "CONDA_REMOTE_COMMANDS",
    "CONDA_USE_REMOTE_LATEST",
    "CONDA_BUILD_TIMEOUT",
    "CONDA_PYPI_PYTHON",
    "CONDA_INDEX_SETTINGS",
    "CONDA_SRCS_AUTH_INFO",
    "CONDA_TORCH_BACKEND",
)
# Metaflow's own, below which our roots lie where nothing else is said.
SYSROOTS = ("DATASTORE_SYSROOT_S3", "DATASTORE_SYSROOT_AZURE", "DATASTORE_SYSROOT_GS")
_BELOW_SYSROOT = "conda_env"
_ROOTS = {
    "s3": (r"s3://[^/\s?#@]+(/[^?#]+)?", "s3://BUCKET/PREFIX"),
    "azure": (r"[a-z0-9$][a-z0-9-]*(/[^?#]+)?", "CONTAINER/PREFIX, without a scheme"),
    "gs": (r"gs://[^/\s?#@]+(/[^?#]+)?", "gs://BUCKET/PREFIX"),
}
_TAKEN_FOLDERS = ("tools", "code")
_SYSTEM = {"__glibc": "CONDA_OVERRIDE_GLIBC", "__cuda": "CONDA_OVERRIDE_CUDA", "__osx": "CONDA_OVERRIDE_OSX"}
_GPU = "12.4"
# The executables that resolve conda packages in the place of py-rattler.
PROGRAMS = ("micromamba", "mamba", "conda")
# What a setting that is a choice may be, the default first.
CHOICES = {
    "CONDA_CHANNEL_SETTINGS": ("all", "none"),
    "CONDA_INDEX_SETTINGS": ("all", "none"),
    "CONDA_PREFERRED_FORMAT": ("none", *FORMATS),
    "CONDA_DEPENDENCY_RESOLVER": ("rattler", *PROGRAMS),
    "CONDA_INSTALLER": ("rattler", "micromamba", "conda"),
    "CONDA_PYPI_DEPENDENCY_RESOLVER": ("uv", "pip", "none"),
    "CONDA_MIXED_DEPENDENCY_RESOLVER": ("default", "conda-lock", "none"),
    "CONDA_PYPI_PYTHON": ("conda", UV, UV_MANAGED),
}


Reading = Callable[[Mapping[str, str]], Found]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The configuration variables of `docs/reference/configuration.md`; ``secrets`` maps clean URLs to full ones.

    ``roots`` are those of environments, by kind of datastore, as far as they are known; ``folders`` the names there of
    the folders ``packages`` and ``envs``. ``preferred_format`` is that of conda packages in containers, empty for the
    channel's; ``installer`` names the program that installs them there, in the folder ``installer_folder`` of the
    store and with ``{arch}`` in it, empty for ours. ``resolver`` picks conda packages and ``conda_installer`` links
    them on this machine, and ``mixed`` picks packages of both worlds together; where these are executables, they are
    those of ``distribution``, if there is one; it comes from ``distribution_key`` of the store, if that is not empty.
    ``build_seconds`` is how long building one wheel may take; ``interpreter`` is as in `engine.spec.EnvSpec`.
    ``index_settings`` tells whether those of pip and uv count, too.
    ``package_folders`` are the user's own, of conda: packages there are taken, and nothing is written there.
    """

    channels: tuple[str, ...]
    channel_settings: ChannelSettings
    package_folders: tuple[Path, ...]
    envs_root: Path
    local_root: Path | None
    roots: Mapping[str, str]
    folders: Mapping[str, str]
    index: str
    index_settings: bool
    torch_backend: str
    preferred_format: str
    installer: str
    installer_folder: str
    resolver: str
    conda_installer: str
    distribution: Path | None
    distribution_key: str
    pypi: str
    mixed: str
    virtual: Mapping[str, tuple[VirtualPackage, ...]]
    gpu_virtual: Mapping[str, tuple[VirtualPackage, ...]]
    remote_commands: tuple[str, ...]
    trust: Trust
    build_seconds: float
    interpreter: str
    secrets: Mapping[str, str]


def read(values: Mapping[str, Any], environ: Mapping[str, str], files: Reading = from_environment) -> Settings:
    """Give types to raw *values*, by name without ``METAFLOW_``; *environ* holds what other tools define.

    *files* reads what other programs' settings say of channels, see `others`; our own variables go over it.
    """
    known = others(values, environ, files)
    alias = _url("CONDA_CHANNEL_ALIAS", values) or outside.said(known, "channel_alias") or None
    channels = _list("CONDA_CHANNELS", values) or outside.said(known, "channels") or ("conda-forge",)
    index = _url("CONDA_DEFAULT_PYPI_SOURCE", values)
    settings = outside.channel_settings(known, alias)
    told = (*channels, index or "", alias or "", *outside.urls(settings))
    by_host = auth_info.of_hosts(_text("CONDA_SRCS_AUTH_INFO", values))
    urls = [url.rstrip("/") for url in told if has_credentials(url)]
    return Settings(
        channels=tuple(channel_name(channel) for channel in channels),
        channel_settings=outside.public(settings),
        package_folders=tuple(Path(folder).expanduser() for folder in outside.said(known, "pkgs_dirs") or ()),
        local_root=_folder("CONDA_LOCALROOT", values),
        roots={kind: root for kind in _ROOTS if (root := _root(kind, values))},
        folders=_folders(values),
        envs_root=_folder("CONDA_ENVS_ROOT", values)
        or outside.writable(outside.said(known, "envs_dirs") or ())
        or Path(platformdirs.user_cache_dir("metaflow-netflixext")) / "envs",
        index=strip_credentials(index) if index else DEFAULT_INDEX,
        index_settings=_choice("CONDA_INDEX_SETTINGS", values) != "none",
        torch_backend=_backend("CONDA_TORCH_BACKEND", values),
        preferred_format=_format("CONDA_PREFERRED_FORMAT", values),
        installer=_key(
            "CONDA_REMOTE_INSTALLER", values, "the name of a file in the store, such as 'micromamba-{arch}'"
        ),
        installer_folder=_key("CONDA_REMOTE_INSTALLER_DIRNAME", values, "the name of a folder in the store"),
        resolver=_choice("CONDA_DEPENDENCY_RESOLVER", values),
        conda_installer=_choice("CONDA_INSTALLER", values),
        distribution=_folder("CONDA_LOCAL_PATH", values),
        distribution_key=_distribution(values),
        pypi=_choice("CONDA_PYPI_DEPENDENCY_RESOLVER", values),
        mixed=_choice("CONDA_MIXED_DEPENDENCY_RESOLVER", values),
        virtual=_virtual("CONDA_SYS_DEFAULT_PACKAGES", values, environ),
        gpu_virtual=_virtual("CONDA_SYS_DEFAULT_GPU_PACKAGES", values, {}) or _default_gpu(environ),
        remote_commands=_list("CONDA_REMOTE_COMMANDS", values) or ("batch", "kubernetes"),
        trust=_trust("CONDA_USE_REMOTE_LATEST", values),
        interpreter=_choice("CONDA_PYPI_PYTHON", values).removeprefix("conda"),
        build_seconds=_seconds("CONDA_BUILD_TIMEOUT", values, 3600.0),
        secrets={**by_host, **{strip_credentials(url): url for url in urls}},
    )


def others(values: Mapping[str, Any], environ: Mapping[str, str], files: Reading = outside.read) -> Found:
    """Return what the settings of conda, mamba and rattler say: their variables, and by *files* those that count."""
    return (files if _choice("CONDA_CHANNEL_SETTINGS", values) == "all" else from_environment)(environ)


def check_envs_root(root: Path, folder: Path) -> None:
    """Raise SettingError where prefixes would lie in *folder*, whose files Metaflow packs for every run."""
    if root.is_relative_to(folder) and not any(part.startswith(".") for part in root.relative_to(folder).parts):
        raise SettingError(
            f"METAFLOW_CONDA_ENVS_ROOT is '{root}', below the folder of the flow: Metaflow packs what lies there",
            "choose a folder elsewhere, or one whose name begins with a dot",
        )


def channel_name(channel: str) -> str:
    """Return a channel as specs hold it: a name, a clean URL, or a ``file://`` URL for a folder."""
    text = channel.strip().rstrip("/")
    if text.startswith(("/", "./", "../", "~")):
        return Path(os.path.expanduser(text)).absolute().as_uri()
    return strip_credentials(text)


def _bad(name: str, value: object, may_be: str) -> SettingError:
    return SettingError(f"METAFLOW_{name} is '{value}', which it cannot be", f"METAFLOW_{name} may be {may_be}")


def _text(name: str, values: Mapping[str, Any]) -> str:
    """Return a value as text: Metaflow's configuration files may hold lists and objects where variables hold JSON."""
    value = values.get(name)
    return "" if value is None else value.strip() if isinstance(value, str) else json.dumps(value)


def _choice(name: str, values: Mapping[str, Any]) -> str:
    choices = CHOICES[name]
    value = _text(name, values) or choices[0]
    if value not in choices:
        raise _bad(name, value, " or ".join(f"'{choice}'" for choice in choices))
    return value


def _split(text: str) -> tuple[str, ...]:
    return tuple(part for part in re.split(r"[,\s]+", text.strip()) if part)


def _list(name: str, values: Mapping[str, Any]) -> tuple[str, ...]:
    text = _text(name, values)
    if not text.startswith("["):
        return _split(text)
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, list) or not all(isinstance(item, str) and item.strip() for item in found):
        raise _bad(name, text, "a comma-separated list, or a JSON list of texts")
    return tuple(item.strip() for item in found)


def _url(name: str, values: Mapping[str, Any]) -> str | None:
    text = _text(name, values).rstrip("/")
    if not text:
        return None
    if not is_url(text):
        raise _bad(name, text, "a URL that begins with https://, http:// or file://")
    return text


def _folder(name: str, values: Mapping[str, Any]) -> Path | None:
    text = _text(name, values)
    if not text:
        return None
    path = Path(os.path.expanduser(text))  # which leaves the home of an unknown user as it is
    if not path.is_absolute():
        raise _bad(name, text, "an absolute path of a folder (it is made where there is none)")
    return path


def _root(kind: str, values: Mapping[str, Any]) -> str | None:
    """Return the root of environments in a kind of datastore: what is said, else a folder below Metaflow's own root."""
    name = ROOT_NAMES[kind]
    text = _text(name, values).rstrip("/")
    if not text:
        sysroot = _text(f"DATASTORE_SYSROOT_{kind.upper()}", values).rstrip("/")
        return f"{sysroot}/{_BELOW_SYSROOT}" if sysroot else None
    pattern, may_be = _ROOTS[kind]
    parts = text.partition("://")[2].split("/") if "://" in text else text.split("/")
    if not re.fullmatch(pattern, text) or any(part in ("", ".", "..") for part in parts):
        raise _bad(name, _text(name, values), may_be)
    return text


def _folders(values: Mapping[str, Any]) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for usual, name in FOLDER_NAMES.items():
        text = _text(name, values) or usual
        if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", text) or text in (*_TAKEN_FOLDERS, *found.values()):
            taken = ", ".join(f"'{word}'" for word in (*_TAKEN_FOLDERS, *found.values()))
            raise _bad(name, text, f"the name of one folder, of letters, digits, '_', '-' and '.', and none of {taken}")
        found[usual] = text
    return found


def _format(name: str, values: Mapping[str, Any]) -> str:
    found = _choice(name, values)
    return "" if found == "none" else found


def _key(name: str, values: Mapping[str, Any], may_be: str) -> str:
    """Return a key in the store, or a part of one; empty where nothing is said."""
    text = _text(name, values)
    try:
        return check_key(text) if text else ""
    except ExtensionError:
        raise _bad(name, text, may_be) from None


def _distribution(values: Mapping[str, Any]) -> str:
    """Return the key of the distribution in the store; raise SettingError where only a part of it is said."""
    folder = _key("CONDA_LOCAL_DIST_DIRNAME", values, "the name of a folder in the store")
    name = _key("CONDA_LOCAL_DIST", values, "the name of a file in the store, such as 'conda-{arch}.tar.gz'")
    if name and not _folder("CONDA_LOCAL_PATH", values):
        raise SettingError(
            f"METAFLOW_CONDA_LOCAL_DIST is '{name}', and METAFLOW_CONDA_LOCAL_PATH does not say where it is to lie",
            "set METAFLOW_CONDA_LOCAL_PATH to a folder of this machine, or leave METAFLOW_CONDA_LOCAL_DIST unset",
        )
    return "/".join(part for part in (folder, name) if part) if name else ""


def _backend(name: str, values: Mapping[str, Any]) -> str:
    text = _text(name, values)
    try:
        return check_backend(text) if text else ""
    except ExtensionError as error:
        raise _bad(name, text, error.hint.removeprefix("write ")) from None


def _trust(name: str, values: Mapping[str, Any]) -> Trust:
    words = _list(name, values) or (":none:",)
    if words == (":any:",):
        return Trust(users=None)
    if any(word.startswith(":") and word not in (":none:", ":username:") for word in words) or (
        ":none:" in words and len(words) > 1
    ):
        raise _bad(name, ",".join(words), "':none:', ':username:', ':any:', or names of users, separated by commas")
    return Trust(users=tuple(user() if word == ":username:" else word for word in words if word != ":none:"))


def _seconds(name: str, values: Mapping[str, Any], usual: float) -> float:
    text = _text(name, values)
    try:
        found = float(text) if text else usual
    except ValueError:
        found = 0.0
    if not 0 < found < float("inf"):
        raise _bad(name, text, "a number of seconds above 0")
    return found


def user() -> str:
    """Return who works here: ``METAFLOW_USER``, else the user of the system."""
    try:
        return os.environ.get("METAFLOW_USER") or getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def _virtual(
    name: str, values: Mapping[str, Any], environ: Mapping[str, str]
) -> Mapping[str, tuple[VirtualPackage, ...]]:
    text = _text(name, values) or "{}"
    may_be = 'a JSON object such as {"linux-64": {"__glibc": "2.28"}}'
    try:
        found = json.loads(text)
        by_arch = {arch: dict(packages) for arch, packages in found.items()}
        unknown = [arch for arch in by_arch if arch not in ARCHES]
        if unknown:
            raise _bad(name, text, f"{may_be}, for {', '.join(ARCHES)}")
        for arch in ARCHES:
            by_arch.setdefault(arch, {}).update(_overrides(arch, environ))
        return {
            arch: tuple(VirtualPackage.from_pair(key, value) for key, value in packages.items())
            for arch, packages in by_arch.items()
            if packages
        }
    except SettingError:
        raise
    except (ExtensionError, ValueError, TypeError, AttributeError):
        raise _bad(name, text, may_be) from None


def _overrides(arch: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return what ``CONDA_OVERRIDE_*`` says for *arch*, as conda reads them."""
    own = ("__osx", "__cuda") if arch.startswith("osx") else ("__glibc", "__cuda")
    return {name: _override(name, environ) for name in own if environ.get(_SYSTEM[name])}


def _override(name: str, environ: Mapping[str, str]) -> str:
    text = environ[_SYSTEM[name]]
    try:
        return VirtualPackage.from_pair(name, text).version
    except ExtensionError:
        raise SettingError(
            f"{_SYSTEM[name]} is '{text}', which it cannot be", f"{_SYSTEM[name]} may be a version such as '2.28'"
        ) from None


def _default_gpu(environ: Mapping[str, str]) -> Mapping[str, tuple[VirtualPackage, ...]]:
    cuda = VirtualPackage("__cuda", _override("__cuda", environ) if environ.get(_SYSTEM["__cuda"]) else _GPU)
    return {arch: (cuda,) for arch in ARCHES if arch.startswith("linux")}
