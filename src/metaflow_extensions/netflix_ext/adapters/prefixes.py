"""The folder of prefixes on this machine.

<root>/<name>/                 a complete prefix, with its marker .metaflowenv
<root>/<name>.partial-<pid>/   one being made: longer than the name, so that no path in it can grow by the rename
<root>/<name>.partial-replaced/   one that makes room for another: put back where that does not come
<root>/.locks/<name>           whom `flock` gives the right to make it
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from ..engine.errors import CreateError
from ..engine.events import Reporter
from . import disk
from .compile_sources import MARKER

_HINT = "set METAFLOW_CONDA_ENVS_ROOT to a folder that you may write to, on a disk with room"


class PrefixFolder:
    """Prefixes below *root*, which is made when the first of them is."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def path(self, name: str) -> Path:
        """Return where the prefix *name* lies, or would lie."""
        return self._root / name

    def marker(self, name: str) -> str | None:
        """Return what `commit` wrote into the prefix *name*; None where there is no complete one of ours."""
        try:
            return (self.path(name) / MARKER).read_text("utf-8", errors="replace")
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self._failed(error) from error

    def names(self) -> Iterator[str]:
        """Yield the names of all prefixes, and of folders that might be taken for one."""
        try:
            with os.scandir(self._root) as entries:
                yield from sorted(entry.name for entry in entries if _may_be(entry.name) and entry.is_dir())
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise self._failed(error) from error

    @contextlib.contextmanager
    def lock(self, name: str, report: Reporter) -> Iterator[None]:
        """Hold the one right to create *name*; a holder that dies gives it back."""
        waiting = f"Waiting for another process to create {self.path(name)}"
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(disk.locked(self._root / ".locks" / name, lambda: report.note(waiting)))
            except OSError as error:
                raise self._failed(error) from error
            self._recover(name)
            yield

    def stage(self, name: str, *, replacing: bool = False) -> Path:
        """Return an empty folder beside the prefix, left-overs of dead creators and what is left of the prefix removed.

        When *replacing*, a prefix of ours stays until `commit`. Raises CreateError where the prefix's own place is
        taken by something that is not ours.
        """
        path = self.path(name)
        try:
            if path.exists() and not (replacing and (path / MARKER).exists()):
                self._clear(path)
            for left in self._root.glob(f"{name}.partial-*"):
                shutil.rmtree(left)
            stage = self._root / f"{name}.partial-{os.getpid()}"
            stage.mkdir(parents=True)
        except OSError as error:
            raise self._failed(error) from error
        return stage

    def _clear(self, path: Path) -> None:
        """Move a damaged prefix of ours away: its marker is not sound, or byte code's mark is all."""
        ours = (path / MARKER).exists() or (
            path.is_dir() and all(left.name.startswith(MARKER) for left in path.iterdir()) and any(path.iterdir())
        )
        if not ours:
            raise CreateError(
                f"'{path}' exists and holds no {MARKER}: it is not ours to replace",
                "move it away, or set METAFLOW_CONDA_ENVS_ROOT to another folder",
            )
        path.rename(path.with_name(f"{path.name}.partial-damaged-{os.getpid()}"))

    def commit(self, name: str, stage: Path, marker: str) -> None:
        """Mark *stage* and rename it into place; a prefix of ours that is there then is one to replace, and goes."""
        path, old = self.path(name), self._replaced(name)
        try:
            disk.write(stage / MARKER, marker.encode("utf-8"))
            if (path / MARKER).exists():
                path.rename(old)
            try:
                stage.rename(path)
            except OSError:
                self._recover(name)
                raise
        except OSError as error:
            raise self._failed(error) from error
        shutil.rmtree(old, ignore_errors=True)

    def _replaced(self, name: str) -> Path:
        return self._root / f"{name}.partial-replaced"

    def _recover(self, name: str) -> None:
        """Put a prefix back that was moved aside for another one, where that has not come to its place."""
        old, path = self._replaced(name), self.path(name)
        if old.is_dir() and not path.exists():
            try:
                old.rename(path)
            except OSError as error:
                raise self._failed(error) from error

    def discard(self, stage: Path) -> None:
        """Remove *stage*; what cannot be removed now is removed by the next creator."""
        shutil.rmtree(stage, ignore_errors=True)

    def _failed(self, error: OSError) -> CreateError:
        return CreateError(f"'{self._root}' cannot hold environments: {error.strerror}", _HINT)


def _may_be(name: str) -> bool:
    return not name.startswith(".") and ".partial-" not in name
