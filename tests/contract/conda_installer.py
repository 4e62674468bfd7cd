"""What every `CondaInstaller` promises; a test of one of them inherits these and gives the fixture ``installer``."""

from __future__ import annotations

import dataclasses
import os
import stat
from pathlib import Path

import pytest

from metaflow_extensions.netflix_ext.adapters.conda import RattlerSolver
from metaflow_extensions.netflix_ext.adapters.worker import Worker
from metaflow_extensions.netflix_ext.engine.errors import ExtensionError, PackageError
from metaflow_extensions.netflix_ext.engine.events import Reporter
from metaflow_extensions.netflix_ext.engine.package import CondaPackage
from metaflow_extensions.netflix_ext.engine.ports import CondaInstaller
from tests.channel.archive import PLACEHOLDER, Item, Package, write
from tests.channel.indexing import index

from .channels import generic
from .conda_solver import asking

BINARY = b"\x7fELF\0" + f"{PLACEHOLDER}/lib:{PLACEHOLDER}/share".encode() + b"\0after\0"
PYTHON = f"#!{PLACEHOLDER}/bin/python3\nprint('hello')\n".encode()


class CondaInstallerContract:
    """The promises, on a small channel with packages of both formats."""

    @pytest.fixture(scope="class", name="channel")
    @staticmethod
    def _channel(tmp_path_factory: pytest.TempPathFactory) -> Path:
        root = tmp_path_factory.mktemp("channel")
        (root / "linux-64").mkdir()
        (root / "noarch").mkdir()
        items = [
            Item("etc/where.txt", f"at {PLACEHOLDER}/x".encode(), prefix="text"),
            Item("lib/some.so", BINARY, prefix="binary"),
            Item("bin/some-tool", PYTHON, executable=True, prefix="text"),
            Item("share/plain.txt", b"plain" * 1000),
        ]
        write(Package("pathy", "1.0", subdir="linux-64", items=items), root)
        write(generic("older"), root, formats=(".tar.bz2",))
        python = Item("bin/python3.11", b"no python", executable=True)
        write(
            Package("python", "3.11.1", subdir="linux-64", items=[python, Item("bin/python", link="python3.11")]), root
        )
        module = Item("site-packages/greet.py", b"def main(): print('hello')\n")
        write(
            Package(
                "greet",
                "1.0",
                noarch="python",
                depends=("python",),
                items=[module],
                entry_points=("greet = greet:main",),
            ),
            root,
        )
        index(root)
        return root

    @pytest.fixture(name="packages")
    def _packages(self, worker: Worker, channel: Path) -> tuple[CondaPackage, ...]:
        found = RattlerSolver(worker).solve(asking("pathy", "older", "greet", channels=(channel,)))
        assert {Path(package.filename).suffix for package in found} == {".conda", ".bz2"}
        return found

    @pytest.fixture(name="places")
    def _places(self, tmp_path: Path) -> tuple[Path, Path]:
        """Where the prefix is made, and where it will lie."""
        stage, final = tmp_path / "envs" / "some-name.partial-12345", tmp_path / "envs" / "some-name"
        stage.mkdir(parents=True)
        return stage, final

    def test_files_are_there_and_name_the_final_place(
        self, installer: CondaInstaller, packages: tuple[CondaPackage, ...], places: tuple[Path, Path]
    ) -> None:
        """Both formats are linked; every path in a file is that of the prefix, as long in binaries as it was."""
        stage, final = places

        installer.install(packages, stage, final, Reporter())

        assert (stage / "share" / "plain.txt").read_bytes() == b"plain" * 1000
        assert (stage / "share" / "older.txt").is_file()
        assert (stage / "etc" / "where.txt").read_text() == f"at {final}/x"
        assert (stage / "bin" / "some-tool").read_bytes() == PYTHON.replace(PLACEHOLDER.encode(), os.fsencode(final))
        binary = (stage / "lib" / "some.so").read_bytes()
        assert len(binary) == len(BINARY)
        assert f"\0{final}/lib:{final}/share\0".encode() in binary
        assert binary.endswith(b"\0after\0")
        assert stat.S_IXUSR & (stage / "bin" / "some-tool").stat().st_mode
        script = (stage / "bin" / "greet").read_text()
        assert "greet" in script
        assert (stage / "lib" / "python3.11" / "site-packages" / "greet.py").is_file()
        named = [path for path in stage.rglob("*") if path.is_file() and os.fsencode(stage) in path.read_bytes()]
        assert named == []
        assert {path.stem for path in (stage / "conda-meta").glob("*.json")} == {
            f"{package.name}-{package.version}-{package.build}" for package in packages
        }
        assert list(stage.rglob("*.pyc")) == []

    def test_what_is_not_what_was_resolved_is_refused(
        self, installer: CondaInstaller, packages: tuple[CondaPackage, ...], places: tuple[Path, Path]
    ) -> None:
        """The package is named, and nothing of it is linked."""
        stage, final = places
        first = packages[0]
        other = dataclasses.replace(first, sha256="0" * 64, md5="")

        with pytest.raises(PackageError) as caught:
            installer.install((other, *packages[1:]), stage, final, Reporter())

        assert first.filename in caught.value.message
        assert "0" * 64 in caught.value.message
        assert caught.value.hint

    def test_a_package_that_has_gone_is_told(
        self, installer: CondaInstaller, packages: tuple[CondaPackage, ...], places: tuple[Path, Path]
    ) -> None:
        """Its channel does not have it any more, and neither has this machine."""
        stage, final = places
        first = packages[0]
        gone = dataclasses.replace(
            first, sha256="1" * 64, md5="", url=first.url.replace(first.filename, "gone-1-0.conda")
        )

        with pytest.raises(PackageError) as caught:
            installer.install((gone,), stage, final, Reporter())

        assert "gone-1-0.conda" in caught.value.message or first.filename in caught.value.message

    def test_one_package_is_linked_into_several_prefixes(
        self, installer: CondaInstaller, packages: tuple[CondaPackage, ...], tmp_path: Path
    ) -> None:
        """Each names its own place."""
        for name in ("one", "two"):
            stage = tmp_path / f"{name}.partial-1"
            stage.mkdir()
            installer.install(packages, stage, tmp_path / name, Reporter())

        texts = [(tmp_path / f"{name}.partial-1" / "etc" / "where.txt").read_text() for name in ("one", "two")]
        assert texts == [f"at {tmp_path}/one/x", f"at {tmp_path}/two/x"]

    def test_a_prefix_that_cannot_be_written_is_told(
        self, installer: CondaInstaller, packages: tuple[CondaPackage, ...], tmp_path: Path
    ) -> None:
        """As an error of ours, with something to do."""
        place = tmp_path / "file"
        place.write_text("")

        with pytest.raises((ExtensionError, OSError)):
            installer.install(packages, place / "stage", place / "final", Reporter())
