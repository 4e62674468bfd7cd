"""The start of a task in a container, up to where tools are needed."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest

from metaflow_extensions.netflix_ext.engine.errors import StoreError
from metaflow_extensions.netflix_ext.engine.layout import package_key
from metaflow_extensions.netflix_ext.engine.package import CondaPackage, PypiPackage
from metaflow_extensions.netflix_ext.host import compat
from metaflow_extensions.netflix_ext.host.container import Container, activation, main
from metaflow_extensions.netflix_ext.host.store import MetaflowStore
from tests.fakes import conda_package, resolved, wheel

ENVIRONMENT = resolved(pypi=[wheel("idna")])


@pytest.fixture(name="store")
def _store(tmp_path: Path) -> MetaflowStore:
    return MetaflowStore("local", str(tmp_path / "store"))


def file_of(package: CondaPackage | PypiPackage) -> bytes:
    """Return the bytes of a package whose URL is that of a file."""
    return Path(url2pathname(urlsplit(package.url).path)).read_bytes()


def test_a_package_is_copied_and_the_store_left_as_it_is(tmp_path: Path, store: MetaflowStore) -> None:
    """A package comes from the store by its key, checked; one that is gone and has no source is named."""
    data = b"a wheel"
    package = replace(wheel("idna"), sha256=hashlib.sha256(data).hexdigest())
    key = package_key("pypi", package.url, package.filename, package.digest)
    store.put(key, data)
    work = Container(store, str(tmp_path / "work"))

    assert file_of(work._package(package, {}, {})) == data
    assert Path(store.root, key).read_bytes() == data
    gone = replace(wheel("other"), url="https://_fake/other.whl")
    with pytest.raises(StoreError, match=r"any\.whl' is not there any more"):
        work._package(gone, {}, {})


def test_a_package_that_is_gone_is_left_to_its_source(
    tmp_path: Path, store: MetaflowStore, capsys: pytest.CaptureFixture[str]
) -> None:
    """A package that the store has lost, and that has a source, is told and left to that."""
    assert Container(store, str(tmp_path / "work"))._package(wheel("other"), {}, {}) == wheel("other")
    assert "any.whl' is not there any more; it is fetched from where it came from" in capsys.readouterr().out


def test_a_package_that_1x_has_stored(tmp_path: Path, store: MetaflowStore) -> None:
    """A package that lies below a key of its own is got from there."""
    package = replace(wheel("idna"), sha256=hashlib.sha256(b"a wheel").hexdigest())
    store.put("packages/pypi/elsewhere", b"a wheel")

    found = Container(store, str(tmp_path))._package(package, {package.filename: "packages/pypi/elsewhere"}, {})

    assert file_of(found) == b"a wheel"


def test_a_package_in_the_format_that_is_preferred(tmp_path: Path, store: MetaflowStore) -> None:
    """The code package names another file for a package: that is fetched, checked, and installed under its own name."""
    sha256 = hashlib.sha256(b"packed anew").hexdigest()
    form = {"key": "packages/conda/anew", "sha256": sha256, "file": "numpy-1.0-0.tar.bz2"}
    store.put(form["key"], b"packed anew")
    numpy = conda_package("numpy")

    found = Container(store, str(tmp_path))._package(numpy, {}, {numpy.digest: form})

    assert file_of(found) == b"packed anew"
    assert (found.filename, found.digest, found.name) == ("numpy-1.0-0.tar.bz2", sha256, "numpy")


def test_a_package_that_a_volume_has_unpacked(tmp_path: Path, store: MetaflowStore) -> None:
    """What lies unpacked in the cache that tasks share is not fetched: the store has nothing here."""
    numpy = conda_package("numpy", sha256="ab" * 32)
    work = Container(store, str(tmp_path))
    folder = tmp_path / "packages" / "numpy-1.0-0"
    folder.mkdir(parents=True)
    folder.with_name("numpy-1.0-0.lock").write_bytes(bytes(8) + bytes.fromhex(numpy.sha256))

    assert work._package(numpy, {}, {}) == numpy


def test_a_prefix_that_is_there_is_used(
    tmp_path: Path, store: MetaflowStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a volume that other tasks have used, the prefix is found by its marker, and nothing is fetched."""
    root = tmp_path / "volume"
    prefix = root / ENVIRONMENT.env_id.prefix_name
    prefix.mkdir(parents=True)
    marker = {"id": list(ENVIRONMENT.env_id), "variables": {"HELLO": "it's"}}
    (prefix / ".metaflowenv").write_text(json.dumps(marker))
    monkeypatch.setattr(compat, "configured", lambda names: dict.fromkeys(names, str(root)))

    found = Container(store, str(tmp_path / "work")).prefix(ENVIRONMENT.env_id)

    assert found == {"path": str(prefix), "python": f"{prefix}/bin/python", "variables": {"HELLO": "it's"}}
    assert "is there already" in capsys.readouterr().out
    assert not (tmp_path / "work").exists()


def test_a_shell_reads_what_activates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Values with quotes, spaces and dollars arrive as they are; the id is JSON; PYTHONPATH is the code package."""
    monkeypatch.setenv("METAFLOW_EXTRACTED_ROOT", "/some/where")
    odd = "a 'b' \"c\" $HOME `x` \\ \n d"
    prefix = {"path": "/p q", "python": "/p q/bin/python", "variables": {"ODD": odd}}
    file = tmp_path / "activate"
    file.write_text(activation(prefix, ENVIRONMENT.env_id, {"folder": "/the tools"}))
    program = f'. {file}; "{sys.executable}" -S -c "import json, os; print(json.dumps(dict(os.environ)))"'

    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True)

    seen = json.loads(done.stdout)
    assert (seen["ODD"], seen["CONDA_PREFIX"]) == (odd, "/p q")
    assert json.loads(seen["_METAFLOW_CONDA_ENV"]) == list(ENVIRONMENT.env_id)
    assert seen["PYTHONPATH"] == "/some/where/.mf_code"
    assert seen["PATH"].startswith("/p q/bin:")
    launcher = json.loads(seen["_METAFLOW_CONDA_LAUNCHER"])
    assert (launcher["python"], launcher["root"], launcher["tools"]["folder"]) == (
        sys.executable,
        "/some/where",
        "/the tools",
    )
    assert "PYTHONHOME" not in seen


def test_failures_are_told_on_one_line_of_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A failure is a message with a hint and status 1, without a traceback."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(compat, "package_member", lambda name: None)

    assert main(["start", "local", str(tmp_path / "store"), "linux-64", f"id={':'.join(ENVIRONMENT.env_id)}"]) == 1
    told = capsys.readouterr().err
    assert "the code package has no conda_v2.cnd" in told
    assert "hint: " in told
    assert "Traceback" not in told
