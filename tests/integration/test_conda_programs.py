"""micromamba, mamba and conda in the place of py-rattler: found, judged, and doubted."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from metaflow_extensions.netflix_ext.adapters import conda_program
from metaflow_extensions.netflix_ext.adapters.conda import RattlerSolver
from metaflow_extensions.netflix_ext.adapters.conda_solve import ProgramSolver
from metaflow_extensions.netflix_ext.adapters.http import HttpFetcher
from metaflow_extensions.netflix_ext.adapters.worker import Worker
from metaflow_extensions.netflix_ext.engine.channel_settings import ChannelSettings
from metaflow_extensions.netflix_ext.engine.errors import ExtensionError, ResolveError, SourceError, ToolError
from metaflow_extensions.netflix_ext.engine.platform import arch_of, virtual_packages
from metaflow_extensions.netflix_ext.engine.ports import CondaRequest, CondaSolver
from metaflow_extensions.netflix_ext.engine.requirement import CondaRequirement
from tests import standin
from tests.contract.channels import make
from tests.contract.conda_solver import asking
from tests.project import FLOWS, Project
from tests.refusal import refused

NAMES = tuple(standin.NEWEST)
Solvers = Callable[..., ProgramSolver]


@pytest.fixture(scope="module", name="root")
def _root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("channels"))


@pytest.fixture(name="solver")
def _solver(tmp_path: Path, worker: Worker) -> Solvers:
    """Make a solver that runs a stand-in."""

    def make_solver(
        name: str, *, timeout: float = 60, secrets: dict[str, str] | None = None, **how: str
    ) -> ProgramSolver:
        standin.put(tmp_path / "bin", name, **how)
        environ = {"PATH": str(tmp_path / "bin")}
        return ProgramSolver(
            lambda: conda_program.find(name, environ, distribution=None, known=tmp_path / "versions"),
            worker,
            tmp_path / "metadata",
            hash_of=HttpFetcher().hash_of,
            secrets=secrets,
            timeout=timeout,
        )

    return make_solver


def alpha(channel: Path | str) -> CondaRequest:
    return CondaRequest(
        requirements=(CondaRequirement("alpha"),),
        channels=(str(channel),),
        arch="linux-64",
        virtual=virtual_packages("linux-64"),
    )


def refusal(solver: ProgramSolver, channel: Path | str) -> ExtensionError:
    with pytest.raises(ExtensionError) as caught:
        solver.solve(alpha(channel))
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize("name", ["rattler", *NAMES])
def test_priority_is_what_settings_say(name: str, tmp_path: Path, worker: Worker, root: Path) -> None:
    """Strict: the first channel that has the name; flexible: another where that cannot be; disabled: the newest."""

    def found(priority: str, *requirements: str) -> dict[str, str]:
        settings = ChannelSettings(priority=priority)
        solver: CondaSolver = RattlerSolver(worker, settings=settings)
        if name != "rattler":
            standin.put(tmp_path / "bin", name)
            environ = {"PATH": str(tmp_path / "bin")}
            solver = ProgramSolver(
                lambda: conda_program.find(name, environ, distribution=None, known=tmp_path / "versions"),
                worker,
                tmp_path / "metadata",
                hash_of=HttpFetcher().hash_of,
                settings=settings,
            )
        asked = asking(*requirements, channels=(root / "first", root / "second"))
        return {package.name: package.version for package in solver.solve(asked)}

    assert found("strict", "alpha")["alpha"] == "2.0"
    assert found("flexible", "alpha")["alpha"] == "2.0"
    assert found("flexible", "alpha >=9")["alpha"] == "9.0"
    assert found("disabled", "alpha")["alpha"] == "9.0"
    with pytest.raises(ResolveError):
        found("strict", "alpha >=9")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("fault", ["noise", "unhashed", "linked"])
def test_whatever_form_the_answer_has(name: str, fault: str, solver: Solvers, worker: Worker, root: Path) -> None:
    """Words around the JSON, packages without a hash and packages that need not be fetched change nothing."""
    found = solver(name, fault=fault).solve(alpha(root / "first"))

    assert found == RattlerSolver(worker).solve(alpha(root / "first"))


def test_a_hash_that_nobody_tells_is_computed(solver: Solvers, worker: Worker, root: Path, tmp_path: Path) -> None:
    """A channel without hashes is read, and what it has is pinned to its bytes all the same."""
    bare = Path(shutil.copytree(root / "first", tmp_path / "bare"))
    for listing in bare.glob("*/repodata*"):
        if listing.name != "repodata.json":
            listing.unlink()
    repodata = bare / "noarch" / "repodata.json"
    content = json.loads(repodata.read_text())
    for record in [*content["packages"].values(), *content["packages.conda"].values()]:
        del record["sha256"]
        record.pop("md5", None)
    repodata.write_text(json.dumps(content))

    found = solver("micromamba", fault="unhashed").solve(alpha(bare))

    usual = RattlerSolver(worker).solve(alpha(root / "first"))
    assert [package.sha256 for package in found] == [package.sha256 for package in usual]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("garbage", "gave an answer without JSON"),
        ("killed", "ended with signal 9"),
        ("fails", "ended with status 3"),
        ("nothing", "says that there is nothing to do"),
        ("elsewhere", "was asked for linux-64, and picked beta for linux-s390x"),
    ],
)
def test_an_answer_that_is_none_is_told(name: str, fault: str, says: str, solver: Solvers, root: Path) -> None:
    """The tool, its version, the command and its last words are told; a password in them is not."""
    error = refusal(solver(name, fault=fault), root / "first")

    assert isinstance(error, ToolError)
    assert f"{name} {standin.NEWEST[name]}" in error.message
    assert says in error.message
    assert "s3cr3t" not in error.message
    if fault != "elsewhere":
        assert "create --yes --dry-run" in error.message
        assert "first words" not in error.message


def test_one_that_hangs_is_ended_with_its_children(solver: Solvers, root: Path, tmp_path: Path) -> None:
    """The time-out is told, and nothing is left running."""
    begun = time.monotonic()
    error = refusal(solver("micromamba", fault="slow", timeout=1), root / "first")

    assert "did not end within 1 s" in error.message
    assert time.monotonic() - begun < 20
    mark = str(tmp_path).encode()
    left = [path for path in Path("/proc").glob("[0-9]*/cmdline") if mark in _read(path)]
    assert left == []


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


@pytest.mark.parametrize(("name", "old"), [("micromamba", "1.3.1"), ("mamba", "0.27.0"), ("conda", "4.12.0")])
def test_an_old_one_is_refused(name: str, old: str, solver: Solvers, root: Path) -> None:
    """With the version that was found, and the one that is needed."""
    error = refusal(solver(name, version=old), root / "first")

    assert f"is {name} {old}, and {name} {'4.14' if name == 'conda' else '1.4'} or newer is needed" in error.message


def test_one_that_is_missing_or_not_executable_is_told(tmp_path: Path) -> None:
    """Where it was looked for is told, and the file that cannot be run."""
    program = standin.put(tmp_path / "bin", "conda")
    program.chmod(0o644)
    known = tmp_path / "versions"

    for environ in ({"PATH": str(tmp_path / "bin")}, {"PATH": "", "CONDA_EXE": str(program)}):
        with pytest.raises(ToolError, match=f"'{program}' is not executable"):
            conda_program.find("conda", environ, distribution=None, known=known)
    with pytest.raises(ToolError, match="micromamba was not found on PATH"):
        conda_program.find("micromamba", {"PATH": str(tmp_path / "bin")}, distribution=None, known=known)
    with pytest.raises(ToolError, match=f"mamba was not found in '{tmp_path}/dist/bin'"):
        conda_program.find("mamba", dict(os.environ), distribution=tmp_path / "dist", known=known)


def test_it_is_found_where_conda_says(tmp_path: Path) -> None:
    """On PATH first, then by conda's variables; in a distribution that is named, and then nowhere else."""
    first, second = (standin.put(tmp_path / name, "mamba", version=f"1.{name}.0") for name in ("5", "6"))
    conda = standin.put(tmp_path / "6", "conda")
    variables = {"MAMBA_EXE": str(second), "CONDA_EXE": str(conda)}
    known = tmp_path / "versions"

    def found(name: str, environ: dict[str, str], distribution: Path | None = None) -> tuple[Path, str]:
        program = conda_program.find(name, environ, distribution=distribution, known=known)
        return program.path, program.shown

    assert found("mamba", {"PATH": str(tmp_path / "5"), **variables}) == (first, "1.5.0")
    assert found("mamba", {"PATH": str(tmp_path), **variables}) == (second, "1.6.0")
    assert found("mamba", {"PATH": "", "CONDA_EXE": str(conda)}) == (second, "1.6.0")
    assert found("conda", {"PATH": "", **variables}) == (conda, standin.NEWEST["conda"])
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / "bin").symlink_to(tmp_path / "6")
    assert found("mamba", {"PATH": str(tmp_path / "5")}, tmp_path / "dist")[1] == "1.6.0"


def test_a_version_is_asked_once(tmp_path: Path) -> None:
    """Starting conda takes a second; one that was replaced is asked again."""
    environ, known = {"PATH": str(tmp_path / "bin")}, tmp_path / "versions"
    program = standin.put(tmp_path / "bin", "conda")

    for _ in range(3):
        conda_program.find("conda", environ, distribution=None, known=known)
    standin.put(tmp_path / "bin", "conda", version="24.11.3")
    again = conda_program.find("conda", environ, distribution=None, known=known)

    assert again.shown == "24.11.3"
    assert standin.calls(program) == [["--version"], ["--version"]]


@pytest.mark.parametrize("name", NAMES)
def test_credentials_stay_off_the_command_line(name: str, solver: Solvers, root: Path, tmp_path: Path) -> None:
    """A channel that needs them is refused before anything is run."""
    clean = "https://channels.example/private"
    for channel, secrets in (
        ("https://user:s3cr3t@channels.example/private", {}),
        (clean, {clean: "https://user:s3cr3t@channels.example/private"}),
    ):
        error = refusal(solver(name, secrets=secrets), channel)

        assert isinstance(error, SourceError)
        assert f"'{clean}' needs credentials" in error.message
        assert "s3cr3t" not in str(error)
    assert [words for words in standin.calls(tmp_path / "bin" / name) if words != ["--version"]] == []


# --- flows


MIXED = "[conda(packages={'click': ''}), pypi(packages={'itsdangerous': ''})]"


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_flow_runs_with_each(name: str, fresh: Project, tmp_path: Path) -> None:
    """It resolves to the same environment as by default, says what has solved it, and runs in it."""
    standin.put(tmp_path / "bin", name)
    chosen = {
        "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "METAFLOW_CONDA_DEPENDENCY_RESOLVER": name,
        "SPEC": MIXED,
        "IMPORTS": "click itsdangerous",
    }

    fresh.run(FLOWS / "one.py", variables=chosen)
    documents = {path: json.loads(path.read_bytes()) for path in fresh.catalog.rglob("env")}
    again = fresh.flow(FLOWS / "one.py", "environment", "resolve", "--force", variables={"SPEC": MIXED})

    assert set(fresh.latest("OneFlow", "list(run['start'].task.data.saw)")) == {"click", "itsdangerous"}  # type: ignore[call-overload]
    assert [document["provenance"][name] for document in documents.values()] == [standin.NEWEST[name]]
    assert again.returncode == 0, again.output
    assert set(fresh.catalog.rglob("env")) == set(documents), "py-rattler's answer is another environment"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["micromamba", "conda"])
def test_a_flow_runs_in_what_each_has_linked(name: str, fresh: Project, tmp_path: Path) -> None:
    """Its prefix names its own place alone, and what is installed has the scripts and the files that it should."""
    standin.put(tmp_path / "bin", name)
    chosen = {
        "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "METAFLOW_CONDA_INSTALLER": name,
        "SPEC": "[conda(packages={'numpy': '', 'legacy-archive': ''}), pypi(packages={'itsdangerous': ''})]",
        "FLOW_SPEC": "[conda_base(python='3.11')]",
        "IMPORTS": "numpy itsdangerous",
    }

    fresh.run(FLOWS / "one.py", variables=chosen)

    assert set(fresh.latest("OneFlow", "list(run['start'].task.data.saw)")) == {"numpy", "itsdangerous"}  # type: ignore[call-overload]
    prefix = Path(str(fresh.latest("OneFlow", "run['start'].task.data.prefix")))
    pip = subprocess.run([prefix / "bin" / "pip", "--version"], capture_output=True, text=True, check=True)
    assert str(prefix) in pip.stdout
    partial = f"{prefix.name}.partial-".encode()
    assert [path for path in prefix.rglob("*") if path.is_file() and partial in path.read_bytes()] == []
    made = [words for words in standin.calls(tmp_path / "bin" / name) if words[0] == "create"]
    assert len(made) == 1
    assert "--offline" in made[0]


@pytest.mark.slow
def test_a_flow_runs_with_a_distribution_of_the_store(fresh: Project, tmp_path: Path) -> None:
    """It is fetched and unpacked when it is first needed, and then left alone; no other executable counts."""
    standin.put(tmp_path / "made" / "bin", "micromamba")
    shared = tmp_path / "shared"
    (shared / "dists").mkdir(parents=True)
    here = arch_of(platform.system(), platform.machine())
    with tarfile.open(shared / "dists" / f"conda-{here}.tgz", "w:gz") as archive:
        archive.add(tmp_path / "made" / "bin", "bin")
    chosen = {
        "METAFLOW_CONDA_LOCALROOT": str(shared),
        "METAFLOW_CONDA_LOCAL_DIST_DIRNAME": "dists",
        "METAFLOW_CONDA_LOCAL_DIST": "conda-{arch}.tgz",
        "METAFLOW_CONDA_LOCAL_PATH": str(tmp_path / "opt" / "conda"),
        "METAFLOW_CONDA_DEPENDENCY_RESOLVER": "micromamba",
        "SPEC": "[conda(packages={'click': ''})]",
        "IMPORTS": "click",
    }

    fresh.run(FLOWS / "one.py", variables=chosen)
    lacking = fresh.flow(
        FLOWS / "one.py",
        *("environment", "resolve", "--force"),
        variables={**chosen, "METAFLOW_CONDA_DEPENDENCY_RESOLVER": "conda"},
    )

    assert (tmp_path / "opt" / "conda" / ".metaflow-local-env").is_file()
    assert fresh.latest("OneFlow", "list(run['start'].task.data.saw)") == ["click"]
    assert lacking.returncode == 1
    assert f"conda was not found in '{tmp_path}/opt/conda/bin'" in lacking.output


@pytest.mark.slow
def test_a_flow_is_refused_without_the_tool(fresh: Project) -> None:
    """The step is named, and what to do."""
    refused(
        fresh,
        "step start, for ",
        "micromamba was not found on PATH",
        "leave METAFLOW_CONDA_DEPENDENCY_RESOLVER",
        METAFLOW_CONDA_DEPENDENCY_RESOLVER="micromamba",
    )
