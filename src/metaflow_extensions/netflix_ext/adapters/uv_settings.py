"""uv's settings of indexes: its configuration files and ``UV_*`` variables, read as uv reads them.

They are read beside uv, so that what they name becomes part of a spec, and its credentials are known where we talk to
an index without uv.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from ..engine.errors import SettingError
from ..engine.index_settings import IndexSettings
from ..engine.options import FIRST_INDEX, FIRST_MATCH, PypiOptions
from ..engine.secret import is_url, redact
from ..engine.toml import read_toml

_STRATEGIES = (FIRST_INDEX, FIRST_MATCH, "unsafe-best-match")


def uv_settings(environ: Mapping[str, str], folder: Path) -> IndexSettings:
    """Return what they say to a process in *folder*. Raises SettingError for what cannot be read."""
    found = _variables(environ)
    for file, tables in _documents(environ, folder):
        for table in (tables, tables.get("pip", {})):
            found = found.over(_document(table, file, environ))
    return found


def _variables(environ: Mapping[str, str]) -> IndexSettings:
    named: dict[str, str] = {}

    def read(*names: str) -> tuple[str, ...]:
        found = []
        for variable in names:
            for word in environ.get(variable, "").split():
                name, equals, url = word.partition("=")
                name, url = (name, url) if equals and re.fullmatch(r"[\w.\-]+", name) else ("", word)
                found.append(_url(_opened(url, name, environ), variable))
                if name:
                    named[name] = found[-1]
        return tuple(found)

    index = read("UV_DEFAULT_INDEX") or read("UV_INDEX_URL")
    return IndexSettings(
        index=index[0] if index else "",
        indexes=read("UV_INDEX", "UV_EXTRA_INDEX_URL"),
        options=PypiOptions(
            find_links=tuple(
                _url(link, "UV_FIND_LINKS") for link in re.split(r"[\s,]+", environ.get("UV_FIND_LINKS", "")) if link
            ),
            trusted_hosts=tuple(environ.get("UV_INSECURE_HOST", "").split()),
            pre=environ.get("UV_PRERELEASE") == "allow",
            strategy=_strategy(environ.get("UV_INDEX_STRATEGY", ""), "UV_INDEX_STRATEGY"),
            torch_backend=environ.get("UV_TORCH_BACKEND", ""),
        ),
        named=named,
        keyring=environ.get("UV_KEYRING_PROVIDER") == "subprocess",
    )


def _documents(environ: Mapping[str, str], folder: Path) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Yield the files that count, the strongest first: the project's, the user's, the system's."""
    if environ.get("UV_NO_CONFIG", "").lower() in ("1", "true", "yes", "on"):
        return
    if environ.get("UV_CONFIG_FILE"):
        file = Path(environ["UV_CONFIG_FILE"])
        yield file, _tables(file) or {}
        return
    for place in (folder, *folder.parents):
        own = place / "uv.toml"
        tables = _tables(own)
        if tables is None:
            own = place / "pyproject.toml"
            tables = ((_tables(own) or {}).get("tool") or {}).get("uv")
        if tables is not None:
            yield own, tables
            break
    home = Path(environ.get("XDG_CONFIG_HOME") or Path(environ.get("HOME") or os.path.expanduser("~")) / ".config")
    system = [Path(part) for part in environ.get("XDG_CONFIG_DIRS", "").split(os.pathsep) if part]
    for file in (home / "uv" / "uv.toml", *(place / "uv" / "uv.toml" for place in (*system, Path("/etc")))):
        yield file, _tables(file) or {}


def _tables(file: Path) -> dict[str, Any] | None:
    try:
        return read_toml(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError):
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise SettingError(
            f"uv's settings in '{file}' cannot be read: {redact(str(error))}", "correct the file"
        ) from None


def _document(table: Mapping[str, Any], file: Path, environ: Mapping[str, str]) -> IndexSettings:
    default, indexes, links, named = "", [], [], {}  # type: tuple[str, list[str], list[str], dict[str, str]]
    for item in _list(table, "index", file):
        if not isinstance(item, dict) or not isinstance(item.get("url"), str):
            raise SettingError(f"uv's settings in '{file}': an index without a url", "write url = 'https://...' in it")
        name = str(item.get("name", ""))
        url = _url(_opened(item["url"], name, environ), f"index in {file}", file.parent)
        if name:
            named[name] = url
        if item.get("format") == "flat":
            links.append(url)
        elif item.get("default") is True:
            default = default or url
        elif item.get("explicit") is not True:
            indexes.append(url)
    older = table.get("index-url")
    indexes += [
        _url(str(url), f"extra-index-url in {file}", file.parent) for url in _list(table, "extra-index-url", file)
    ]
    links += [_url(str(url), f"find-links in {file}", file.parent) for url in _list(table, "find-links", file)]
    return IndexSettings(
        index=default or (_url(str(older), f"index-url in {file}", file.parent) if older else ""),
        indexes=tuple(indexes),
        options=PypiOptions(
            find_links=tuple(links),
            trusted_hosts=tuple(str(host) for host in _list(table, "allow-insecure-host", file)),
            pre=table.get("prerelease") == "allow",
            no_index=table.get("no-index") is True,
            strategy=_strategy(str(table.get("index-strategy", "")), f"index-strategy in {file}"),
            torch_backend=str(table.get("torch-backend", "")),
        ),
        named=named,
        keyring=table.get("keyring-provider") == "subprocess",
    )


def _list(table: Mapping[str, Any], key: str, file: Path) -> list[Any]:
    found = table.get(key, [])
    if not isinstance(found, list):
        raise SettingError(f"uv's settings in '{file}': {key} is no list", "correct the file")
    return found


def _opened(url: str, name: str, environ: Mapping[str, str]) -> str:
    """Return *url* with the credentials that ``UV_INDEX_<NAME>_USERNAME`` and ``_PASSWORD`` give to *name*."""
    key = re.sub(r"\W", "_", name).upper()
    user, password = environ.get(f"UV_INDEX_{key}_USERNAME"), environ.get(f"UV_INDEX_{key}_PASSWORD")
    parts = urlsplit(url)
    if not name or (user is None and password is None) or "@" in parts.netloc:
        return url
    return parts._replace(
        netloc=f"{quote(user or '', safe='')}:{quote(password or '', safe='')}@{parts.netloc}"
    ).geturl()


def _url(text: str, place: str, folder: Path | None = None) -> str:
    if "://" not in text:
        return Path(os.path.abspath((folder or Path.cwd()) / os.path.expanduser(text))).as_uri()
    if not is_url(text):
        raise SettingError(
            f"uv's {place}: '{redact(text)}' is not the URL of an index",
            "write https://, http:// or file:// and where it is",
        )
    return text if text.startswith("file:") else text.rstrip("/")


def _strategy(text: str, place: str) -> str:
    if text and text not in _STRATEGIES:
        raise SettingError(f"uv's {place} is '{text}', which it cannot be", f"it may be {', '.join(_STRATEGIES)}")
    return text
