"""Byte code: what is kept of which package, where it goes, and what the background is asked for."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import sys
import time
from base64 import urlsafe_b64encode
from pathlib import Path

import pytest

from metaflow_extensions.netflix_ext.adapters import compile_sources
from metaflow_extensions.netflix_ext.adapters.bytecode import ByteCodeCache
from metaflow_extensions.netflix_ext.adapters.compile_sources import STATE, Cache, Package
from metaflow_extensions.netflix_ext.engine.package import CondaPackage, PypiPackage
from metaflow_extensions.netflix_ext.engine.ports import LinkedByteCode
from tests.fakes import NoByteCode

TAG = str(sys.implementation.cache_tag)
MINOR = f"python3.{sys.version_info.minor}"
LIBRARY = f"lib/{MINOR}"
SITE = f"{LIBRARY}/site-packages"
DIGEST = "a" * 64


def wheel(name: str = "Some.Name", digest: str = DIGEST) -> PypiPackage:
    return PypiPackage(name, "1.0", f"{name}-1.0-py3-none-any.whl", "https://i/w.whl", digest)


def conda(
    name: str, *, sha256: str = DIGEST, md5: str = "", noarch: str = "", depends: tuple[str, ...] = ()
) -> CondaPackage:
    return CondaPackage(
        name=name,
        version="1.0",
        build="0",
        build_number=0,
        subdir="noarch",
        channel="c",
        filename=f"{name}-1.0-0.conda",
        url="https://c/p.conda",
        sha256=sha256,
        md5=md5,
        noarch=noarch,
        depends=depends,
    )


def put_wheel(prefix: Path, files: dict[str, str], name: str = "some_name") -> None:
    """Write *files* as those of an installed wheel."""
    site = prefix / SITE
    rows = []
    for path, text in files.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_text(text)
        digest = urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        rows.append(f"{path},sha256={digest},{len(text)}")
    info = site / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "RECORD").write_text("\n".join([*rows, f"{info.name}/RECORD,,"]) + "\n")


def put_conda(prefix: Path, paths: list[dict[str, object]], stem: str = "some-1.0-0") -> None:
    """Write the record of an installed conda package."""
    meta = prefix / "conda-meta"
    meta.mkdir(parents=True, exist_ok=True)
    (meta / f"{stem}.json").write_text(json.dumps({"paths_data": {"paths": paths}}))


def put_recorder(prefix: Path) -> Path:
    """Give *prefix* an interpreter that only keeps what it is asked; return where."""
    script = prefix / "bin" / MINOR
    script.parent.mkdir(parents=True)
    script.write_text('#!/bin/sh\n/bin/cat > "$0.aside"; /bin/mv "$0.aside" "$0.asked"\n')
    script.chmod(0o755)
    (prefix / "bin" / "python").symlink_to(MINOR)
    return script.with_name("python.asked")


def awaited(path: Path, seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.01)
    return path.exists()


def test_it_is_the_port() -> None:
    """The cache and its null object both stand where the engine wants byte code."""
    parts: list[LinkedByteCode] = [ByteCodeCache(Path("/nowhere")), NoByteCode()]

    assert [0, 0] == [part.link(Path("/nowhere"), [wheel()]) for part in parts]


def test_byte_code_is_what_an_import_takes_unchecked() -> None:
    """The header is that of PEP 552 for a hash that nobody checks, and the code is the source's."""
    source = b"x = 1\n"

    found = compile_sources.byte_code(source, "lib/x.py")

    assert found is not None
    assert importlib.util.MAGIC_NUMBER == found[:4]
    assert b"\x01\0\0\0" == found[4:8]
    assert importlib.util.source_hash(source) == found[8:16]


@pytest.mark.parametrize("source", [b"print 'two'\n", b"{{ template }} x\n", b"\xff = 1\n", b"x = 1\0\n", b"(" * 9999])
def test_what_does_not_compile_is_left_out(source: bytes) -> None:
    """Sources of another Python, templates and broken files give nothing, and no error."""
    assert None is compile_sources.byte_code(source, "x.py")


def test_byte_code_lies_where_an_import_looks() -> None:
    """The path is the one that importlib computes, for names with dots too."""
    for path in ("a/b.py", "a/b.c.py"):
        assert importlib.util.cache_from_source(path, optimization="") == compile_sources.compiled_path(path, TAG)


def test_sources_of_a_wheel(tmp_path: Path) -> None:
    """Only sources below site-packages count: no tests, no scripts, no data, none whose byte code came along."""
    files = {
        "pkg/__init__.py": "a = 1\n",
        "pkg/tests/test_a.py": "b = 1\n",
        "pkg/testing.py": "c = 1\n",
        "pkg/data.txt": "d",
        "pkg/own.py": "e = 1\n",
        f"pkg/__pycache__/own.{TAG}.pyc": "",
        "../../../bin/script.py": "f = 1\n",
    }
    put_wheel(tmp_path, files)

    found = compile_sources.sources(str(tmp_path), LIBRARY, Package("wheel", "Some.Name", DIGEST))

    assert [f"{SITE}/pkg/__init__.py", f"{SITE}/pkg/testing.py"] == sorted(source.path for source in found)
    assert {hashlib.sha256(b"a = 1\n").hexdigest(), hashlib.sha256(b"c = 1\n").hexdigest()} == {
        source.sha256 for source in found
    }


def test_sources_of_a_conda_package(tmp_path: Path) -> None:
    """The standard library counts, its own tests do not, nor what lies elsewhere or climbs out."""
    paths = [f"{LIBRARY}/abc.py", f"{LIBRARY}/test/t.py", "share/x.py", f"{LIBRARY}/../../x.py", f"{SITE}/p/y.py"]
    put_conda(tmp_path, [{"_path": path, "sha256": "0", "size_in_bytes": 1} for path in paths])

    found = compile_sources.sources(str(tmp_path), LIBRARY, Package("conda", "some-1.0-0", DIGEST))

    assert [f"{LIBRARY}/abc.py", f"{SITE}/p/y.py"] == [source.path for source in found]


def test_an_edited_source_gives_nothing(tmp_path: Path) -> None:
    """Byte code is shared, so a source that is not the package's is left out, and the others are made."""
    put_wheel(tmp_path / "p", {"good.py": "a = 1\n", "bad.py": "b = 1\n"})
    (tmp_path / "p" / SITE / "bad.py").write_text("b = 2\n")
    package = Package("wheel", "some-name", DIGEST)
    cache = Cache(str(tmp_path / "c"), str(tmp_path / "p"), LIBRARY)

    cache.make(package, compile_sources.sources(str(tmp_path / "p"), LIBRARY, package))

    found = [path.name for path in (tmp_path / "c" / DIGEST).rglob("*.pyc")]
    assert [f"good.{TAG}.pyc"] == found


def test_a_package_that_vanishes_is_not_kept(tmp_path: Path) -> None:
    """Where a source is gone, the package stays unknown and nothing half made is left."""
    put_wheel(tmp_path / "p", {"good.py": "a = 1\n", "gone.py": "b = 1\n"})
    (tmp_path / "p" / SITE / "gone.py").unlink()
    package = Package("wheel", "some-name", DIGEST)
    cache = Cache(str(tmp_path / "c"), str(tmp_path / "p"), LIBRARY)

    cache.make(package, compile_sources.sources(str(tmp_path / "p"), LIBRARY, package))

    assert not cache.link(package)
    assert [".lock"] == os.listdir(tmp_path / "c")


def test_what_was_made_before_a_kill_is_used(tmp_path: Path) -> None:
    """A package goes on from its half-made folder: what is in there is not made again."""
    put_wheel(tmp_path / "p", {"a.py": "a = 1\n", "b.py": "b = 1\n"})
    made = tmp_path / "c" / f"{DIGEST}.partial" / SITE / "__pycache__" / f"a.{TAG}.pyc"
    made.parent.mkdir(parents=True)
    made.write_bytes(b"from before")
    package = Package("wheel", "some-name", DIGEST)
    cache = Cache(str(tmp_path / "c"), str(tmp_path / "p"), LIBRARY)

    cache.make(package, compile_sources.sources(str(tmp_path / "p"), LIBRARY, package))

    folder = tmp_path / "c" / DIGEST / SITE / "__pycache__"
    assert {f"a.{TAG}.pyc", f"b.{TAG}.pyc"} == set(os.listdir(folder))
    assert b"from before" == (folder / f"a.{TAG}.pyc").read_bytes()


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    """Where a file cannot be written, the error comes out and the half-made package is gone."""
    put_wheel(tmp_path / "p", {"a.py": "a = 1\n"})
    (tmp_path / "c" / ".writing").mkdir(parents=True)  # takes the place of the file to be written
    package = Package("wheel", "some-name", DIGEST)
    cache = Cache(str(tmp_path / "c"), str(tmp_path / "p"), LIBRARY)

    with pytest.raises(OSError, match="writing"):
        cache.make(package, compile_sources.sources(str(tmp_path / "p"), LIBRARY, package))

    assert {".lock", ".writing"} == set(os.listdir(tmp_path / "c"))


def test_linking_shares_the_file(tmp_path: Path) -> None:
    """A linked file is the cache's own, read-only, and a file that is there stays."""
    folder = tmp_path / "c" / "x" / "pkg" / "__pycache__"
    folder.mkdir(parents=True)
    for name in ("a.pyc", "b.pyc"):
        compile_sources.write(str(folder / name), b"new", str(tmp_path / "aside"))
    there = tmp_path / "p" / "pkg" / "__pycache__" / "b.pyc"
    there.parent.mkdir(parents=True)
    there.write_bytes(b"old")

    assert 1 == compile_sources.link_folder(str(tmp_path / "c" / "x"), str(tmp_path / "p"))

    assert (folder / "a.pyc").samefile(there.with_name("a.pyc"))
    assert 0o444 == there.with_name("a.pyc").stat().st_mode & 0o777
    assert b"old" == there.read_bytes()


def test_a_removed_prefix_does_not_come_back(tmp_path: Path) -> None:
    """Linking into a prefix that is gone makes no folder."""
    folder = tmp_path / "c" / "pkg" / "__pycache__"
    folder.mkdir(parents=True)
    (folder / "a.pyc").write_bytes(b"")

    assert 0 == compile_sources.link_folder(str(tmp_path / "c"), str(tmp_path / "p"))

    assert not (tmp_path / "p").exists()


def test_link_marks_a_complete_stage(tmp_path: Path) -> None:
    """Where all is known, the stage gets it and its state; where one package is unknown, only what is known."""
    put_recorder(tmp_path / "stage")
    (tmp_path / "stage" / SITE).mkdir(parents=True)
    known = tmp_path / ".bytecode" / TAG / DIGEST / SITE / "__pycache__" / "m.pyc"
    known.parent.mkdir(parents=True)
    known.write_bytes(b"")
    cache = ByteCodeCache(tmp_path)

    assert 1 == cache.link(tmp_path / "stage", [wheel(), wheel("other", "b" * 64)])
    assert not (tmp_path / "stage" / STATE).exists()
    assert 0 == cache.link(tmp_path / "stage", [wheel()])
    assert f"{TAG}\n" == (tmp_path / "stage" / STATE).read_text()


def test_begin_asks_for_what_may_have_sources(tmp_path: Path) -> None:
    """The background gets the wheels and those conda packages that are of Python, by trustworthy digests."""
    prefix = tmp_path / "p"
    asked = put_recorder(prefix)
    packages: list[CondaPackage | PypiPackage] = [
        wheel(digest="1" * 64),
        wheel("no-digest", "../../x"),
        conda("libz", sha256="2" * 64),
        conda("pure", sha256="3" * 64, noarch="python"),
        conda("native", sha256="", md5="4" * 32, depends=("python >=3.9,<3.10.0a0",)),
        conda("python", sha256="5" * 64),
    ]

    ByteCodeCache(tmp_path).begin(prefix, packages)

    assert awaited(asked)
    assert {
        "tag": TAG,
        "cache": str(tmp_path / ".bytecode" / TAG),
        "prefix": str(prefix),
        "library": LIBRARY,
        "packages": [
            ["wheel", "Some.Name", "1" * 64],
            ["conda", "pure-1.0-0", "3" * 64],
            ["conda", "native-1.0-0", f"md5-{'4' * 32}"],
            ["conda", "python-1.0-0", "5" * 64],
        ],
    } == json.loads(asked.read_text())


def test_begin_does_nothing_for_a_complete_prefix(tmp_path: Path) -> None:
    """A prefix with its state file starts no process, nor does a tree with the one of that Python."""
    prefix = tmp_path / "p"
    asked = put_recorder(prefix)
    (prefix / STATE).touch()
    tree = tmp_path / "tree"
    tree.mkdir()
    Path(compile_sources.tree_state(str(tree), TAG)).touch()
    cache = ByteCodeCache(tmp_path)

    cache.begin(prefix, [wheel()])
    cache.begin_tree(tree, prefix / "bin" / "python")

    assert not awaited(asked, 0.3)


def test_begin_never_raises(tmp_path: Path) -> None:
    """No interpreter, one of another kind, one that cannot start: a prefix works without byte code."""
    other = tmp_path / "other" / "bin" / "python"
    other.parent.mkdir(parents=True)
    other.touch()
    broken = tmp_path / "broken" / "bin" / MINOR
    broken.parent.mkdir(parents=True)
    broken.with_name("python").symlink_to(MINOR)
    broken.touch()
    cache = ByteCodeCache(tmp_path)

    for name in ("none", "other", "broken"):
        cache.begin(tmp_path / name, [wheel()])
        cache.begin_tree(tmp_path / name, tmp_path / name / "bin" / "python")

    assert not (tmp_path / ".bytecode").exists()
