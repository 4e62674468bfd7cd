"""`metaflow environment create`: under a name, beside a task's code, as a kernel; and what it never touches."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from tests.project import FLOWS, Finished, Project
from tests.refusal import CLICK, ONE, check_refusal, half_made

pytestmark = pytest.mark.slow


def create(project: Project, *words: str, **variables: str) -> Finished:
    return project.metaflow("environment", "create", *words, variables=variables)


def created(project: Project, *words: str, **variables: str) -> dict[str, Any]:
    """Create, which must go well, and return what `--json` tells."""
    done = create(project, "--json", *words, **variables)
    assert done.returncode == 0, done.output
    answer: dict[str, Any] = json.loads(done.stdout)
    assert answer["schema"] == 1
    return answer


# By source, version and alias: what `resolve` left in the catalog, and what it told.
_RESOLVED: dict[tuple[str, str, str], tuple[dict[Path, bytes], dict[str, Any]]] = {}


def resolve(project: Project, version: str, alias: str) -> dict[str, Any]:
    """Let an environment with a name be in the catalog of *project*, resolved by the command once for all tests."""
    key = (project.variables["METAFLOW_CONDA_CHANNELS"], version, alias)
    if key not in _RESOLVED:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            variables = {"METAFLOW_DATASTORE_SYSROOT_LOCAL": folder, "METAFLOW_HOME": str(root / "home")}
            _RESOLVED[key] = _resolved(Project(root, {**project.variables, **variables}), version, alias)
    files, environment = _RESOLVED[key]
    project.write("requirements.txt", f"python==3.11\nitsdangerous=={version}\n")
    for path, content in files.items():
        (project.catalog / path).parent.mkdir(parents=True, exist_ok=True)
        (project.catalog / path).write_bytes(content)
    return environment


def _resolved(project: Project, version: str, alias: str) -> tuple[dict[Path, bytes], dict[str, Any]]:
    project.write("requirements.txt", f"python==3.11\nitsdangerous=={version}\n")
    words = ("environment", "resolve", "--json", "-r", "requirements.txt", "--alias", alias)
    done = project.metaflow(*words)
    assert done.returncode == 0, done.output
    files = {
        path.relative_to(project.catalog): path.read_bytes() for path in project.catalog.rglob("*") if path.is_file()
    }
    return files, json.loads(done.stdout)["environments"][0]["environment"]


def imported(python: str) -> str:
    code = "import itsdangerous; print(itsdangerous.__version__)"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def in_kernel(project: Project, kernel: str, code: str, **variables: str) -> str:
    """Run a cell in a kernel, by Jupyter's own client, and return what it prints."""
    program = (
        "from jupyter_client.manager import start_new_kernel\n"
        f"manager, client = start_new_kernel(kernel_name={kernel!r})\n"
        f"client.execute_interactive({code!r}, timeout=120)\n"
        "client.stop_channels()\n"
        "manager.shutdown_kernel(now=True)\n"
    )
    done = project.command("-W", "ignore", "-c", program, variables=variables)
    assert done.returncode == 0, done.output
    return done.output


def test_by_every_kind_of_name(fresh: Project) -> None:
    """An alias, both ids, and the beginning of one mean one prefix, which is the one that runs use."""
    found = resolve(fresh, "2.1.2", "team/a:v1")

    names = ("team/a:v1", f"{found['req_id']}:{found['full_id']}", found["full_id"][:10])
    answers = [created(fresh, name) for name in names]

    assert {answer["name"] for answer in answers} == {f"metaflow_{found['req_id']}_{found['full_id']}"}
    assert imported(answers[0]["python"]) == "2.1.2"
    quiet = fresh.metaflow("environment", "--quiet", "create", "team/a:v1")
    assert quiet.stdout == f"{answers[0]['python']}\n"


def test_under_a_name(fresh: Project) -> None:
    """A named prefix is used again for the same environment, and replaced by another only with --force."""
    resolve(fresh, "2.1.2", "team/a:v1")
    resolve(fresh, "2.2.0", "team/a:v2")

    first = created(fresh, "team/a:v1", "--name", "mine")
    inode = Path(first["python"]).stat().st_ino
    assert Path(created(fresh, "team/a:v1", "--name", "mine")["python"]).stat().st_ino == inode

    check_refusal(create(fresh, "team/a:v2", "--name", "mine"), "holds another environment", "--force")
    assert imported(first["python"]) == "2.1.2"
    second = created(fresh, "team/a:v2", "--name", "mine", "--force")
    assert (second["path"], imported(second["python"])) == (first["path"], "2.2.0")
    assert sorted(path.name for path in fresh.envs.iterdir() if not path.name.startswith(".")) == ["mine"]


def test_what_is_not_ours_is_never_touched(fresh: Project) -> None:
    """A folder without our mark stays as it is, even with --force."""
    resolve(fresh, "2.1.2", "team/a:v1")
    theirs = fresh.envs / "theirs"
    theirs.mkdir(parents=True)
    (theirs / "file").write_text("precious")

    check_refusal(create(fresh, "team/a:v1", "--name", "theirs", "--force"), "is not ours to replace")
    assert (theirs / "file").read_text() == "precious"


def test_a_killed_replacement_loses_nothing(fresh: Project) -> None:
    """Killed while it makes the new one, it leaves the old one whole; run again, it goes through."""
    resolve(fresh, "2.1.2", "team/a:v1")
    resolve(fresh, "2.2.0", "team/a:v2")
    first = created(fresh, "team/a:v1", "--name", "mine")
    program = str(Path(sys.executable).with_name("metaflow"))
    process = subprocess.Popen(
        [program, "environment", "create", "team/a:v2", "--name", "mine", "--force"],
        cwd=fresh.root,
        env=fresh.environment(),
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    end = time.monotonic() + 30
    while not list(fresh.envs.glob("mine.partial-*")) and time.monotonic() < end and process.poll() is None:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()

    assert imported(first["python"]) in ("2.1.2", "2.2.0")
    assert imported(created(fresh, "team/a:v2", "--name", "mine", "--force")["python"]) == "2.2.0"
    assert [path.name for path in fresh.envs.glob("mine*")] == ["mine"]


def test_two_at_once(fresh: Project) -> None:
    """Of two processes that create one name, one works, the other waits; both succeed."""
    resolve(fresh, "2.1.2", "team/a:v1")
    program = str(Path(sys.executable).with_name("metaflow"))
    words = [program, "environment", "create", "--json", "team/a:v1", "--name", "both"]
    running = [
        subprocess.Popen(words, cwd=fresh.root, env=fresh.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=120) for process in running]

    assert [process.returncode for process in running] == [0, 0], outputs
    assert len({json.loads(out)["python"] for out, _ in outputs}) == 1


def test_beside_the_code_of_a_task(fresh: Project, tmp_path: Path) -> None:
    """Of a task with a code package the folder gets that code; it runs there with the linked Python."""
    script = fresh.write("three.py", (FLOWS / "three.py").read_text())
    fresh.run(script, variables={"METAFLOW_FEAT_ALWAYS_UPLOAD_CODE_PACKAGE": "1"})
    run = fresh.latest("ThreeFlow", "run.pathspec")
    folder = tmp_path / "code"

    answer = created(fresh, "--pathspec", f"{run}/end", "--into-dir", str(folder))

    assert answer["folder"] == str(folder)
    assert (folder / "three.py").read_text() == script.read_text()
    shown = subprocess.run(
        [folder / "__conda_python", "three.py", "show"],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(folder / ".mf_code"),
            "METAFLOW_EXTRACTED_ROOT": str(folder),
            "METAFLOW_USER": "tester",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.returncode == 0, shown.stderr
    assert "Step start" in shown.stdout + shown.stderr


def test_beside_metaflow_alone(fresh: Project, tmp_path: Path) -> None:
    """Of a task without a code package, and of an alias, the folder gets Metaflow; the command says why."""
    fresh.run(ONE, variables={"SPEC": CLICK})
    run = fresh.latest("OneFlow", "run.pathspec")
    done = create(fresh, "--pathspec", f"{run}/start", "--into-dir", str(tmp_path / "one"))
    assert done.returncode == 0, done.output
    assert "METAFLOW_FEAT_ALWAYS_UPLOAD_CODE_PACKAGE=1" in done.stderr

    resolve(fresh, "2.1.2", "team/a:v1")
    created(fresh, "team/a:v1", "--into-dir", str(tmp_path / "two"))
    code = "import metaflow, itsdangerous; print(metaflow.__file__)"
    seen = subprocess.run(
        [tmp_path / "two" / "__conda_python", "-c", code],
        env={**os.environ, "PYTHONPATH": str(tmp_path / "two")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert seen.stdout.startswith(str(tmp_path / "two"))


def test_a_folder_with_something_in_it(fresh: Project, tmp_path: Path) -> None:
    """It is refused; with --force files are written over one by one, and what else is there stays."""
    resolve(fresh, "2.1.2", "team/a:v1")
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    (folder / "metaflow").mkdir()
    (folder / "metaflow" / "extra.py").write_text("mine too")

    check_refusal(create(fresh, "team/a:v1", "--into-dir", str(folder)), "is not empty", "--force")
    created(fresh, "team/a:v1", "--into-dir", str(folder), "--force")

    assert (folder / "notes.txt").read_text() == "mine"
    assert (folder / "metaflow" / "extra.py").read_text() == "mine too"
    assert (folder / "metaflow" / "__init__.py").is_file()


@pytest.mark.network
def test_a_kernel_of_the_environment(fresh: Project, tmp_path: Path) -> None:
    """The kernel runs cells in the environment, ipykernel added and no package changed; one of others is left alone."""
    base = resolve(fresh, "2.1.2", "team/a:v1")
    fresh.variables["JUPYTER_DATA_DIR"] = str(tmp_path / "jupyter")
    del fresh.variables["METAFLOW_CONDA_DEFAULT_PYPI_SOURCE"]
    words = ("team/a:v1", "--name", "nb", "--install-notebook")
    answer = created(fresh, *words)

    output = in_kernel(
        fresh, answer["kernel"], 'import itsdangerous, sys; print("CELL", itsdangerous.__version__, sys.prefix)'
    )
    assert f"CELL 2.1.2 {answer['path']}" in output
    shown = json.loads(
        fresh.metaflow("environment", "show", "--json", f"{answer['req_id']}:{answer['full_id']}").stdout
    )
    kept = {item["filename"] for item in shown["environments"][0]["environment"]["packages"]}
    assert {item["filename"] for item in base["packages"]} < kept

    kernel = tmp_path / "jupyter" / "kernels" / answer["kernel"] / "kernel.json"
    theirs = json.loads(kernel.read_text())
    theirs["metadata"] = {}
    kernel.write_text(json.dumps(theirs))
    check_refusal(create(fresh, *words), "it is not ours")
    assert json.loads(kernel.read_text()) == theirs
    created(fresh, *words, "--force")


@pytest.mark.network
def test_a_kernel_beside_the_code_of_a_task(fresh: Project, tmp_path: Path) -> None:
    """The kernel finds the task's Metaflow and code, whatever Jupyter was started with, and reads what the run left."""
    fresh.run(
        fresh.write("three.py", (FLOWS / "three.py").read_text()),
        variables={"METAFLOW_FEAT_ALWAYS_UPLOAD_CODE_PACKAGE": "1"},
    )
    run = fresh.latest("ThreeFlow", "run.pathspec")
    fresh.variables["JUPYTER_DATA_DIR"] = str(tmp_path / "jupyter")
    fresh.variables["METAFLOW_CONDA_DEFAULT_PYPI_SOURCE"] = ""
    words = ("--pathspec", f"{run}/end", "--install-notebook", "--into-dir", str(tmp_path / "code"))
    answer = created(fresh, *words, "--name", "Past")
    cell = (
        "import metaflow, three; "
        f"print('CELL', metaflow.__file__, three.__file__, metaflow.Run({run!r}, _namespace_check=False).successful)"
    )

    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "three.py").write_text("raise SystemExit('of another Python')")
    output = in_kernel(fresh, answer["kernel"], cell, PYTHONPATH=str(tmp_path / "theirs"))

    code = tmp_path / "code"
    assert f"CELL {code}/.mf_code/metaflow/__init__.py {code}/three.py True" in output


@pytest.mark.network
def test_a_kernel_that_is_refused_leaves_the_folder_alone(fresh: Project, tmp_path: Path) -> None:
    """A kernel of another environment of ours, or one that cannot be read, is not replaced, and no code is put down."""
    resolve(fresh, "2.1.2", "team/a:v1")
    fresh.variables["JUPYTER_DATA_DIR"] = str(tmp_path / "jupyter")
    fresh.variables["METAFLOW_CONDA_DEFAULT_PYPI_SOURCE"] = ""
    first = created(fresh, "team/a:v1", "--name", "nb", "--install-notebook")
    other = ("team/a:v1", "--name", "NB", "--install-notebook", "--into-dir", str(tmp_path / "code"))
    kernel = tmp_path / "jupyter" / "kernels" / "mf_nb" / "kernel.json"

    check_refusal(create(fresh, *other), f"it is that of '{first['path']}'", "--force")
    assert json.loads(kernel.read_text())["argv"][0] == first["python"]
    kernel.write_text("{")
    check_refusal(create(fresh, *other), "it is not ours", "--force")
    assert kernel.read_text() == "{"
    assert not (tmp_path / "code").exists()

    second = created(fresh, *other, "--force")
    assert json.loads(kernel.read_text())["argv"][0] == second["python"]
    assert (tmp_path / "code" / "__conda_python").exists()


def test_no_ipykernel_to_be_had(fresh: Project) -> None:
    """Where neither the channel nor the index has it, the message names it and who wants it; nothing is created."""
    resolve(fresh, "2.1.2", "team/a:v1")

    check_refusal(create(fresh, "team/a:v1", "--name", "nb", "--install-notebook"), "ipykernel", "notebook kernel")

    assert not (fresh.envs / "nb").exists()


@pytest.mark.network
def test_metaflow_of_another_version(fresh: Project, tmp_path: Path) -> None:
    """A task that ran with another Metaflow gets that one, from the default index; one that is not there is named."""
    fresh.run(ONE, variables={"SPEC": CLICK})
    run = fresh.latest("OneFlow", "run.pathspec")
    kept = list(fresh.root.glob(f".metaflow/{run}/start/*/_meta/*metaflow_version*.json"))

    def recorded(version: str) -> Finished:
        for path in kept:
            facts = {**json.loads(path.read_text()), "value": f"{version}+netflix-ext(1.3.0)"}
            path.write_text(json.dumps(facts))
        return create(fresh, "--pathspec", f"{run}/start", "--into-dir", str(tmp_path / version))

    check_refusal(recorded("0.0.1"), "metaflow 0.0.1 cannot be had")
    assert not (tmp_path / "0.0.1").exists()
    done = recorded("2.19.5")
    assert done.returncode == 0, done.output
    assert "Metaflow 2.19.5" in done.stderr
    assert (tmp_path / "2.19.5" / "metaflow-2.19.5.dist-info").is_dir()


def test_a_damaged_environment(fresh: Project) -> None:
    """One that has lost its Python is not given out as if it were whole."""
    resolve(fresh, "2.1.2", "team/a:v1")
    answer = created(fresh, "team/a:v1", "--name", "mine")
    Path(answer["python"]).unlink()

    check_refusal(create(fresh, "team/a:v1", "--name", "mine"), "has no bin/python")


def test_no_place_for_environments(project: Project) -> None:
    """A folder of environments that cannot be written is named, with the setting that chooses another."""
    resolve(project, "2.1.2", "team/a:v1")

    check_refusal(create(project, "team/a:v1", METAFLOW_CONDA_ENVS_ROOT="/proc/envs"), "/proc/envs", "CONDA_ENVS_ROOT")


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (("team/a:v1", "--install-notebook"), 2, "needs --name"),
        ((), 2, "Missing argument"),
        (("team/none",), 1, "no environment is called 'team/none'"),
        (("team/a:v1", "--name", "../x"), 1, "'../x' cannot be the name"),
        (("team/a:v1", "--name", "metaflow_x"), 1, "are taken by runs"),
        (("team/a:v1", "--name", ".x"), 1, "'.x' cannot be the name"),
        (("--pathspec", "NoFlow/1/start"), 1, "NoFlow/1/start"),
        (("team/a:v1", "--into-dir", "requirements.txt"), 1, "is a file"),
        (("team/a:v1", "--into-dir", "/proc/nowhere"), 1, "cannot be written"),
    ],
)
def test_bad_input(project: Project, words: tuple[str, ...], status: int, says: str) -> None:
    """What cannot be is one message, status 2 for usage and 1 else, and nothing half-made."""
    resolve(project, "2.1.2", "team/a:v1")
    done = create(project, *words)

    assert done.returncode == status, done.output
    assert says in done.stderr
    assert "Traceback" not in done.output
    assert half_made(project.root) == []
