"""One comparison with a version, as conda writes it. Imports on Python 3.7 (step side)."""

from __future__ import annotations

import re

_COMPARISON = re.compile(
    r"(?P<operator>[<>]=?|[=!]=|~=|=)?(?P<version>\w[\w+!\-]*(?:\.[\w+!\-]+)*)?(?P<star>\.?\*)?", re.ASCII
)


def comparison(text: str) -> str:
    """Return *text* in its normal form, ``*`` where anything meets it; raise ValueError where it is no comparison."""
    match = _COMPARISON.fullmatch(text)
    if match is None:
        raise ValueError(text)
    operator, star = match.group("operator") or "", match.group("star")
    version = (match.group("version") or "").lower()
    if not version:
        if star == "*" and operator in ("", "=", "==", ">="):
            return "*"
        raise ValueError(text)
    if star and operator in (">", "<="):  # as text '>1.2.*' says more than 1.2.9, and solvers read more than 1.2
        raise ValueError(text)
    if operator in ("", "=", "==") and (star or operator == "="):
        return f"{version}.*"
    return f"{operator or '=='}{version}{'.*' if star and operator == '!=' else ''}"
