"""Where rattler keeps unpacked packages, and what of them is there."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from metaflow_extensions.netflix_ext.adapters.rattler_cache import default_packages, is_unpacked
from metaflow_extensions.netflix_ext.engine.package import CondaPackage
from tests.fakes import conda_package

NUMPY = conda_package("numpy", sha256="ab" * 32)


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what a test sets says where the cache is."""
    for name in ("RATTLER_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/ada")


@pytest.mark.parametrize(
    ("variables", "platform", "where"),
    [
        ({}, "linux", "/home/ada/.cache/rattler/cache/pkgs"),
        ({"XDG_CACHE_HOME": "/fast"}, "linux", "/fast/rattler/cache/pkgs"),
        ({"XDG_CACHE_HOME": "not/absolute"}, "linux", "/home/ada/.cache/rattler/cache/pkgs"),
        ({"XDG_CACHE_HOME": "/fast"}, "darwin", "/home/ada/Library/Caches/rattler/cache/pkgs"),
        ({"XDG_CACHE_HOME": "/fast", "RATTLER_CACHE_DIR": "/chosen"}, "linux", "/chosen/pkgs"),
    ],
)
def test_the_cache_is_rattlers_own(
    variables: dict[str, str], platform: str, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is looked for where rattler itself does: its own variable, then the system's, then the user's folder."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)

    assert default_packages() == Path(where)


def unpack(package: CondaPackage, packages: Path, *, lock: bytes | None = None) -> None:
    folder = packages / f"{package.name}-{package.version}-{package.build}"
    folder.mkdir(parents=True)
    folder.with_name(f"{folder.name}.lock").write_bytes(
        lock if lock is not None else bytes(8) + bytes.fromhex(package.sha256)
    )


def test_what_was_unpacked_is_known_by_its_hash(tmp_path: Path) -> None:
    """A package counts as there if it was unpacked from the very archive; another build of that name does not."""
    unpack(NUMPY, tmp_path)

    assert is_unpacked(NUMPY, tmp_path)
    assert not is_unpacked(replace(NUMPY, sha256="cd" * 32), tmp_path)
    assert not is_unpacked(replace(NUMPY, build="1"), tmp_path)
    assert not is_unpacked(replace(NUMPY, sha256="", md5="ab" * 16), tmp_path)
    assert not is_unpacked(NUMPY, tmp_path / "elsewhere")


@pytest.mark.parametrize("lock", [b"", bytes(8), bytes(8) + b"\xab" * 31], ids=["empty", "no hash", "cut off"])
def test_a_form_that_is_not_known_counts_as_not_there(tmp_path: Path, lock: bytes) -> None:
    """What cannot be read of a package only means that it is fetched."""
    unpack(NUMPY, tmp_path, lock=lock)

    assert not is_unpacked(NUMPY, tmp_path)


def test_a_folder_that_was_removed_is_not_there(tmp_path: Path) -> None:
    """The file that tells of a package stays when somebody removes its folder."""
    unpack(NUMPY, tmp_path)
    (tmp_path / "numpy-1.0-0").rmdir()

    assert not is_unpacked(NUMPY, tmp_path)
