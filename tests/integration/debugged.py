"""Past tasks, opened by `metaflow debug`; what tests of it share."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import nbformat

from tests.project import Finished, Project

KEPT = {"METAFLOW_FEAT_ALWAYS_UPLOAD_CODE_PACKAGE": "1"}
PLAY = """
import sys, nbformat, nbclient
notebook = nbformat.read(sys.argv[1], as_version=4)
resources = {"metadata": {"path": sys.argv[2]}}
nbclient.NotebookClient(notebook, timeout=120, allow_errors=True, resources=resources).execute()
nbformat.write(notebook, sys.argv[1])
"""


def debug(project: Project, *words: str, **variables: str) -> Finished:
    return project.metaflow("debug", *words, variables=variables)


def opened(project: Project, pathspec: str, folder: Path, *words: str, **variables: str) -> dict[str, Any]:
    """Open a task, which must go well, and return what `--json` tells."""
    done = debug(project, "--json", "task", pathspec, "--metaflow-root-dir", str(folder), *words, **variables)
    assert done.returncode == 0, done.output
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


TASKS = """
import json, sys
from metaflow import Run
found = {}
for step in Run(sys.argv[1], _namespace_check=False):
    for task in step:
        path = task.metadata_dict.get("foreach-execution-path", "")
        name = " ".join([step.id, *filter(None, [",".join(part.split(":")[1] for part in path.split(",") if part)])])
        found[f"{name} of {task.id}" if name in found else name] = task.pathspec
print("ANSWER" + json.dumps(found))
"""


def tasks(project: Project, run: str) -> dict[str, str]:
    """Return the pathspecs of a run's tasks, by step and indices: ``inner 1,0``."""
    done = project.command("-c", TASKS, run)
    assert done.returncode == 0, done.output
    found: dict[str, str] = json.loads(done.stdout.rpartition("ANSWER")[2])
    return found


def played(project: Project, notebook: str, *cells: str, fails: bool = False) -> list[str]:
    """Execute a notebook in its own kernel, with *cells* added; return what they print.

    A cell that *fails* may be among those that the notebook came with.
    """
    document = nbformat.read(notebook, as_version=4)
    nbformat.validate(document)
    document.cells += [nbformat.v4.new_code_cell(cell) for cell in cells]
    copy = Path(notebook).with_name("played.ipynb")
    nbformat.write(document, copy)
    done = project.command("-W", "ignore", "-c", PLAY, str(copy), str(copy.parent))
    assert done.returncode == 0, done.output
    made = nbformat.read(copy, as_version=4).cells
    errors = [output for cell in made for output in cell.get("outputs", ()) if output.output_type == "error"]
    assert bool(errors) == fails, errors
    return ["".join(output.get("text", "") for output in cell.outputs).strip() for cell in made[-len(cells) :]]


def scripted(project: Project, answer: dict[str, Any], code: str, **variables: str) -> Finished:
    """Run the script of an opened task, with *code* after it, by its own Python."""
    script = Path(answer["script"])
    copy = script.with_name("scripted.py")
    copy.write_text(f"{script.read_text('utf-8')}\n{code}\n", "utf-8")
    return project.program([answer["python"], str(copy)], variables=variables)


def multiply(root: Path, flow: str, run: str, step: str, count: int) -> None:
    """Let a step of a local run with tasks of a foreach have *count* of them, made of the first one.

    They have all that a task has: metadata, and artifacts, of which the place in the foreach is their own.
    """
    from metaflow.datastore import FlowDataStore
    from metaflow.plugins.datastores.local_storage import LocalStorage

    folder = root / ".metaflow" / flow / run / step
    model = min((path for path in folder.iterdir() if path.name.isdigit()), key=lambda path: int(path.name))
    store = FlowDataStore(flow, None, storage_impl=LocalStorage, ds_root=str(root / ".metaflow"))
    stack = store.get_task_datastore(run, step, model.name)["_foreach_stack"]
    stacks = [[*stack[:-1], stack[-1]._replace(index=number, num_splits=count)] for number in range(count)]
    saved = store.ca_store.save_blobs(iter([pickle.dumps(each, protocol=4) for each in stacks]))
    documents = {path.relative_to(model): path.read_text() for path in model.rglob("*") if path.is_file()}
    for task in folder.iterdir():
        if task.name.isdigit():
            shutil.rmtree(task)
    for number, blob in enumerate(saved):
        task = folder / str(100 + number)
        for name, text in documents.items():
            changed = text.replace(f'"{step}:0"', f'"{step}:{number}"').replace(f'"{model.name}"', f'"{task.name}"')
            if name.name == "0.data.json":
                facts = json.loads(text)
                facts["objects"]["_foreach_stack"] = blob.key
                changed = json.dumps(facts)
            (task / name).parent.mkdir(parents=True, exist_ok=True)
            (task / name).write_text(changed)
