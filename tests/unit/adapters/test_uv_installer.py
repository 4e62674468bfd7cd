"""Wheels in a staged prefix: the lock that uv gets, and the scripts that move."""

from __future__ import annotations

import base64
import csv
import hashlib
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from metaflow_extensions.netflix_ext.adapters.uv_installer import UvInstaller, pylock, retarget, script_for
from metaflow_extensions.netflix_ext.engine.errors import CreateError, PackageError
from metaflow_extensions.netflix_ext.engine.events import Reporter
from metaflow_extensions.netflix_ext.engine.package import PypiPackage

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PACKAGE = PypiPackage(
    name="a-b",
    version="1.0",
    filename="a_b-1.0-py3-none-any.whl",
    url="https://x.example/s/a_b-1.0-py3-none-any.whl",
    sha256="ab" * 32,
    size=7,
    index="https://x.example/s",
)
BODY = b"# -*- coding: utf-8 -*-\nprint('/stage/bin/python')\n"
SHORT = b"#!/stage/bin/python3.11\n"
LONG = b"#!/bin/sh\n'''exec' '/stage/bin/python3.11' \"$0\" \"$@\"\n' '''\n"


def test_a_lock_holds_exactly_what_was_resolved() -> None:
    """Name, URL, hash, size and index are those of the package."""
    (package,) = tomllib.loads(pylock([PACKAGE]))["packages"]
    wheel = {"name": PACKAGE.filename, "url": PACKAGE.url, "size": 7, "hashes": {"sha256": PACKAGE.sha256}}
    assert package == {"name": "a-b", "version": "1.0", "index": PACKAGE.index, "wheels": [wheel]}


@pytest.mark.parametrize(("index", "expected"), [("default", "https://d.example/"), ("", None)])
def test_a_direct_link_never_poses_as_an_index_file(index: str, expected: str | None) -> None:
    """Only what came from an index names one: uv keeps its cache by it."""
    (package,) = tomllib.loads(pylock([replace(PACKAGE, index=index)], "https://d.example/"))["packages"]
    assert package.get("index") == expected


def test_a_password_is_not_written_and_a_path_token_is() -> None:
    """A password goes by variable; a token in a path can only stand in the URL."""
    password = {"https://x.example/s": "https://u:pw@x.example/s"}
    token = {"https://x.example/s": "https://x.example/t/tok/s"}
    assert "pw" not in pylock([PACKAGE], secrets=password)
    assert "https://x.example/t/tok/s/a_b" in pylock([PACKAGE], secrets=token)


def test_a_package_without_a_hash_is_refused() -> None:
    """Nothing is installed that cannot be verified."""
    with pytest.raises(PackageError, match=r"a_b-1\.0"):
        pylock([replace(PACKAGE, sha256="")])


@pytest.mark.parametrize("head", [SHORT, LONG], ids=["short", "trampoline"])
def test_both_forms_of_a_script_move(head: bytes) -> None:
    """The interpreter changes, the rest of the script does not."""
    assert script_for(head + BODY, Path("/stage"), Path("/final")) == b"#!/final/bin/python3.11\n" + BODY


@pytest.mark.parametrize("final", ["/with blank", f"/{'x' * 130}"], ids=["blank", "long"])
@pytest.mark.parametrize("head", [SHORT, LONG], ids=["short", "trampoline"])
def test_a_path_that_no_shebang_can_hold_gets_the_trampoline(head: bytes, final: str) -> None:
    """The form follows the final path and not the staged one."""
    expected = f"#!/bin/sh\n'''exec' '{final}/bin/python3.11' \"$0\" \"$@\"\n' '''\n".encode()
    assert script_for(head + BODY, Path("/stage"), Path(final)) == expected + BODY


@pytest.mark.parametrize(
    "content", [b"#!/usr/bin/env python\n", b"\x7fELF", b"", b"#!/stage2/bin/python\n", b"#!/stage/binary\n"]
)
def test_other_files_stay(content: bytes) -> None:
    """A script of another interpreter and a binary are not touched."""
    assert script_for(content, Path("/stage"), Path("/final")) == content


def test_a_stage_behind_a_link_is_recognised(tmp_path: Path) -> None:
    """The interpreter may name its real path."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    script = f"#!{(tmp_path / 'real').resolve()}/bin/python\n".encode()
    assert script_for(script, tmp_path / "link", Path("/final")) == b"#!/final/bin/python\n"


@pytest.fixture
def stage(tmp_path: Path) -> Path:
    """A prefix with one console script of ``a-b``, as uv leaves it, and the link that conda's python has."""
    stage = tmp_path / "stage"
    info = stage / "lib" / "python3.10" / "site-packages" / "a_b-1.0.dist-info"
    info.mkdir(parents=True)
    (stage / "lib" / "python3.1").symlink_to("python3.10")
    (stage / "bin").mkdir()
    (stage / "bin" / "tool").write_text(f"#!{stage}/bin/python\nbody\n")
    (stage / "bin" / "tool").chmod(0o755)
    (info / "RECORD").write_text(
        '../../../bin/tool,sha256=old,1\n"a,b.py",sha256=kept,2\n../../../bin/gone,,\na_b-1.0.dist-info/RECORD,,\n'
    )
    return stage


def test_records_agree_with_moved_scripts(stage: Path, tmp_path: Path) -> None:
    """Hash and size of a changed script are new, every other line is as it was."""
    retarget(stage, tmp_path / "final", [PACKAGE])
    script = (stage / "bin" / "tool").read_bytes()
    assert script == f"#!{tmp_path}/final/bin/python\nbody\n".encode()
    digest = base64.urlsafe_b64encode(hashlib.sha256(script).digest()).rstrip(b"=").decode()
    record = stage / "lib" / "python3.10" / "site-packages" / "a_b-1.0.dist-info" / "RECORD"
    assert list(csv.reader(record.read_text().splitlines())) == [
        ["../../../bin/tool", f"sha256={digest}", str(len(script))],
        ["a,b.py", "sha256=kept", "2"],
        ["../../../bin/gone", "", ""],
        ["a_b-1.0.dist-info/RECORD", "", ""],
    ]


def test_a_script_that_is_a_hard_link_leaves_its_other_name_alone(stage: Path, tmp_path: Path) -> None:
    """What a cache holds is not written to; the new script is executable and nothing else is left."""
    os.link(stage / "bin" / "tool", tmp_path / "cached")
    before = (tmp_path / "cached").read_bytes()
    retarget(stage, tmp_path / "final", [PACKAGE])
    assert (tmp_path / "cached").read_bytes() == before
    assert (stage / "bin" / "tool").stat().st_mode & 0o777 == 0o755
    assert [path.name for path in (stage / "bin").iterdir()] == ["tool"]


def test_scripts_of_other_distributions_stay(stage: Path, tmp_path: Path) -> None:
    """What conda linked is not ours to change."""
    before = (stage / "bin" / "tool").read_bytes()
    retarget(stage, tmp_path / "final", [replace(PACKAGE, name="other")])
    assert (stage / "bin" / "tool").read_bytes() == before


def test_nothing_to_install_starts_nothing(tmp_path: Path) -> None:
    """Without wheels neither uv nor a prefix is needed."""
    UvInstaller(program=str(tmp_path / "missing")).install((), tmp_path, tmp_path, Reporter())


def test_a_prefix_without_python_is_refused(tmp_path: Path) -> None:
    """Wheels need an interpreter to be put in place for."""
    with pytest.raises(CreateError, match="bin/python"):
        UvInstaller().install((PACKAGE,), tmp_path, tmp_path, Reporter())
