"""`metaflow environment show`, `list`, `get` and `alias`, on what lies in catalogs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from metaflow_extensions.netflix_ext.adapters.folder import FolderStore
from metaflow_extensions.netflix_ext.engine.alias import Alias
from metaflow_extensions.netflix_ext.engine.catalog import Catalog, Pointer
from metaflow_extensions.netflix_ext.engine.layout import alias_key, environment_key, latest_key, package_keys
from metaflow_extensions.netflix_ext.engine.resolved import ResolvedEnvironment
from tests.fakes import conda_package, resolved, wheel
from tests.project import FLOWS, Finished, Project
from tests.refusal import check_refusal

pytestmark = pytest.mark.slow

ARCH = "linux-64"
OLD = replace(
    resolved(conda_package("numpy", "1.26.4"), pypi=[wheel("click", "8.1")]),
    spec={
        "python": "3.11.*",
        "conda": ["numpy >=1.2,<2"],
        "pypi": ["click"],
        "channels": ["c"],
        "indexes": ["default"],
    },
)
NEW = replace(resolved(req_id="beef" * 10), provenance={"by": "me", "on": "2025-01-01T00:00:00+00:00"})
MAC = resolved(arch="osx-arm64")
PLAIN = """
from metaflow import FlowSpec, step

class PlainFlow(FlowSpec):
    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        pass

if __name__ == "__main__":
    PlainFlow()
"""


def names(environment: ResolvedEnvironment) -> str:
    return ":".join(environment.env_id[:2])


@pytest.fixture(name="shared")
def _shared(fresh: Project) -> Catalog:
    """The catalog that is shared, which the user of `fresh` has."""
    folder = fresh.root / "shared"
    fresh.variables["METAFLOW_CONDA_LOCALROOT"] = str(folder)
    return Catalog(FolderStore(folder))


@pytest.fixture(name="local")
def _local(fresh: Project, shared: Catalog) -> Catalog:
    """The user's own catalog, beside the one that is shared."""
    return Catalog(FolderStore(fresh.catalog), shared.store)


def environment(project: Project, *words: str, variables: Mapping[str, str] | None = None) -> Finished:
    done = project.metaflow("environment", *words, variables=variables)
    assert "Traceback" not in done.output, done.output
    return done


def answer(project: Project, *words: str, status: int = 0) -> dict[str, Any]:
    done = environment(project, "--json", *words)
    assert done.returncode == status, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    assert found.pop("schema") == 1
    return found


def test_show_in_three_forms(fresh: Project, local: Catalog) -> None:
    """Whole ids show a document with what is known of it: as a line, as JSON, for people; data alone is on stdout."""
    local.add(OLD)
    local.publish(Alias("team/old", "v1"), Pointer(env_id=OLD.env_id))

    [shown] = answer(fresh, "show", "team/old:v1")["environments"]
    assert (shown["name"], shown["arch"], shown["error"]) == ("team/old:v1", ARCH, None)
    found = shown["environment"]
    assert [found[key] for key in ("req_id", "full_id", "arch")] == list(OLD.env_id)
    assert (found["kind"], found["python"], found["default"]) == ("mixed", "3.11.7", True)
    assert (found["aliases"], found["stores"], found["prefixes"]) == (["team/old:v1"], ["local", "shared"], [])
    assert [package["name"] for package in found["packages"]] == ["click", "numpy", "python"]

    quiet = environment(fresh, "--quiet", "show", names(OLD))
    first, line = quiet.stdout.splitlines()
    assert first == f"{names(OLD)}@{ARCH}"
    assert line.split(" ")[:4] == [*OLD.env_id[:2], "team/old:v1", ARCH]
    assert len(line.split(" ")) == 12
    assert "conda::python==3.11.*" in line

    people = environment(fresh, "show", "team/old:v1")
    assert people.returncode == 0
    assert "\x1b" not in people.stdout
    assert "Metaflow (" not in people.stdout
    assert any(
        line.split() == ["numpy", "1.26.4", "0", "https://example.org/channel", "20", "B"]
        for line in people.stdout.splitlines()
    )


def test_show_several_of_which_one_is_unknown(fresh: Project, local: Catalog) -> None:
    """The others are shown, the unknown one is told, and the status is 1; the same on each platform asked for."""
    local.add(OLD)
    local.add(MAC)

    done = environment(fresh, "show", "--quiet", names(OLD), "nothing", "Bad Name", names(MAC), "--arch", ARCH)
    assert done.returncode == 1
    assert [line.partition(" ")[0] for line in done.stdout.splitlines()] == [
        *(f"{names(OLD)}@{ARCH}", OLD.env_id.req_id, f"nothing@{ARCH}", "NOT_FOUND", "Bad", "NOT_FOUND"),
        *(f"{names(MAC)}@{ARCH}", "NOT_FOUND"),
    ]
    assert done.stderr.count("Not found:") == 2
    assert "'Bad Name' cannot be the name of an environment" in done.stderr

    both = answer(fresh, "show", "aaaa", "--arch", ARCH, "--arch", "osx-arm64")["environments"]
    assert [item["environment"]["full_id"] for item in both] == [OLD.env_id.full_id, MAC.env_id.full_id]
    assert both[0]["environment"]["arches"] == [ARCH, "osx-arm64"]

    missing = answer(fresh, "show", "nothing", status=1)["environments"]
    assert missing == [
        {"name": "nothing", "arch": ARCH, "environment": None, "error": "no environment is called 'nothing'"}
    ]


def test_names_of_all_kinds(fresh: Project, local: Catalog) -> None:
    """The beginning of an id is enough where it is the only one, and refused where it is not."""
    other = resolved(req_id="beef" * 9 + "0000")
    for each in (OLD, NEW, other):
        local.add(each)

    words = (OLD.env_id.full_id[:6], "aaaa", f"beefbeef:{NEW.env_id.full_id[:4]}", NEW.env_id.req_id)
    done = environment(fresh, "show", *words, "beef", "--json")
    found = json.loads(done.stdout)["environments"]

    assert done.returncode == 1
    ids = [item["environment"] and item["environment"]["full_id"] for item in found]
    assert ids[:2] == [OLD.env_id.full_id] * 2
    assert ids[3:] == [NEW.env_id.full_id, None]
    assert "'beef' begins the ids of 2 environments for linux-64:" in done.stderr
    assert f"  {names(other)}" in done.stderr


def test_steps_of_past_runs(fresh: Project) -> None:
    """A step's environment is shown by its pathspec; one that ran in none, or never, is told so."""
    fresh.run(FLOWS / "one.py", variables={"SPEC": "[conda(libraries={'click': ''})]"})
    run = fresh.latest("OneFlow", "run.id")
    plain = fresh.write("plain.py", PLAIN)
    assert fresh.command(str(plain), "run").returncode == 0

    [shown] = answer(fresh, "show", "--pathspec", f"OneFlow/{run}/start")["environments"]
    assert "click" in {package["name"] for package in shown["environment"]["packages"]}
    assert shown["environment"]["prefixes"] != []
    assert answer(fresh, "list", "--created")["environments"][0]["full_id"] == shown["environment"]["full_id"]

    number = fresh.latest("PlainFlow", "run.id")
    for pathspec, said in (
        (f"PlainFlow/{number}/start", "has recorded no environment"),
        (f"PlainFlow/{number}/middle", f"there is no 'PlainFlow/{number}/middle'"),
        ("Nowhere/1/start", "there is no 'Nowhere/1/start'"),
        ("Nowhere", "names no step of a run"),
    ):
        done = environment(fresh, "show", "--pathspec", pathspec)
        check_refusal(done, said, "hint: ")
        assert done.stdout == ""


def test_list_and_its_filters(fresh: Project, local: Catalog, shared: Catalog) -> None:
    """All that is known here and in the shared store, newest first; filters leave the others out."""
    local.add(OLD)
    shared.add(NEW)
    shared.add(MAC)
    local.publish(Alias("team/old", "v1"), Pointer(env_id=OLD.env_id))

    def ids(*words: str) -> list[str]:
        return [item["full_id"] for item in answer(fresh, "list", *words)["environments"]]

    everything = answer(fresh, "list")["environments"]
    assert everything[0]["full_id"] == NEW.env_id.full_id
    assert {item["full_id"] for item in everything} == {item.env_id.full_id for item in (OLD, NEW, MAC)}
    first = everything[0]
    assert (first["stores"], first["package_count"], first["python"]) == (["shared"], 1, "3.11.7")
    assert "packages" not in first

    assert ids("--arch", "osx-arm64") == [MAC.env_id.full_id]
    assert ids("--alias", "m/ol") == [OLD.env_id.full_id]
    assert ids("--alias", "nothing") == []
    assert ids("--created") == []
    assert ids("--local-only") == [OLD.env_id.full_id]

    lines = environment(fresh, "--quiet", "list").stdout.splitlines()
    assert [len(line.split(" ")) for line in lines] == [12, 12, 12]
    assert lines[0].startswith(f"{NEW.env_id.req_id} {NEW.env_id.full_id} NONE {ARCH} ")
    people = environment(fresh, "list").stdout
    assert all(names(item) in people for item in (OLD, NEW, MAC))
    assert "team/old:v1" in people


def test_an_empty_list(fresh: Project) -> None:
    """Where nothing is known that is said, on standard error; it is no failure, and no folder is made."""
    done = environment(fresh, "list")

    assert (done.returncode, done.stdout) == (0, "")
    assert "no environment is known" in done.stderr
    assert not fresh.catalog.exists()


def test_damage_is_named_and_the_rest_goes_on(fresh: Project, local: Catalog, shared: Catalog) -> None:
    """A corrupt document, alias or pointer, and a document of a newer schema, are each told with their file."""
    for each in (OLD, NEW):
        local.add(each)
    cut, newer = resolved(req_id="c" * 40), resolved(req_id="d" * 40)
    store = FolderStore(fresh.catalog)
    store.put(environment_key(cut.env_id), cut.to_bytes()[:150])
    store.put(environment_key(newer.env_id), newer.to_bytes().replace(b'"schema": 2', b'"schema": 3'))
    store.put(latest_key(OLD.env_id.req_id, ARCH), b"?", overwrite=True)
    store.put(alias_key("bad", "v1", ARCH), b"?")
    store.put(environment_key(NEW.env_id), b"?", overwrite=True)  # the shared one is sound

    done = environment(fresh, "--json", "list")

    assert done.returncode == 0
    found = {item["full_id"]: item["default"] for item in json.loads(done.stdout)["environments"]}
    assert found == {OLD.env_id.full_id: False, NEW.env_id.full_id: True}
    damaged = [environment_key(item.env_id) for item in (cut, newer, NEW)]
    damaged += [latest_key(OLD.env_id.req_id, ARCH), alias_key("bad", "v1", ARCH)]
    assert [key for key in damaged if f"{fresh.catalog}/{key}: " not in done.stderr] == []
    assert done.stderr.count("Environment store error:") == len(damaged)
    assert "a newer one" in done.stderr

    shown = environment(fresh, "show", names(NEW), names(cut), "bad:v1", names(newer))
    assert shown.returncode == 1
    assert names(NEW) in shown.stdout
    assert "schema 3 is not one that this version reads" in shown.stderr
    check_refusal(environment(fresh, "get", names(newer)), "schema 3", "hint: use the version")


def test_get(fresh: Project, local: Catalog, shared: Catalog) -> None:
    """What others share is kept here and becomes the default, with its name; the shared store is left as it was."""
    shared.add(OLD, default=False)
    shared.publish(Alias("team/old", "v1"), Pointer(env_id=OLD.env_id))
    before = sorted(path for path in (fresh.root / "shared").rglob("*") if path.is_file())
    own = Catalog(FolderStore(fresh.catalog))

    quiet = environment(fresh, "get", "team/old:v1", "--no-default", "--quiet")
    assert quiet.returncode == 0
    assert quiet.stdout.startswith(f"{OLD.env_id.req_id} {OLD.env_id.full_id} team/old:v1 ")
    assert own.find(OLD.env_id) == OLD
    assert own.default(OLD.env_id.req_id, ARCH) is None

    found = answer(fresh, "get", names(OLD))["environment"]
    assert (found["default"], found["stores"]) == (True, ["local", "shared"])
    assert own.default(OLD.env_id.req_id, ARCH) == OLD
    assert sorted(path for path in (fresh.root / "shared").rglob("*") if path.is_file()) == before
    assert environment(fresh, "show", "--local-only", "team/old:v1").returncode == 0
    check_refusal(environment(fresh, "get", "nothing"), "no environment is called 'nothing'", "hint: ")


def test_alias(fresh: Project, local: Catalog, shared: Catalog) -> None:
    """A name is given for each platform; the shared store gets the environment first; tags that move, move."""
    Catalog(FolderStore(fresh.catalog)).add(OLD)
    Catalog(FolderStore(fresh.catalog)).add(MAC)
    for package in (package for item in (OLD, MAC, NEW) for package in item.packages):
        shared.store.put(package_keys(package, {})[-1], b"stored before")

    done = environment(fresh, "alias", "aaaa", "team/both")
    assert done.returncode == 0, done.output
    assert f"team/both:latest is {names(MAC)} on osx-arm64" in done.stdout
    assert shared.alias(Alias("team/both"), ARCH) is not None
    assert [shared.find(item.env_id) for item in (OLD, MAC)] == [OLD, MAC]
    assert shared.default(OLD.env_id.req_id, ARCH) is None

    told = answer(fresh, "alias", "team/both", "team/linux:v1", "--arch", ARCH)
    env_id = dict(zip(("req_id", "full_id", "arch"), OLD.env_id, strict=True))
    assert told == {"alias": "team/linux:v1", "environments": [env_id]}
    assert shared.arches(Alias("team/linux", "v1")) == (ARCH,)

    local.add(NEW)
    assert environment(fresh, "--quiet", "alias", "beef", "team/both").stdout == ""
    assert [item["environment"]["full_id"] for item in answer(fresh, "show", "team/both")["environments"]] == [
        NEW.env_id.full_id
    ]
    check_refusal(environment(fresh, "alias", "beef", "team/linux:v1"), "is final", names(OLD), "hint: ")
    assert environment(fresh, "alias", names(OLD), "team/linux:v1").returncode == 0


def test_an_alias_that_stays_here(fresh: Project, local: Catalog, shared: Catalog) -> None:
    """With --local-only neither the name nor the environment leaves this machine."""
    Catalog(FolderStore(fresh.catalog)).add(OLD)

    assert environment(fresh, "alias", "aaaa", "mine", "--local-only").returncode == 0

    assert not (fresh.root / "shared").exists()
    assert environment(fresh, "show", "mine").returncode == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("aaaa", "Team"), "'Team' cannot be the name"),
        (("aaaa", "../../x"), "'../../x' cannot be the name"),
        (("aaaa", "a:b:c"), "'a:b:c' cannot be the name"),
        (("aaaa", "x" * 300), "is too long for a name"),
        (("aaaa", "b" * 40), "looks like the id"),
        (("nothing", "a"), "no environment is called 'nothing'"),
        (("aaaa", "a", "--arch", "osx-64"), "no environment"),
        (("aaaa", "a", "--arch", "sparc"), "unknown architecture 'sparc'"),
        (("aaaa", "a", "--pathspec"), "names no step of a run"),
    ],
)
def test_aliases_that_are_refused(fresh: Project, local: Catalog, words: tuple[str, ...], said: str) -> None:
    """What cannot be named, or cannot be a name, is told, and nothing is written."""
    local.add(OLD)
    before = sorted(path for path in fresh.root.rglob("*") if path.is_file() and "shared" in path.parts)

    check_refusal(environment(fresh, "alias", *words), said, "hint: ")

    assert not (fresh.catalog / "envs" / "aliases").exists()
    assert sorted(path for path in fresh.root.rglob("*") if path.is_file() and "shared" in path.parts) == before


@pytest.mark.parametrize(
    "words", [("show",), ("get",), ("get", "a", "b"), ("alias", "a"), ("list", "a"), ("show", "a", "--what"), ("lst",)]
)
def test_wrong_use(fresh: Project, words: tuple[str, ...]) -> None:
    """A wrong use ends with status 2, a usage line, and nothing on standard output."""
    done = environment(fresh, *words)

    assert done.returncode == 2
    assert "Usage:" in done.stderr
    assert done.stdout == ""


def test_debugging_shows_where_an_error_comes_from(fresh: Project) -> None:
    """With METAFLOW_DEBUG_CONDA=1 there is a traceback before the message, and the same status."""
    for words in (("get", "nothing"), ("show", "nothing")):
        done = fresh.metaflow("environment", *words, variables={"METAFLOW_DEBUG_CONDA": "1"})

        assert done.returncode == 1
        assert "Traceback" in done.stderr
        assert "no environment is called 'nothing'" in done.stderr.rpartition("Traceback")[2]


def test_the_lines_in_a_file(fresh: Project, local: Catalog, tmp_path: Path) -> None:
    """--quiet-file-output holds the lines of --quiet, whatever is printed."""
    local.add(OLD)

    quiet = environment(fresh, "--quiet", "list").stdout
    done = environment(fresh, "--json", "--quiet-file-output", "lines.txt", "list")

    assert json.loads(done.stdout)["environments"]
    assert (fresh.root / "lines.txt").read_text() == quiet
