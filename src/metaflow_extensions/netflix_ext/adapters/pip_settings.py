"""pip's settings of indexes: its configuration files and ``PIP_*`` variables, read as pip reads them."""

from __future__ import annotations

import configparser
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ..engine.errors import SettingError
from ..engine.index_settings import IndexSettings
from ..engine.options import FIRST_MATCH, PypiOptions
from ..engine.secret import is_public_index, is_url, redact

# What `pip install` obeys, the strongest last.
_SECTIONS = ("global", "install")
_TRUE = {"1": True, "true": True, "yes": True, "on": True, "y": True, "t": True}
_FALSE = {"0": False, "false": False, "no": False, "off": False, "n": False, "f": False, "": False}


def pip_settings(environ: Mapping[str, str], prefix: Path = Path(sys.prefix)) -> IndexSettings:
    """Return what they say; *prefix* is that of the Python whose ``pip.conf`` counts, too.

    A folder that is not there is passed over, as pip does. Raises SettingError for a file or a value that cannot be
    read.
    """
    said: dict[str, tuple[str, str]] = {}
    for file in _files(environ, prefix):
        said.update(_read(file))
    for name, value in environ.items():
        # pip takes an empty variable for none.
        if name.startswith("PIP_") and value:
            said[name[len("PIP_") :].lower().replace("_", "-")] = (value, name)
    return _settings(said)


def _files(environ: Mapping[str, str], prefix: Path) -> Iterator[Path]:
    """Yield the files that there may be, the strongest last (pip's "Configuration files")."""
    own = environ.get("PIP_CONFIG_FILE", "")
    if own == os.devnull:
        return
    home = Path(environ.get("HOME") or os.path.expanduser("~"))
    user = Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "pip" / "pip.conf"
    if sys.platform == "darwin":
        yield Path("/Library/Application Support/pip/pip.conf")
        mac = home / "Library" / "Application Support" / "pip"
        user = mac / "pip.conf" if mac.is_dir() else home / ".config" / "pip" / "pip.conf"
    else:
        for folder in (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(os.pathsep):
            yield Path(folder) / "pip" / "pip.conf"
        yield Path("/etc/pip.conf")
    yield from (home / ".pip" / "pip.conf", user, prefix / "pip.conf")
    if own:
        yield Path(own)


def _read(file: Path) -> dict[str, tuple[str, str]]:
    parser = configparser.RawConfigParser()
    try:
        text = file.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError):
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"pip's settings in '{file}' cannot be read: {error}", "correct the file") from error
    try:
        parser.read_string(text, str(file))
    except configparser.Error as error:
        first = redact(str(error)).splitlines()[0]
        raise SettingError(f"pip's settings in '{file}' cannot be read: {first}", "correct the file") from None
    return {
        name.lower().replace("_", "-").removeprefix("--"): (value, f"{name} in {file}")
        for section in _SECTIONS
        if parser.has_section(section)
        for name, value in parser.items(section)
        if value
    }


def _settings(said: Mapping[str, tuple[str, str]]) -> IndexSettings:
    skipped: list[str] = []

    def sources(name: str) -> tuple[str, ...]:
        value, place = said.get(name, ("", ""))
        urls = ((word, _as_url(word)) for word in value.split())
        return tuple(url for word, url in urls if _there(word, url, place, skipped))

    index, *_ = sources("index-url") or ("",)
    indexes = sources("extra-index-url")
    public = tuple(url for url in indexes if is_public_index(url))
    if index and public:
        # To pip they are all alike; whoever publishes there must not take the place of a private package.
        indexes, index = (*(url for url in indexes if url not in public), index), public[0]
    links = sources("find-links")
    return IndexSettings(
        index=index,
        indexes=indexes,
        options=PypiOptions(
            find_links=links,
            trusted_hosts=tuple(said.get("trusted-host", ("", ""))[0].split()),
            pre=_flag("pre", said),
            no_index=_flag("no-index", said),
            # pip looks at all of them: a mirror that lacks a version must not keep it from the others.
            strategy=FIRST_MATCH if indexes else "",
        ),
        keyring=said.get("keyring-provider", ("", ""))[0] == "subprocess",
        skipped=tuple(skipped),
    )


def _as_url(text: str) -> str:
    if "://" in text:
        return text.rstrip("/") if not text.startswith("file:") else text
    path = text.removeprefix("file:")
    return Path(os.path.abspath(os.path.expanduser(path))).as_uri()


def _there(word: str, url: str, place: str, skipped: list[str]) -> bool:
    """Tell whether *url* can be a source; of a folder that is not there, or what is no URL, say that it is skipped."""
    if url.startswith("file:"):
        if os.path.exists(unquote(urlsplit(url).path)):
            return True
        skipped.append(f"pip's {place}: '{redact(word)}' is skipped: it is neither a file nor a folder")
        return False
    if is_url(url):
        return True
    skipped.append(f"pip's {place}: '{redact(word)}' is skipped: it is not a URL that begins with https:// or http://")
    return False


def _flag(name: str, said: Mapping[str, tuple[str, str]]) -> bool:
    value, place = said.get(name, ("", ""))
    known = {**_TRUE, **_FALSE}
    if value.lower() not in known:
        raise SettingError(f"pip's {place} is '{value}', which it cannot be", "it may be true or false")
    return known[value.lower()]
