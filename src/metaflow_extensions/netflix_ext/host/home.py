"""The folder that gives tasks the launcher's Metaflow: keyed by content, so that byte code is compiled once.

    <envs root>/.code/<key>/.mf_code/...       Metaflow, its extensions, packaged modules: copies
    <envs root>/.meta/<key>/                   what Metaflow reads of a code package: INFO, the marker
    <envs root>/.meta/<key>/.mf_code/          links to what lies in the other; a folder of its own, as Metaflow looks
                                               for INFO by way of its parent

Both are made aside and renamed. Imports on Python 3.7 (step side).
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from typing import Any, Callable, Mapping

from ..engine.errors import CreateError
from ..engine.identity import digest
from . import compat, launcher

_CODE = ".mf_code"
_CONFIG = "CONFIG"


def variables(prefix: Mapping[str, Any], package: Any) -> tuple[dict[str, str], str]:
    """Return the variables that a task in *prefix* is started with, and the folder that its Metaflow lies in.

    They activate the prefix and point at that folder. The user's PYTHONPATH, PYTHONHOME and user site do not get in.
    """
    found = activation(prefix)
    code, meta = _folders(os.path.dirname(prefix["path"]), package)
    found["PYTHONPATH"] = os.path.join(meta, _CODE)
    found["METAFLOW_EXTRACTED_ROOT"] = meta
    return found, os.path.join(code, _CODE)


def activation(prefix: Mapping[str, Any]) -> dict[str, str]:
    """Return the variables that activate *prefix*: its packages' own, PATH, and what keeps others out."""
    bin_folder = os.path.dirname(prefix["python"])
    found = dict(prefix["variables"])
    found.update(
        {
            "CONDA_PREFIX": prefix["path"],
            "CONDA_DEFAULT_ENV": os.path.basename(prefix["path"]),
            "PATH": os.pathsep.join(part for part in (bin_folder, os.environ.get("PATH", "")) if part),
            "PYTHONHOME": "",
            "PYTHONNOUSERSITE": "1",
            launcher.VARIABLE: json.dumps(launcher.interpreter(), sort_keys=True),
        }
    )
    if os.environ.get("LD_LIBRARY_PATH"):
        libraries = os.environ["LD_LIBRARY_PATH"]
        found["MF_ORIG_LD_LIBRARY_PATH"] = libraries
        found["LD_LIBRARY_PATH"] = os.pathsep.join([os.path.join(prefix["path"], "lib"), libraries])
    return found


_known: dict[int, tuple[str, str]] = {}


def _folders(root: str, package: Any) -> tuple[str, str]:
    if id(package) not in _known:
        files = compat.content_files(package)
        code = _kept(os.path.join(root, ".code"), _signature(files), lambda folder: _copy(files, folder), files[-1][1])
        data = [item for item in compat.content_data(package) if os.path.basename(item[0]) != _CONFIG]
        key = digest([[name, content.decode("utf-8")] for name, content in data] + [code])
        meta = _kept(os.path.join(root, ".meta"), key, lambda folder: _describe(data, code, folder), data[-1][0])
        _known[id(package)] = (code, meta)
    return _known[id(package)]


def _signature(files: list[tuple[str, str]]) -> str:
    facts = []
    for path, name in files:
        status = os.stat(path)
        facts.append([name, status.st_size, status.st_mtime_ns])
    return digest(sorted(facts))


def _kept(parent: str, key: str, fill: Callable[[str], None], proof: str) -> str:
    """Return the folder *key*, filled if need be; it is complete where it holds the file *proof*."""
    final = os.path.join(parent, key)
    if os.path.exists(os.path.join(final, proof)):
        return final
    try:
        os.makedirs(parent, exist_ok=True)
        stage = tempfile.mkdtemp(prefix=key + ".", dir=parent)
        try:
            fill(stage)
            if os.path.isdir(final) and not os.path.exists(os.path.join(final, proof)):
                shutil.rmtree(final)
            # Another process may have been faster: its folder has the same content.
            with contextlib.suppress(OSError):
                os.rename(stage, final)
        finally:
            shutil.rmtree(stage, ignore_errors=True)
    except OSError as error:
        raise CreateError(
            f"'{parent}' cannot hold Metaflow's code: {error.strerror}",
            "set METAFLOW_CONDA_ENVS_ROOT to a folder that you may write to, on a disk with room",
        ) from error
    return final


def _copy(files: list[tuple[str, str]], folder: str) -> None:
    for path, name in files:
        target = os.path.join(folder, name)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copy2(path, target)


def _describe(data: list[tuple[str, bytes]], code: str, folder: str) -> None:
    os.mkdir(os.path.join(folder, _CODE))
    for name in os.listdir(os.path.join(code, _CODE)):
        os.symlink(os.path.join(code, _CODE, name), os.path.join(folder, _CODE, name))
    for name, content in data:
        target = os.path.join(folder, name)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "wb") as file:
            file.write(content)
