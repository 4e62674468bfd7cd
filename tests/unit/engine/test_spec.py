"""What the user asked for, and the id of it."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from metaflow_extensions.netflix_ext.engine.options import PypiOptions
from metaflow_extensions.netflix_ext.engine.platform import VirtualPackage
from metaflow_extensions.netflix_ext.engine.requirement import CondaRequirement, PypiRequirement
from metaflow_extensions.netflix_ext.engine.spec import UV, EnvSpec

CONDA = tuple(CondaRequirement.from_pair(name, ">=1,<3") for name in ("numpy", "pandas", "zlib"))
PYPI = tuple(PypiRequirement.from_pair(name, "==2") for name in ("a[x,y]", "b"))
VIRTUAL = (VirtualPackage("__glibc", "2.28"), VirtualPackage("__cuda", "12.4"))
SPEC = EnvSpec.make(
    python="3.11.*",
    conda=CONDA,
    pypi=PYPI,
    channels=("a", "b"),
    indexes=("default", "https://x.example"),
    virtual=VIRTUAL,
)


def test_the_id_is_pinned() -> None:
    """The same spec has the same id in every version to come."""
    assert SPEC.req_id == "7b883a42639ae907f68023a061c7fee73d13ef5d"


def test_order_and_repetition_do_not_count() -> None:
    """Requirements and virtual packages in any order, said once or twice, are the same spec."""
    source = random.Random(5)
    for _ in range(30):
        shuffled = EnvSpec.make(
            python="3.11.*",
            conda=tuple(source.sample(CONDA * 2, 6)),
            pypi=tuple(source.sample(PYPI * 2, 4)),
            channels=("a", "b", "a"),
            indexes=("default", "https://x.example", "default"),
            virtual=tuple(source.sample(VIRTUAL, 2)),
        )
        assert shuffled == SPEC
        assert SPEC.req_id == shuffled.req_id


@pytest.mark.parametrize(
    "change",
    [
        {"python": "3.12.*"},
        {"conda": CONDA[:2]},
        {"conda": (*CONDA[:2], CondaRequirement("zlib", "<3,>=1", "h0"))},
        {"conda": (*CONDA[:2], CondaRequirement("zlib", "<3,>=1", channel="a"))},
        {"pypi": PYPI[:1]},
        {"pypi": (PYPI[0], replace(PYPI[1], extras=("x",)))},
        {"pypi": (PYPI[0], replace(PYPI[1], marker='sys_platform == "linux"'))},
        {"channels": ("b", "a")},
        {"channels": ("a",)},
        {"indexes": ("https://x.example", "default")},
        {"virtual": VIRTUAL[:1]},
        {"conda_only": (CondaRequirement("git"),)},
        {"options": PypiOptions(pre=True)},
        {"base": "b" * 40},
        {"interpreter": UV},
        {"virtual": (VIRTUAL[0], replace(VIRTUAL[1], version="12.5"))},
    ],
)
def test_every_part_counts(change: dict[str, object]) -> None:
    """A change of any part, and of the order of sources, gives another id."""
    assert SPEC.req_id != replace(SPEC, **change).req_id  # type: ignore[arg-type]


def test_indexes_do_not_count_without_pypi() -> None:
    """Where nothing comes from an index, which indexes there are changes nothing."""
    one = EnvSpec.make(python="3.11.*", conda=CONDA, indexes=("default",))
    other = EnvSpec.make(python="3.11.*", conda=CONDA, indexes=("https://x.example",))

    assert one.req_id == other.req_id


def test_a_spec_holds_no_credentials() -> None:
    """Whoever makes it, of whatever: those in sources and in requirements are taken off."""

    def spec(user: str) -> EnvSpec:
        return EnvSpec.make(
            python="3.11.*",
            conda=(CondaRequirement("a", channel=f"https://{user}a.example"),),
            conda_only=(CondaRequirement("b", channel=f"https://{user}b.example"),),
            pypi=(PypiRequirement("c", url=f"https://{user}c.example/c.whl"),),
            channels=(f"https://{user}d.example", "https://d.example"),
            indexes=(f"https://{user}e.example",),
            options=PypiOptions(find_links=(f"https://{user}f.example",)),
        )

    assert spec("me:s3cret@") == spec("")


def test_kinds() -> None:
    """A spec is conda-only, PyPI-only or mixed."""
    kinds = [SPEC.kind, replace(SPEC, conda=()).kind, replace(SPEC, pypi=()).kind, EnvSpec.make(python="3.11.*").kind]

    assert kinds == ["mixed", "pypi-only", "conda-only", "conda-only"]
