"""Packages that a tool has picked, completed by what their channels say of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..engine.channel_settings import ChannelSettings, mirrored
from ..engine.errors import ResolveError, SourceError
from ..engine.package import CondaPackage
from .conda import package_of
from .worker import Worker, WorkerError

# How long a channel may take to tell more of packages than must be known.
PATIENCE = 60.0


def canonical(package: CondaPackage, settings: ChannelSettings) -> CondaPackage:
    """Return *package* with the URL that it has everywhere, whatever mirror it was seen on."""
    back = {mirror: clean for clean, mirror in settings.mirrors.items()}
    return replace(package, url=mirrored(package.url, back), channel=mirrored(package.channel, back))


def completed(
    packages: Sequence[CondaPackage],
    asked: Mapping[str, Any],
    worker: Worker,
    hash_of: Callable[[str], tuple[str, int]],
) -> list[CondaPackage]:
    """Return *packages* as the channels tell of them, which is more than tools do; what they do not know stays.

    *asked* names the channels, see `conda.question`; *hash_of* returns SHA-256 and size of what is at a URL. Raises
    ResolveError where a package is in no channel, SourceError where a channel cannot be read.
    """
    whole = all(package.url and (package.sha256 or package.md5) for package in packages)
    files = [list(_key(package)) for package in packages]
    patience = min(PATIENCE, asked["timeout"]) if whole else asked["timeout"]
    try:
        records = worker.request("find", {**asked, "files": files, "timeout": patience})
    except WorkerError as error:
        if not whole and error.kind == "Stalled":
            raise SourceError(f"the channels do not tell of packages: {error.message}", "check the network") from error
        if not whole:
            raise error.translated() from error
        records = []  # the tool has ways to the channel that we have not
    known = {_key(item): item for item in map(package_of, records)}
    completed = [_hashed(_merged(package, known.get(_key(package))), hash_of) for package in packages]
    # The tool's order goes by its wish for a pip, too; where all are known, theirs is by what they depend on.
    order = {key: number for number, key in enumerate(known)}
    return sorted(completed, key=lambda item: order[_key(item)]) if len(order) == len(completed) else completed


def _hashed(package: CondaPackage, hash_of: Callable[[str], tuple[str, int]]) -> CondaPackage:
    if not package.url:
        raise ResolveError(
            f"no channel has {package.name} {package.version} {package.build}, which the solver has picked",
            "its metadata of the channel is out of date, or the channel's is: run it again",
        )
    if package.sha256 or package.md5:
        return package
    sha256, size = hash_of(package.url)
    return replace(package, sha256=sha256, size=package.size or size)


def _key(package: CondaPackage) -> tuple[str, str, str, str]:
    return package.name, package.version, package.build, package.subdir


def _merged(package: CondaPackage, known: CondaPackage | None) -> CondaPackage:
    """Return *known*, what a channel says of *package*, unless the tool has seen another file."""
    if known is None or (package.url and package.url != known.url):
        return package
    hashes = ((package.sha256, known.sha256), (package.md5, known.md5))
    return package if any(told and said and told != said for told, said in hashes) else known
