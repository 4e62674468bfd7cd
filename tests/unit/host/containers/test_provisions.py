"""What a code package tells containers beside the documents of their environments."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from metaflow_extensions.netflix_ext.engine.errors import CreateError, SettingError
from metaflow_extensions.netflix_ext.engine.events import Reporter
from metaflow_extensions.netflix_ext.engine.layout import package_key
from metaflow_extensions.netflix_ext.engine.ports import Store
from metaflow_extensions.netflix_ext.engine.resolved import ResolvedEnvironment
from metaflow_extensions.netflix_ext.host.containers import compiling, provisions
from metaflow_extensions.netflix_ext.host.workbench import Workbench
from tests.fakes import FakeArchives, conda_package, resolved

ENVIRONMENT = resolved(conda_package("numpy"))
TOOL = {"name": "uv", "file": "uv-1.whl", "sha256": "ab" * 32}


class Bench(Workbench):
    """A workbench whose shared store is a folder, and which publishes tools by writing down for whom."""

    def __init__(self, root: Path, **values: str) -> None:
        super().__init__(
            lambda *_, **__: None,
            values={"CONDA_ENVS_ROOT": str(root / "envs"), "CONDA_LOCALROOT": str(root / "shared"), **values},
        )
        self.published: list[str] = []
        self.wiring.tools = self._tools  # type: ignore[method-assign]

    def _tools(self, store: Store, arch: str, report: Reporter) -> list[dict[str, str]]:
        assert store is self.wiring.catalog.shared
        self.published.append(arch)
        return [TOOL]


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The local catalog is the test's own, and no byte code is made unless a test says so."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(compiling, "byte_code", lambda _environment, _bench: {})


def test_tools_and_byte_code_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tools for each platform, byte code for each environment; what is not asked for is not mentioned."""
    bench, other = Bench(tmp_path), resolved(arch="linux-aarch64")
    monkeypatch.setattr(compiling, "byte_code", lambda item, _bench: {"digest": item.env_id.arch})

    found = provisions.prepare([ENVIRONMENT, other], ["linux-64", "linux-aarch64"], bench)

    assert found == {
        "tools": {"linux-64": [TOOL], "linux-aarch64": [TOOL]},
        "bytecode": {
            ENVIRONMENT.env_id.full_id: {"digest": "linux-64"},
            other.env_id.full_id: {"digest": "linux-aarch64"},
        },
    }
    assert bench.published == ["linux-64", "linux-aarch64"]


def test_nothing_is_prepared_where_nothing_runs_elsewhere(tmp_path: Path) -> None:
    """Without a platform, and without a store that others read, nothing is published."""
    bench, alone = Bench(tmp_path), Bench(tmp_path, CONDA_LOCALROOT="")

    assert provisions.prepare([ENVIRONMENT], [], bench) == {}
    assert provisions.prepare([ENVIRONMENT], ["linux-64"], alone) == {}
    assert (bench.published, alone.published) == ([], [])


def test_an_installer_is_named_by_its_hash(tmp_path: Path) -> None:
    """That of each platform, from the folder that is configured, as it is in the store now."""
    words = {"CONDA_REMOTE_INSTALLER": "mamba-{arch}", "CONDA_REMOTE_INSTALLER_DIRNAME": "installers"}
    bench = Bench(tmp_path, **words)
    store = bench.wiring.catalog.shared
    assert store is not None
    store.put("installers/mamba-linux-64", b"a program")

    found = provisions.prepare([], ["linux-64"], bench)

    sha256 = hashlib.sha256(b"a program").hexdigest()
    assert found["installer"] == {"linux-64": {"key": "installers/mamba-linux-64", "sha256": sha256}}


def test_an_installer_that_is_not_there_is_named(tmp_path: Path) -> None:
    """It is told where it was looked for, and how to do without."""
    bench = Bench(tmp_path, CONDA_REMOTE_INSTALLER="mamba-{arch}")

    with pytest.raises(SettingError, match=r"'\S+/mamba-linux-aarch64', is not there") as caught:
        provisions.prepare([], ["linux-aarch64"], bench)

    assert "METAFLOW_CONDA_REMOTE_INSTALLER" in caught.value.hint


class Packing:
    """Packs by writing down what was asked."""

    def transmute(self, archive: Path, extension: str, folder: Path) -> Path:
        path = folder / f"{archive.name.removesuffix('.conda')}{extension}"
        path.write_text(f"{archive.name} as {extension}")
        return path


def test_packages_in_the_format_that_is_preferred(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each package has the key and the hash of its other form, which the store has by then."""
    bench = Bench(tmp_path, CONDA_PREFERRED_FORMAT=".tar.bz2")
    formatter = bench.wiring.formatter
    assert formatter is not None
    store = formatter.shared
    packed = type(formatter)(
        preferred=".tar.bz2",
        local=formatter.local,
        shared=store,
        files=FakeArchives(web=tmp_path),
        transmuter=Packing(),
    )
    monkeypatch.setitem(bench.wiring.__dict__, "formatter", packed)

    found = provisions.prepare([ENVIRONMENT], ["linux-64"], bench)["formats"]

    numpy = conda_package("numpy")
    data = b"numpy-1.0-0.conda as .tar.bz2"
    sha256 = hashlib.sha256(data).hexdigest()
    key = package_key("conda", numpy.url, "numpy-1.0-0.tar.bz2", sha256)
    assert found[numpy.digest] == {"file": "numpy-1.0-0.tar.bz2", "sha256": sha256, "key": key}
    assert len(found) == len(ENVIRONMENT.conda)
    assert store.get(key) == data


def test_a_machine_that_cannot_hold_them_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the disk is one message, and no traceback."""

    def full(_environment: ResolvedEnvironment, _bench: Workbench) -> dict[str, str]:
        raise OSError(28, "No space left on device", "/small/disk")

    monkeypatch.setattr(compiling, "byte_code", full)

    with pytest.raises(CreateError, match="'/small/disk' cannot be used: No space left on device"):
        provisions.prepare([ENVIRONMENT], ["linux-64"], Bench(tmp_path))
