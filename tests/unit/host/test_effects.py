"""Every setting makes the product behave otherwise: shown here where that is decided, or elsewhere by a whole run."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest

from metaflow_extensions.netflix_ext.engine.errors import InputError
from metaflow_extensions.netflix_ext.engine.platform import version_of, virtual_packages
from metaflow_extensions.netflix_ext.engine.request import DEFAULT_INDEX
from metaflow_extensions.netflix_ext.engine.spec import EnvSpec
from metaflow_extensions.netflix_ext.host import steps
from metaflow_extensions.netflix_ext.host.settings import NAMES, Settings, read
from metaflow_extensions.netflix_ext.host.wiring import Wiring, shared_root
from metaflow_extensions.netflix_ext.host.workbench import Workbench
from tests.fakes import FakeMachine

TESTS = Path(__file__).parents[2]
HERE = "unit/host/test_effects.py"
PROGRAMS = "integration/test_conda_programs.py"
DISTRIBUTION = f"{PROGRAMS}::test_a_flow_runs_with_a_distribution_of_the_store"
# A test in which the product does something else because the setting is set.
EFFECTS = {
    "CONDA_CHANNELS": f"{HERE}::test_what_is_asked_for",
    "CONDA_CHANNEL_ALIAS": "integration/test_channel_settings.py::test_a_name_lies_at_the_alias",
    "CONDA_CHANNEL_SETTINGS": f"{HERE}::test_others_settings_of_channels_can_be_left_out",
    "CONDA_ENVS_ROOT": f"{HERE}::test_where_prefixes_lie",
    "CONDA_LOCALROOT": "integration/test_origins.py::test_colleagues_build_nothing",
    "CONDA_S3ROOT": f"{HERE}::test_where_the_shared_store_lies",
    "CONDA_AZUREROOT": f"{HERE}::test_where_the_shared_store_lies",
    "CONDA_GSROOT": f"{HERE}::test_where_the_shared_store_lies",
    "CONDA_PACKAGES_DIRNAME": f"{HERE}::test_folders_of_the_shared_store",
    "CONDA_ENVS_DIRNAME": f"{HERE}::test_folders_of_the_shared_store",
    "CONDA_DEPENDENCY_RESOLVER": f"{PROGRAMS}::test_a_flow_runs_with_each",
    "CONDA_INSTALLER": f"{PROGRAMS}::test_a_flow_runs_in_what_each_has_linked",
    "CONDA_LOCAL_DIST": DISTRIBUTION,
    "CONDA_LOCAL_DIST_DIRNAME": DISTRIBUTION,
    "CONDA_LOCAL_PATH": DISTRIBUTION,
    "CONDA_PYPI_DEPENDENCY_RESOLVER": f"{HERE}::test_what_is_refused",
    "CONDA_MIXED_DEPENDENCY_RESOLVER": f"{HERE}::test_what_is_refused",
    "CONDA_DEFAULT_PYPI_SOURCE": f"{HERE}::test_what_is_asked_for",
    "CONDA_PREFERRED_FORMAT": "integration/test_targets.py::test_another_installer_and_format",
    "CONDA_REMOTE_INSTALLER": "unit/host/containers/test_provisions.py::test_an_installer_is_named_by_its_hash",
    "CONDA_REMOTE_INSTALLER_DIRNAME": "unit/host/containers/test_provisions.py::test_an_installer_is_named_by_its_hash",
    "CONDA_SYS_DEFAULT_PACKAGES": f"{HERE}::test_what_is_asked_for",
    "CONDA_SYS_DEFAULT_GPU_PACKAGES": f"{HERE}::test_what_is_asked_for",
    "CONDA_REMOTE_COMMANDS": "integration/test_flow_commands.py::test_platforms",
    "CONDA_USE_REMOTE_LATEST": "integration/test_remote_latest.py::test_ones_own_from_another_machine",
    "CONDA_BUILD_TIMEOUT": "integration/test_bad_origins.py::test_a_build_that_takes_too_long",
    "CONDA_PYPI_PYTHON": f"{HERE}::test_what_is_asked_for",
    "CONDA_INDEX_SETTINGS": "integration/test_indexes.py::test_an_id_is_that_of_what_is_asked_and_where",
    "CONDA_SRCS_AUTH_INFO": "integration/test_indexes.py::test_a_private_index_without_hashes",
    "CONDA_TORCH_BACKEND": f"{HERE}::test_what_is_asked_for",
}
MIXED: dict[str, Any] = {"conda": {"packages": {"zlib": ""}}, "pypi": {"packages": {"click": ""}}}


def test_every_setting_has_a_test_of_its_effect() -> None:
    """None is without one, and none is here that is no setting."""
    assert set(EFFECTS) == set(NAMES)


@pytest.mark.parametrize("name", EFFECTS)
def test_the_test_of_an_effect_sets_it(name: str) -> None:
    """The test is there, sets the variable, and does more than to read it."""
    file, _, test = EFFECTS[name].partition("::")
    text = (TESTS / file).read_text("utf-8")
    found = [node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef) and node.name == test]
    assert len(found) == 1, f"{EFFECTS[name]} is no test"
    parts = [*found[0].body, *found[0].decorator_list]
    written = "\n".join(ast.get_source_segment(text, part) or "" for part in parts)
    assert re.search(rf"\b(METAFLOW_)?{name}\b", written), f"{EFFECTS[name]} does not set {name}"
    assert not file.endswith(("test_settings.py", "test_bad_setting.py"))


def settings(**values: Any) -> Settings:
    return read({**dict.fromkeys(NAMES), **values}, {})


def spec(values: dict[str, str], *words: str, gpu: bool = False) -> EnvSpec:
    """Return what a step with the decorators *words* asks for, with *values* as settings."""
    bench = Workbench(lambda text, **_: None, values={"CONDA_INDEX_SETTINGS": "none", **values})
    bench.wiring.machine = FakeMachine()  # type: ignore[assignment]
    step = {"words": [[word, MIXED[word]] for word in words], "compute": {}, "names": [], "gpu": gpu}
    question = {"flow": [[]], "steps": {"start": step}, "folder": ".", "python": "3.11", "needs": {}, "force": False}
    request = steps.read(question, bench)["start"].request
    assert request is not None
    return request.spec


def version(found: EnvSpec, name: str) -> str:
    return version_of(virtual_packages("linux-64", found.virtual), name)


@pytest.mark.parametrize(
    ("name", "value", "look", "usual", "then"),
    [
        ("CONDA_CHANNELS", "a,b", lambda found: found.channels, ("conda-forge",), ("a", "b")),
        (
            "CONDA_DEFAULT_PYPI_SOURCE",
            "https://a.example",
            lambda found: found.indexes[-1],
            DEFAULT_INDEX,
            "https://a.example",
        ),
        ("CONDA_TORCH_BACKEND", "cu128", lambda found: found.options.torch_backend, "", "cu128"),
        (
            "CONDA_SYS_DEFAULT_PACKAGES",
            '{"linux-64": {"__glibc": "2.31"}}',
            lambda found: version(found, "__glibc"),
            "2.28",
            "2.31",
        ),
        (
            "CONDA_SYS_DEFAULT_GPU_PACKAGES",
            '{"linux-64": {"__cuda": "12.9"}}',
            lambda found: version(found, "__cuda"),
            "12.4",
            "12.9",
        ),
        ("CONDA_PYPI_PYTHON", "uv", lambda found: found.interpreter, "", "uv"),
    ],
)
def test_what_is_asked_for(
    name: str, value: str, look: Any, usual: object, then: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step with PyPI packages and a GPU asks for something else, which its id tells."""
    monkeypatch.chdir(tmp_path)
    others = {"CONDA_CHANNEL_SETTINGS": "none"}
    plain, told = spec(others, "pypi", gpu=True), spec({**others, name: value}, "pypi", gpu=True)

    assert (look(plain), look(told)) == (usual, then)
    assert plain.req_id != told.req_id


@pytest.mark.parametrize(
    ("name", "words"),
    [("CONDA_PYPI_DEPENDENCY_RESOLVER", ("pypi",)), ("CONDA_MIXED_DEPENDENCY_RESOLVER", ("conda", "pypi"))],
)
def test_what_is_refused(name: str, words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What has no resolver cannot be asked for."""
    monkeypatch.chdir(tmp_path)
    spec({}, *words)
    with pytest.raises(InputError, match=r"no (PyPI )?resolver (for that )?is configured"):
        spec({name: "none"}, *words)


def test_others_settings_of_channels_can_be_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file of conda counts, unless it is not to."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rc.yml").write_text("channels: [theirs]\n")
    monkeypatch.setenv("CONDARC", str(tmp_path / "rc.yml"))

    assert spec({}).channels[0] == "theirs"
    assert spec({"CONDA_CHANNEL_SETTINGS": "none"}).channels == ("conda-forge",)


def test_where_prefixes_lie(tmp_path: Path) -> None:
    """Prefixes lie in the folder that is named."""
    wiring = Wiring(settings(CONDA_ENVS_ROOT=str(tmp_path / "envs")), tmp_path / "own", None)

    assert wiring.prefixes.path("x") == tmp_path / "envs" / "x"


@pytest.mark.parametrize(
    ("kind", "name", "root"),
    [
        ("s3", "CONDA_S3ROOT", "s3://b/ours"),
        ("azure", "CONDA_AZUREROOT", "box/ours"),
        ("gs", "CONDA_GSROOT", "gs://b/ours"),
    ],
)
def test_where_the_shared_store_lies(kind: str, name: str, root: str) -> None:
    """The root that is named takes the place of the one below Metaflow's."""
    usual = {f"DATASTORE_SYSROOT_{kind.upper()}": "box" if kind == "azure" else f"{kind}://b"}

    assert shared_root(settings(**usual), kind) == (kind, f"{next(iter(usual.values()))}/conda_env")
    assert shared_root(settings(**usual, **{name: root}), kind) == (kind, root)


@pytest.mark.parametrize(("name", "folder"), [("CONDA_PACKAGES_DIRNAME", "packages"), ("CONDA_ENVS_DIRNAME", "envs")])
def test_folders_of_the_shared_store(name: str, folder: str, tmp_path: Path) -> None:
    """The folder has the name that was chosen in the shared store, and its own on this machine."""
    shared = {"CONDA_LOCALROOT": str(tmp_path / "shared"), name: "chosen"}
    catalog = Wiring(settings(**shared), tmp_path / "own", "local").catalog

    assert catalog.shared is not None
    catalog.shared.put(f"{folder}/x", b"1")
    assert (tmp_path / "shared" / "chosen" / "x").read_bytes() == b"1"
    assert catalog.store.get(f"{folder}/x") is None
