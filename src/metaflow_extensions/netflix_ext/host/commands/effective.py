"""Every setting as it counts now, and who has set it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

from ...engine.condarc import KEYS, Found
from ...engine.index_settings import IndexSettings
from ...engine.platform import VirtualPackage
from ...engine.request import DEFAULT_INDEX
from ...engine.secret import redact
from .. import compat
from ..settings import CHOICES, NAMES, SYSROOTS, Settings, others

# What conda's files and variables have to say of our own settings.
_SHARED = {"CONDA_CHANNELS": "channels", "CONDA_CHANNEL_ALIAS": "channel_alias", "CONDA_ENVS_ROOT": "envs_dirs"}
_HIDDEN = ("CONDA_SRCS_AUTH_INFO",)
# conda's variables that say what the machine has, where ours do not.
_OVERRIDES = {
    "CONDA_SYS_DEFAULT_PACKAGES": ("CONDA_OVERRIDE_GLIBC", "CONDA_OVERRIDE_CUDA", "CONDA_OVERRIDE_OSX"),
    "CONDA_SYS_DEFAULT_GPU_PACKAGES": ("CONDA_OVERRIDE_CUDA",),
}
_DEFAULT = "default"
_EFFECTIVE: Mapping[str, Callable[[Settings], Any]] = {
    "CONDA_CHANNELS": lambda settings: settings.channels,
    "CONDA_CHANNEL_ALIAS": lambda settings: settings.channel_settings.alias,
    "CONDA_ENVS_ROOT": lambda settings: settings.envs_root,
    "CONDA_LOCALROOT": lambda settings: settings.local_root,
    "CONDA_S3ROOT": lambda settings: settings.roots.get("s3"),
    "CONDA_AZUREROOT": lambda settings: settings.roots.get("azure"),
    "CONDA_GSROOT": lambda settings: settings.roots.get("gs"),
    "CONDA_PACKAGES_DIRNAME": lambda settings: settings.folders["packages"],
    "CONDA_ENVS_DIRNAME": lambda settings: settings.folders["envs"],
    "CONDA_LOCAL_PATH": lambda settings: settings.distribution,
    "CONDA_DEFAULT_PYPI_SOURCE": lambda settings: settings.index if settings.index != DEFAULT_INDEX else None,
    "CONDA_SYS_DEFAULT_PACKAGES": lambda settings: _versions(settings.virtual),
    "CONDA_SYS_DEFAULT_GPU_PACKAGES": lambda settings: _versions(settings.gpu_virtual),
    "CONDA_REMOTE_COMMANDS": lambda settings: settings.remote_commands,
    "CONDA_USE_REMOTE_LATEST": lambda settings: (
        ":any:" if settings.trust.users is None else settings.trust.users or ":none:"
    ),
    "CONDA_BUILD_TIMEOUT": lambda settings: f"{settings.build_seconds:g}",
}
_CONDA: Mapping[str, Callable[[Settings], Any]] = {
    "channel_priority": lambda settings: settings.channel_settings.priority,
    "default_channels": lambda settings: settings.channel_settings.named["defaults"],
    "mirrored_channels": lambda settings: dict(settings.channel_settings.mirrors),
    "pkgs_dirs": lambda settings: tuple(map(str, settings.package_folders)),
    "proxy_servers": lambda settings: dict(settings.channel_settings.proxies),
}


# By pip's names where it has one, else by uv's.
_INDEXES: Mapping[str, Callable[[IndexSettings], Any]] = {
    "index-url": lambda found: found.index,
    "extra-index-url": lambda found: found.indexes,
    "find-links": lambda found: found.options.find_links,
    "no-index": lambda found: found.options.no_index,
    "pre": lambda found: found.options.pre,
    "trusted-host": lambda found: found.options.trusted_hosts,
    "index-strategy": lambda found: found.options.strategy,
    "torch-backend": lambda found: found.options.torch_backend,
    "keyring-provider": lambda found: "subprocess" if found.keyring else "",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A setting: its name, its value as text (empty: none), and what has set it."""

    name: str
    value: str
    source: str


def rows(
    environ: Mapping[str, str],
    settings: Settings,
    indexes: Mapping[str, IndexSettings],
    options: Mapping[str, str],
) -> list[Row]:
    """Return all settings: ours, those that conda, mamba and rattler keep of channels, uv's and pip's of indexes.

    *settings* are those that were made of the same, *indexes* is what each says of indexes, the strongest first, and
    *options* are those of the command that replace a setting, by its name.
    Raises SettingError.
    """
    values = compat.configured(NAMES + SYSROOTS)
    known = others(values, environ)
    sources = {name: _source(name, values, environ, known) for name in NAMES} | dict(options)
    ours = [_ours(name, values, sources[name], settings) for name in NAMES]
    names = [name for name in KEYS if name not in _SHARED.values()]
    theirs = [
        Row(
            name=name,
            value=_text(_CONDA[name](settings) if name in _CONDA else known[name].value if name in known else None),
            source=known[name].source if name in known else _DEFAULT,
        )
        for name in names
    ]
    return [*ours, *theirs, *(_of_indexes(name, values_of, indexes) for name, values_of in _INDEXES.items())]


def unknown(environ: Mapping[str, str]) -> list[str]:
    """Return the variables that look like settings of ours and are none, as some of 1.x and misspelt ones."""
    found = (name for name, value in environ.items() if value and name.startswith("METAFLOW_CONDA_"))
    return sorted(name for name in found if name[len("METAFLOW_") :] not in NAMES)


def _of_indexes(name: str, values_of: Callable[[IndexSettings], Any], told: Mapping[str, IndexSettings]) -> Row:
    value = values_of(reduce(IndexSettings.over, told.values()))
    who = [f"{whose}'s settings" if whose != "ours" else whose for whose, found in told.items() if values_of(found)]
    return Row(name=name, value=_text(value or None), source=" and ".join(who) or _DEFAULT)


def _source(name: str, values: Mapping[str, Any], environ: Mapping[str, str], known: Found) -> str:
    variable, shared = f"METAFLOW_{name}", known.get(_SHARED.get(name, ""))
    if environ.get(variable):
        return f"the variable {variable}"
    if values.get(name) not in (None, ""):
        return "Metaflow's configuration"
    if shared is not None:
        return shared.source
    overrides = [f"the variable {word}" for word in _OVERRIDES.get(name, ()) if environ.get(word)]
    return " and ".join(overrides) or _DEFAULT


def _ours(name: str, values: Mapping[str, Any], source: str, settings: Settings) -> Row:
    plain = values.get(name) or CHOICES.get(name, (None,))[0]
    effective = _EFFECTIVE[name](settings) if name in _EFFECTIVE else plain
    shown = "(set)" if name in _HIDDEN and effective else _text(effective)
    return Row(name=f"METAFLOW_{name}", value=shown, source=source)


def _versions(virtual: Mapping[str, tuple[VirtualPackage, ...]]) -> dict[str, str]:
    return {arch: " ".join(f"{item.name}={item.version}" for item in items) for arch, items in virtual.items()}


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, (tuple, list)):
        return ", ".join(redact(str(item)) for item in value)
    if isinstance(value, dict):
        return "; ".join(f"{key}: {_text(item)}" for key, item in value.items())
    return redact(value if isinstance(value, str) else json.dumps(value, default=str).strip('"'))
