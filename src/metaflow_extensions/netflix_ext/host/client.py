"""What Metaflow's client is told of the environment of a past task. Imports on Python 3.7 (step side)."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any, Mapping

from ..engine.identity import EnvID, parse_env_id
from ..engine.resolved import ResolvedEnvironment, find_in_package
from .flow import PACKAGE_FILE


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
    environment = _from_package(flow_name, metadata.get("code-package"), env_id)
    if environment is not None:
        found.update(
            python=environment.python_version,
            user_deps=dict(environment.spec),
            conda_packages={package.name: package.version for package in environment.conda},
            pypi_packages={package.name: package.version for package in environment.pypi},
            provenance=dict(environment.provenance),
        )
    return found


def _from_package(flow_name: str, text: str | None, env_id: EnvID) -> ResolvedEnvironment | None:
    if not text:
        return None
    from metaflow.client.filecache import FileCache
    from metaflow.package import MetaflowPackage

    facts = json.loads(text)
    _, blob = FileCache().get_data(facts["ds_type"], flow_name, facts["location"], facts["sha"])
    data = MetaflowPackage.cls_get_content(facts.get("metadata"), BytesIO(blob), f".mf_meta/{PACKAGE_FILE}")
    return find_in_package(data, env_id, PACKAGE_FILE) if data else None
