"""What an installation reports, and what its failures mean; the worker's part is canned."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from metaflow_extensions.netflix_ext.adapters.rattler_installer import DOWNLOAD, LINK, RattlerInstaller
from metaflow_extensions.netflix_ext.adapters.worker import Worker, WorkerError
from metaflow_extensions.netflix_ext.engine.errors import CreateError, ExtensionError, PackageError, ToolError
from metaflow_extensions.netflix_ext.engine.events import Reporter
from metaflow_extensions.netflix_ext.engine.package import CondaPackage

PACKAGE = CondaPackage(
    name="alpha",
    version="1",
    build="0",
    build_number=0,
    subdir="noarch",
    channel="https://h/c/",
    filename="alpha-1-0.conda",
    url="https://h/c/noarch/alpha-1-0.conda",
    sha256="aa" * 32,
)


class Canned(Worker):
    """A worker that sends events, calls for a retry, and then answers or fails."""

    def __init__(self, *events: Any, error: Exception | None = None, retry: bool = False) -> None:
        super().__init__()
        self._events, self._error, self._retry = events, error, retry
        self.asked: dict[str, Any] = {}

    def request(
        self,
        do: str,
        arguments: Mapping[str, object],
        *,
        on_event: Callable[[Any], None] | None = None,
        before_retry: Callable[[], None] | None = None,
    ) -> Any:
        self.asked = {"do": do, **arguments}
        if self._retry and before_retry is not None:
            before_retry()
        for event in self._events:
            assert on_event is not None
            on_event(event)
        if self._error is not None:
            raise self._error
        return "/cache"


class Kept(Reporter):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[object, ...]] = []

    def started(self, task: str, total: int | None = None) -> None:
        self.told.append(("started", task, total))

    def advanced(self, task: str, done: int) -> None:
        self.told.append(("advanced", task, done))

    def finished(self, task: str, summary: str = "") -> None:
        self.told.append(("finished", task, summary))


def failure(message: str, kind: str = "InstallerError", **details: Any) -> ExtensionError:
    """Return the error that an error of the worker becomes."""
    installer = RattlerInstaller(Canned(error=WorkerError(kind, message, details)))
    with pytest.raises(ExtensionError) as caught:
        installer.install((PACKAGE,), Path("/stage"), Path("/final"), Reporter())
    return caught.value


def test_the_worker_gets_records_and_folders(tmp_path: Path) -> None:
    """Packages travel as plain data, credentials apart from them."""
    worker = Canned()
    secrets = {"https://h/c": "https://me:S@h/c"}
    installer = RattlerInstaller(worker, secrets=secrets, packages=tmp_path / "p", looked_at=False, patience=3)

    installer.install((PACKAGE,), Path("/stage"), Path("/final"), Reporter())

    asked = worker.asked
    assert (asked["do"], asked["target"], asked["final"]) == ("install", "/stage", "/final")
    assert (asked["packages"], asked["looked_at"], asked["patience"]) == (str(tmp_path / "p"), False, 3)
    assert asked["secrets"] == secrets
    assert [record["url"] for record in asked["records"]] == [PACKAGE.url]


def test_downloads_and_links_are_two_tasks() -> None:
    """That of downloads begins only where something is downloaded; both are always ended."""
    report = Kept()
    events = ({"downloaded": 0, "linked": 0, "total": 1}, {"downloaded": 9, "linked": 1, "total": 1})

    RattlerInstaller(Canned(*events)).install((PACKAGE,), Path("/stage"), Path("/final"), report)

    assert report.told == [
        ("started", LINK, 1),
        ("advanced", LINK, 0),
        ("started", DOWNLOAD, None),
        ("advanced", DOWNLOAD, 9),
        ("advanced", LINK, 1),
        ("finished", DOWNLOAD, ""),
        ("finished", LINK, "1 packages"),
    ]


def test_tasks_end_when_the_installation_fails() -> None:
    """No progress bar is left hanging."""
    report = Kept()
    worker = Canned(error=WorkerError("InstallerError", "failed to link x", {}))

    with pytest.raises(CreateError):
        RattlerInstaller(worker).install((PACKAGE,), Path("/stage"), Path("/final"), report)

    assert [entry[0] for entry in report.told] == ["started", "finished"]


def test_a_retry_begins_with_an_empty_folder(tmp_path: Path) -> None:
    """What a worker that died has left is removed, links are not followed."""
    stage, outside = tmp_path / "stage", tmp_path / "outside"
    (stage / "lib").mkdir(parents=True)
    (stage / "lib" / "x").write_text("x")
    (stage / "y").write_text("y")
    outside.mkdir()
    (outside / "kept").write_text("z")
    (stage / "link").symlink_to(outside)

    RattlerInstaller(Canned(retry=True)).install((PACKAGE,), stage, tmp_path / "final", Reporter())

    assert list(stage.iterdir()) == []
    assert (outside / "kept").exists()


RACE = (
    "failed to fetch alpha-1-0.conda\nCaused by: failed to rename temp directory /c/.x to /c/alpha-1-0\n"
    "Caused by: Directory not empty (os error 39)"
)
GONE = (
    "failed to fetch alpha-1-0.conda\nCaused by: failed to remove existing cache directory '/c/alpha-1-0'\n"
    "Caused by: No such file or directory (os error 2)"
)
UNLINKED = (
    "failed to link alpha-1-0.conda\nCaused by: failed to copy file to destination\n"
    "Caused by: failed to copy file from /c/alpha-1-0/x to /stage/x: No such file or directory (os error 2)"
)


class Failing(Canned):
    """A worker that puts a file into the stage, and then fails so many times with *message*."""

    def __init__(self, message: str, times: int) -> None:
        super().__init__()
        self.message, self.times, self.calls = message, times, 0

    def request(self, do: str, arguments: Mapping[str, object], **more: Any) -> Any:
        stage = Path(str(arguments["target"]))
        assert list(stage.iterdir()) == []
        (stage / f"of-{self.calls}").touch()
        self.calls += 1
        if self.calls <= self.times:
            raise WorkerError("InstallerError", self.message, {"packages": "/cache"})
        return super().request(do, arguments, **more)


@pytest.mark.parametrize("message", [RACE, GONE, UNLINKED], ids=["race", "gone", "unlinked"])
def test_a_package_that_is_just_being_unpacked_is_waited_for(message: str, tmp_path: Path) -> None:
    """A race with what a failed installation still unpacks is run again, twice at most, each time from nothing."""
    worker, report = Failing(message, 2), Kept()

    RattlerInstaller(worker).install((PACKAGE,), tmp_path, Path("/final"), report)

    assert worker.calls == 3
    assert ["of-2"] == [path.name for path in tmp_path.iterdir()]
    assert ["started", "finished"] == [entry[0] for entry in report.told]


@pytest.mark.parametrize(
    ("message", "calls"), [(RACE, 3), ("failed to link x\nCaused by: Directory not empty", 1)], ids=["race", "other"]
)
def test_a_race_that_does_not_end_is_an_error(tmp_path: Path, message: str, calls: int) -> None:
    """After the third time it is told, and nothing else is tried again."""
    worker = Failing(message, 9)

    with pytest.raises(CreateError, match="Directory not empty"):
        RattlerInstaller(worker).install((PACKAGE,), tmp_path, Path("/final"), Reporter())

    assert worker.calls == calls


def test_a_package_without_a_hash_is_refused() -> None:
    """Nothing is installed that cannot be checked, and nothing is asked of the worker."""
    worker = Canned()
    package = CondaPackage(**{**{name: getattr(PACKAGE, name) for name in PACKAGE.__dataclass_fields__}, "sha256": ""})

    with pytest.raises(PackageError, match=r"alpha-1-0.conda has no hash in https://h/c/"):
        RattlerInstaller(worker).install((package,), Path("/stage"), Path("/final"), Reporter())

    assert worker.asked == {}


def test_other_bytes_are_a_package_error_with_both_hashes() -> None:
    """A user sees which package, what was expected, what came, and from where."""
    want, got = "a" * 64, "b" * 64
    error = failure(
        "failed to fetch alpha-1-0.conda\nCaused by: hash mismatch when extracting https://h/c/noarch/alpha-1-0.conda "
        f"to /cache/.x: expected {want}, got {got}, total size 5 bytes"
    )

    assert isinstance(error, PackageError)
    assert error.message == (
        f"alpha-1-0.conda is not the package that was resolved: expected sha256 {want}, got {got}, "
        "from https://h/c/noarch/alpha-1-0.conda"
    )
    assert "--force" in error.hint


@pytest.mark.parametrize(
    ("message", "kind", "words"),
    [
        ("failed to fetch alpha-1-0.conda\nCaused by: HTTP status client error (404)", PackageError, "alpha-1-0.conda"),
        ("failed to fetch alpha-1-0.conda\nCaused by: invalid zip archive", PackageError, "invalid zip archive"),
        ("failed to fetch a.conda\nCaused by: No space left on device", CreateError, "'/cache' (the package cache)"),
        ("failed to acquire global cache lock\nCaused by: Permission denied", CreateError, "'/cache'"),
        ("failed to link a.conda\nCaused by: No space left on device", CreateError, "'/stage': failed to link"),
        ("failed to create the prefix\nCaused by: Read-only file system", CreateError, "'/stage'"),
        ("a thing not foreseen", CreateError, "a thing not foreseen"),
    ],
)
def test_failures_name_the_package_or_the_folder(message: str, kind: type[ExtensionError], words: str) -> None:
    """What cannot be fetched is a package's fault, what cannot be written this machine's."""
    error = failure(message, packages="/cache")

    assert type(error) is kind
    assert words in error.message
    assert error.hint


def test_a_download_that_falls_silent_is_a_package_error() -> None:
    """A server that sends no more bytes is not waited for for ever."""
    error = failure("no byte came for 120 s", kind="Stalled")

    assert isinstance(error, PackageError)
    assert "no byte came for 120 s" in error.message


def test_what_is_not_foreseen_is_a_tool_error() -> None:
    """A bug is called one."""
    assert isinstance(failure("boom", kind="TypeError"), ToolError)
