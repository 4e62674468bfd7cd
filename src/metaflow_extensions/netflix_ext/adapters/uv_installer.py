"""Wheels into a staged prefix, by ``uv pip install`` from a pylock.toml of exactly those files (PEP 751)."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from packaging.utils import canonicalize_name

from ..engine.credentials import secrets_for, with_credentials
from ..engine.errors import CreateError, ExtensionError, PackageError
from ..engine.events import Reporter
from ..engine.package import PypiPackage
from ..engine.secret import redact, strip_credentials
from . import disk
from .process import Finished
from .uv_complaints import complaint
from .uv_program import default_index, find_uv, run_uv

_LONGEST_SHEBANG = 127  # what Linux read before 5.1, the least that scripts must live with
# uv refuses a lock together with what would change it.
_NOT_WITH_A_LOCK = ("UV_CONSTRAINT", "UV_OVERRIDE", "UV_EXCLUDE", "UV_BUILD_CONSTRAINT")
_DIRECT = re.compile(rb"#!(?P<path>[^\n]*)\n")
_TRAMPOLINE = re.compile(rb"#!/bin/sh\n'''exec' '?(?P<path>[^\n]*?)'? \"\$0\" \"\$@\"\n' '''\n")
_MISMATCH = re.compile(r"(?:Hash|Size) mismatch for `([^`=]+)==")
_NAMED = re.compile(r"`([A-Za-z0-9][\w.\-]*)(?:==[^`]*)?`")


class UvInstaller:
    """Puts wheels into a prefix with uv; no index is asked, no dependency is looked at.

    uv's cache is asked first and alone, so that a warm create needs no network; only where it lacks a file are the
    URLs fetched. Every file is verified against its SHA-256, cached or not.

    Args:
        secrets: for each clean index URL that needs them, the same URL with its credentials.
        program: the path of uv; else the one of the package ``uv``.
    """

    def __init__(self, secrets: Mapping[str, str] = MappingProxyType({}), *, program: str | None = None) -> None:
        self._secrets = secrets
        self._program = program

    def install(
        self,
        packages: tuple[PypiPackage, ...],
        stage: Path,
        final: Path,
        report: Reporter,
        *,
        trusted: Sequence[str] = (),
    ) -> None:
        """Add *packages* to the prefix *stage*, with *final* as the path that scripts name.

        The certificates of the *trusted* hosts are not checked: every file is known by its hash.
        Raises PackageError where a file cannot be fetched or is not the one resolved, CreateError else.
        """
        if not packages:
            return
        python = stage / "bin" / "python"
        if not python.exists():
            raise CreateError(f"{stage} has no bin/python to put wheels in place for", "ask for python from conda")
        task = f"install {len(packages)} wheels in {final.name}"
        report.started(task, len(packages))
        self._put(packages, python, trusted)
        retarget(stage, final, packages)
        report.advanced(task, len(packages))
        report.finished(task, f"{len(packages)} wheels")

    def _put(self, packages: tuple[PypiPackage, ...], python: Path, trusted: Sequence[str]) -> None:
        program = self._program or find_uv()
        default = ""
        if any(package.index == "default" for package in packages):
            default = strip_credentials(default_index(program))
        with tempfile.TemporaryDirectory(prefix="metaflow-uv-") as name:
            lock = Path(name, "pylock.toml")
            lock.touch(mode=0o600)
            lock.write_text(pylock(packages, default, self._secrets), encoding="utf-8")
            arguments = [
                *("pip", "install", "--python", str(python.absolute()), "--no-deps", "--break-system-packages"),
                *("--preview-features", "pylock", "-r", str(lock)),
                *(word for host in trusted for word in ("--allow-insecure-host", host)),
            ]
            environment = self._environment(packages)
            # From the scratch folder, so that no project's settings apply: they may hold constraints too.
            folder = lock.parent
            if run_uv(program, [*arguments, "--offline"], environment=environment, folder=folder).returncode == 0:
                return
            finished = run_uv(program, arguments, environment=environment, folder=folder)
        if finished.returncode != 0:
            raise _translated(finished, packages)

    def _environment(self, packages: Sequence[PypiPackage]) -> dict[str, str]:
        """Return the variable that tells uv the credentials: it keeps those of any index for all URLs of the host."""
        needed = secrets_for([package.url for package in packages], self._secrets)
        found = {"UV_INDEX": " ".join(url.replace(" ", "%20") for url in needed)} if needed else {}
        return {**found, **dict.fromkeys(_NOT_WITH_A_LOCK, "")}


def put_alone(name: str, version: str, folder: Path) -> None:
    """Put the package *name* of the default index into *folder*, without what it needs; raise PackageError."""
    arguments = ["pip", "install", "--target", str(folder), "--no-deps", f"{name}=={version}"]
    finished = run_uv(find_uv(), [*arguments, "--python", sys.executable], environment={}, folder=folder)
    if finished.returncode != 0:
        raise PackageError(
            f"{name} {version} cannot be had: {complaint(finished.stderr).text}",
            "check the network; UV_INDEX_URL names another index",
        )


def pylock(
    packages: Iterable[PypiPackage], default: str = "", secrets: Mapping[str, str] = MappingProxyType({})
) -> str:
    """Return a pylock.toml of exactly *packages*.

    *default* is the URL of the default index: naming the index lets uv share its cached wheels with what the user
    installs himself. Without an index uv keeps a file under the URL of its folder, so that a direct link never
    poses as an index's file. A token that is part of a path cannot be given by variable: only such a URL is
    written with it, into a file of mode 0600 that lives as long as the call.
    """
    text = ['lock-version = "1.0"', 'created-by = "metaflow-netflixext"']
    for package in packages:
        if not package.sha256:
            raise PackageError(f"'{package.filename}' has no SHA-256 to verify", "resolve the environment again")
        index = default if package.index == "default" else package.index
        url = with_credentials(package.url, secrets)
        secret_path = strip_credentials(url) == package.url and "/t/" in url and "/t/" not in package.url
        wheel = {"name": package.filename, "url": url if secret_path else package.url}
        facts = ", ".join([*(f"{key} = {_quoted(value)}" for key, value in wheel.items()), *_size(package)])
        text += ["", "[[packages]]", f"name = {_quoted(package.name)}", f"version = {_quoted(package.version)}"]
        text += [f"index = {_quoted(index)}"] if "://" in index else []
        text += [f"wheels = [{{ {facts}, hashes = {{ sha256 = {_quoted(package.sha256)} }} }}]"]
    return "\n".join(text) + "\n"


def retarget(stage: Path, final: Path, packages: Iterable[PypiPackage]) -> None:
    """Let the scripts of *packages* in *stage* name the interpreter of *final*, and their records agree."""
    names = {str(canonicalize_name(package.name)) for package in packages}
    for record in _records(stage, names):
        content = record.read_text(encoding="utf-8")
        if "/bin/" not in content:
            continue
        rows = list(csv.reader(io.StringIO(content)))
        changed = [row for row in rows if row and _rewritten(record.parent.parent, row, stage, final)]
        if changed:
            text = io.StringIO()
            csv.writer(text, lineterminator="\n").writerows(rows)
            _replace(record, text.getvalue().encode())


def script_for(content: bytes, stage: Path, final: Path) -> bytes:
    """Return a script with the interpreter of *final* where its head names that of *stage*; any other as it is.

    Both forms are known: ``#!path``, and the ``/bin/sh`` trampoline for a path that is too long or has blanks.
    The form is chosen anew, since *final* may need the other one.
    """
    match = _TRAMPOLINE.match(content) or _DIRECT.match(content)
    if not match:
        return content
    named = os.fsdecode(match["path"])
    for root in dict.fromkeys((str(stage.absolute()), os.path.realpath(stage))):
        if named.startswith(f"{root}/bin/"):
            return _head(f"{final.absolute()}{named[len(root) :]}") + content[match.end() :]
    return content


def _head(interpreter: str) -> bytes:
    path = os.fsencode(interpreter)
    if b" " not in path and len(path) + 2 <= _LONGEST_SHEBANG:
        return b"#!" + path + b"\n"
    return b"#!/bin/sh\n'''exec' '" + path + b"' \"$0\" \"$@\"\n' '''\n"


def _records(stage: Path, names: set[str]) -> Iterator[Path]:
    for site in sorted(stage.glob("lib/python3*/site-packages")):
        if site.parent.is_symlink():
            continue
        for folder in sorted(site.glob("*.dist-info")):
            if canonicalize_name(folder.name.partition("-")[0]) in names and (folder / "RECORD").is_file():
                yield folder / "RECORD"


def _rewritten(site: Path, row: list[str], stage: Path, final: Path) -> bool:
    if not row[0].startswith(".."):  # thousands of rows are not scripts
        return False
    path = Path(os.path.normpath(site / row[0]))
    if path.parent != stage / "bin" or not path.is_file():
        return False
    content = path.read_bytes()
    script = script_for(content, stage, final)
    if script == content:
        return False
    _replace(path, script)
    digest = base64.urlsafe_b64encode(hashlib.sha256(script).digest()).rstrip(b"=").decode()
    row[1:] = [f"sha256={digest}", str(len(script))]
    return True


def _replace(path: Path, content: bytes) -> None:
    """Put another file in the place of *path*, with its rights: that one may be a hard link into a cache."""
    with disk.aside(path) as written:
        written.write_bytes(content)
        written.chmod(path.stat().st_mode & 0o7777)


def _translated(finished: Finished, packages: Sequence[PypiPackage]) -> ExtensionError:
    said = complaint(finished.stderr)
    mismatch = _MISMATCH.search(said.text)
    named = mismatch or _NAMED.search(said.text)
    package = _named(named.group(1), packages) if named else None
    subject = f"'{package.filename}' of {package.name} {package.version}" if package else "a wheel"
    if mismatch:
        return PackageError(
            f"{subject} from {redact(package.url) if package else 'its source'} is not the file that was resolved: "
            f"{said.text}",
            "the file was replaced at its source: resolve the environment again, or restore the file",
        )
    if "Failed to fetch" in said.text or "Failed to download" in said.text or "Distribution not found" in said.text:
        return PackageError(
            f"{subject} cannot be fetched: {said.text}",
            "check the network and the credentials of its index; a cached environment needs neither",
        )
    return CreateError(
        f"{subject} cannot be put in place: {said.text}" if package else f"uv cannot install the wheels: {said.text}",
        "check the room on the disk and the rights on the folder of prefixes, and that the platform is this one",
    )


def _named(name: str, packages: Sequence[PypiPackage]) -> PypiPackage | None:
    wanted = canonicalize_name(name)
    return next((package for package in packages if canonicalize_name(package.name) == wanted), None)


def _size(package: PypiPackage) -> list[str]:
    return [f"size = {package.size}"] if package.size else []


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
