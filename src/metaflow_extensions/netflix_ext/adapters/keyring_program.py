"""Passwords of indexes from the program ``keyring``, asked as uv and pip ask it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from urllib.parse import quote, unquote, urlsplit

from ..engine.errors import ToolError
from ..engine.secret import strip_credentials
from .process import run


def opened(urls: Iterable[str]) -> dict[str, str]:
    """Return, by clean URL, those *urls* that name a user alone, with the password that is kept for that user.

    Raises ToolError where there is no such program. A user without a password there is left out.
    """
    found = {}
    for url in urls:
        parts = urlsplit(url)
        user, _, host = parts.netloc.rpartition("@")
        if not user or ":" in user or parts.scheme not in ("http", "https"):
            continue
        clean = strip_credentials(url)
        password = _password(clean, unquote(user)) or _password(host, unquote(user))
        if password:
            found[clean] = parts._replace(netloc=f"{user}:{quote(password, safe='')}@{host}").geturl()
    return found


def _password(service: str, user: str) -> str:
    program = shutil.which("keyring")
    if program is None:
        raise ToolError(
            "the settings say that passwords of indexes are asked of the program keyring, and it is not on PATH",
            "pip install keyring, or take keyring-provider (UV_KEYRING_PROVIDER) out of the settings of pip and uv",
        )
    finished = run([program, "get", service, user], environment=dict(os.environ))
    return finished.stdout.strip("\r\n") if finished.returncode == 0 else ""
