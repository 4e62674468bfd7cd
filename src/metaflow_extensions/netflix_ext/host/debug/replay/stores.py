"""What tasks have recorded, read by Metaflow's own classes when it is touched. Imports on Python 3.7 (step side)."""

from __future__ import annotations

import pickle
from typing import Any, Callable, Iterator

from .described import task

# Every artifact that was read so far: the task it is of, and its name.
loads = []  # type: list[tuple[str, str]]


class ArtifactError(Exception):
    """An artifact is recorded, and cannot be read here."""


class Stores:
    """The datastore of the flow; what comes from afar is kept where Metaflow's client keeps it."""

    def __init__(self) -> None:
        from metaflow.datastore import FlowDataStore
        from metaflow.plugins import DATASTORES

        kind, root = task["datastore"]
        storage = next(cls for cls in DATASTORES if kind == cls.TYPE)
        storage.datastore_root = root
        self.flow = FlowDataStore(task["flow"], None, storage_impl=storage, ds_root=root)
        if kind != "local":
            from metaflow.client.filecache import FileBlobCache, FileCache

            cache = FileCache()
            self.flow.ca_store.set_blob_cache(FileBlobCache(cache, FileCache.flow_ds_id(kind, root, task["flow"])))

    def recorded(self, pathspec: str, *, unfinished: bool = False) -> Recorded:
        """Return what the task of *pathspec* (run, step, task) has recorded."""
        words = pathspec.split("/")
        return Recorded(pathspec, lambda: self.flow.get_task_datastore(*words, allow_not_done=unfinished))


class Recorded:
    """A datastore of one task that is opened when it is touched; what cannot be read says why.

    ``removed`` has the names that were deleted from the flow's object.
    """

    def __init__(self, title: str, opening: Callable[[], Any]) -> None:
        self.title, self.opening = title, opening
        self.removed = set()  # type: set[str]
        self.found = None  # type: Any

    @property
    def store(self) -> Any:
        """Metaflow's own datastore of the task."""
        if self.found is None:
            self.found = self.opening()
        return self.found

    def __contains__(self, name: str) -> bool:
        return name not in self.removed and name in self.store

    def __getitem__(self, name: str) -> Any:
        loads.append((self.title, name))
        try:
            return self.store[name]
        except Exception as error:
            kind = self.store._info.get(name, {}).get("type", "?")
            raise ArtifactError(
                f"the artifact {name!r} of {task['flow']}/{self.title} (recorded as {kind}) cannot be read here: "
                f"{type(error).__name__}: {error}"
            ) from error

    def __iter__(self) -> Iterator[str]:
        return (name for name in self.store if name not in self.removed)

    def items(self) -> Iterator[tuple[str, Any]]:
        """Yield names and keys."""
        return iter([(name, key) for name, key in self.store.items() if name not in self.removed])

    def __getattr__(self, name: str) -> Any:
        if name in ("found", "opening", "removed", "title"):  # while it is copied
            raise AttributeError(name)
        return getattr(self.store, name)


class Group:
    """The inputs of a foreach's join, in the order of the foreach.

    All are opened at once, when the first is touched, and ordered by what they have recorded of the foreach.
    """

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._path = [(step, index) for step, index in task["path"]]
        self._ordered = None  # type: list[Any] | None

    def recorded(self, position: int) -> Recorded:
        """Return what the input at *position* has recorded."""
        return Recorded(f"input {position}", lambda: self.ordered()[position])

    def around(self) -> Any:
        """Return the foreach stack of one of them, which costs no look at the others."""
        return self._stores.recorded(task["inputs"][0]).store["_foreach_stack"]

    def ordered(self) -> list[Any]:
        """Return the datastores of all."""
        if self._ordered is None:
            stores = self._stores.flow.get_task_datastores(pathspecs=task["inputs"])
            keyed = {}
            for store, stack in zip(stores, _stacks(stores)):
                place = [(frame.step, frame.index) for frame in stack]
                if place[:-1] == self._path:
                    keyed[place[-1][1]] = store
            self._ordered = [keyed[index] for index in sorted(keyed)]
        return self._ordered


def _stacks(stores: list[Any]) -> list[Any]:
    keys = [store._objects["_foreach_stack"] for store in stores]
    blobs = dict(stores[0]._ca_store.load_blobs(set(keys))) if stores else {}
    return [pickle.loads(blobs[key]) for key in keys]  # noqa: S301 - as Metaflow itself reads it
