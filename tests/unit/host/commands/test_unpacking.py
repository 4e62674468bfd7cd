"""The code of a past task in a folder of the user's: whole or not at all, and never outside of it."""

from __future__ import annotations

import io
import json
import os
import tarfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from metaflow.datastore import FlowDataStore
from metaflow.plugins.datastores.local_storage import LocalStorage

from metaflow_extensions.netflix_ext.engine.errors import ExtensionError, InputError, PackageError
from metaflow_extensions.netflix_ext.host import compat
from metaflow_extensions.netflix_ext.host.commands.unpacking import check_folder, unpacked
from metaflow_extensions.netflix_ext.host.workbench import Workbench


@dataclass
class PastTask:
    """What is asked of Metaflow's Task."""

    pathspec: str = "Past/1/start/1"
    metadata_dict: dict[str, str] = field(default_factory=dict)


def archive(*files: tuple[str, str]) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as tar:
        for name, text in files:
            member = tarfile.TarInfo(name)
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    return data.getvalue()


def linking(name: str, target: str) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as tar:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = tarfile.SYMTYPE, target
        tar.addfile(member)
    return data.getvalue()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder to work in, with a datastore in it."""
    return tmp_path


def task_with(package: bytes, root: Path) -> PastTask:
    """Return a task whose code package, in a local datastore, is *package*."""
    store = FlowDataStore("Past", None, storage_impl=LocalStorage, ds_root=str(root / ".metaflow"))
    location, sha = store.save_data([package], len_hint=1)[0]
    facts = {"ds_type": "local", "location": location, "sha": sha, "metadata": "{}"}
    return PastTask(metadata_dict={"code-package": json.dumps(facts)})


def put(folder: Path, package: bytes, root: Path) -> str:
    with unpacked(folder, task_with(package, root), "", root / "python", Workbench(compat.silence)) as code:
        pass
    return code.told


def test_the_code_and_a_link_to_python(root: Path) -> None:
    """The folder is made, and holds the files of the package and the link, and nothing else."""
    told = put(root / "a" / "code", archive(("flow.py", "x"), (".mf_code/metaflow/m.py", "y")), root)

    assert told == "the code package of Past/1/start/1"
    assert sorted(os.listdir(root / "a" / "code")) == [".mf_code", "__conda_python", "flow.py"]
    assert (root / "a" / "code" / ".mf_code" / "metaflow" / "m.py").read_text() == "y"
    assert os.readlink(root / "a" / "code" / "__conda_python") == str(root / "python")


@pytest.mark.parametrize(
    "package",
    [
        archive(("good.py", "x"), ("../evil.py", "x")),
        linking("evil", "../../elsewhere"),
        linking("evil", "/etc/passwd"),
        archive(("flow.py", "x"))[:40],
        b"no archive",
    ],
    ids=["above", "link above", "absolute link", "cut off", "garbage"],
)
def test_a_package_that_is_none(package: bytes, root: Path) -> None:
    """What leads out of the folder, or is damaged, is refused as a whole, and the folder is not made."""
    with pytest.raises(PackageError, match="cannot be unpacked"):
        put(root / "code", package, root)

    assert sorted(os.listdir(root)) == [".metaflow"]


def test_an_old_python(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Python that cannot unpack safely is told so."""
    monkeypatch.delattr(tarfile, "data_filter")

    with pytest.raises(PackageError, match="cannot unpack archives safely"):
        put(root / "code", archive(("flow.py", "x")), root)


def test_a_package_that_is_gone(root: Path) -> None:
    """A code package that its datastore does not have is an error that names the task."""
    task = task_with(archive(("flow.py", "x")), root)
    facts = json.loads(task.metadata_dict["code-package"])
    facts["sha"] = "0" * 40
    gone = PastTask(metadata_dict={"code-package": json.dumps(facts)})

    with (
        pytest.raises(PackageError, match="Past/1/start/1 cannot be had"),
        unpacked(root / "code", gone, "", root / "python", Workbench(compat.silence)),
    ):
        pass
    assert not (root / "code").exists()


def test_nothing_is_there_before_all_is_well(root: Path) -> None:
    """Where what comes in between fails, such as a kernel, the folder of the user stays as it was."""
    folder = root / "code"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    task = task_with(archive(("flow.py", "x")), root)

    with (
        pytest.raises(InputError, match="no kernel"),
        unpacked(folder, task, "", root / "python", Workbench(compat.silence)),
    ):
        raise InputError("no kernel", "")

    assert os.listdir(folder) == ["notes.txt"]


def test_a_link_of_the_user_is_not_followed(root: Path) -> None:
    """A link to a folder elsewhere is in the way; a link to a file is replaced, and its target stays."""
    folder, elsewhere = root / "code", root / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    (elsewhere / "flow.py").write_text("theirs")
    (folder / "flow.py").symlink_to(elsewhere / "flow.py")
    put(folder, archive(("flow.py", "ours")), root)
    assert (folder / "flow.py").read_text() == "ours"

    (folder / "sub").symlink_to(elsewhere)
    with pytest.raises(InputError, match="in the way"):
        put(folder, archive(("sub/flow.py", "ours")), root)
    assert (elsewhere / "flow.py").read_text() == "theirs"


def test_a_folder_in_the_way_of_a_file(root: Path) -> None:
    """A folder of the user's that has the name of a file is named, and stays."""
    (root / "code" / "flow.py").mkdir(parents=True)

    with pytest.raises(InputError, match=r"flow\.py' is a folder"):
        put(root / "code", archive(("flow.py", "x")), root)

    assert (root / "code" / "flow.py").is_dir()


def test_what_a_killed_process_has_left_is_no_hindrance(root: Path) -> None:
    """A folder that is unfinished is taken without force, and what was left in it goes."""
    folder = root / "code"
    left = folder / ".metaflow-unpacking-dead"
    left.mkdir(parents=True)
    (folder / "flow.py").write_text("half")

    check_folder(folder, root / "envs", force=False)
    put(folder, archive(("flow.py", "whole")), root)

    assert sorted(os.listdir(folder)) == ["__conda_python", "flow.py"]
    assert (folder / "flow.py").read_text() == "whole"
    with pytest.raises(InputError, match="is not empty"):
        check_folder(folder, root / "envs", force=False)


@pytest.mark.parametrize("place", ["envs/code", "envs", "link/code"])
def test_a_folder_among_the_environments(place: str, root: Path) -> None:
    """The folder of prefixes takes no code, by whatever name it is called."""
    (root / "envs").mkdir()
    (root / "link").symlink_to(root / "envs")

    with pytest.raises(ExtensionError, match="lie in each other"):
        check_folder(root / place, root / "envs", force=True)
