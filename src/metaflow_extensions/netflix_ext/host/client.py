"""What Metaflow's client is told of the environment of a past task. Imports on Python 3.7 (step side)."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any, Mapping

from ..engine.identity import EnvID, parse_env_id
from ..engine.manifest import find_carried
from ..engine.resolved import ResolvedEnvironment
from . import compat
from .flow import PACKAGE_FILE

# Where a code package carries its environments: ours, and those of 1.x by what Metaflow had for it.
_PLACES = (f".mf_meta/{PACKAGE_FILE}", PACKAGE_FILE, f".mf_code/{PACKAGE_FILE}")


def environment_info(flow_name: str, metadata: Mapping[str, str], kind: str) -> dict[str, Any]:
    """Return what is known of the environment of a task with *metadata*: ids, requirements, packages.

    A task without an environment of ours (disabled) gives its ``type`` alone.
    """
    found: dict[str, Any] = {"type": kind}
    try:
        env_id = parse_env_id(metadata.get("conda_env_id") or "null")
    except ValueError:
        return found
    found.update(req_id=env_id.req_id, full_id=env_id.full_id, arch=env_id.arch)
    environment = from_package(flow_name, metadata.get("code-package"), env_id)
    if environment is not None:
        found.update(
            python=environment.python_version,
            user_deps=dict(environment.spec),
            conda_packages={package.name: package.version for package in environment.conda},
            pypi_packages={package.name: package.version for package in environment.pypi},
            provenance=dict(environment.provenance),
        )
    return found


def from_package(flow_name: str, text: str | None, env_id: EnvID) -> ResolvedEnvironment | None:
    """Return the environment of that id from the code package that the metadata *text* of a task names, or None."""
    if not text:
        return None
    from metaflow.package import MetaflowPackage

    facts = json.loads(text)
    blob = compat.code_package(flow_name, facts)
    kind = facts.get("metadata") or "{}"
    for name in _PLACES:
        data = MetaflowPackage.cls_get_content(kind, BytesIO(blob), name)
        if data:
            return find_carried(data, env_id, PACKAGE_FILE)
    return None
