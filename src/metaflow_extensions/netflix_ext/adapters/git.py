"""Commits of git repositories, by the program git: which one a reference means now, and its files.

The user's own git settings, keys and credential helpers are used; git asks nobody at the terminal.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from ..engine.credentials import with_credentials
from ..engine.errors import InputError, SourceError, ToolError
from ..engine.secret import redact
from .process import Finished, run

# What a hook of git leaves us, about a repository that is another one.
_ANOTHERS = re.compile(r"GIT_(?:DIR|COMMON_DIR|WORK_TREE|INDEX_FILE|OBJECT_DIRECTORY|PREFIX|NAMESPACE|SHALLOW_FILE)")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHORT = re.compile(r"[0-9a-f]{7,39}")
_TIMEOUT = 900.0
# Large files are fetched where the program for them is on PATH; its own set-up may never have been run.
_LARGE_FILES = (
    *("-c", "filter.lfs.smudge=git-lfs smudge -- %f"),
    *("-c", "filter.lfs.process=git-lfs filter-process"),
    *("-c", "filter.lfs.required=true"),
)
_ACCESS = (
    "check the URL and your rights: git uses your own keys and credential helpers, and credentials may stand in the URL"
)


class Git:
    """Repositories by their URLs; *secrets* maps clean URLs to those with credentials."""

    def __init__(self, secrets: Mapping[str, str] = MappingProxyType({})) -> None:
        self._secrets = secrets

    def commit(self, url: str, reference: str) -> str:
        """Return the commit that *reference* (branch, tag, commit; empty: the default branch) means now.

        Raises InputError where there is no such reference, SourceError where the repository cannot be read.
        """
        if _COMMIT.fullmatch(reference):
            return reference
        found = self._references(url)
        names = ("HEAD",) if not reference else (reference, *(f"refs/{kind}/{reference}" for kind in ("tags", "heads")))
        for name in names:
            commit = found.get(f"{name}^{{}}") or found.get(name)  # an annotated tag is no commit, what it names is
            if commit:
                return commit
        whole = self._completed(url, reference) if _SHORT.fullmatch(reference) else ""
        if whole:
            return whole
        known = sorted(name.split("/", 2)[2] for name in found if name.startswith("refs/") and not name.endswith("}"))
        shown = ", ".join(known[:8]) + (f" and {len(known) - 8} more" if len(known) > 8 else "")
        raise InputError(
            f"git+{redact(url)} has no branch, tag or commit '{reference or 'HEAD'}': there is {shown or 'nothing'}",
            "write one of them after '@', or a whole commit",
        )

    def _completed(self, url: str, short: str) -> str:
        """Return the commit that begins with *short*; only a copy of the repository can tell."""
        with tempfile.TemporaryDirectory(prefix="metaflow-git-") as name:
            folder = Path(name, "bare")
            clone = ["clone", "--quiet", "--bare", "--filter=blob:none", self._full(url), str(folder)]
            self._git(clone, url)
            verify = ["rev-parse", "--verify", "--quiet", f"{short}^{{commit}}"]
            return self._git(verify, url, folder, strict=False).stdout.strip()

    def checkout(self, url: str, commit: str, folder: Path, path: str) -> None:
        """Put the files of *commit*, submodules and large files too, into *folder*.

        *path* is the PATH to find git's own helpers in. History and tags come along, as versions are made of them.
        """
        clone = ["clone", "--quiet", "--no-checkout", "--filter=blob:none", self._full(url), str(folder)]
        self._git(clone, url, path=path)
        if self._git(["cat-file", "-e", f"{commit}^{{commit}}"], url, folder, path, strict=False).returncode != 0:
            # A host may keep commits that no branch leads to, of pull requests for instance.
            self._git(["fetch", "--quiet", "origin", commit], url, folder, path)
        large = _LARGE_FILES if shutil.which("git-lfs", path=path) else ()
        self._git([*large, "checkout", "--quiet", "--detach", commit], url, folder, path)
        if (folder / ".gitmodules").exists():
            self._git([*large, "submodule", "--quiet", "update", "--init", "--recursive"], url, folder, path)

    def _references(self, url: str) -> dict[str, str]:
        lines = self._git(["ls-remote", self._full(url)], url).stdout.splitlines()
        return {name: commit for commit, _, name in (line.partition("\t") for line in lines)}

    def _full(self, url: str) -> str:
        return with_credentials(url, self._secrets)

    def _git(
        self,
        arguments: Sequence[str],
        url: str,
        folder: Path | None = None,
        path: str = "",
        *,
        strict: bool = True,
    ) -> Finished:
        program = shutil.which("git", path=path or None)
        if program is None:
            raise ToolError(f"git is needed to read {redact(url)}, and it is not installed", "install git")
        variables = {name: value for name, value in os.environ.items() if not _ANOTHERS.fullmatch(name)}
        variables.update({"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C", **({"PATH": path} if path else {})})
        variables.setdefault("GIT_SSH_COMMAND", "ssh -o BatchMode=yes")
        done = run([program, *arguments], environment=variables, folder=folder, timeout=_TIMEOUT)
        if strict and done.returncode != 0:
            raise SourceError(f"git cannot read {redact(url)}: {redact(_last(done.stderr))}", _ACCESS)
        return done


def _last(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return "; ".join(lines[-4:]) or "it did not say why"
