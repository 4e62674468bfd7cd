"""Environments for specs: known ones are found, the others resolved and kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from metaflow_extensions.netflix_ext.engine.ask import ask_of
from metaflow_extensions.netflix_ext.engine.catalog import Catalog
from metaflow_extensions.netflix_ext.engine.events import Reporter
from metaflow_extensions.netflix_ext.engine.extend import extend
from metaflow_extensions.netflix_ext.engine.layout import environment_key
from metaflow_extensions.netflix_ext.engine.obtain import Obtained, Trust, keep, known, obtain, seen
from metaflow_extensions.netflix_ext.engine.request import Request, Surroundings, request_for
from metaflow_extensions.netflix_ext.engine.resolve import Resolver
from metaflow_extensions.netflix_ext.engine.resolved import ResolvedEnvironment
from tests.fakes import PYTHON, FakeCondaSolver, FakePypiSolver, MemoryStore, conda_package, resolved, wheel

AROUND = Surroundings(python="3.11.*", channels=("c",))


def request(*names: str) -> Request:
    return request_for(ask_of("conda", {"packages": dict.fromkeys(names, "")}), AROUND, arch="linux-64")


def environment(asked: Request, by: str = "me", on: str = "2024-01-01", version: str = "1") -> ResolvedEnvironment:
    """Return what *asked* comes to, as *by* has resolved it."""
    found = resolved(conda_package("thing", version), req_id=asked.spec.req_id)
    return replace(found, provenance={"by": by, "on": on})


def resolver(solver: FakeCondaSolver) -> Resolver:
    return Resolver(conda=solver, pypi=FakePypiSolver(), author="me", now=lambda: "2024-02-02", pypi_names=dict)


def solver() -> FakeCondaSolver:
    return FakeCondaSolver({"python": PYTHON, "a": conda_package("a"), "b": conda_package("b")})


def got(requests: Mapping[Request, str], catalog: Catalog, solves: FakeCondaSolver) -> dict[Request, Obtained]:
    """Obtain as a run does."""
    return obtain(requests, known(requests, catalog, Trust()), lambda: resolver(solves), Reporter())


def test_only_what_is_missing_is_resolved() -> None:
    """Of two specs the known one is taken as it is; once kept, neither is resolved again."""
    catalog, solves = Catalog(MemoryStore()), solver()
    there = environment(request("a"))
    catalog.add(there)
    requests = {request("a"): "step a", request("b"): "step b"}

    first = got(requests, catalog, solves)
    assert (first[request("a")].environment, first[request("a")].new, first[request("b")].new) == (there, False, True)
    assert len(solves.asked) == 1
    assert catalog.default(request("b").spec.req_id, "linux-64") is None
    keep(first, catalog)

    second = got(requests, catalog, solves)
    assert {item.new for item in second.values()} == {False}
    assert second[request("b")].environment == first[request("b")].environment
    assert len(solves.asked) == 1


def test_no_solver_is_made_where_all_is_known() -> None:
    """A run that has nothing to resolve does not even make what resolves."""
    catalog = Catalog(MemoryStore())
    catalog.add(environment(request("a")))
    requests = {request("a"): "step a"}

    def never() -> Resolver:
        raise AssertionError("nobody needs it")

    assert not obtain(requests, known(requests, catalog, Trust()), never, Reporter())[request("a")].new


def test_kept_beside_the_default() -> None:
    """Without *default* the environment is kept, and its spec goes on to resolve to what it did."""
    catalog = Catalog(MemoryStore())
    old, new = environment(request("a")), environment(request("a"), version="2")
    catalog.add(old)

    keep({request("a"): Obtained(environment=new, new=True)}, catalog, default=False)

    assert catalog.find(new.env_id) == new
    assert catalog.default(request("a").spec.req_id, "linux-64") == old


def test_what_is_known_is_not_written_again() -> None:
    """Keeping an environment that was known changes nothing, also where another is the default by now."""
    catalog = Catalog(MemoryStore())
    old, new = environment(request("a")), environment(request("a"), version="2")
    catalog.add(old)
    catalog.add(new)

    keep({request("a"): Obtained(environment=old, new=False)}, catalog)

    assert catalog.default(request("a").spec.req_id, "linux-64") == new


def test_an_extension_that_adds_nothing_is_remembered() -> None:
    """Where the base is the answer, the spec of the extension resolves to it from now on, under the base's own id."""
    catalog = Catalog(MemoryStore())
    base = resolved(pypi=[wheel("a")], req_id="a" * 40)
    asked = extend(base, ask_of("pypi", {"packages": {"a[extra]": ""}}), AROUND, {})
    assert asked is not None

    found = got({asked: "step a"}, catalog, FakeCondaSolver({}))
    keep(found, catalog)

    assert found[asked].environment == base
    assert known([asked], catalog, Trust()) == {asked: base}
    assert catalog.find(base.env_id) == base


@pytest.mark.parametrize(
    ("users", "version"), [((), None), (("ann",), "1"), (("ann", "bob"), "2"), (("carl",), None), (None, "2")]
)
def test_whose_environments_are_trusted(users: tuple[str, ...] | None, version: str | None) -> None:
    """What others have resolved is taken from those who are trusted, the newest first, and kept here."""
    shared = MemoryStore()
    for name, day, number in (("ann", "2024-01-01", "1"), ("bob", "2024-01-02", "2")):
        Catalog(MemoryStore(), shared).add(environment(request("a"), name, day, number))
    catalog = Catalog(MemoryStore(), shared)
    asked = request("a")

    looked = seen(asked, catalog, Trust(users=users))
    assert catalog.default(asked.spec.req_id, "linux-64") is None
    found = known([asked], catalog, Trust(users=users)).get(asked)

    assert looked == found
    assert (None if found is None else found.conda[-1].version) == version
    if found is not None:
        assert Catalog(catalog.store).find(found.env_id) == found
        assert catalog.default(asked.spec.req_id, "linux-64") == found


def test_ones_own_goes_before_others() -> None:
    """What a spec resolves to here is not replaced by what somebody else has resolved since."""
    shared = MemoryStore()
    Catalog(MemoryStore(), shared).add(environment(request("a"), "bob", "2024-03-03", "2"))
    catalog = Catalog(MemoryStore(), shared)
    own = environment(request("a"))
    Catalog(catalog.store).add(own)

    assert known([request("a")], catalog, Trust(users=None)) == {request("a"): own}
    assert seen(request("a"), catalog, Trust(users=None)) == own


def test_a_damaged_document_is_resolved_again() -> None:
    """A document that cannot be read makes its spec unknown; resolving and keeping mends it."""
    catalog, solves = Catalog(MemoryStore()), solver()
    requests = {request("b"): "step b"}
    first = got(requests, catalog, solves)
    keep(first, catalog)
    key = environment_key(first[request("b")].environment.env_id)
    catalog.store.put(key, b"{", overwrite=True)

    second = got(requests, catalog, solves)
    keep(second, catalog)

    assert second[request("b")].new
    assert not got(requests, catalog, solves)[request("b")].new
