"""Whether a file may be taken: it must fit the target, and have a hash that is given, where any is."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ..engine.errors import ResolveError
from ..engine.platform import version_of
from ..engine.ports import PypiRequest
from ..engine.wheel_tags import best_wheel, target_tags

_SHOWN = 3


def floor_of(request: PypiRequest) -> str:
    """Return the oldest system that the target may be, in words: ``glibc 2.28``."""
    if request.arch.startswith("osx"):
        return f"macOS {version_of(request.virtual, '__osx')}"
    return f"glibc {version_of(request.virtual, '__glibc')}"


def check_fits(name: str, filename: str, request: PypiRequest) -> None:
    """Raise ResolveError where the wheel *filename* of *name* does not fit the target."""
    if best_wheel([filename], target_tags(request.python, request.arch, request.virtual)) is None:
        raise misfit(name, filename, request)


def misfit(name: str, files: str, request: PypiRequest) -> ResolveError:
    """Return the error for a package whose wheels do not fit the target."""
    target = f"{request.arch} ({floor_of(request)}), Python {request.python}"
    return ResolveError(
        f"'{name}' has no wheel for {target}: there is {files}",
        "ask for a version, a Python or a platform that has a wheel",
    )


def check_listed(who: str, filename: str, sha256: str, hashes: Collection[str]) -> None:
    """Raise ResolveError where *hashes* are given for the package *who*, and that of its file is none of them."""
    if hashes and f"sha256:{sha256}" not in hashes:
        raise unlisted(who, {filename: f"sha256:{sha256}" if sha256 else "none"}, hashes)


def unlisted(who: str, found: Mapping[str, str], hashes: Collection[str]) -> ResolveError:
    """Return the error for a package (*who*: name and version) whose files (*found*: their hashes) are not allowed."""
    expected = sorted(hashes)
    lines = [f"  {file}: found {digest}" for file, digest in sorted(found.items())[:_SHOWN]]
    more = f" and {len(expected) - _SHOWN} more" if len(expected) > _SHOWN else ""
    return ResolveError(
        "\n".join(
            [f"'{who}' has no file with a hash that is given: expected {', '.join(expected[:_SHOWN])}{more}", *lines]
        ),
        "the file is not the one whose hash was written down: write that of a file you trust, or the version it is of",
    )
