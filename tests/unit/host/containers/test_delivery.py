"""Packages on their way into a container."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest

from metaflow_extensions.netflix_ext.engine.errors import PackageError, StoreError
from metaflow_extensions.netflix_ext.engine.layout import byte_code_key, package_key
from metaflow_extensions.netflix_ext.engine.package import CondaPackage, PypiPackage
from metaflow_extensions.netflix_ext.host.containers.arrivals import Arrivals
from metaflow_extensions.netflix_ext.host.containers.delivery import Additions, Delivery
from metaflow_extensions.netflix_ext.host.containers.travelled import TravelledByteCode
from tests.fakes import MemoryStore, conda_package, wheel


class SigningStore(MemoryStore):
    """A store whose objects other programs may read."""

    def signed(self, key: str) -> tuple[str, dict[str, str]]:  # type: ignore[override]
        return f"https://store.example/{key}", {"Authorization": "secret"}


def delivery(
    store: MemoryStore,
    folder: Path,
    *,
    stored: Mapping[str, str] | None = None,
    forms: Mapping[str, Mapping[str, str]] | None = None,
    said: list[str] | None = None,
) -> Delivery:
    lines = said if said is not None else []
    arrivals = Arrivals(store, str(folder / "archives"))
    cache = str(folder / "packages")
    return Delivery(store, arrivals, stored=stored or {}, forms=forms or {}, cache=cache, say=lines.append)


def file_of(package: CondaPackage | PypiPackage) -> bytes:
    """Return the bytes of a package whose URL is that of a file."""
    return Path(url2pathname(urlsplit(package.url).path)).read_bytes()


def test_a_wheel_is_copied(tmp_path: Path) -> None:
    """It comes from the store by its key, checked; one that is gone and has no source is named."""
    store = MemoryStore()
    package = replace(wheel("idna"), sha256=hashlib.sha256(b"a wheel").hexdigest())
    store.put(package_key("pypi", package.url, package.filename, package.digest), b"a wheel")

    found = delivery(store, tmp_path).wheel(package)

    assert (file_of(found), found.index) == (b"a wheel", "")
    with pytest.raises(StoreError, match=r"any\.whl' is not there any more"):
        delivery(store, tmp_path).wheel(replace(wheel("other"), url="https://_fake/other.whl"))


def test_other_bytes_are_refused(tmp_path: Path) -> None:
    """What does not hash to what was resolved is named, with both hashes, and does not stay."""
    store = MemoryStore()
    package = wheel("idna")
    store.put(package_key("pypi", package.url, package.filename, package.digest), b"something else")

    with pytest.raises(PackageError, match=f"expected {package.digest}, got"):
        delivery(store, tmp_path).wheel(package)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_package_that_is_gone_is_left_to_its_source(tmp_path: Path) -> None:
    """A package that the store has lost, and that has a source, is told and left to that."""
    said: list[str] = []
    assert delivery(MemoryStore(), tmp_path, said=said).conda(conda_package("abc")) == conda_package("abc")
    assert "abc-1.0-0.conda' is not there any more; it is fetched from where it came from" in said[0]


def test_a_package_that_1x_has_stored(tmp_path: Path) -> None:
    """A package that lies below a key of its own is got from there."""
    store = MemoryStore()
    package = replace(wheel("idna"), sha256=hashlib.sha256(b"a wheel").hexdigest())
    store.put("packages/pypi/elsewhere", b"a wheel")

    found = delivery(store, tmp_path, stored={package.filename: "packages/pypi/elsewhere"}).wheel(package)

    assert file_of(found) == b"a wheel"


def test_a_package_in_the_format_that_is_preferred(tmp_path: Path) -> None:
    """The code package names another file for a package: that is fetched, checked, and installed under its own name."""
    store = MemoryStore()
    sha256 = hashlib.sha256(b"packed anew").hexdigest()
    form = {"key": "packages/conda/anew", "sha256": sha256, "file": "numpy-1.0-0.tar.bz2"}
    store.put(form["key"], b"packed anew")
    numpy = conda_package("numpy")

    found = delivery(store, tmp_path, forms={numpy.digest: form}).conda(numpy)

    assert file_of(found) == b"packed anew"
    assert (found.filename, found.digest, found.name) == ("numpy-1.0-0.tar.bz2", sha256, "numpy")


def test_a_package_that_a_volume_has_unpacked(tmp_path: Path) -> None:
    """What lies unpacked in the cache that tasks share is not fetched: the store has nothing here."""
    numpy = conda_package("numpy", sha256="ab" * 32)
    folder = tmp_path / "packages" / "numpy-1.0-0"
    folder.mkdir(parents=True)
    folder.with_name("numpy-1.0-0.lock").write_bytes(bytes(8) + bytes.fromhex(numpy.sha256))

    assert delivery(MemoryStore(), tmp_path).conda(numpy) == numpy
    # Those who link from the same volume may prefer another format.
    form = {"key": "k", "sha256": numpy.sha256, "file": "numpy-1.0-0.tar.bz2"}
    other = conda_package("numpy", sha256="cd" * 32)
    found = delivery(MemoryStore(), tmp_path, forms={other.digest: form}).conda(other)
    assert (found.filename, found.digest) == (form["file"], numpy.sha256)


def test_packages_that_are_read_where_they_lie(tmp_path: Path) -> None:
    """Each has the URL of its object, and the headers that open it apart; the preferred format counts here too."""
    numpy, other = conda_package("numpy", sha256="ab" * 32), conda_package("other", sha256="cd" * 32)
    form = {"key": "packages/conda/anew", "sha256": "ef" * 32, "file": "numpy-1.0-0.tar.bz2"}
    work = delivery(SigningStore(), tmp_path, forms={numpy.digest: form})

    found = work.signed([numpy, other])

    assert found is not None
    assert (found[0].url, found[0].sha256) == ("https://store.example/packages/conda/anew", "ef" * 32)
    key = package_key("conda", other.url, other.filename, other.digest)
    assert found[1] == replace(other, url=f"https://store.example/{key}")
    assert work.headers == {package.url: {"Authorization": "secret"} for package in found}


def test_what_is_not_read_there(tmp_path: Path) -> None:
    """A store that signs nothing has its packages copied, and so has a package without a SHA-256."""
    assert delivery(MemoryStore(), tmp_path).signed([conda_package("numpy", sha256="ab" * 32)]) is None
    without = replace(conda_package("numpy"), sha256="", md5="ab" * 16)
    assert delivery(SigningStore(), tmp_path).signed([without]) is None


def test_byte_code_that_is_damaged_is_told_and_passed_over(tmp_path: Path) -> None:
    """The task compiles what it imports; nothing fails."""
    store, said = MemoryStore(), list[str]()
    store.put(byte_code_key("cpython-311", "ab" * 32, f"{'cd' * 32}.zip"), b"no zip")
    target = TravelledByteCode(str(tmp_path / "code"))

    with ThreadPoolExecutor(1) as pool:
        codes = delivery(store, tmp_path, said=said).byte_code({"ab" * 32: "cd" * 32}, "cpython-311", target, pool)

    additions = Additions([], [], codes, target)
    additions.settle()
    assert additions.link(tmp_path, []) == 0
    assert "is not the file that was resolved" in said[0]


def test_what_could_not_come_is_raised_where_it_is_needed(tmp_path: Path) -> None:
    """The error of a wheel is raised when wheels are asked for, and from then on it is known that they were."""
    failed: Future[PypiPackage] = Future()
    failed.set_exception(StoreError("gone", "look"))
    additions = Additions([], [failed], [], TravelledByteCode(str(tmp_path)))

    assert not additions.asked
    with pytest.raises(StoreError, match="gone"):
        additions.wheels()
    assert additions.asked
