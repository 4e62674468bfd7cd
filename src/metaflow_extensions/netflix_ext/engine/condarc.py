"""Read the configuration files of conda, mamba (YAML) and rattler (TOML), as far as they say something of channels.

Source: the settings of conda (docs.conda.io, "Using the .condarc conda configuration file"), ``mirrored_channels`` of
mamba, and rattler's ``config.toml``. What is not known here is nobody's mistake: those files are other programs'.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .channel_settings import PRIORITIES
from .errors import SettingError
from .toml import read_toml

_LISTS = ("channels", "default_channels", "pkgs_dirs", "envs_dirs")
_MAPS = ("custom_channels", "proxy_servers")
_MAPS_OF_LISTS = ("custom_multichannels", "mirrored_channels")
_TEXTS = ("channel_alias", "channel_priority", "ssl_verify")
KEYS = (*_LISTS, *_MAPS, *_MAPS_OF_LISTS, *_TEXTS)
_ALSO = {"channel": "channels", "envs_path": "envs_dirs", "pkgs_path": "pkgs_dirs"}
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_YES = ("true", "yes", "on", "1")
_NO = ("false", "no", "off", "0")


@dataclass(frozen=True, slots=True)
class Known:
    """A value, and who says so: a file and a line, or a variable."""

    value: Any
    source: str


Found = Mapping[str, Known]


def parse_yaml(text: str, file: str, environ: Mapping[str, str]) -> dict[str, Known]:
    """Return what *file*, a .condarc or .mambarc, says; raise SettingError with the line where it cannot be read."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        root = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{file}, line {mark.line + 1}" if mark else file
        raise SettingError(f"{where}: this is not YAML: {error.problem or error.context}", f"mend {file}") from None
    except (YAMLError, RecursionError) as error:
        raise SettingError(f"{file}: this is not YAML: {error}", f"mend {file}") from None
    if root is None:
        return {}
    if root.id != "mapping":
        raise SettingError(f"{file}, line 1: there are no keys", "write for example 'channels:' and a list below it")
    found = {}
    for key, node in root.value:
        name = _ALSO.get(str(key.value), str(key.value))
        if name in KEYS:
            where = f"{file}, line {key.start_mark.line + 1}"
            found[name] = Known(_checked(name, _plain(node), where, environ), where)
    return found


def parse_toml(text: str, file: str, environ: Mapping[str, str]) -> dict[str, Known]:
    """Return what *file*, rattler's or pixi's config.toml, says; raise SettingError where it cannot be read."""
    try:
        content = read_toml(text)
    except (ValueError, RecursionError) as error:
        raise SettingError(f"{file}: this is not TOML: {error}", f"mend {file}") from None
    proxies = content.get("proxy-config")
    given = {
        "channels": content.get("default-channels"),
        "mirrored_channels": content.get("mirrors"),
        "ssl_verify": "false" if content.get("tls-no-verify") is True else None,
        "proxy_servers": {key: proxies[key] for key in ("http", "https") if proxies.get(key)} if proxies else None,
    }
    return {
        name: Known(_checked(name, value, file, environ), file) for name, value in given.items() if value is not None
    }


def merge(found: Sequence[Found]) -> dict[str, Known]:
    """Return one of several files, the first of which goes over the others: lists and maps add up, as conda has it."""
    merged: dict[str, Known] = {}
    for one in found:
        for name, known in one.items():
            before = merged.get(name)
            if before is None:
                merged[name] = known
            elif name in _LISTS:
                value = tuple(dict.fromkeys((*before.value, *known.value)))
                merged[name] = Known(value, f"{before.source}; {known.source}")
            elif name not in _TEXTS:
                merged[name] = Known({**known.value, **before.value}, f"{before.source}; {known.source}")
    return merged


def from_environment(environ: Mapping[str, str]) -> dict[str, Known]:
    """Return what the variables of conda say: ``CONDA_CHANNELS`` and its like, lists separated by commas."""
    found = {}
    for name in (*_LISTS, *_TEXTS):
        for variable in (f"CONDA_{name.upper()}", *(["CONDA_ENVS_PATH"] if name == "envs_dirs" else [])):
            text = environ.get(variable, "").strip()
            if text and name not in found:
                separator = r"[,:]" if name == "envs_dirs" else r"[,\s]+" if name.endswith("channels") else r","
                value = [part.strip() for part in re.split(separator, text)] if name in _LISTS else text
                found[name] = Known(_checked(name, value, variable, environ), variable)
    return found


def _plain(node: Any) -> Any:
    if node.id == "scalar":
        return node.value
    if node.id == "sequence":
        return [_plain(item) for item in node.value]
    return {str(key.value): _plain(value) for key, value in node.value}


def _checked(name: str, value: Any, where: str, environ: Mapping[str, str]) -> Any:
    """Return *value* in the form of *name*, variables filled in; raise SettingError where it is of another."""
    if name in _LISTS:
        items = [value] if isinstance(value, str) else value
        if isinstance(items, list) and all(isinstance(item, str) for item in items):
            return tuple(filled for item in items if (filled := _filled(item, environ).strip()))
        raise _bad(name, where, "a list of texts")
    if name in _MAPS or name in _MAPS_OF_LISTS:
        if not isinstance(value, dict):
            raise _bad(name, where, "names with their values below them")
        return {key: _entry(name, item, where, environ) for key, item in value.items()}
    if not isinstance(value, str):
        raise _bad(name, where, "one text")
    return _text(name, _filled(value, environ).strip(), where)


def _entry(name: str, value: Any, where: str, environ: Mapping[str, str]) -> Any:
    if name in _MAPS and isinstance(value, str):
        return _filled(value, environ)
    if name in _MAPS_OF_LISTS:
        items = [value] if isinstance(value, str) else value
        if isinstance(items, list) and all(isinstance(item, str) for item in items):
            return tuple(_filled(item, environ) for item in items)
    raise _bad(name, where, "names with texts" if name in _MAPS else "names with lists of texts")


def _text(name: str, text: str, where: str) -> str:
    low = text.lower()
    if name == "channel_priority":
        meant = {**dict.fromkeys(_YES, "flexible"), **dict.fromkeys(_NO, "disabled")}.get(low, low)
        if meant not in PRIORITIES:
            raise _bad(name, where, " or ".join(f"'{word}'" for word in PRIORITIES), text)
        return meant
    if name == "ssl_verify":
        return "true" if low in _YES else "false" if low in _NO else text
    return text


def _filled(text: str, environ: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda match: environ.get(match.group(1) or match.group(2), match.group()), text)


def _bad(name: str, where: str, may_be: str, value: str = "") -> SettingError:
    told = f"is '{value}', which it cannot be" if value else "is of another form"
    return SettingError(f"{where}: {name} {told}", f"{name} may be {may_be}")
