"""Sources that cannot be built: each is one message that says whose fault it is, and nothing is left half-made."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.project import Finished, Project
from tests.projects import git, project, repository, sdist
from tests.refusal import check_refusal

pytestmark = pytest.mark.slow


def refused(fresh: Project, requirement: str, *says: str, **variables: str) -> str:
    """Resolve, which must be refused, and return the message; nothing was kept then."""
    fresh.write("requirements.txt", f"python==3.11\n{requirement}\n")
    done: Finished = fresh.metaflow("environment", "resolve", "-r", "requirements.txt", variables=variables)
    message = check_refusal(done, *says)
    assert "hint: " in message
    assert not list(fresh.catalog.rglob("env"))
    return message


def test_a_build_that_fails_shows_its_last_words_and_its_log(fresh: Project) -> None:
    """A project that lacks a program says so; with the program beside it, it is built."""
    folder = project(fresh.root / "made", "made", programs=["hello-tool"])
    message = refused(
        fresh, f"made @ file://{folder}", "cannot be built", "the program hello-tool is missing", "--conda-pkg"
    )
    log = Path(message.partition("All that was said is in ")[2].split()[0])
    assert "the program hello-tool is missing" in log.read_text()

    fresh.write("requirements.txt", f"python==3.11\n--conda-pkg hello-tool\nmade @ file://{folder}\n")
    done = fresh.metaflow("environment", "resolve", "-r", "requirements.txt")
    assert done.returncode == 0, done.output


def test_a_build_that_needs_what_no_index_has(fresh: Project) -> None:
    """It is told apart from a fault of the project."""
    folder = project(fresh.root / "made", "made", requires=["no-such-back-end"])
    refused(fresh, f"made @ file://{folder}", "no-such-back-end", "what the project needs to be built cannot be had")


def test_a_build_that_takes_too_long(fresh: Project) -> None:
    """It is ended with all that it started."""
    folder = project(fresh.root / "made", "made")
    backend = folder / "backend.py"
    backend.write_text(f"import subprocess\nsubprocess.run(['sleep', '4321'])\n{backend.read_text()}")
    refused(
        fresh,
        f"made @ file://{folder}",
        "did not end within 3 s",
        "METAFLOW_CONDA_BUILD_TIMEOUT",
        METAFLOW_CONDA_BUILD_TIMEOUT="3",
    )
    commands = [Path("/proc", pid, "cmdline") for pid in os.listdir("/proc") if pid.isdigit()]
    assert b"sleep\x004321" not in b"".join(path.read_bytes() for path in commands if path.exists())


def test_references_that_mean_nothing(fresh: Project) -> None:
    """What there is is told."""
    folder = project(fresh.root / "repo", "made")
    repository(folder)
    git(folder, "tag", "v1")
    refused(fresh, f"made @ git+file://{folder}@v2", "has no branch, tag or commit 'v2'", "main", "v1")
    refused(fresh, f"made @ git+file://{folder}@abcdef1", "has no branch, tag or commit 'abcdef1'")
    refused(fresh, f"made @ git+file://{folder}@{'1' * 40}", "git cannot read", "1111")
    refused(fresh, f"made @ git+file://{fresh.root}/nowhere", "git cannot read", "nowhere")


def test_folders_without_a_project(fresh: Project) -> None:
    """A folder that is missing, one without a project, one in a repository that is not there."""
    (fresh.root / "empty").mkdir()
    (fresh.root / "empty" / "README").touch()
    folder = project(fresh.root / "repo", "made")
    repository(folder)
    refused(fresh, f"made @ file://{fresh.root}/missing", "missing' cannot be read: No such file or directory")
    refused(fresh, f"made @ file://{fresh.root}/empty", "holds no project: neither pyproject.toml")
    refused(fresh, f"made @ git+file://{folder}#subdirectory=below", "has no folder 'below'")


def test_names_and_metadata_that_lie(fresh: Project) -> None:
    """A project of another name, and a wheel whose name is not that of its metadata."""
    folder = project(fresh.root / "made", "other-name")
    refused(fresh, f"made @ file://{folder}", "is the project 'other-name', by its own metadata")
    assert not list(fresh.catalog.rglob("built/*/*/*"))

    wheel = fresh.root / "made-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("made-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: liar\nVersion: 1.0\n")
        archive.writestr("made-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("made-1.0.dist-info/RECORD", "")
    refused(fresh, f"made @ {wheel.as_uri()}", "liar")


def test_hashes_that_do_not_match(fresh: Project) -> None:
    """Of an archive, of a wheel and of an archive on an index: expected and found are told."""
    path = sdist(project(fresh.root / "s", "made"), fresh.root / "links", "made-1.0")
    wrong = "ab" * 32
    refused(fresh, f"made @ {path.as_uri()}#sha256={wrong}", "is in another state now")
    refused(fresh, f"made @ {path.as_uri()} --hash=sha256:{wrong}", "has no file with a hash that is given")
    refused(
        fresh, f"--find-links ./links\nmade --hash=sha256:{wrong}", "has no file with a hash that is given", wrong[:8]
    )


def test_a_python_that_the_project_does_not_support(fresh: Project) -> None:
    """The project, its bound and the Python of the environment are told."""
    folder = project(fresh.root / "made", "made", python=">=3.12")
    refused(fresh, f"made @ file://{folder}", "made", ">=3.12", "3.11")


def evil_tar(path: Path, name: str, link: str = "", kind: bytes = tarfile.REGTYPE) -> None:
    with tarfile.open(path, "w:gz") as archive:
        item = tarfile.TarInfo(name)
        item.type, item.linkname = kind, link
        archive.addfile(item, io.BytesIO(b""))


def evil_zip(path: Path, name: str, mode: int = stat.S_IFREG | 0o644) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        item = zipfile.ZipInfo(name)
        item.external_attr = mode << 16
        archive.writestr(item, "/etc/passwd")


@pytest.mark.parametrize(
    ("file", "make"),
    [
        ("made-1.0.tar.gz", lambda path: evil_tar(path, "made-1.0/../../out")),
        ("made-1.0.tar.gz", lambda path: evil_tar(path, "/tmp/out")),
        ("made-1.0.tar.gz", lambda path: evil_tar(path, "made-1.0/x", "../../out", tarfile.SYMTYPE)),
        ("made-1.0.tar.gz", lambda path: evil_tar(path, "made-1.0/x", "/etc/passwd", tarfile.SYMTYPE)),
        ("made-1.0.tar.gz", lambda path: evil_tar(path, "made-1.0/x", "../out", tarfile.LNKTYPE)),
        ("made-1.0.tar.gz", lambda path: evil_tar(path, "made-1.0/x", kind=tarfile.CHRTYPE)),
        ("made-1.0.zip", lambda path: evil_zip(path, "made-1.0/../../out")),
        ("made-1.0.zip", lambda path: evil_zip(path, "made-1.0/x", stat.S_IFLNK | 0o777)),
    ],
)
def test_archives_that_lead_out_are_refused(fresh: Project, file: str, make: Callable[[Path], None]) -> None:
    """A path or a link out of the archive, or a device, is refused before anything is written."""
    make(fresh.root / file)
    refused(fresh, f"made @ file://{fresh.root}/{file}", f"'{file}' is refused", "leads out of the folder")
    assert not list(fresh.root.rglob("out"))


def test_an_archive_that_is_none(fresh: Project) -> None:
    """What is wrong is told."""
    (fresh.root / "made-1.0.tar.gz").write_text("no archive")
    refused(fresh, f"made @ file://{fresh.root}/made-1.0.tar.gz", "cannot be unpacked")


def test_an_editable_folder(fresh: Project) -> None:
    """The remedy is told."""
    folder = project(fresh.root / "made", "made")
    fresh.write("requirements.txt", f"-e {folder}\n")
    done = fresh.metaflow("environment", "resolve", "-r", "requirements.txt")
    check_refusal(done, "'-e' is not supported", "write 'name @ file:///where/it/is'")
