"""Real uv against an index on loopback: resolving, failing, installing."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from metaflow_extensions.netflix_ext.adapters.pypi import UvSolver
from metaflow_extensions.netflix_ext.adapters.uv_installer import UvInstaller
from metaflow_extensions.netflix_ext.adapters.uv_program import default_index, find_uv
from metaflow_extensions.netflix_ext.engine.errors import CreateError, PackageError, ResolveError, SourceError
from metaflow_extensions.netflix_ext.engine.events import Reporter
from metaflow_extensions.netflix_ext.engine.options import HashedRequirement, PypiOptions
from metaflow_extensions.netflix_ext.engine.package import PypiPackage
from metaflow_extensions.netflix_ext.engine.platform import arch_of, virtual_packages
from metaflow_extensions.netflix_ext.engine.ports import PypiRequest
from metaflow_extensions.netflix_ext.engine.requirement import PypiRequirement
from tests.integration.test_rattler import tls

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}"
USER, PASSWORD = "reader", "pa55word"
REFUSED = {"forbidden": 403, "broken": 500}


@dataclass
class Index:
    """A server of folders of wheels, and what it was asked; ``/private`` wants a password."""

    root: Path
    url: str = ""
    asked: list[str] = field(default_factory=list)
    told: set[str] = field(default_factory=set)

    def add(self, path: str, version: str = "1.0", tag: str = "py3-none-any", requires: tuple[str, ...] = ()) -> Path:
        """Write a wheel ``<index>/<name>`` with one module and one console script."""
        folder, name = self.root / path, path.rpartition("/")[2]
        folder.mkdir(parents=True, exist_ok=True)
        info = f"{name}-{version}.dist-info"
        files = {
            f"{name}.py": f"def main():\n    print('{path} {version}')\n",
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
            + "".join(f"Requires-Dist: {text}\n" for text in requires)
            + "Provides-Extra: more\n",
            f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n",
            f"{info}/entry_points.txt": f"[console_scripts]\n{name}-tool = {name}:main\n",
        }
        files[f"{info}/RECORD"] = "".join(f"{file},,\n" for file in [*files, f"{info}/RECORD"])
        wheel = folder / f"{name}-{version}-{tag}.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            for file, text in files.items():
                archive.writestr(zipfile.ZipInfo(file), text)
        return wheel

    def answer(self, path: str, authorization: str) -> tuple[int, str, bytes]:
        self.asked.append(path)
        self.told.add(authorization)
        top = path.strip("/").split("/")[0]
        expected = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if top == "garbage":
            return 200, "application/octet-stream", b"\x00"
        if top in REFUSED:
            return REFUSED[top], "text/plain", b""
        if top == "private" and authorization != expected:
            return 401, "text/plain", b""
        file = self.root / path.strip("/")
        if file.is_file():
            return 200, "application/octet-stream", file.read_bytes()
        if not file.is_dir():
            return 404, "text/plain", b""
        wheels = sorted(file.glob("*.whl"))
        links = (f'<a href="{one.name}#sha256={hashlib.sha256(one.read_bytes()).hexdigest()}">_</a>' for one in wheels)
        return 200, "text/html", f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>".encode()


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """An empty index, and a uv without settings and with a cache of its own."""
    for name in [name for name in os.environ if name.startswith("UV_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    found = Index(tmp_path / "index")
    found.root.mkdir()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, kind, body = found.answer(self.path, self.headers.get("Authorization") or "")
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            if status == 401:
                self.send_header("WWW-Authenticate", "Basic")
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815 - the name is http.server's

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield found
    server.shutdown()
    server.server_close()
    thread.join()


def request(
    *requirements: str,
    indexes: tuple[str, ...],
    provided: tuple[tuple[str, str], ...] = (),
    arch: str = "linux-64",
    python: str = "3.11.7",
    options: PypiOptions | None = None,
) -> PypiRequest:
    return PypiRequest(
        requirements=tuple(PypiRequirement.parse(text) for text in requirements),
        provided=provided,
        indexes=indexes,
        python=python,
        arch=arch,
        virtual=virtual_packages(arch),
        options=options or PypiOptions(),
    )


def names(packages: tuple[PypiPackage, ...]) -> list[str]:
    return [f"{package.name} {package.version}" for package in packages]


# Resolving -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arch", "python", "expected"),
    [
        ("linux-64", "3.11.7", "cp311-cp311-manylinux_2_17_x86_64"),
        ("linux-aarch64", "3.11.7", "py3-none-any"),
        ("osx-arm64", "3.12.0", "cp38-abi3-macosx_11_0_universal2"),
        ("linux-64", "3.7.16", "py3-none-any"),
    ],
)
def test_any_target_is_resolved_from_here(index: Index, arch: str, python: str, expected: str) -> None:
    """The best wheel of one version is chosen for the target, with URL, hash and index."""
    tags = ("cp311-cp311-manylinux_2_17_x86_64", "cp38-abi3-macosx_11_0_universal2", "py3-none-any")
    wheels = {tag: index.add("a/tool", tag=tag) for tag in tags}
    one = f"{index.url}/a"
    (package,) = UvSolver().solve(request("tool", indexes=(one,), arch=arch, python=python))
    assert package.filename == f"tool-1.0-{expected}.whl"
    assert package.url == f"{one}/tool/{package.filename}"
    assert package.sha256 == hashlib.sha256(wheels[expected].read_bytes()).hexdigest()
    assert package.index == one


@pytest.mark.parametrize(("order", "expected"), [("ab", "1.0"), ("ba", "2.0"), ("aab", "1.0")])
def test_the_first_index_that_has_a_name_wins(index: Index, order: str, expected: str) -> None:
    """Order is priority, whichever index has the higher version, and each package names its index."""
    index.add("a/tool", "1.0")
    index.add("b/tool", "2.0")
    index.add("b/only", "1.0")
    indexes = tuple(f"{index.url}/{letter}" for letter in order)
    found = {package.name: package for package in UvSolver().solve(request("tool", "only", indexes=indexes))}
    assert found["tool"].version == expected
    assert found["tool"].index == f"{index.url}/{order[0]}"
    assert found["only"].index == f"{index.url}/b"


@pytest.mark.parametrize(
    ("order", "expected"), [(("default", "b"), "1.0"), (("b", "default"), "2.0"), (("default",), "1.0")]
)
def test_the_default_index_has_its_place_in_the_order(
    index: Index, monkeypatch: pytest.MonkeyPatch, order: tuple[str, ...], expected: str
) -> None:
    """The word ``default`` is the user's own default index, first or last, and its URL does not come back."""
    index.add("a/tool", "1.0")
    index.add("b/tool", "2.0")
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"{index.url}/a")
    indexes = tuple(name if name == "default" else f"{index.url}/{name}" for name in order)
    (package,) = UvSolver().solve(request("tool", indexes=indexes))
    assert (package.version, package.index) == (expected, indexes[0])


@pytest.mark.parametrize("stable", [True, False])
def test_what_conda_supplies_satisfies_and_steers_and_does_not_come_back(
    index: Index, tmp_path: Path, stable: bool
) -> None:
    """The version that fits conda's distribution is chosen, and the index is not asked for that one at all."""
    index.add("a/base", "2.0")
    index.add("a/tool", "1.0", requires=("base<2",))
    index.add("a/tool", "2.0", requires=("base>=2",))
    solver = UvSolver(stubs=tmp_path / "stubs" if stable else None)
    found = solver.solve(request("tool", indexes=(f"{index.url}/a",), provided=(("base", "1.5"), ("odd", "x_y"))))
    assert names(found) == ["tool 1.0"]
    assert not any("base" in path for path in index.asked)


def test_a_conflict_with_conda_names_what_conda_supplies(index: Index) -> None:
    """A requirement that conda's version does not meet fails; it is not overridden in silence."""
    index.add("a/base", "2.0")
    with pytest.raises(ResolveError, match=r"(?s)base>=2.*Already there, .*, and never replaced: base 1\.5\."):
        UvSolver().solve(request("base>=2", indexes=(f"{index.url}/a",), provided=(("base", "1.5"),)))


@pytest.mark.parametrize("asked", ["base[more]", "tool"], ids=["directly", "by a dependency"])
def test_an_extra_of_what_conda_supplies_is_not_dropped(index: Index, asked: str) -> None:
    """The index knows what the extra brings, and only that is added."""
    index.add("a/base", "1.5", requires=("needed ; extra == 'more'",))
    index.add("a/needed")
    index.add("a/tool", requires=("base[more]",))
    found = UvSolver().solve(request(asked, indexes=(f"{index.url}/a",), provided=(("base", "1.5"),)))
    assert [package.name for package in found] == sorted({"needed", "tool"} if asked == "tool" else {"needed"})


def test_an_extra_that_no_index_knows_is_refused(index: Index) -> None:
    """Where the index lacks conda's version, the user is told to name the packages of the extra."""
    index.add("a/base", "2.0")
    with pytest.raises(ResolveError) as caught:
        UvSolver().solve(request("base[more]", indexes=(f"{index.url}/a",), provided=(("base", "1.5"),)))
    assert "ask for the packages of that extra by name" in caught.value.hint


def test_the_user_s_constraints_hold_beside_ours(index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A UV_CONSTRAINT is not hidden by the stand-ins for conda's distributions."""
    index.add("a/tool", "1.0")
    index.add("a/tool", "2.0")
    (tmp_path / "own.txt").write_text("tool<2\n")
    monkeypatch.setenv("UV_CONSTRAINT", str(tmp_path / "own.txt"))
    found = UvSolver().solve(request("tool", indexes=(f"{index.url}/a",), provided=(("base", "1"),)))
    assert names(found) == ["tool 1.0"]


def test_direct_links_to_wheels_are_packages(index: Index) -> None:
    """A link by URL and one by path come back with their hash and without an index."""
    far, near = index.add("a/far"), index.add("a/near")
    asked = request(f"far @ {index.url}/a/far/{far.name}", f"near @ {near.as_uri()}", indexes=(f"{index.url}/empty",))
    found = UvSolver().solve(asked)
    assert [(package.url, package.sha256, package.index) for package in found] == [
        (f"{index.url}/a/far/{far.name}", hashlib.sha256(far.read_bytes()).hexdigest(), ""),
        (near.as_uri(), hashlib.sha256(near.read_bytes()).hexdigest(), ""),
    ]


@pytest.mark.parametrize("link", [False, True])
def test_credentials_reach_the_index_and_nothing_else(index: Index, link: bool) -> None:
    """A private index works, for links too, and the answer holds no password."""
    wheel = index.add("private/tool")
    private = f"{index.url}/private"
    secrets = {private: private.replace("//", f"//{USER}:{PASSWORD}@")}
    asked = request(
        f"tool @ {private}/tool/{wheel.name}" if link else "tool", indexes=(f"{index.url}/a",) if link else (private,)
    )
    found = UvSolver(secrets).solve(asked)
    assert names(found) == ["tool 1.0"]
    assert PASSWORD not in repr(found)


# Options ---------------------------------------------------------------------------------------------------------


def test_constraints_bound_what_is_installed_anyway(index: Index) -> None:
    """A constraint holds for a dependency, and brings nothing that nobody asks for."""
    index.add("a/tool", requires=("base",))
    index.add("a/base", "1.0")
    index.add("a/base", "2.0")
    index.add("a/other")
    options = PypiOptions(constraints=(PypiRequirement.parse("base<2"), PypiRequirement.parse("other")))
    found = UvSolver().solve(request("tool", indexes=(f"{index.url}/a",), options=options))
    assert names(found) == ["base 1.0", "tool 1.0"]


def test_a_constraint_that_conda_does_not_meet_is_told(index: Index) -> None:
    """A constraint and a stand-in for one name are both heard."""
    index.add("a/tool", requires=("base",))
    options = PypiOptions(constraints=(PypiRequirement.parse("base<2"),))
    with pytest.raises(ResolveError, match=r"(?s)base<2.*Already there, .*: base 2\.5\."):
        UvSolver().solve(request("tool", indexes=(f"{index.url}/a",), provided=(("base", "2.5"),), options=options))


def test_pre_releases_come_where_they_are_welcome(index: Index) -> None:
    """Without the option the last release is taken, with it a later pre-release, of dependencies too."""
    index.add("a/tool", "1.0", requires=("base",))
    for version in ("1.0", "2.0rc1"):
        index.add("a/base", version)
    plain, pre = (
        UvSolver().solve(request("tool", indexes=(f"{index.url}/a",), options=PypiOptions(pre=pre)))
        for pre in (False, True)
    )
    assert names(plain) == ["base 1.0", "tool 1.0"]
    assert names(pre) == ["base 2.0rc1", "tool 1.0"]


@pytest.mark.parametrize("kind", ["folder", "page"])
def test_links_are_looked_at_beside_the_index(index: Index, kind: str) -> None:
    """What a folder or a page gives has a URL to fetch it from and no index; the index gives the rest."""
    wheel, base = index.add("links/tool", requires=("base",)), index.add("a/base")
    where = (index.root / "links" / "tool").as_uri() if kind == "folder" else f"{index.url}/links/tool/"
    found = UvSolver().solve(request("tool", indexes=(f"{index.url}/a",), options=PypiOptions(find_links=(where,))))
    assert [(package.url, package.index) for package in found] == [
        (f"{index.url}/a/base/{base.name}", f"{index.url}/a"),
        (f"{where.rstrip('/')}/{wheel.name}", ""),
    ]
    assert found[1].sha256 == hashlib.sha256(wheel.read_bytes()).hexdigest()


def test_without_an_index_only_links_are_asked(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """--no-index asks neither the default index nor one of the user's variables."""
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"{index.url}/a")
    monkeypatch.setenv("UV_EXTRA_INDEX_URL", f"{index.url}/b")
    index.add("links/tool", "1.0")
    index.add("a/tool", "2.0")
    index.add("a/base")
    options = PypiOptions(no_index=True, find_links=((index.root / "links" / "tool").as_uri(),))
    found = UvSolver().solve(request("tool", indexes=(), options=options))
    with pytest.raises(ResolveError, match=r"base was not found") as caught:
        UvSolver().solve(request("tool", "base", indexes=(), options=options))
    assert [(package.version, package.index) for package in found] == [("1.0", "")]
    assert "--find-links" in caught.value.hint
    assert index.asked == []


def test_a_private_page_of_links_gets_its_credentials(index: Index) -> None:
    """The page and what it links to are fetched with them; the answer and the command line hold none."""
    index.add("private/tool")
    page = f"{index.url}/private/tool/"
    secrets = {page: page.replace("//", f"//{USER}:{PASSWORD}@")}
    options = PypiOptions(find_links=(page,))
    found = UvSolver(secrets).solve(request("tool", indexes=(f"{index.url}/a",), options=options))
    assert names(found) == ["tool 1.0"]
    assert PASSWORD not in repr(found)


@pytest.mark.parametrize("gone", ["folder", "page"])
def test_links_that_cannot_be_read_are_named(index: Index, gone: str) -> None:
    """A folder or a page that is not there is a source error with its place."""
    where = (index.root / "nowhere").as_uri() if gone == "folder" else f"{index.url}/nowhere"
    with pytest.raises(SourceError, match="nowhere"):
        UvSolver().solve(request("tool", indexes=(f"{index.url}/a",), options=PypiOptions(find_links=(where,))))


def digest(wheel: Path, kind: str = "sha256") -> str:
    return f"{kind}:{hashlib.new(kind, wheel.read_bytes()).hexdigest()}"


def only(*hashes: str) -> PypiOptions:
    return PypiOptions(hashed=(HashedRequirement(PypiRequirement.parse("tool==1.0"), hashes),))


@pytest.mark.parametrize("kind", ["sha256", "sha384", "sha512"])
def test_a_file_with_a_hash_that_is_given_is_taken(index: Index, kind: str) -> None:
    """Of two wheels that fit it is the one that is listed; a hash the index does not know is computed."""
    best = index.add("a/tool", tag="cp311-cp311-manylinux_2_17_x86_64")
    pure = index.add("a/tool")
    listed = pure if kind == "sha256" else best
    options = only("sha256:" + "0" * 64, digest(listed, kind)) if kind == "sha256" else only(digest(listed, kind))
    (found,) = UvSolver().solve(request("tool==1.0", indexes=(f"{index.url}/a",), options=options))
    assert (found.filename, f"sha256:{found.sha256}") == (listed.name, digest(listed))


@pytest.mark.parametrize("kind", ["sha256", "sha512"])
def test_a_file_with_another_hash_is_refused(index: Index, kind: str) -> None:
    """Package, file, what was expected and what was found are in the message, whatever kind of hash it is."""
    wheel = index.add("a/tool")
    expected = f"{kind}:" + "0" * (64 if kind == "sha256" else 128)
    with pytest.raises(ResolveError) as caught:
        UvSolver().solve(request("tool==1.0", indexes=(f"{index.url}/a",), options=only(expected)))
    for part in ("'tool 1.0'", expected, f"{wheel.name}: found {digest(wheel, kind)}"):
        assert part in caught.value.message


def test_a_host_is_trusted_where_that_is_asked_for(index: Index, tmp_path: Path, stage: Path) -> None:
    """A certificate that nobody knows stops resolving and installing, and a trusted host does neither."""
    index.add("a/tool")
    with tls(index.root, tmp_path) as (url, _):
        asked = request(
            "tool",
            indexes=(),
            arch=arch_of(os.uname().sysname, os.uname().machine),
            python=PYTHON,
            options=PypiOptions(find_links=(f"{url}/a/tool/",), no_index=True),
        )
        with pytest.raises(SourceError, match="certificate"):
            UvSolver().solve(asked)
        trusted = replace(asked.options, trusted_hosts=("localhost",))
        found = UvSolver().solve(replace(asked, options=trusted))
        shutil.rmtree(tmp_path / "cache")
        with pytest.raises(PackageError, match="certificate"):
            UvInstaller().install(found, stage, tmp_path / "final", Reporter())
        UvInstaller().install(found, stage, tmp_path / "final", Reporter(), trusted=("localhost",))
    assert installed(stage) == ["tool-1.0.dist-info"]


@pytest.mark.parametrize("kind", ["folder", "page"])
def test_what_links_gave_is_installed(index: Index, stage: Path, tmp_path: Path, kind: str) -> None:
    """A wheel of a folder and one of a page are fetched from there with a cold cache; another file is refused."""
    wheel = index.add("links/tool")
    where = wheel.parent.as_uri() if kind == "folder" else f"{index.url}/links/tool/"
    asked = request(
        "tool",
        indexes=(),
        arch=arch_of(os.uname().sysname, os.uname().machine),
        python=PYTHON,
        options=PypiOptions(find_links=(where,), no_index=True),
    )
    packages = UvSolver().solve(asked)
    shutil.rmtree(tmp_path / "cache")
    UvInstaller().install(packages, stage, tmp_path / "final", Reporter())
    assert installed(stage) == ["tool-1.0.dist-info"]
    index.add("links/tool", requires=("other",))
    shutil.rmtree(tmp_path / "cache")
    shutil.rmtree(next(stage.glob("lib/python3.*/site-packages/tool-1.0.dist-info")))
    with pytest.raises(PackageError, match="is not the file that was resolved"):
        UvInstaller().install(packages, stage, tmp_path / "final", Reporter())


# Failing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        ("private", "/private answers 401 Unauthorized"),
        ("forbidden", "/forbidden answers 403 Forbidden"),
        ("missing", "/missing answers 404 Not Found"),
        ("broken", "/broken cannot be used"),
        ("garbage", "/garbage cannot be used"),
    ],
)
def test_a_bad_index_is_named_within_seconds(index: Index, folder: str, message: str) -> None:
    """Each way to be a bad index is a source error that names it, a wrong password included and masked."""
    url = f"{index.url}/{folder}"
    started = time.monotonic()
    with pytest.raises(SourceError) as caught:
        UvSolver({url: url.replace("//", "//someone:wrong@")}).solve(request("tool", indexes=(url,)))
    assert message in caught.value.message
    assert caught.value.hint
    assert "wrong" not in str(caught.value)
    assert time.monotonic() - started < 10


def test_a_dead_index_is_given_up_within_seconds(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """With our own retries an index that refuses connections costs seconds and not a minute."""
    monkeypatch.delenv("UV_HTTP_RETRIES")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/simple"
        started = time.monotonic()
        with pytest.raises(SourceError, match="/simple cannot be used"):
            UvSolver().solve(request("tool", indexes=(url,)))
    assert time.monotonic() - started < 20


def test_an_unknown_project_is_not_the_index_s_fault(index: Index) -> None:
    """An index that exists and lacks the name leaves a resolve error with the name."""
    index.add("a/tool")
    with pytest.raises(ResolveError, match="toool was not found"):
        UvSolver().solve(request("toool", indexes=(f"{index.url}/a",)))


def test_a_project_without_a_wheel_for_the_platform_names_both(index: Index) -> None:
    """The package, the target and the platforms that have a wheel are in the message."""
    index.add("a/tool", tag="cp311-cp311-macosx_11_0_arm64")
    with pytest.raises(ResolveError, match=r"(?s)and glibc 2\.28: .*tool.*macosx_11_0_arm64"):
        UvSolver().solve(request("tool", indexes=(f"{index.url}/a",)))


# Installing ------------------------------------------------------------------------------------------------------


@pytest.fixture
def stage(tmp_path: Path) -> Path:
    """A prefix to be: a virtual environment with a copied interpreter."""
    stage = tmp_path / "prefixes" / ".stage"
    subprocess.run([sys.executable, "-m", "venv", "--copies", "--without-pip", str(stage)], check=True)
    return stage


def resolved(index: Index, *requirements: str, secrets: dict[str, str] | None = None) -> tuple[PypiPackage, ...]:
    here = request(
        *requirements,
        indexes=tuple(secrets) if secrets else (f"{index.url}/a",),
        arch=arch_of(os.uname().sysname, os.uname().machine),
        python=PYTHON,
    )
    return UvSolver(secrets or {}).solve(here)


def installed(stage: Path) -> list[str]:
    return sorted(path.name for path in stage.glob("lib/python3.*/site-packages/*.dist-info"))


def test_wheels_are_put_in_place_and_scripts_run_from_the_final_path(index: Index, stage: Path) -> None:
    """After the rename the console script runs, records hold, and no file of a distribution names the stage."""
    index.add("a/tool", requires=("base",))
    index.add("a/base")
    final = stage.parent / "final"
    UvInstaller().install(resolved(index, "tool"), stage, final, Reporter())
    assert installed(stage) == ["base-1.0.dist-info", "tool-1.0.dist-info"]
    stage.rename(final)
    ran = subprocess.run([final / "bin" / "tool-tool"], capture_output=True, text=True, check=True)
    assert ran.stdout == "a/tool 1.0\n"
    files = [*final.glob("lib/python3.*/site-packages/**/*"), *(final / "bin").glob("*-tool")]
    assert not [file for file in files if file.is_file() and str(stage).encode() in file.read_bytes()]
    assert not list(final.glob("lib/python3.*/site-packages/*/direct_url.json"))
    record = next(final.glob("lib/python3.*/site-packages/tool-1.0.dist-info/RECORD")).read_text()
    script = (final / "bin" / "tool-tool").read_bytes()
    digest = base64.urlsafe_b64encode(hashlib.sha256(script).digest()).rstrip(b"=").decode()
    assert f"../../../bin/tool-tool,sha256={digest},{len(script)}\n" in record


def test_a_warm_cache_needs_no_network(index: Index, stage: Path, tmp_path: Path) -> None:
    """The second prefix asks the server nothing."""
    index.add("a/tool")
    packages = resolved(index, "tool")
    other = tmp_path / "prefixes" / ".other"
    shutil.copytree(stage, other, symlinks=True)
    UvInstaller().install(packages, stage, tmp_path / "final", Reporter())
    index.asked.clear()
    UvInstaller().install(packages, other, tmp_path / "other", Reporter())
    assert installed(other) == ["tool-1.0.dist-info"]
    assert index.asked == []


def test_wheels_of_the_user_s_own_uv_are_used(
    index: Index, stage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What uv cached for the default index serves us too."""
    index.add("a/tool")
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"{index.url}/a")
    uv = find_uv()
    subprocess.run([uv, "pip", "install", "-q", "--target", tmp_path / "own", "tool"], check=True)
    packages = tuple(replace(package, index="default") for package in resolved(index, "tool"))
    index.asked.clear()
    UvInstaller().install(packages, stage, tmp_path / "final", Reporter())
    assert index.asked == []
    assert default_index(uv) == f"{index.url}/a"


@pytest.mark.parametrize("warm", [False, True])
def test_a_wheel_that_is_not_the_resolved_one_is_refused(index: Index, stage: Path, tmp_path: Path, warm: bool) -> None:
    """A wrong hash is a package error that names package and file, in the cache or not, and nothing is trusted."""
    index.add("a/tool")
    (package,) = resolved(index, "tool")
    if warm:
        other = tmp_path / "prefixes" / ".other"
        shutil.copytree(stage, other, symlinks=True)
        UvInstaller().install((package,), other, tmp_path / "other", Reporter())
    for _ in range(2):
        with pytest.raises(PackageError, match=r"'tool-1\.0-py3-none-any\.whl' of tool 1\.0 .*not the file that was"):
            UvInstaller().install((replace(package, sha256="0" * 64),), stage, tmp_path / "final", Reporter())
        assert installed(stage) == []
    UvInstaller().install((package,), stage, tmp_path / "final", Reporter())
    assert installed(stage) == ["tool-1.0.dist-info"]


def test_a_replaced_file_does_not_hide_behind_the_cache(index: Index, stage: Path, tmp_path: Path) -> None:
    """With other bytes of the same name cached, the resolved ones are fetched."""
    index.add("a/tool")
    (old,) = resolved(index, "tool")
    other = tmp_path / "prefixes" / ".other"
    shutil.copytree(stage, other, symlinks=True)
    UvInstaller().install((old,), other, tmp_path / "other", Reporter())
    new = index.add("a/tool", requires=("nothing-new",))
    sha256 = hashlib.sha256(new.read_bytes()).hexdigest()
    UvInstaller().install((replace(old, sha256=sha256),), stage, tmp_path / "final", Reporter())
    metadata = next(stage.glob("lib/python3.*/site-packages/tool-1.0.dist-info/METADATA"))
    assert "nothing-new" in metadata.read_text()


def test_a_wheel_that_is_gone_is_a_package_error(index: Index, stage: Path, tmp_path: Path) -> None:
    """The file and the status are told."""
    wheel = index.add("a/tool")
    packages = resolved(index, "tool")
    wheel.unlink()
    shutil.rmtree(tmp_path / "cache")
    with pytest.raises(PackageError, match=r"(?s)tool-1\.0-py3.* cannot be fetched.*404"):
        UvInstaller().install(packages, stage, tmp_path / "final", Reporter())


def test_a_private_wheel_is_fetched_with_credentials(index: Index, stage: Path, tmp_path: Path) -> None:
    """With the secret it works on a cold cache, without it fails; the prefix holds no password."""
    index.add("private/tool")
    private = f"{index.url}/private"
    secrets = {private: private.replace("//", f"//{USER}:{PASSWORD}@")}
    packages = resolved(index, "tool", secrets=secrets)
    shutil.rmtree(tmp_path / "cache")
    with pytest.raises(PackageError, match="401"):
        UvInstaller().install(packages, stage, tmp_path / "final", Reporter())
    UvInstaller(secrets).install(packages, stage, tmp_path / "final", Reporter())
    assert installed(stage) == ["tool-1.0.dist-info"]
    infos = stage.glob("lib/python3.*/site-packages/tool-1.0.dist-info/*")
    assert not [file for file in infos if PASSWORD.encode() in file.read_bytes()]


def test_a_local_wheel_and_a_marked_python_are_no_obstacle(index: Index, stage: Path, tmp_path: Path) -> None:
    """Conda's EXTERNALLY-MANAGED, a user's constraints and a project around us do not stop a direct link."""
    wheel = index.add("a/tool")
    for folder in stage.glob("lib/python3.*"):
        (folder / "EXTERNALLY-MANAGED").write_text("[externally-managed]\nError=no\n")
    packages = resolved(index, f"tool @ {wheel.as_uri()}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UV_CONSTRAINT", str(tmp_path / "none.txt"))
        patch.setenv("UV_NO_VERIFY_HASHES", "1")
        UvInstaller().install(packages, stage, tmp_path / "final", Reporter())
    assert installed(stage) == ["tool-1.0.dist-info"]


def test_a_wheel_of_another_platform_cannot_be_created_here(index: Index, stage: Path, tmp_path: Path) -> None:
    """What was resolved for another machine is refused by name."""
    wheel = index.add("a/tool", tag="cp311-cp311-win_amd64")
    package = PypiPackage(
        name="tool",
        version="1.0",
        filename=wheel.name,
        url=f"{index.url}/a/tool/{wheel.name}",
        sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(),
    )
    with pytest.raises(CreateError, match="win_amd64"):
        UvInstaller().install((package,), stage, tmp_path / "final", Reporter())


def test_progress_is_told(index: Index, stage: Path, tmp_path: Path) -> None:
    """Started with the number of wheels, finished once."""
    events: list[tuple[str, object]] = []

    class Recorder(Reporter):
        def started(self, task: str, total: int | None = None) -> None:
            events.append(("started", total))

        def finished(self, task: str, summary: str = "") -> None:
            events.append(("finished", summary))

    index.add("a/tool")
    UvInstaller().install(resolved(index, "tool"), stage, tmp_path / "final", Recorder())
    assert events == [("started", 1), ("finished", "1 wheels")]


# The default index -----------------------------------------------------------------------------------------------


@pytest.mark.network
@pytest.mark.parametrize("arch", ["linux-64", "linux-aarch64", "osx-64", "osx-arm64"])
def test_numpy_resolves_for_every_platform(index: Index, arch: str) -> None:
    """The default index has a wheel of it for each, with size and hash."""
    (package,) = UvSolver().solve(request("numpy<2.3", indexes=("default",), arch=arch))
    assert len(package.sha256) == 64
    assert package.size > 1_000_000
    assert package.index == "default"


@pytest.mark.network
def test_a_project_that_has_only_sources_is_refused(index: Index) -> None:
    """The name is told, and that nothing is built here."""
    with pytest.raises(ResolveError, match="docopt") as caught:
        UvSolver().solve(request("docopt==0.6.2", indexes=("default",)))
    assert "nothing is built" in caught.value.hint
