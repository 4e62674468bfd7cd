"""Credentials by host, as ``CONDA_SRCS_AUTH_INFO`` has them."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote

from ..engine.errors import SettingError

_NAME = "METAFLOW_CONDA_SRCS_AUTH_INFO"


def of_hosts(text: str) -> dict[str, str]:
    """Return what *text* says, from the address of a host to the same with its credentials; empty text says nothing.

    Raises SettingError, which does not show the value.
    """
    found = {}
    for host, (user, password) in _pairs(text).items():
        for scheme in ("https", "http"):
            found[f"{scheme}://{host}"] = f"{scheme}://{quote(user, safe='')}:{quote(password, safe='')}@{host}"
    return found


def _pairs(text: str) -> dict[str, tuple[str, str]]:
    try:
        values = json.loads(text) if text else {}
    except ValueError:
        values = None
    if not isinstance(values, dict) or not all(_is_pair(host, pair) for host, pair in values.items()):
        raise SettingError(
            f"{_NAME} holds what it cannot (it is not shown here)",
            f'{_NAME} may be a JSON object of hosts such as {{"packages.example.org": ["user", "password"]}}, with the '
            'port where it is not the usual one: "packages.example.org:8443"',
        )
    return {host: (pair[0], pair[1]) for host, pair in values.items()}


def _is_pair(host: str, pair: Any) -> bool:
    return (
        re.fullmatch(r"[^\s/@?#]+", host) is not None
        and isinstance(pair, list)
        and len(pair) == 2
        and all(isinstance(part, str) for part in pair)
    )
