"""Build the source archive and the wheel, so that the same commit gives the same bytes anywhere and at any time.

Only tracked files are built from. setuptools heeds SOURCE_DATE_EPOCH in wheels; its source archives carry times, owners
and modes of the machine, and are written anew without them.
"""

from __future__ import annotations

import argparse
import gzip
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from uv import find_uv_bin

PROJECT = Path(__file__).resolve().parents[1]
CONSTRAINTS = Path(__file__).with_name("build-constraints.txt")
EPOCH = "SOURCE_DATE_EPOCH"
PARTS = ("src", "pyproject.toml", "MANIFEST.in", "README.md", "CHANGELOG.md", "LICENSE")


def git(*words: str) -> str:
    """Return what git prints of the project."""
    return subprocess.run(["git", *words], cwd=PROJECT, check=True, capture_output=True, text=True).stdout


def stage(folder: Path) -> None:
    """Copy the tracked files to *folder*, as they are in the working tree."""
    for name in filter(None, git("ls-files", "-z", "--", *PARTS).split("\0")):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(PROJECT / name, target)


def build(kind: str, source: Path, out: Path, epoch: str) -> Path:
    """Build a ``sdist`` or a ``wheel`` of *source* in *out*, and return it."""
    command = [find_uv_bin(), "build", f"--{kind}", "--quiet", "--no-config", "--python", sys.executable]
    command += ["--build-constraints", str(CONSTRAINTS), "--require-hashes", "--out-dir", str(out), str(source)]
    subprocess.run(command, check=True, env={**os.environ, EPOCH: epoch})
    [built] = out.glob("*.tar.gz" if kind == "sdist" else "*.whl")
    return built


def settle(archive: Path, target: Path, epoch: int) -> None:
    """Write the source archive *archive* anew as *target*: sorted, of *epoch*, nobody's."""
    with (
        tarfile.open(archive) as old,
        target.open("wb") as file,
        gzip.GzipFile("", "wb", fileobj=file, mtime=epoch) as packed,  # else the name of the file is kept in it
        tarfile.open(fileobj=packed, mode="w|") as new,
    ):
        for item in sorted(old, key=lambda one: one.name):
            content = old.extractfile(item)
            plain = tarfile.TarInfo(item.name)
            plain.type, plain.size, plain.mtime = item.type, item.size, epoch
            plain.mode = 0o755 if item.isdir() else 0o644
            new.addfile(plain, io.BytesIO(content.read()) if content else None)


def main() -> int:
    """Build both in the folder that is given, and return an exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("out", nargs="?", type=Path, default=PROJECT / "dist", help="the folder (default: dist)")
    parser.add_argument("--uncommitted", action="store_true", help="build what is changed and not committed, too")
    given = parser.parse_args()
    if not given.uncommitted and git("status", "--porcelain", "--untracked-files=no"):
        print("There are changes that are not committed: commit them, or add --uncommitted.", file=sys.stderr)
        return 1
    os.umask(0o022)  # modes of files are in the wheel
    epoch = os.environ.get(EPOCH) or git("log", "-1", "--format=%ct").strip()
    given.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="build-") as folder:
        source, made = Path(folder, "source"), Path(folder, "made")
        stage(source)
        archive = build("sdist", source, made, epoch)
        settled = given.out / archive.name
        settle(archive, settled, int(epoch))
        wheel = build("wheel", settled, made, epoch)
        shutil.copyfile(wheel, given.out / wheel.name)
    print(settled, given.out / wheel.name, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
