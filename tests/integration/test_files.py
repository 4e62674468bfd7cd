"""What files say of how packages are picked, from the command line to the interpreter that imports them."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.project import Project
from tests.refusal import check_refusal

pytestmark = pytest.mark.slow

BASE = "python==3.11\nitsdangerous==2.1.2\n"


def resolve(project: Project, text: str, *words: str, file: str = "requirements.txt") -> dict[str, dict[str, Any]]:
    """Resolve what *text* asks for, which must go well, and return the packages by name."""
    project.write(file, text)
    done = project.metaflow("environment", "resolve", "--json", "-r" if file.endswith("txt") else "-f", file, *words)
    assert done.returncode == 0, done.output
    [found] = json.loads(done.stdout)["environments"]
    return {package["name"]: package for package in found["environment"]["packages"]}


def refuse(project: Project, text: str, *says: str, using: str = "", file: str = "requirements.txt") -> None:
    """Resolve what *text* asks for, which must be refused with these words."""
    project.write(file, text)
    option = "-r" if file.endswith("txt") else "-f"
    words = ("--using", using) if using else ()
    check_refusal(project.metaflow("environment", "resolve", option, file, *words), *says)


def test_constraints_bound_what_is_picked(project: Project) -> None:
    """Of a file that is included by `-c`, and of nothing that is not installed."""
    project.write("c.txt", "itsdangerous<2.2\nclick<1\n")

    found = resolve(project, "python==3.11\nitsdangerous\n-c c.txt\n")

    assert found["itsdangerous"]["version"] == "2.1.2"
    assert "click" not in found


def test_a_folder_of_wheels_is_enough(fresh: Project, built: Path) -> None:
    """Without an index all comes from the folder, and a prefix is made from it."""
    found = resolve(fresh, f"{BASE}--no-index\n--find-links {built / 'files'}\n", "--alias", "from-folder")
    created = fresh.metaflow("environment", "create", "from-folder", "--json")

    assert found["itsdangerous"]["url"].startswith((built / "files").as_uri())
    assert created.returncode == 0, created.output
    [python] = fresh.envs.glob("metaflow_*/bin/python")
    program = "import itsdangerous; print(itsdangerous.__version__)"
    ran = subprocess.run([python, "-c", program], check=True, capture_output=True)
    assert ran.stdout == b"2.1.2\n"


def test_hashes_choose_and_refuse(project: Project, built: Path) -> None:
    """The file whose hash is given is taken; with another hash nothing is resolved, and both are told."""
    [wheel] = (built / "files").glob("itsdangerous-2.1.2-*.whl")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()

    found = resolve(project, f"python==3.11\nitsdangerous==2.1.2 \\\n    --hash=sha256:{digest}\n")
    assert found["itsdangerous"]["sha256"] == digest
    wrong = "0" * 64
    refuse(
        project,
        f"python==3.11\nitsdangerous==2.1.2 --hash=sha256:{wrong}\n",
        f"'itsdangerous 2.1.2' has no file with a hash that is given: expected sha256:{wrong}",
        f"{wheel.name}: found sha256:{digest}",
    )


def test_an_extension_keeps_the_base_and_says_so(project: Project) -> None:
    """What cannot be beside packages of the base is refused with the one in the way, from channels and from indexes."""
    environment = "dependencies: [python=3.11, itsdangerous=2.1.2]\n"
    resolve(project, environment, "--alias", "conda-base", file="environment.yml")
    resolve(project, BASE, "--alias", "pypi-base")

    more = resolve(project, "dependencies: [hello-tool]\n", "--using", "conda-base", file="environment.yml")
    assert (more["itsdangerous"]["version"], "hello-tool" in more) == ("2.1.2", True)
    refuse(
        project,
        "dependencies: [itsdangerous=1.1.0]\n",
        "the environment to extend are kept as they are; in the way is itsdangerous 2.1.2",
        using="conda-base",
        file="environment.yml",
    )
    refuse(project, "click\nitsdangerous>2.1.2\n", "never replaced: itsdangerous 2.1.2", using="pypi-base")
    project.write("c.txt", "itsdangerous<2\n")
    refuse(project, "click\n-c c.txt\n", "'itsdangerous<2' is not met by itsdangerous 2.1.2", using="conda-base")
