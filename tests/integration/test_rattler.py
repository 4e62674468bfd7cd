"""The real py-rattler against small real channels: solving, linking, and everything that can be wrong with them."""

from __future__ import annotations

import base64
import bz2
import contextlib
import dataclasses
import functools
import hashlib
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from metaflow_extensions.netflix_ext.adapters import process
from metaflow_extensions.netflix_ext.adapters.conda import RattlerSolver
from metaflow_extensions.netflix_ext.adapters.rattler_installer import DOWNLOAD, LINK, RattlerInstaller
from metaflow_extensions.netflix_ext.adapters.worker import Worker
from metaflow_extensions.netflix_ext.engine.channel_settings import ChannelSettings
from metaflow_extensions.netflix_ext.engine.errors import (
    CreateError,
    ExtensionError,
    PackageError,
    ResolveError,
    SourceError,
)
from metaflow_extensions.netflix_ext.engine.events import Reporter
from metaflow_extensions.netflix_ext.engine.package import CondaPackage
from metaflow_extensions.netflix_ext.engine.platform import ARCHES
from metaflow_extensions.netflix_ext.engine.ports import CondaRequest
from tests.channel import Rule, Server, serve
from tests.channel.archive import Item, Package, write
from tests.channel.indexing import index
from tests.contract.channels import generic, make
from tests.contract.conda_solver import asking, extending, names

SECRET = "s3cr3t"


@pytest.fixture(scope="session", name="pristine")
def _pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("channels"))


@pytest.fixture(name="root")
def _root(pristine: Path, tmp_path: Path) -> Path:
    """The same channels, for one test to spoil."""
    return Path(shutil.copytree(pristine, tmp_path / "channels"))


@pytest.fixture(name="server")
def _server(root: Path) -> Iterator[Server]:
    with serve(root) as server:
        yield server


@pytest.fixture(name="cache")
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache folder of rattler, for metadata and packages; this test's alone."""
    monkeypatch.setenv("RATTLER_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(name="worker")
def _worker(cache: Path) -> Iterator[Worker]:
    worker = Worker()
    yield worker
    worker.close()


@pytest.fixture(name="solver")
def _solver(worker: Worker) -> RattlerSolver:
    return RattlerSolver(worker)


class Linked:
    """Installs into a fresh folder each time and reads what is there."""

    def __init__(self, worker: Worker, folder: Path) -> None:
        self._worker, self._folder = worker, folder
        folder.mkdir()
        self.stages: list[Path] = []

    def __call__(self, linked: tuple[CondaPackage, ...], report: Reporter | None = None, **settings: object) -> Path:
        stage = Path(tempfile.mkdtemp(prefix="stage", dir=self._folder))
        self.stages.append(stage)
        installer = RattlerInstaller(self._worker, **settings)  # type: ignore[arg-type]
        installer.install(linked, stage, self._folder / "final", report or Reporter())
        return stage


@pytest.fixture(name="link")
def _link(worker: Worker, tmp_path: Path) -> Linked:
    return Linked(worker, tmp_path / "prefixes")


# --- solving


@pytest.mark.parametrize("how", ["folder", "file", "http", "name", "relative"])
def test_channels_are_folders_urls_and_names(
    how: str, root: Path, server: Server, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each way to name a channel leads to the same packages, dependencies first."""
    monkeypatch.chdir(root)
    channel = {
        "folder": str(root / "first"),
        "file": (root / "first").as_uri(),
        "http": f"{server.url}/first",
        "name": "first",
        "relative": "./first",
    }[how]

    packages = RattlerSolver(worker, settings=ChannelSettings(alias=server.url)).solve(
        asking("alpha", channels=(channel,))
    )

    assert names(packages) == ["beta 1.0", "alpha 2.0"]
    base = f"{server.url}/first" if how in ("http", "name") else (root / "first").as_uri()
    assert {package.channel for package in packages} == {f"{base}/"}
    assert packages[1].url == f"{base}/noarch/alpha-2.0-0.conda"
    archive = (root / "first/noarch/alpha-2.0-0.conda").read_bytes()
    assert packages[1].sha256 == hashlib.sha256(archive).hexdigest()
    assert packages[1].size == len(archive)
    assert packages[1].timestamp > 1_000_000_000_000


def test_the_first_channel_that_has_a_package_is_the_only_one(solver: RattlerSolver, root: Path) -> None:
    """Channel priority is strict: a newer version further back does not count."""
    both = (root / "first", root / "second")

    assert "alpha 2.0" in names(solver.solve(asking("alpha", "only-second", channels=both)))
    assert "alpha 9.0" in names(solver.solve(asking("alpha", channels=both[::-1])))
    with pytest.raises(ResolveError):
        solver.solve(asking("alpha >=9", channels=both))


def test_a_requirement_may_name_its_channel(solver: RattlerSolver, root: Path) -> None:
    """A channel that a requirement names is used for it, in the list or not, and comes last for all else."""
    first, second = root / "first", root / "second"
    packages = solver.solve(asking(f"{second}::alpha", "beta", channels=(first,)))
    assert sorted(names(packages)) == ["alpha 9.0", "beta 1.0"]

    packages = solver.solve(asking(f"{first.as_uri()}::alpha=1.0=0", channels=(first, second)))
    assert names(packages) == ["beta 1.0", "alpha 1.0"]


def test_pip_comes_along_where_there_is_one(solver: RattlerSolver, root: Path) -> None:
    """A channel with pip gives it with Python, and the records say nothing that the channel does not."""
    packages = solver.solve(asking("python", channels=(root / "second",)))

    assert names(packages) == ["python 3.12.1", "pip 24.0"]
    assert packages[0].depends == ()


def test_a_channel_without_pip_for_a_python_gives_the_python_alone(solver: RattlerSolver, root: Path) -> None:
    """A pip is wished for, and never the reason why nothing is found."""
    packages = solver.solve(asking("python=3.10", channels=(root / "first", root / "second")))

    assert names(packages) == ["python 3.10.2"]


def test_another_platform_is_solved_from_here(solver: RattlerSolver, root: Path) -> None:
    """Nothing of this machine enters a solution."""
    assert names(solver.solve(asking("gamma", channels=(root / "first",), arch="osx-arm64"))) == ["gamma 1.0"]


def test_metadata_is_read_once_for_many_solves(solver: RattlerSolver, server: Server) -> None:
    """Solves at the same time share one gateway, and no file is asked for twice."""
    request = asking("alpha", channels=(f"{server.url}/first",))
    threads = [threading.Thread(target=solver.solve, args=(request,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    counts = server.counts()

    assert counts
    assert set(counts.values()) == {1}


@pytest.fixture(name="base")
def _base(solver: RattlerSolver, root: Path) -> tuple[CondaPackage, ...]:
    """An environment to extend: a Python without pip, and old versions of the first channel."""
    return solver.solve(asking("alpha=1", "python=3.9", channels=(root / "first",)))


def test_pinned_packages_stay_as_they_are(solver: RattlerSolver, root: Path, base: tuple[CondaPackage, ...]) -> None:
    """Whatever channels come first or have newer ones, and though the pinned Python has no pip."""
    first, second = root / "first", root / "second"
    request = extending(base, "only-second", channels=(second, first))

    found = solver.solve(request)

    assert {*base} < {*found}
    assert ["only-second"] == [package.name for package in found if package not in base]


def test_a_pinned_package_needs_no_channel(solver: RattlerSolver, root: Path, base: tuple[CondaPackage, ...]) -> None:
    """What has gone from every channel is kept too, and so is what a package of a channel needs of it."""
    channel = "https://gone.example/channel"
    url = f"{channel}/noarch/vanished-1.0-0.conda"
    beta = next(package for package in base if package.name == "beta")
    gone = dataclasses.replace(beta, name="vanished", filename="vanished-1.0-0.conda", channel=channel, url=url)
    newer = root / "newer"
    (newer / "noarch").mkdir(parents=True)
    write(generic("more", depends=("vanished >=1", "alpha <2")), newer)
    index(newer)

    found = solver.solve(extending((*base, gone), "more", channels=(newer,)))

    assert {*base, gone} < {*found}
    assert len(found) == len(base) + 2


def test_an_extension_that_cannot_be_names_what_is_in_the_way(
    solver: RattlerSolver, root: Path, base: tuple[CondaPackage, ...]
) -> None:
    """The message says that packages are kept, and which of them does not agree; nothing else is blamed."""
    first, more = root / "first", root / "more"
    (more / "noarch").mkdir(parents=True)
    write(generic("needs-new", depends=("alpha >=2",)), more)
    index(more)

    direct = unsolvable(solver, extending(base, "alpha >=2", channels=(first,)))
    indirect = unsolvable(solver, extending(base, "needs-new", channels=(first, more)))
    unknown = unsolvable(solver, extending(base, "alpa", channels=(first,)))

    for error in (direct, indirect):
        assert "the environment to extend are kept as they are; in the way is alpha 1.0" in error.message
        assert error.hint.startswith("ask for what agrees with alpha 1.0")
    assert "kept as they are\n- no channel has a package named alpa" in unknown.message
    assert "check the spelling" in unknown.hint


def unsolvable(solver: RattlerSolver, request: CondaRequest) -> ResolveError:
    with pytest.raises(ResolveError) as caught:
        solver.solve(request)
    return caught.value


def test_explanations_tell_what_the_channels_have(solver: RattlerSolver, root: Path) -> None:
    """Unknown names, other platforms, other versions and virtual packages each get their sentence."""
    first = root / "first"

    unknown = unsolvable(solver, asking("alpa", channels=(first,)))
    elsewhere = unsolvable(solver, asking("gamma", channels=(first,)))
    version = unsolvable(solver, asking("alpha >=3", channels=(first,)))
    python = unsolvable(solver, asking("python=3.6", channels=(first,)))
    virtual = unsolvable(solver, asking("needs-glibc", channels=(first,)))

    assert f"no channel has a package named alpa (looked in '{first}'); names like it: alpha" in unknown.message
    assert "gamma is there for 'osx-arm64' alone, not for linux-64" in elsewhere.message
    assert "versions of alpha there: 1.0, 2.0" in version.message
    assert "versions of python there: 3.9, 3.10" in python.message
    assert "__glibc >=2.99" in virtual.message
    assert "__glibc 2.28" in virtual.hint


def spoil(server: Server, *rules: Rule) -> None:
    server.rules.extend(rules)


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ([Rule(pattern="/first/", status=404)], "is not a conda channel"),
        ([Rule(pattern="/first/", status=401)], "refuses access"),
        ([Rule(pattern="/first/", status=403)], "refuses access"),
        ([Rule(pattern="/first/", status=500)], "is out of order"),
        ([Rule(pattern="/first/", body=b"<html>hello</html>")], "no conda metadata"),
        ([Rule(pattern="shards", status=404), Rule(pattern="/first/", body=b"<html>")], "no conda metadata"),
        (
            [Rule(pattern="shards|zst|bz2", status=404), Rule(pattern=r"first.*json$", body=b"<html>")],
            "no conda metadata",
        ),
    ],
    ids=["404", "401", "403", "500", "garbage", "garbage zst", "garbage json"],
)
def test_a_bad_channel_is_told_apart_within_seconds(
    rules: list[Rule], words: str, solver: RattlerSolver, server: Server
) -> None:
    """The channel is named with what is wrong, soon, and works again once the channel does."""
    spoil(server, *rules)
    request = asking("alpha", channels=(f"{server.url}/first",))
    begin = time.monotonic()

    with pytest.raises(SourceError) as caught:
        solver.solve(request)

    assert time.monotonic() - begin < 10
    assert f"{server.url}/first" in caught.value.message
    assert words in caught.value.message
    assert caught.value.hint
    server.clear()
    assert names(solver.solve(request)) == ["beta 1.0", "alpha 2.0"]


def test_one_bad_channel_of_two_is_the_one_that_is_named(solver: RattlerSolver, server: Server, root: Path) -> None:
    """A user with many channels learns which."""
    with pytest.raises(SourceError) as caught:
        solver.solve(asking("alpha", channels=(root / "first", f"{server.url}/none", f"{server.url}/second")))

    assert f"channel '{server.url}/none' is not a conda channel" in caught.value.message
    assert "second" not in caught.value.message


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/x", "http://nowhere.invalid/x"])
def test_an_unreachable_channel_fails_within_seconds(address: str, solver: RattlerSolver) -> None:
    """A refused connection and a name that does not exist take no minute."""
    begin = time.monotonic()

    with pytest.raises(SourceError, match=r"cannot be reached|is out of order|not a conda channel"):
        solver.solve(asking("alpha", channels=(address,)))

    assert time.monotonic() - begin < 10


def test_a_folder_that_is_no_channel_is_a_source_error(solver: RattlerSolver, tmp_path: Path) -> None:
    """The folder is named as it was written."""
    with pytest.raises(SourceError, match=f"channel '{tmp_path}' is not a conda channel"):
        solver.solve(asking("alpha", channels=(tmp_path,)))


@contextlib.contextmanager
def silence() -> Iterator[str]:
    """Yield the URL of a server that takes connections and never says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(50)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_a_channel_that_falls_silent_is_given_up(worker: Worker) -> None:
    """The time a solve may take is limited; the worker goes on working."""
    with silence() as url, pytest.raises(SourceError, match="no answer within 1 s"):
        RattlerSolver(worker, timeout=1).solve(asking("alpha", channels=(f"{url}/x",)))

    assert RattlerSolver(worker).versions()["py-rattler"]


def test_a_plain_web_server_is_a_channel(root: Path, cache: Path) -> None:
    """Metadata that the cache holds already is no obstacle where a server says "not modified" and no more."""
    for path in root.rglob("*"):
        os.utime(path)
    with plain(root) as url:
        answers = []
        for _ in range(3):
            worker = Worker()
            answers.append(names(RattlerSolver(worker).solve(asking("alpha", channels=(f"{url}/first",)))))
            worker.close()
            time.sleep(0.6)  # after which the cache asks again, since the channel is as young

    assert answers == [["beta 1.0", "alpha 2.0"]] * 3


# --- secrets


def with_user(url: str) -> str:
    return url.replace("://", f"://me:{SECRET}@")


def texts(*folders: Path) -> Iterator[bytes]:
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink():
                yield path.read_bytes()


@pytest.fixture(name="guarded")
def _guarded(root: Path) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """A channel that answers only who knows the password or the token; and what it was asked, with which header."""
    asked: list[tuple[str, str]] = []
    right = "Basic " + base64.b64encode(f"me:{SECRET}".encode()).decode()

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(root))  # type: ignore[arg-type]

        def log_message(self, *args: object) -> None:
            """Stay quiet."""

        def do_GET(self) -> None:
            given = self.headers.get("Authorization", "")
            asked.append((self.path, given))
            if self.path.startswith(f"/t/{SECRET}/"):
                self.path = self.path.removeprefix(f"/t/{SECRET}")
            elif given != right:
                self.send_error(401)
                return
            super().do_GET()

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("kind", ["user", "token"])
def test_credentials_are_used_and_written_nowhere(
    kind: str, guarded: tuple[str, list[tuple[str, str]]], worker: Worker, link: Linked, cache: Path
) -> None:
    """A private channel works for solving and linking, and its secret is in no answer, cache or prefix."""
    url, asked = guarded
    secret = f"{with_user(url)}/first" if kind == "user" else f"{url}/t/{SECRET}/first"
    secrets = {f"{url}/first": secret}

    packages = RattlerSolver(worker, secrets=secrets).solve(asking("alpha", channels=(f"{url}/first",)))
    prefix = link(packages, secrets=secrets)

    assert (prefix / "share" / "alpha.txt").exists()
    assert any("alpha-2.0" in path for path, _ in asked)
    assert SECRET not in repr(packages)
    assert packages[0].url.startswith(f"{url}/first/noarch/")
    assert not [text for text in texts(cache, prefix) if SECRET.encode() in text]


def test_a_channel_written_with_credentials_is_used_without_them(
    guarded: tuple[str, list[tuple[str, str]]], solver: RattlerSolver
) -> None:
    """What a user wrote into the channel is for talking alone."""
    url, _ = guarded

    packages = solver.solve(asking("alpha", channels=(f"{with_user(url)}/first",)))

    assert SECRET not in repr(packages)


def test_credentials_go_to_their_channel_alone(guarded: tuple[str, list[tuple[str, str]]], worker: Worker) -> None:
    """Another channel of the same host, even one whose name begins alike, does not get them."""
    url, asked = guarded
    secrets = {f"{url}/fir": with_user(f"{url}/fir")}

    with pytest.raises(SourceError) as caught:
        RattlerSolver(worker, secrets=secrets).solve(asking("alpha", channels=(f"{url}/first",)))

    assert "refuses access" in caught.value.message
    assert {header for _, header in asked} == {""}


def test_errors_hide_credentials(worker: Worker) -> None:
    """A channel that fails is named without its secret."""
    url = f"http://me:{SECRET}@127.0.0.1:9/t/{SECRET}/x"

    with pytest.raises(ExtensionError) as caught:
        RattlerSolver(worker).solve(asking("alpha", channels=(url,)))

    assert SECRET not in str(caught.value)
    assert "127.0.0.1:9/x" in str(caught.value)


# --- linking


class Kept(Reporter):
    """Keeps what it is told, and when."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, object]] = []

    def started(self, task: str, total: int | None = None) -> None:
        self.told.append(("started", task, total))

    def advanced(self, task: str, done: int) -> None:
        self.told.append(("advanced", task, done))

    def finished(self, task: str, summary: str = "") -> None:
        self.told.append(("finished", task, summary))


@pytest.fixture(name="packages")
def _packages(solver: RattlerSolver, server: Server) -> tuple[CondaPackage, ...]:
    """`beta` (.tar.bz2) and `alpha` (.conda), from the server."""
    return solver.solve(asking("alpha", channels=(f"{server.url}/first",)))


def test_packages_of_both_formats_are_linked_for_the_final_place(
    packages: tuple[CondaPackage, ...], link: Linked, tmp_path: Path, cache: Path
) -> None:
    """Files name the final folder, progress ends complete, and the cache is rattler's own."""
    report = Kept()

    prefix = link(packages, report)

    assert (prefix / "etc" / "where.txt").read_text() == f"at {tmp_path / 'prefixes' / 'final'}/x"
    assert (prefix / "share" / "beta.txt").read_bytes() == b"beta 1.0" * 1000
    assert len(list((prefix / "conda-meta").glob("*.json"))) == 2
    assert (cache / "pkgs" / "alpha-2.0-0" / "share" / "alpha.txt").exists()
    assert ("advanced", LINK, 2) in report.told
    assert ("advanced", DOWNLOAD, sum(package.size for package in packages)) in report.told


def test_a_warm_cache_asks_the_channel_for_nothing(
    packages: tuple[CondaPackage, ...], link: Linked, server: Server
) -> None:
    """The second prefix is made of links alone."""
    link(packages)
    server.clear()
    report = Kept()

    prefix = link(packages, report)

    assert (prefix / "share" / "alpha.txt").exists()
    assert server.counts() == {}
    assert DOWNLOAD not in {task for _, task, _ in report.told}


def test_many_prefixes_are_made_at_once_from_a_cold_cache(
    packages: tuple[CondaPackage, ...], link: Linked, server: Server
) -> None:
    """Creators that share a cache wait for each other's downloads, and all succeed."""
    made: list[Path] = []
    threads = [threading.Thread(target=lambda: made.append(link(packages))) for _ in range(4)]
    for thread in threads:
        thread.start()
        time.sleep(0.005)
    for thread in threads:
        thread.join()

    assert [len(list((prefix / "conda-meta").glob("*.json"))) for prefix in made] == [2] * 4


def test_an_environment_of_nothing_is_made(link: Linked) -> None:
    """No package is a valid answer."""
    assert link(()).exists()


def other_bytes(root: Path) -> bytes:
    return (root / "first/noarch/alpha-1.0-0.conda").read_bytes()


def refused(link: Linked, packages: tuple[CondaPackage, ...], **settings: object) -> PackageError:
    with pytest.raises(PackageError) as caught:
        link(packages, None, **settings)
    return caught.value


def test_other_bytes_are_refused_and_leave_nothing(
    packages: tuple[CondaPackage, ...], link: Linked, server: Server, root: Path, cache: Path
) -> None:
    """A good package under the wrong name is not linked, not cached, and fetched anew the next time."""
    body = other_bytes(root)
    spoil(server, Rule(pattern="alpha-2.0", body=body))

    error = refused(link, packages)

    assert "alpha-2.0-0.conda is not the package that was resolved" in error.message
    assert packages[1].sha256 in error.message
    assert hashlib.sha256(body).hexdigest() in error.message
    assert not list((cache / "pkgs").glob("alpha*/"))
    assert not (link.stages[-1] / "share" / "alpha.txt").exists()
    server.clear()
    assert (link(packages) / "share" / "alpha.txt").read_bytes() == b"alpha 2.0" * 1000


def test_other_bytes_of_an_old_archive_are_refused(
    packages: tuple[CondaPackage, ...], link: Linked, server: Server, root: Path, cache: Path
) -> None:
    """A `.tar.bz2` with one file changed is found by its hash as well."""
    plain = bz2.decompress((root / "first/noarch/beta-1.0-0.tar.bz2").read_bytes())
    spoil(server, Rule(pattern="beta-1.0", body=bz2.compress(plain.replace(b"beta 1.0beta", b"BETA 1.0beta"))))

    error = refused(link, packages)

    assert "beta-1.0-0.tar.bz2 is not the package that was resolved" in error.message
    assert not list((cache / "pkgs").glob("beta*/"))


@pytest.mark.parametrize("rule", [{"body": b"hello"}, {"status": 404}, {"status": 403}, {"truncate": 300}], ids=str)
def test_a_package_that_cannot_be_fetched_is_named(
    rule: dict[str, object], packages: tuple[CondaPackage, ...], link: Linked, server: Server
) -> None:
    """Garbage, a missing file, a refusal and a line that breaks are told with the package's name, and pass."""
    spoil(server, Rule(pattern="alpha-2.0", **rule))  # type: ignore[arg-type]

    error = refused(link, packages)

    assert "alpha-2.0-0.conda" in error.message
    server.clear()
    assert (link(packages) / "share" / "alpha.txt").exists()


def test_a_package_of_a_folder_is_checked_too(solver: RattlerSolver, link: Linked, root: Path) -> None:
    """A channel on disk is trusted no more than one far away."""
    packages = solver.solve(asking("alpha", channels=(root / "first",)))
    (root / "first/noarch/alpha-2.0-0.conda").write_bytes(other_bytes(root))

    assert "is not the package that was resolved" in refused(link, packages).message


def md5_only(package: CondaPackage) -> CondaPackage:
    return dataclasses.replace(package, sha256="")


def test_a_package_with_an_md5_alone_is_checked_by_it(
    packages: tuple[CondaPackage, ...], link: Linked, server: Server, root: Path
) -> None:
    """Old channels give no SHA-256; their MD5 must match, whenever the package is fetched."""
    old = tuple(map(md5_only, packages))
    spoil(server, Rule(pattern="alpha-2.0", body=other_bytes(root)))

    error = refused(link, old)

    assert f"expected md5 {packages[1].md5}" in error.message
    server.clear()
    assert (link(old) / "share" / "alpha.txt").read_bytes() == b"alpha 2.0" * 1000


def test_a_package_with_an_md5_alone_is_never_another_of_its_name(
    solver: RattlerSolver, link: Linked, root: Path, tmp_path: Path
) -> None:
    """Rattler takes any cached package of that name where there is no SHA-256; we do not, in either order."""
    twin = tmp_path / "twin"
    (twin / "linux-64").mkdir(parents=True)
    write(Package("beta", "1.0", noarch="generic", items=[Item("share/beta.txt", b"twin")]), twin)
    index(twin)
    ours = solver.solve(asking("beta", channels=(root / "first",)))
    others = solver.solve(asking("beta", channels=(twin,)))

    def content(packages: tuple[CondaPackage, ...]) -> bytes:
        return (link(packages) / "share" / "beta.txt").read_bytes()

    assert content(others) == b"twin"
    assert content(tuple(map(md5_only, ours))) == b"beta 1.0" * 1000
    assert content(tuple(map(md5_only, others))) == b"twin"
    assert content(ours) == b"beta 1.0" * 1000


@pytest.mark.parametrize("looked_at", [False, True])
def test_a_file_changed_in_the_cache_is_found(
    looked_at: bool, packages: tuple[CondaPackage, ...], link: Linked, cache: Path
) -> None:
    """What was changed since, and has its old size, is fetched anew, unless nobody looks."""
    link(packages)
    file = cache / "pkgs" / "alpha-2.0-0" / "share" / "alpha.txt"
    before = file.stat()
    file.unlink()
    file.write_bytes(b"EVIL 2.00" * 1000)
    assert file.stat().st_size == before.st_size

    prefix = link(packages, None, looked_at=looked_at)

    assert ((prefix / "share" / "alpha.txt").read_bytes() == b"alpha 2.0" * 1000) is looked_at


def test_a_prefix_edited_in_place_does_not_reach_the_next(packages: tuple[CondaPackage, ...], link: Linked) -> None:
    """Prefixes share files with the cache; writing into one is found before another is made."""
    first = link(packages)
    with (first / "share" / "alpha.txt").open("ab") as stream:
        stream.write(b"edited")

    second = link(packages)

    assert (second / "share" / "alpha.txt").read_bytes() == b"alpha 2.0" * 1000


def test_a_file_missing_from_the_cache_is_fetched_anew(
    packages: tuple[CondaPackage, ...], link: Linked, cache: Path
) -> None:
    """A cache that somebody has tidied is repaired."""
    link(packages)
    (cache / "pkgs" / "alpha-2.0-0" / "share" / "alpha.txt").unlink()

    assert (link(packages) / "share" / "alpha.txt").exists()


def test_a_download_that_falls_silent_is_given_up(
    packages: tuple[CondaPackage, ...], link: Linked, worker: Worker
) -> None:
    """A server that sends no byte is not waited for for ever."""
    with silence() as url:
        alone = (dataclasses.replace(packages[0], url=f"{url}/beta-1.0-0.tar.bz2"),)
        begin = time.monotonic()
        with pytest.raises(PackageError, match="no byte came"):
            link(alone, patience=1.0)

    assert time.monotonic() - begin < 6


def test_a_folder_that_cannot_be_written_is_named(
    packages: tuple[CondaPackage, ...], worker: Worker, tmp_path: Path
) -> None:
    """A target or a cache below a file is a CreateError that names which of the two."""
    (tmp_path / "file").write_text("")
    installer = RattlerInstaller(worker)
    elsewhere = RattlerInstaller(worker, packages=tmp_path / "file" / "packages")

    with pytest.raises(CreateError) as target:
        installer.install(packages, tmp_path / "file" / "stage", tmp_path / "final", Reporter())
    with pytest.raises(CreateError) as cache:
        elsewhere.install(packages, tmp_path / "stage", tmp_path / "final", Reporter())

    assert f"'{tmp_path / 'file' / 'stage'}'" in target.value.message
    assert f"'{tmp_path / 'file' / 'packages'}' (the package cache)" in cache.value.message


@pytest.fixture(name="small_disk")
def _small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 kB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("file systems cannot be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_told(solver: RattlerSolver, link: Linked, worker: Worker, small_disk: Path, root: Path) -> None:
    """A target or a cache without room is named, and the reason is the system's."""
    channel = root / "big"
    (channel / "linux-64").mkdir(parents=True)
    items = [Item("share/big.bin", os.urandom(200_000))]
    write(Package("big", "1.0", noarch="generic", items=items), channel)
    index(channel)
    packages = solver.solve(asking("big", channels=(channel,)))

    with pytest.raises(CreateError) as target:
        RattlerInstaller(worker).install(packages, small_disk / "stage", small_disk / "final", Reporter())
    shutil.rmtree(small_disk / "stage")
    with pytest.raises(CreateError) as cache:
        link(packages, packages=small_disk / "packages")

    assert f"'{small_disk / 'stage'}'" in target.value.message
    assert f"'{small_disk / 'packages'}' (the package cache)" in cache.value.message
    assert "No space left" in target.value.message
    assert "No space left" in cache.value.message


def test_a_worker_that_dies_while_it_links_starts_over(
    packages: tuple[CondaPackage, ...], worker: Worker, link: Linked, server: Server
) -> None:
    """Killed in the middle of a download, it is started again and fills the folder from the beginning."""
    spoil(server, Rule(pattern="alpha-2.0", delay=1.0, times=1))
    pid = worker._connection._pipe.pid  # type: ignore[union-attr]
    threading.Timer(0.4, os.kill, (pid, 9)).start()

    prefix = link(packages)

    assert (prefix / "share" / "alpha.txt").read_bytes() == b"alpha 2.0" * 1000
    assert worker._connection._pipe.pid != pid  # type: ignore[union-attr]


# --- where it runs


_ELSEWHERE = """
import sys
from pathlib import Path
from metaflow_extensions.netflix_ext.adapters.conda import RattlerSolver
import metaflow_extensions.netflix_ext.adapters.worker as worker
assert worker.__file__.startswith(sys.argv[1]), worker.__file__
print(RattlerSolver(worker.Worker()).versions()["py-rattler"])
"""


@pytest.mark.parametrize("settings", [{}, {"PYTHONDONTWRITEBYTECODE": "1"}], ids=["plain", "no byte code"])
def test_it_works_from_an_unpacked_code_package(settings: dict[str, str], tmp_path: Path) -> None:
    """Found by PYTHONPATH alone, beside a user's modules that are named like the library's, it runs its own code."""
    source = next(parent for parent in Path(process.__file__).parents if parent.name == "metaflow_extensions")
    shutil.copytree(source, tmp_path / "metaflow_extensions", ignore=shutil.ignore_patterns("__pycache__"))
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment = {**inherited, "PYTHONPATH": str(tmp_path), **settings}
    shadow = tmp_path / "difflib.py"
    shadow.write_text("raise ImportError('this is not the library')")

    done = process.run(
        [sys.executable, "-c", _ELSEWHERE, str(tmp_path)], environment=environment, folder=tmp_path, timeout=60
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    written = list(tmp_path.rglob("rattler_*.pyc"))
    assert bool(written) is not bool(settings)


def test_the_certificates_of_the_network_are_trusted(
    root: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A channel behind a private authority works with SSL_CERT_FILE or REQUESTS_CA_BUNDLE, and without says why not."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    with tls(root, tmp_path) as (url, bundle):
        request = asking("alpha", channels=(f"{url}/first",))

        def solve() -> list[str]:
            worker = Worker()
            try:
                return names(RattlerSolver(worker).solve(request))
            finally:
                worker.close()

        with pytest.raises(SourceError, match="cannot be trusted"):
            solve()
        for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
            with monkeypatch.context() as patch:
                patch.setenv(name, str(bundle))
                assert solve() == ["beta 1.0", "alpha 2.0"]


class Quiet(SimpleHTTPRequestHandler):
    """Python's own web server, without its talk."""

    def log_message(self, *args: object) -> None:
        """Stay quiet."""


class Plain(ThreadingHTTPServer):
    """One that minds no client that hangs up."""

    def handle_error(self, *args: object) -> None:
        """Stay quiet."""


@contextlib.contextmanager
def plain(root: Path, context: ssl.SSLContext | None = None) -> Iterator[str]:
    """Serve *root* as `python -m http.server` does; yield the URL."""
    with Plain(("127.0.0.1", 0), functools.partial(Quiet, directory=str(root))) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield f"{'https' if context else 'http'}://localhost:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@contextlib.contextmanager
def tls(root: Path, folder: Path) -> Iterator[tuple[str, Path]]:
    """Serve *root* over HTTPS with a certificate of a private authority; yield the URL and the authority."""
    openssl: Callable[..., object] = lambda *arguments: subprocess.run(  # noqa: E731
        ["openssl", *arguments], cwd=folder, check=True, capture_output=True
    )
    key = ("-newkey", "rsa:2048", "-nodes", "-keyout")
    openssl("req", "-x509", *key, "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=Private authority")
    openssl("req", *key, "server.key", "-out", "server.csr", "-subj", "/CN=localhost")
    (folder / "names").write_text("subjectAltName=DNS:localhost\n")
    sign = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names")
    openssl("x509", "-req", "-in", "server.csr", "-out", "server.pem", *sign)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    with plain(root, context) as url:
        yield url, folder / "ca.pem"


def test_every_platform_of_ours_is_one_of_rattlers(solver: RattlerSolver, root: Path) -> None:
    """Each platform name is understood, with the virtual packages we give by default."""
    for arch in ARCHES:
        assert names(solver.solve(asking("alpha", channels=(root / "first",), arch=arch))) == ["beta 1.0", "alpha 2.0"]
