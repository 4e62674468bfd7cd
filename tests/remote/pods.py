"""A pod of one container, as its specification says: its variables, its volumes, its command."""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .container import Container, Ended, run

_SERVICE_ACCOUNT = "default"


def _same(text: str) -> str:
    return text


@dataclass(frozen=True, kw_only=True)
class Pod:
    """What is run: a container's specification and the volumes that it mounts from.

    ``fill`` replaces placeholders. ``claims`` maps the names of volume claims to folders of the machine.
    """

    name: str
    spec: Mapping[str, Any]
    volumes: Sequence[Mapping[str, Any]] = ()
    namespace: str = "default"
    fill: Callable[[str], str] = _same
    claims: Mapping[str, Path] = field(default_factory=dict)

    @property
    def command(self) -> list[str]:
        return [self.fill(word) for word in [*self.spec["command"], *(self.spec.get("args") or ())]]

    @property
    def variables(self) -> dict[str, str]:
        """The variables that the specification sets."""
        found = {}
        for entry in self.spec.get("env") or ():
            if entry.get("valueFrom"):
                found[entry["name"]] = self._fact(entry["valueFrom"])
            else:
                found[entry["name"]] = self.fill(entry.get("value") or "")
        return found

    def _fact(self, source: Mapping[str, Any]) -> str:
        facts = {
            "metadata.name": self.name,
            "metadata.namespace": self.namespace,
            "metadata.uid": f"uid-of-{self.name}",
            "spec.serviceAccountName": _SERVICE_ACCOUNT,
            "status.hostIP": "127.0.0.1",
            "status.podIP": "127.0.0.1",
        }
        return facts[source["fieldRef"]["fieldPath"]]


@dataclass(frozen=True, kw_only=True)
class PodEnded:
    """How a pod ended, and the outputs, as name and text, that were there then."""

    ended: Ended
    outputs: Mapping[str, str]


def run_pod(
    pod: Pod,
    base: Container,
    outputs: Mapping[str, str] | None = None,
    *,
    kill_at: str | None = None,
    started: Callable[[Callable[[], None]], None] | None = None,
) -> PodEnded:
    """Run *pod* in a fresh copy of *base*, whose variables are those of the image and of secrets.

    *outputs* maps names to paths inside of mounted volumes, which are read when the pod has ended.
    """
    with _mounted(pod) as folders:
        container = replace(
            base,
            host=re.sub(r"[^a-z0-9-]", "-", pod.name.lower())[-63:].strip("-"),
            variables={**base.variables, **pod.variables},
            folders={**base.folders, **folders},
        )
        ended = run(container, pod.command, kill_at=kill_at, started=started)
        found = {}
        for name, inside in (outputs or {}).items():
            outside = _outside(inside, folders)
            if outside is not None and outside.is_file():
                found[name] = outside.read_text().strip()
        return PodEnded(ended=ended, outputs=found)


@contextlib.contextmanager
def _mounted(pod: Pod) -> Iterator[dict[str, Path]]:
    """Yield the folders of the machine for the places where the pod mounts volumes."""
    sources = {volume["name"]: volume for volume in pod.volumes}
    with tempfile.TemporaryDirectory(prefix="pod-") as scratch:
        folders = {}
        for mount in pod.spec.get("volumeMounts") or ():
            claim = sources.get(mount["name"], {}).get("persistentVolumeClaim")
            # Metaflow names a volume after its claim.
            named = claim["claimName"] if claim else mount["name"]
            folder = pod.claims.get(named)
            if folder is None:
                folder = Path(scratch) / mount["name"]
                folder.mkdir(exist_ok=True)
                folder.chmod(0o777)
            folders[mount["mountPath"]] = folder
        yield folders


def _outside(inside: str, folders: Mapping[str, Path]) -> Path | None:
    for mounted, folder in folders.items():
        if inside.startswith(f"{mounted}/"):
            return folder / inside[len(mounted) + 1 :]
    return None
