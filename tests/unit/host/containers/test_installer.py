"""A prefix made by a program that understands micromamba's words."""

from __future__ import annotations

import json
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import pytest

from metaflow_extensions.netflix_ext.engine.errors import CreateError
from metaflow_extensions.netflix_ext.engine.package import PypiPackage
from metaflow_extensions.netflix_ext.host.containers.delivery import Additions
from metaflow_extensions.netflix_ext.host.containers.installer import Installer, complete
from metaflow_extensions.netflix_ext.host.containers.travelled import TravelledByteCode
from tests.fakes import conda_package, resolved, wheel

# Keeps its arguments and the list it is given, and makes a prefix with an activation script.
STAND_IN = """#!/bin/sh
set -e
while [ $# -gt 0 ]; do case $1 in --prefix) prefix=$2; shift;; --file) file=$2; shift;; esac; shift; done
mkdir -p "$prefix/bin" "$prefix/etc/conda/activate.d"
cp "$file" "$prefix/listed"
echo 'export HELLO="$CONDA_PREFIX"' > "$prefix/etc/conda/activate.d/hello.sh"
echo run >> "{log}"
"""
UV = """#!/bin/sh
echo "$@" >> "{log}"
"""


def program(path: Path, text: str, log: Path) -> str:
    path.write_text(text.replace("{log}", str(log)))
    path.chmod(0o755)
    return str(path)


def installer(folder: Path, conda: str = STAND_IN) -> Installer:
    log = folder / "log"
    programs = program(folder / "mamba", conda, log), program(folder / "uv", UV, log)
    return Installer(*programs, str(folder / "envs"), str(folder / "scratch"))


def additions(folder: Path) -> Additions:
    wheels: list[Future[PypiPackage]] = []
    for package in ENVIRONMENT.pypi:
        wheels.append(Future())
        wheels[-1].set_result(package)
    return Additions([], wheels, [], TravelledByteCode(str(folder / "code")))


ENVIRONMENT = resolved(
    conda_package("abc", url="file:///abc.conda"), pypi=[replace(wheel("idna"), url="file:///i.whl")]
)


def test_a_prefix_is_made_once(tmp_path: Path) -> None:
    """Python comes first in the list, wheels go to uv, what activates is found, and the marker makes it complete."""
    work = installer(tmp_path)

    variables = work.create(ENVIRONMENT, additions(tmp_path))

    prefix = tmp_path / "envs" / ENVIRONMENT.env_id.prefix_name
    assert variables == {"HELLO": str(prefix)}
    assert (prefix / "listed").read_text().split() == ["@EXPLICIT", ENVIRONMENT.conda[1].url, "file:///abc.conda"]
    assert "file:///i.whl" in (tmp_path / "log").read_text()
    assert complete(str(prefix), list(ENVIRONMENT.env_id)) == variables
    assert work.create(ENVIRONMENT, additions(tmp_path)) == variables
    assert (tmp_path / "log").read_text().split("\n").count("run") == 1


def test_what_was_half_made_is_made_anew(tmp_path: Path) -> None:
    """A prefix without its marker, or of another environment, is none."""
    prefix = tmp_path / "envs" / ENVIRONMENT.env_id.prefix_name
    prefix.mkdir(parents=True)
    (prefix / "left over").touch()
    (prefix / ".metaflowenv").write_text(json.dumps({"id": ["a", "b", "c"], "variables": {}}))

    installer(tmp_path).create(ENVIRONMENT, additions(tmp_path))

    assert not (prefix / "left over").exists()


def test_its_failure_is_told(tmp_path: Path) -> None:
    """The status and what it said are in the message, and the prefix is not complete."""
    with pytest.raises(CreateError, match=r"the installer of the container failed with status 3: no such package"):
        installer(tmp_path, "#!/bin/sh\necho no such package >&2; exit 3\n").create(ENVIRONMENT, additions(tmp_path))
    assert complete(str(tmp_path / "envs" / ENVIRONMENT.env_id.prefix_name), list(ENVIRONMENT.env_id)) is None
