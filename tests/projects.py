"""Projects that can be built: folders, repositories and source archives, with a back-end of their own."""

from __future__ import annotations

import os
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

BACKEND = '''\
"""Builds a wheel of one module, and remembers that it did."""

import os
import shutil
import zipfile
from pathlib import Path

FACTS = {facts!r}


def build_wheel(folder, config_settings=None, metadata_directory=None):
    counter = os.environ.get("COUNT_BUILDS")
    if counter:
        with open(counter, "a") as file:
            file.write(FACTS["name"] + "\\n")
    for program in FACTS["programs"]:
        if shutil.which(program) is None:
            raise SystemExit("the program " + program + " is missing")
    stem = FACTS["name"].replace("-", "_") + "-" + FACTS["version"]
    files = {{
        FACTS["name"].replace("-", "_") + ".py": Path(__file__).with_name("module.py").read_text(),
        stem + ".dist-info/METADATA": "\\n".join(
            ["Metadata-Version: 2.1", "Name: " + FACTS["name"], "Version: " + FACTS["version"]]
            + ["Requires-Dist: " + need for need in FACTS["needs"]]
            + ["Requires-Python: " + FACTS["python"]] * bool(FACTS["python"])
        ) + "\\n\\nWhat it is.\\nVersion: none\\n",
        stem + ".dist-info/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: " + FACTS["tag"] + "\\n",
    }}
    record = "".join(name + ",,\\n" for name in files) + stem + ".dist-info/RECORD,,\\n"
    name = stem + "-" + FACTS["tag"] + ".whl"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
        archive.writestr(stem + ".dist-info/RECORD", record)
    return name
'''


def project(
    folder: Path,
    name: str = "made",
    version: str = "1.0",
    *,
    needs: Sequence[str] = (),
    programs: Sequence[str] = (),
    tag: str = "py3-none-any",
    value: str = "1",
    requires: Sequence[str] = (),
    python: str = "",
) -> Path:
    """Write a project to *folder*: a module *name* with ``value``, which needs *programs* to be built."""
    folder.mkdir(parents=True, exist_ok=True)
    facts = {"name": name, "version": version, "needs": list(needs), "programs": list(programs), "tag": tag}
    facts["python"] = python
    (folder / "backend.py").write_text(BACKEND.format(facts=facts))
    (folder / "module.py").write_text(f"value = {value!r}\n")
    system = f'[build-system]\nrequires = {list(requires)!r}\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    bound = f"requires-python = '{python}'\n" if python else ""
    table = f'[project]\nname = "{name}"\nversion = "{version}"\ndependencies = {list(needs)!r}\n{bound}'
    (folder / "pyproject.toml").write_text(f"{system}\n{table}".replace("'", '"'))
    return folder


def repository(folder: Path) -> str:
    """Make *folder* a git repository with all that is in it committed, and return the commit."""
    if not (folder / ".git").exists():
        git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message=a state")
    return git(folder, "rev-parse", "HEAD")


def git(folder: Path, *words: str) -> str:
    """Run git in *folder* and return what it prints."""
    who = {f"GIT_{who}_{what}": "tester@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    done = subprocess.run(
        ["git", *words], cwd=folder, env={**os.environ, **who}, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def sdist(folder: Path, target: Path, stem: str) -> Path:
    """Pack the project in *folder* as ``<stem>.tar.gz`` in *target*, below a folder of that name (PEP 625)."""
    target.mkdir(parents=True, exist_ok=True)
    path = target / f"{stem}.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for item in sorted(folder.iterdir()):
            archive.add(item, f"{stem}/{item.name}")
    return path
