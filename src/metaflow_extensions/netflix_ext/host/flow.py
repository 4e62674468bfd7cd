"""A flow's steps as a question to the service: plain values only. Imports on Python 3.7 (step side)."""

from __future__ import annotations

import os
import sys
from typing import Any

from ..engine.secret import strip_credentials
from . import compat, launcher

PACKAGE_FILE = "conda_v2.cnd"
ENV_VARIABLE = "_METAFLOW_CONDA_ENV"
LOCAL_COMMANDS = ("step", "spin-step")
_WORDS = ("conda", "pypi", "pip", "named_env", "sys_packages")
_GPU_DECORATORS = ("resources", "batch", "kubernetes")


def question(flow: Any, datastore: str, *, force: bool) -> dict[str, Any]:
    """Return what `host.service.Service.resolve` needs to know of *flow*, in JSON's types.

    ``flow`` holds the (name, attributes) of flow-level decorators, a list a class, base classes first. ``steps``, in
    the order in which they run, maps each to its decorators' (name, attributes), the names of all of them, the arch
    that each compute decorator gives, and whether it asks for a GPU. ``folder`` is what Metaflow packs.
    """
    return {
        "datastore": datastore,
        "force": force,
        "folder": os.path.dirname(os.path.abspath(sys.argv[0])),
        "python": launcher.PYTHON,
        "needs": compat.needs(datastore),
        "flow": [
            [[deco.name, _plain(deco.attributes)] for deco in level if _base_word(deco.name)]
            for level in compat.flow_decorators(flow)
        ],
        "steps": {name: _step(getattr(flow, name).decorators) for name in flow._graph.sorted_nodes},
    }


def _base_word(name: str) -> bool:
    return name.endswith("_base") and name[: -len("_base")] in _WORDS


def _step(decorators: list[Any]) -> dict[str, Any]:
    return {
        "words": [[deco.name, _plain(deco.attributes)] for deco in decorators if deco.name in _WORDS],
        "compute": {deco.name: _target(deco) for deco in decorators if _remote(deco)},
        "names": [deco.name for deco in decorators],
        "gpu": any(
            deco.name in _GPU_DECORATORS and deco.attributes.get("gpu") not in (None, 0, "0") for deco in decorators
        ),
    }


def _remote(deco: Any) -> bool:
    return bool(getattr(deco, "supports_conda_environment", False))


def _target(deco: Any) -> str:
    return str(getattr(deco, "target_platform", None) or "linux-64")


def _plain(attributes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if value not in (None, {}, [], ())}


def forget_secrets(flow: Any) -> None:
    """Take the credentials out of our decorators' words: Metaflow keeps all words among the artifacts of the run."""
    decorators = [deco for step in flow for deco in step.decorators]
    for deco in decorators + [deco for level in compat.flow_decorators(flow) for deco in level]:
        if deco.name in _WORDS or _base_word(deco.name):
            deco.attributes.update(_clean(deco.attributes))


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return strip_credentials(value)
    if isinstance(value, (list, tuple)):
        return type(value)(_clean(item) for item in value)
    if isinstance(value, dict):
        return {_clean(key): _clean(item) for key, item in value.items()}
    return value
