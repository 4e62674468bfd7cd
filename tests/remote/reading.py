"""What remote tasks have left in the datastore, read from outside with Metaflow's client."""

from __future__ import annotations

import json
from collections.abc import Iterable

from tests.project import Project

from .replay import Played

# Tasks with local metadata keep it in their container, and leave a copy beside their artifacts, which is brought here.
_BRING = """
import json, sys
from metaflow.datastore import FlowDataStore
from metaflow.metadata_provider.util import sync_local_metadata_from_datastore
from metaflow.metaflow_config import DATASTORE_LOCAL_DIR
from metaflow.plugins import DATASTORES
kind, *pathspecs = sys.argv[1:]
storage = next(each for each in DATASTORES if each.TYPE == kind)
root = storage.get_datastore_root_from_config(print)
for pathspec in pathspecs:
    flow, run, step, task = pathspec.split("/")
    store = FlowDataStore(flow, None, storage_impl=storage, ds_root=root)
    sync_local_metadata_from_datastore(DATASTORE_LOCAL_DIR, store.get_task_datastore(run, step, task))
"""
_LOOK = """
import json, sys
from metaflow import Run, Step, Task, namespace
namespace(None)
run = Run(sys.argv[1])
print("ANSWER" + json.dumps(eval(sys.argv[2])))
"""


def bring_metadata(project: Project, pathspecs: Iterable[str], kind: str = "s3") -> None:
    """Bring the metadata of tasks to *project*'s folder, so that its client knows them."""
    done = project.command("-c", _BRING, kind, *pathspecs)
    assert done.returncode == 0, done.output


def look(project: Project, pathspec: str, expression: str) -> object:
    """Evaluate *expression*, with ``run`` the run at *pathspec*, in a process with Metaflow's client."""
    done = project.command("-c", _LOOK, pathspec, expression)
    assert done.returncode == 0, done.output
    return json.loads(done.stdout.rpartition("ANSWER")[2])


def read(project: Project, played: Played, expression: str, kind: str = "s3") -> object:
    """Evaluate *expression*, with ``run`` the replayed run, where its artifacts and metadata can be read."""
    last = {task.pathspec: task for task in played.tasks}
    bring_metadata(project, [pathspec for pathspec, task in last.items() if task.status == 0], kind)
    return look(project, played.run, expression)
