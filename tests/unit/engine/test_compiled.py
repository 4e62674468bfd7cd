"""Byte code of packages in the shared store."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from metaflow_extensions.netflix_ext.engine.compiled import Compiler, known, publish
from metaflow_extensions.netflix_ext.engine.errors import StoreError, ToolError
from metaflow_extensions.netflix_ext.engine.layout import byte_code_key, byte_code_list_key
from metaflow_extensions.netflix_ext.engine.package import CondaPackage, PypiPackage
from tests.fakes import FakeArchives, MemoryStore, Recorder, conda_package, resolved, wheel

NUMPY, IDNA, LIB = conda_package("numpy"), wheel("idna"), conda_package("zlib")
ENVIRONMENT = resolved(NUMPY, LIB, pypi=[IDNA])


@dataclass
class FakeMaker:
    """Makes byte code that says what it is of; none of those in `without`, and none at all with `error`."""

    folder: Path
    without: tuple[str, ...] = ()
    error: Exception | None = None
    made: list[tuple[str, str]] = field(default_factory=list)

    def expects(self, package: CondaPackage | PypiPackage) -> bool:
        return package.name not in ("python", "zlib")

    def archive(self, package: CondaPackage | PypiPackage, file: Path, minor: str) -> Path | None:
        if self.error is not None:
            raise self.error
        self.made.append((package.name, minor))
        if package.name in self.without:
            return None
        path = self.folder / f"{package.name}.zip"
        path.write_text(f"byte code of {package.name}")
        return path


def compiler(folder: Path, store: MemoryStore, **words: object) -> tuple[Compiler, FakeMaker]:
    files = {package.filename: folder / "file" for package in ENVIRONMENT.packages}
    maker = FakeMaker(folder, **words)  # type: ignore[arg-type]
    return Compiler(store=store, files=FakeArchives(at_hand=files), maker=maker), maker


def test_byte_code_is_made_once_and_listed(tmp_path: Path) -> None:
    """Each package that has sources gets its own, for the environment's Python; the list names it by its hash."""
    store, report = MemoryStore(), Recorder()
    parts, maker = compiler(tmp_path, store)

    listing = publish(ENVIRONMENT, parts, report, title="Compiling")

    assert sorted(maker.made) == [("idna", "3.11"), ("numpy", "3.11")]
    sha256 = hashlib.sha256(b"byte code of idna").hexdigest()
    assert listing[IDNA.digest] == sha256
    assert set(listing) == {IDNA.digest, NUMPY.digest}
    assert store.get(byte_code_key("cpython-311", IDNA.digest, f"{sha256}.zip")) == b"byte code of idna"
    assert known(ENVIRONMENT, MemoryStore(), store) == listing
    assert report.tasks == [("Compiling", "2 packages")]

    other = resolved(NUMPY, req_id="b" * 40)
    assert publish(other, parts, report, title="Compiling") == {NUMPY.digest: listing[NUMPY.digest]}
    assert len(maker.made) == 2


def test_what_has_none_is_remembered(tmp_path: Path) -> None:
    """A package with nothing to compile is not in the list, and is not looked at again."""
    store = MemoryStore()
    parts, maker = compiler(tmp_path, store, without=("numpy",))

    assert set(publish(ENVIRONMENT, parts, Recorder(), title="Compiling")) == {IDNA.digest}
    publish(resolved(NUMPY, req_id="b" * 40), parts, Recorder(), title="Compiling")
    assert maker.made.count(("numpy", "3.11")) == 1


def test_a_failure_lists_nothing(tmp_path: Path) -> None:
    """Without all of it there is no list; a list that is damaged is named."""
    store, report = MemoryStore(), Recorder()
    parts, _ = compiler(tmp_path, store, error=ToolError("there is no Python 3.11", "look"))

    with pytest.raises(ToolError):
        publish(ENVIRONMENT, parts, report, title="Compiling")
    assert report.tasks == [("Compiling", "failed")]
    assert known(ENVIRONMENT, store) is None

    store.put(byte_code_list_key(ENVIRONMENT.env_id), json.dumps([1]).encode())
    with pytest.raises(StoreError, match="bytecode: not a list of byte code"):
        known(ENVIRONMENT, store)


def test_what_byte_code_is_called() -> None:
    """As the Python of the environment calls it; one without a lock has another."""
    free = replace(ENVIRONMENT.conda[1], name="python_abi", build="8_cp313t")
    assert ENVIRONMENT.cache_tag == "cpython-311"
    assert replace(ENVIRONMENT, conda=(*ENVIRONMENT.conda, free)).cache_tag == "cpython-311t"
    assert replace(ENVIRONMENT, conda=()).cache_tag == ""
