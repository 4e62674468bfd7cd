"""Where conda's and rattler's programs keep the credentials of channels.

`rattler auth login`, pixi and rattler-build share one file; anaconda-client keeps a file for each server, whose token
conda puts into the path of URLs. py-rattler reads the former by itself, and we for what is fetched without it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote_plus

import platformdirs

from ..engine.errors import SettingError
from ..engine.secret import BEARER


def stored(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return, by the address of a server, the same with the credentials that are kept for it.

    Raises SettingError for a file that RATTLER_AUTH_FILE names and that cannot be read.
    """
    return {**_tokens(environ), **_rattler(environ)}


def _rattler(environ: Mapping[str, str]) -> dict[str, str]:
    named = environ.get("RATTLER_AUTH_FILE")
    home = Path(environ.get("HOME") or os.path.expanduser("~"))
    file = Path(named) if named else home / ".rattler" / "credentials.json"
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        pairs = list(values.items())
    except (OSError, ValueError, AttributeError) as error:
        if named:
            why = error.strerror if isinstance(error, OSError) else "it is no JSON object"
            raise SettingError(
                f"RATTLER_AUTH_FILE is '{named}', which cannot be read: {why}", "name the file, or take it away"
            ) from None
        return {}
    # As rattler does, without a look at the scheme.
    addresses = ((f"{scheme}://{host}", scheme, host, kept) for scheme in ("https", "http") for host, kept in pairs)
    return {address: url for address, scheme, host, kept in addresses if (url := _url(scheme, host, kept))}


def _url(scheme: str, host: str, kept: Any) -> str:
    """Return the address of *host* with what is kept for it; nothing for a wildcard, or a kind that is not for http."""
    if not isinstance(kept, dict) or "*" in host:
        return ""
    basic = kept.get("BasicHTTP") or kept.get("BasicHttp")
    if isinstance(basic, dict):
        user, password = str(basic.get("username", "")), str(basic.get("password", ""))
        return f"{scheme}://{quote(user, safe='')}:{quote(password, safe='')}@{host}"
    if isinstance(kept.get("CondaToken"), str):
        return f"{scheme}://{host}/t/{quote(kept['CondaToken'], safe='')}"
    if isinstance(kept.get("BearerToken"), str):
        return f"{scheme}://{BEARER}:{quote(kept['BearerToken'], safe='')}@{host}"
    return ""


def _tokens(environ: Mapping[str, str]) -> dict[str, str]:
    own = environ.get("BINSTAR_CONFIG_DIR")
    folder = Path(own) / "data" if own else Path(platformdirs.user_data_dir("binstar", "ContinuumIO"))
    found = {}
    try:
        files = sorted(folder.glob("*.token"))
    except OSError:
        return {}
    for file in files:
        try:
            token = file.read_text(encoding="utf-8").strip()
        except (OSError, ValueError):
            continue
        url = unquote_plus(file.name[: -len(".token")]).rstrip("/")
        for address in (url, url.replace("://api.", "://conda.")):
            scheme, _, rest = address.partition("://")
            if token and rest:
                host, slash, path = rest.partition("/")
                found[address] = f"{scheme}://{host}/t/{quote(token, safe='-_.~')}{slash}{path}"
    return found
