"""Many publish at once into one folder: nothing is lost, and a final alias has one winner."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from metaflow_extensions.netflix_ext.adapters.folder import FolderStore
from metaflow_extensions.netflix_ext.engine.alias import Alias
from metaflow_extensions.netflix_ext.engine.catalog import Catalog, Pointer
from metaflow_extensions.netflix_ext.engine.layout import latest_by_key, latest_key
from tests.fakes import conda_package, resolved
from tests.project import Project
from tests.refusal import check_refusal

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PROCESSES, EACH = 8, 25
ARCH = "linux-64"
REQ = "a" * 40
# Waits until all have come, publishes, and prints which final aliases it has won.
PUBLISHER = f"""
import json, sys, time
from dataclasses import replace
from pathlib import Path
from metaflow_extensions.netflix_ext.adapters.folder import FolderStore
from metaflow_extensions.netflix_ext.engine.alias import Alias
from metaflow_extensions.netflix_ext.engine.catalog import Catalog, Pointer
from metaflow_extensions.netflix_ext.engine.errors import AliasError
from tests.fakes import conda_package, resolved

root, me = Path(sys.argv[1]), int(sys.argv[2])
catalog = Catalog(FolderStore(root / f"local-{{me}}"), FolderStore(root / "shared"))
(root / "here").mkdir(exist_ok=True)
(root / "here" / str(me)).touch()
while len(list((root / "here").iterdir())) < {PROCESSES}:
    time.sleep(0.001)
won = []
for number in range({EACH}):
    environment = resolved(conda_package("own", f"{{me}}.{{number}}"))
    environment = replace(environment, provenance={{"by": f"user-{{me}}", "on": f"2024-01-{{number + 1:02}}"}})
    catalog.add(environment)
    pointer = Pointer(env_id=environment.env_id, by=f"user-{{me}}")
    catalog.publish(Alias(f"user-{{me}}/own", f"v{{number}}"), pointer)
    catalog.publish(Alias("team/moving"), pointer)
    try:
        catalog.publish(Alias("team/final", f"v{{number}}"), pointer)
        won.append(number)
    except AliasError as error:
        assert "is final" in str(error)
print(json.dumps(won))
"""


def publishers(root: Path) -> list[list[int]]:
    """Run them all at once; return which final aliases each of them has won."""
    running = [
        subprocess.Popen(
            [sys.executable, "-c", PUBLISHER, str(root), str(me)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        for me in range(PROCESSES)
    ]
    answers = [process.communicate(timeout=120)[0] for process in running]
    assert [process.returncode for process in running] == [0] * PROCESSES
    return [json.loads(answer) for answer in answers]


@pytest.fixture(scope="module", name="race")
def _race(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[list[int]]]:
    """The folder that all have published into, and which final aliases each has won."""
    root = tmp_path_factory.mktemp("race")
    return root, publishers(root)


def test_nothing_is_lost(race: tuple[Path, list[list[int]]]) -> None:
    """Of eight processes, every environment and every alias is there and sound; each final alias has one winner."""
    root, won = race

    store = FolderStore(root / "shared")
    catalog = Catalog(store)
    expected = {
        (me, number): resolved(conda_package("own", f"{me}.{number}")).env_id
        for me in range(PROCESSES)
        for number in range(EACH)
    }
    assert len(set(expected.values())) == PROCESSES * EACH
    assert set(catalog.ids()) == set(expected.values())
    assert [env_id for env_id in expected.values() if catalog.find(env_id) is None] == []
    for (me, number), env_id in expected.items():
        assert catalog.alias(Alias(f"user-{me}/own", f"v{number}"), ARCH) == Pointer(env_id=env_id, by=f"user-{me}")
    assert len(list(catalog.aliases())) == PROCESSES * EACH + EACH + 1

    for number in range(EACH):
        winners = [me for me in range(PROCESSES) if number in won[me]]
        assert len(winners) == 1, f"v{number} was won by {winners}"
        final = catalog.alias(Alias("team/final", f"v{number}"), ARCH)
        assert final is not None
        assert final.env_id == expected[(winners[0], number)]
    moving = catalog.alias(Alias("team/moving"), ARCH)
    assert moving is not None
    assert moving.env_id in {expected[(me, EACH - 1)] for me in range(PROCESSES)}


def test_pointers_and_homes_are_whole(race: tuple[Path, list[list[int]]]) -> None:
    """Each user's pointer says what that user resolved last; at home a loser has no alias; nothing is left aside."""
    root, won = race

    shared = FolderStore(root / "shared")
    for me in range(PROCESSES):
        last = resolved(conda_package("own", f"{me}.{EACH - 1}")).env_id
        for store, key in (
            (shared, latest_by_key(REQ, ARCH, f"user-{me}")),
            (FolderStore(root / f"local-{me}"), latest_key(REQ, ARCH)),
        ):
            assert Pointer.from_bytes(store.get(key) or b"", key, req_id=REQ, arch=ARCH).env_id == last
        home = Catalog(FolderStore(root / f"local-{me}"))
        kept = {number for number in range(EACH) if home.arches(Alias("team/final", f"v{number}"))}
        assert kept == set(won[me])
    assert list(root.rglob(".*")) == []


def test_two_commands_race_for_a_final_alias(fresh: Project) -> None:
    """Of two users who give one final alias at once, one wins and the other is told who; both can look it up."""
    shared = fresh.root / "shared"
    fresh.variables["METAFLOW_CONDA_LOCALROOT"] = str(shared)
    environments = [resolved(conda_package("own", str(me))) for me in range(2)]
    for environment in environments:
        Catalog(FolderStore(shared)).add(environment)
    program = str(Path(sys.executable).with_name("metaflow"))

    racing = [
        subprocess.Popen(
            [program, "environment", "alias", ":".join(environment.env_id[:2]), "team/race:v1"],
            cwd=fresh.root,
            env=fresh.environment(
                {"METAFLOW_USER": f"user-{me}", "METAFLOW_DATASTORE_SYSROOT_LOCAL": f"{fresh.root}/{me}"}
            ),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for me, environment in enumerate(environments)
    ]
    told = [process.communicate(timeout=120) for process in racing]

    assert sorted(process.returncode for process in racing) == [0, 1]
    winner = next(me for me, process in enumerate(racing) if process.returncode == 0)
    message = told[1 - winner][1]
    assert "the alias 'team/race:v1' is final" in message
    assert f"set by user-{winner}" in message
    assert "Traceback" not in message
    found = Catalog(FolderStore(shared)).alias(Alias("team/race", "v1"), ARCH)
    assert found is not None
    assert found.env_id == environments[winner].env_id
    again = fresh.metaflow("environment", "alias", ":".join(environments[1 - winner].env_id[:2]), "team/race:v1")
    check_refusal(again, "is final", "hint: choose another tag")
