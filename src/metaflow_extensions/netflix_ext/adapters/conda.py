"""Solve conda requirements with py-rattler."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..engine.channel_settings import NOTHING_SAID, ChannelSettings
from ..engine.package import CondaPackage, package_to_dict
from ..engine.ports import CondaRequest
from ..engine.requirement import CondaRequirement
from ..engine.secret import has_credentials, strip_credentials
from .conda_explained import explained
from .worker import Worker, WorkerError

# Long enough for the unsharded metadata of a big channel over a slow line; a refused connection fails in 3 s.
TIMEOUT = 600.0


class RattlerSolver:
    """Solves in *worker*, with strict channel priority and `pip` where a channel has one for the Python.

    Args:
        worker: Where py-rattler runs.
        settings: What is said of channels.
        secrets: URLs without credentials to the same with credentials; looked up when a request is made.
        timeout: Seconds that one solve may take, metadata included.
    """

    def __init__(
        self,
        worker: Worker,
        *,
        settings: ChannelSettings = NOTHING_SAID,
        secrets: Mapping[str, str] | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        self._worker = worker
        self._settings = settings
        self._secrets = secrets if secrets is not None else {}
        self._timeout = timeout

    def solve(self, request: CondaRequest) -> tuple[CondaPackage, ...]:
        """Return one package a name, in an order in which they can be linked.

        Raises ResolveError with the solver's explanation and what the channels have instead, SourceError that names
        the channel that failed.
        """
        asked = question(request, self._settings, self._secrets, self._timeout)
        try:
            records = self._worker.request("solve", asked)
        except WorkerError as error:
            raise explained(error, request, asked, self._worker) from error
        return tuple(package_of(record) for record in records)

    def versions(self) -> Mapping[str, str]:
        """Return the version of py-rattler."""
        try:
            return dict(self._worker.request("versions", {}))
        except WorkerError as error:
            raise error.translated() from error


def question(
    request: CondaRequest, settings: ChannelSettings, secrets: Mapping[str, str], timeout: float = TIMEOUT
) -> dict[str, Any]:
    """Return *request* as the worker takes it.

    *settings* say what channels' names mean, *secrets* has URLs without credentials to the same with credentials.
    """
    named = [requirement.channel for requirement in request.requirements if requirement.channel]
    own = {strip_credentials(url): url for url in (*request.channels, *named) if has_credentials(url)}
    return {
        "specs": [_spec(requirement, settings) for requirement in request.requirements],
        "channels": [_channel(place) for channel in request.channels for place in settings.places(channel)],
        "pinned": [package_to_dict(package) for package in request.pinned],
        "arch": request.arch,
        "virtual": [[package.name, package.version, package.build] for package in request.virtual],
        "alias": _alias(settings.alias) if settings.alias else "",
        "priority": settings.priority,
        "mirrors": dict(settings.mirrors),
        "root": os.getcwd(),
        "secrets": {**secrets, **own},
        "timeout": timeout,
    }


def package_of(record: Mapping[str, Any]) -> CondaPackage:
    """Return the package that a record of py-rattler (its JSON) describes, without credentials."""
    noarch = record.get("noarch")
    return CondaPackage(
        name=record["name"],
        version=record["version"],
        build=record["build"],
        build_number=record["build_number"],
        subdir=record["subdir"],
        channel=strip_credentials(record.get("channel") or ""),
        filename=record["fn"],
        url=strip_credentials(record["url"]),
        sha256=record.get("sha256") or "",
        md5=record.get("md5") or "",
        size=record.get("size") or 0,
        noarch=noarch if isinstance(noarch, str) else "generic" if noarch else "",
        depends=tuple(record.get("depends") or ()),
        constrains=tuple(record.get("constrains") or ()),
        python_site_packages_path=record.get("python_site_packages_path") or "",
        purls=tuple(record.get("purls") or ()),
        license=record.get("license") or "",
        timestamp=record.get("timestamp") or 0,
    )


def _spec(requirement: CondaRequirement, settings: ChannelSettings) -> dict[str, str]:
    parts = (requirement.name, requirement.constraint or "*", requirement.build)
    return {
        "name": requirement.name,
        "text": " ".join(part for part in parts if part),
        "channel": _channel(settings.places(requirement.channel)[0]) if requirement.channel else "",
    }


def _channel(channel: str) -> str:
    return os.path.expanduser(channel) if channel.startswith("~") else strip_credentials(channel)


def _alias(alias: str) -> str:
    url = alias if "://" in alias else Path(alias).expanduser().absolute().as_uri()
    return strip_credentials(url).rstrip("/") + "/"
