"""A prefix made by a micromamba-like program: where a container's Python is too old for our tools, or by choice.

Imports on Python 3.7 (step side).
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...adapters import process
from ...adapters.activation import ShellActivator
from ...adapters.compile_sources import MARKER
from ...engine.errors import CreateError

if TYPE_CHECKING:
    from ...engine.package import PypiPackage
    from ...engine.resolved import ResolvedEnvironment
    from .delivery import Additions


class Installer:
    """Makes prefixes below *root*.

    Args:
        program: what understands ``create --prefix P --file F`` with an explicit list.
        uv: the program that puts wheels in place.
        root: the folder of prefixes.
        scratch: a folder for what the programs keep.
    """

    # Whether packages may have URLs of the store.
    reads = False

    def __init__(self, program: str, uv: str, root: str, scratch: str) -> None:
        self._program = program
        self._uv = uv
        self._root = root
        self._scratch = scratch

    def create(self, environment: ResolvedEnvironment, additions: Additions) -> dict[str, str]:
        """Return the activation variables of the prefix of *environment*, whose packages have URLs of this machine.

        *additions* has wheels and byte code.
        """
        prefix = os.path.join(self._root, environment.env_id.prefix_name)
        os.makedirs(self._root, exist_ok=True)
        with self._locked(environment.env_id.prefix_name):
            found = complete(prefix, list(environment.env_id))
            if found is not None:
                return found
            # Files name the path of their prefix: it is made in its place, and counts from its marker on.
            shutil.rmtree(prefix, ignore_errors=True)
            self._conda(environment, prefix)
            if environment.pypi:
                self._wheels(additions.wheels(), prefix)
            additions.link(Path(prefix), environment.packages)
            variables = dict(ShellActivator().variables(Path(prefix), Path(prefix)))
            aside = os.path.join(prefix, MARKER + ".writing")
            with open(aside, "w", encoding="utf-8") as file:
                json.dump({"id": list(environment.env_id), "variables": variables}, file, sort_keys=True)
            os.replace(aside, os.path.join(prefix, MARKER))
        return variables

    @contextlib.contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        with open(os.path.join(self._root, f".{name}.lock"), "ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _conda(self, environment: ResolvedEnvironment, prefix: str) -> None:
        os.makedirs(self._scratch, exist_ok=True)
        listed = os.path.join(self._scratch, "explicit.txt")
        # Packages for any Python are put where the Python says that is there already.
        ordered = sorted(environment.conda, key=lambda package: package.name != "python")
        with open(listed, "w", encoding="utf-8") as file:
            file.write("\n".join(["@EXPLICIT", *(package.url for package in ordered), ""]))
        words = ["create", "--yes", "--quiet", "--no-rc", "--prefix", prefix, "--file", listed]
        self._run([self._program, *words], "the installer of the container")

    def _wheels(self, wheels: Sequence[PypiPackage], prefix: str) -> None:
        urls = [wheel.url for wheel in wheels]
        words = ["pip", "install", "--quiet", "--no-config", "--no-deps", "--no-index", "--offline"]
        python = os.path.join(prefix, "bin", "python")
        self._run([self._uv, *words, "--python", python, "--break-system-packages", *urls], "uv")

    def _run(self, command: Sequence[str], what: str) -> None:
        environment = dict(
            os.environ,
            MAMBA_ROOT_PREFIX=os.path.join(self._scratch, "mamba"),
            CONDA_PKGS_DIRS=os.path.join(self._scratch, "pkgs"),
            UV_CACHE_DIR=os.path.join(self._scratch, "uv"),
        )
        done = process.run(command, environment=environment)
        if done.returncode != 0:
            said = (done.stderr.strip() or done.stdout.strip())[-800:]
            raise CreateError(
                f"{what} failed with status {done.returncode}: {said}",
                "run it with the same arguments in such a container; METAFLOW_CONDA_REMOTE_INSTALLER names it",
            )


def complete(prefix: str, env_id: Sequence[str]) -> dict[str, str] | None:
    """Return the activation variables of a prefix that is there and complete, or None."""
    try:
        with open(os.path.join(prefix, MARKER), encoding="utf-8") as file:
            marker = json.load(file)
        return dict(marker["variables"]) if marker["id"] == list(env_id) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
