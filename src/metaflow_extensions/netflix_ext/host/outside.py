"""What other programs' settings say of channels: conda's, mamba's and rattler's files, conda's variables.

They are looked for where those programs look. Nothing is ever written there.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..engine.channel_settings import CHANNELS_LIE_AT, DEFAULT_CHANNELS, DEFAULTS, ChannelSettings
from ..engine.condarc import Found, Known, from_environment, merge, parse_toml, parse_yaml
from ..engine.errors import SettingError
from ..engine.secret import strip_credentials

_FILES = (".condarc", "condarc", ".mambarc", "mambarc")


def read(environ: Mapping[str, str]) -> dict[str, Known]:
    """Return what they say, by conda's names of settings: variables go over files, a user's files over the machine's.

    Raises SettingError with file and line where one cannot be read.
    """
    found = []
    for path in _rc_files(environ):
        text = _text(path)
        if text is not None:
            found.append(parse_yaml(text, str(path), environ))
    for path in _toml_files(environ):
        text = _text(path)
        if text is not None:
            found.append(parse_toml(text, str(path), environ))
    return {**merge(found), **from_environment(environ)}


def _rc_files(environ: Mapping[str, str]) -> list[Path]:
    """Return where conda's and mamba's files may lie, the one that goes over all others first."""
    home = Path(environ.get("HOME") or Path.home())
    config = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    named = [Path(environ[name]).expanduser() for name in ("MAMBARC", "CONDARC") if environ.get(name)]
    folders = [
        *([Path(environ["CONDA_PREFIX"])] if environ.get("CONDA_PREFIX") else []),
        home,
        home / ".conda",
        config / "mamba",
        config / "conda",
        *(Path(environ[name]) for name in ("MAMBA_ROOT_PREFIX", "CONDA_ROOT") if environ.get(name)),
        Path("/var/lib/conda"),
        Path("/etc/conda"),
    ]
    found = [*named, *(path for folder in folders for path in _in(folder, home))]
    return list(dict.fromkeys(found))


def _in(folder: Path, home: Path) -> Iterator[Path]:
    # In a home only the hidden ones are conda's.
    names = _FILES[::-1] if folder != home else (".mambarc", ".condarc")
    yield from (folder / name for name in names)
    if folder != home and (folder / "condarc.d").is_dir():
        yield from sorted((folder / "condarc.d").glob("*.y*ml"), reverse=True)


def _toml_files(environ: Mapping[str, str]) -> list[Path]:
    """Return where the files of rattler and pixi may lie, in the same order."""
    home = Path(environ.get("HOME") or Path.home())
    config = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    folders = [
        config / "rattler",
        home / ".rattler",
        config / "pixi",
        home / ".pixi",
        Path("/etc/rattler"),
        Path("/etc/pixi"),
    ]
    return [folder / "config.toml" for folder in folders]


def _text(path: Path) -> str | None:
    try:
        return path.read_text("utf-8")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except OSError as error:
        raise SettingError(
            f"'{path}' cannot be read: {error.strerror}",
            "see who may read it, or set METAFLOW_CONDA_CHANNEL_SETTINGS=none",
        ) from error
    except UnicodeDecodeError:
        raise SettingError(f"'{path}' is not text in UTF-8", f"write {path.name} anew") from None


def said(known: Found, name: str) -> Any:
    """Return what is said of *name*, or None."""
    return known[name].value if name in known else None


def channel_settings(known: Found, alias: str | None) -> ChannelSettings:
    """Return what is said of channels, credentials and all."""
    own = {name: (f"{base.rstrip('/')}/{name}",) for name, base in (said(known, "custom_channels") or {}).items()}
    named = {DEFAULTS: tuple(said(known, "default_channels") or DEFAULT_CHANNELS), **own}
    named.update(said(known, "custom_multichannels") or {})
    settings = ChannelSettings(alias=alias, named=named)
    mirrors = {
        strip_credentials(url.rstrip("/")): places[0].rstrip("/")
        for name, places in (said(known, "mirrored_channels") or {}).items()
        if places
        for url in (name if "://" in name else f"{(alias or CHANNELS_LIE_AT).rstrip('/')}/{name}",)
    }
    certificates = said(known, "ssl_verify") or ""
    return replace(
        settings,
        mirrors=mirrors,
        priority=said(known, "channel_priority") or settings.priority,
        proxies=said(known, "proxy_servers") or {},
        certificates=certificates if certificates not in ("true", "false", "truststore") else "",
    )


def urls(settings: ChannelSettings) -> Iterator[str]:
    """Yield the URLs in *settings*, which may have credentials."""
    yield from (url for places in settings.named.values() for url in places)
    yield from settings.mirrors.values()


def public(settings: ChannelSettings) -> ChannelSettings:
    """Return *settings* without credentials, which are kept by the clean URL that they are for."""
    return replace(
        settings,
        alias=strip_credentials(settings.alias) if settings.alias else None,
        named={name: tuple(map(strip_credentials, places)) for name, places in settings.named.items()},
        mirrors={clean: strip_credentials(place) for clean, place in settings.mirrors.items()},
    )


def writable(folders: Iterable[str]) -> Path | None:
    """Return the first of *folders* that may be written to, or made; None where there is none."""
    for folder in folders:
        path = Path(folder).expanduser()
        there = next((place for place in (path, *path.parents) if place.exists()), None)
        if path.is_absolute() and there is not None and there.is_dir() and os.access(there, os.W_OK | os.X_OK):
            return path
    return None
