"""A channel or an index that is missing, silent or lying is told in one message, and nothing is installed from it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.channel import Rule, Server, serve
from tests.project import Project, project_at
from tests.refusal import CLICK, ONE, check_refusal, half_made, refused

pytestmark = pytest.mark.slow

NOBODY = "http://127.0.0.1:9"
PYPI = "[pypi(packages={'itsdangerous': ''})]"


@pytest.fixture(name="cold")
def _cold(tmp_path: Path) -> dict[str, str]:
    """Package caches that hold nothing yet."""
    return {"RATTLER_CACHE_DIR": str(tmp_path / "rattler"), "UV_CACHE_DIR": str(tmp_path / "uv")}


@pytest.fixture(name="alone")
def _alone(tmp_path: Path, own: Server, cold: dict[str, str]) -> Project:
    """A user's folder whose channel and index a test may spoil."""
    project = project_at(tmp_path, own, tmp_path / "envs")
    project.variables.update(cold)
    return project


@pytest.mark.parametrize(
    ("channel", "says"),
    [
        ("/nowhere/channel", ["channel 'file:///nowhere/channel' is not a conda channel", "spelling of its address"]),
        ("{url}/nowhere", ["channel '{url}/nowhere' is not a conda channel", "404"]),
        (f"{NOBODY}/conda", [f"channel '{NOBODY}/conda' cannot be reached", "Connection refused", "HTTPS_PROXY"]),
    ],
    ids=["folder", "url", "unreachable"],
)
def test_a_missing_channel_is_named(fresh: Project, server: Server, channel: str, says: list[str]) -> None:
    """The channel, and not another one that works, is named within seconds."""
    spec = f"[conda(packages={{'click': ''}}, channels=['{channel.format(url=server.url)}'])]"
    began = time.monotonic()
    refused(fresh, "step start", *(text.format(url=server.url) for text in says), SPEC=spec)
    assert time.monotonic() - began < 15


def test_a_folder_that_is_no_channel(fresh: Project) -> None:
    """An empty folder is told from a channel, and so is a file."""
    for place in (fresh.root / "empty", fresh.write("file", "")):
        if place.name == "empty":
            place.mkdir()
        spec = f"[conda(packages={{'click': ''}}, channels=['{place}'])]"
        refused(fresh, f"channel '{place.as_uri()}' ", SPEC=spec)


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        (Rule(r"repodata", body=b"<html>please log in</html>"), "answers with what is no conda metadata"),
        (Rule(r"repodata", body=b"{}[]"), "answers with what is no conda metadata"),
        (Rule(r"/conda/", status=401), "refuses access"),
        (Rule(r"/conda/", status=403), "refuses access"),
        (Rule(r"/conda/", status=429), "is busy"),
        (Rule(r"/conda/", status=500), "is out of order"),
        (Rule(r"/conda/", status=503), "is out of order"),
    ],
    ids=["html", "json", "401", "403", "429", "500", "503"],
)
def test_a_channel_that_answers_badly(alone: Project, own: Server, rule: Rule, says: str) -> None:
    """What the channel did wrong is told, with its address."""
    own.rules.append(rule)
    refused(alone, f"step start, for linux-64: channel '{own.channel}' {says}")


@pytest.mark.parametrize(
    ("index", "says"),
    [
        (f"{NOBODY}/simple", [f"the index {NOBODY}/simple cannot be used", "Connection refused"]),
        ("{url}/nowhere", ["the index {url}/nowhere answers 404 Not Found, for itself and for 'no-such'"]),
    ],
    ids=["unreachable", "missing"],
)
def test_a_missing_index_is_named(fresh: Project, server: Server, index: str, says: list[str]) -> None:
    """The index is named within seconds; one that is missing is told from a package that is."""
    url = index.format(url=server.url)
    spec = f"[pypi(packages={{'no-such': ''}}, extra_indices=['{url}'])]"
    began = time.monotonic()
    refused(fresh, "step start", *(text.format(url=server.url) for text in says), SPEC=spec)
    assert time.monotonic() - began < 15


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        (Rule(r"/simple/", body=b"please log in"), "cannot be used"),
        (Rule(r"/simple/", status=401), "answers 401 Unauthorized"),
        (Rule(r"/simple/", status=403), "answers 403 Forbidden"),
        (Rule(r"/simple/", status=500), "cannot be used"),
    ],
    ids=["garbage", "401", "403", "500"],
)
def test_an_index_that_answers_badly(alone: Project, own: Server, rule: Rule, says: str) -> None:
    """What the index did wrong is told, with its address."""
    own.rules.append(rule)
    message = refused(alone, "step start, for linux-64: the index ", says, SPEC=PYPI)
    assert own.simple.rstrip("/") in message


@pytest.mark.parametrize("package", ["tampered-package", "corrupt-package"])
@pytest.mark.parametrize("by", ["http", "folder"])
def test_other_bytes_are_never_linked(alone: Project, built: Path, package: str, by: str) -> None:
    """A conda package that is not the one that was indexed is refused, from a server and from a folder."""
    if by == "folder":
        alone.variables["METAFLOW_CONDA_CHANNELS"] = str(built / "conda")
    message = refused(alone, "step start: ", package, resolved=True, SPEC=f"[conda(packages={{'{package}': ''}})]")
    # What cannot be unpacked may fail before all of it was hashed.
    assert "is not the package that was resolved" in message, message
    assert "expected sha256 " in message or package == "corrupt-package", message

    again = alone.flow(ONE, "run", variables={"SPEC": f"[conda(packages={{'{package}': ''}})]"})
    check_refusal(again, package)


def test_other_bytes_of_a_wheel_are_never_installed(
    alone: Project, own: Server, built: Path, cold: dict[str, str]
) -> None:
    """A wheel that is not the one that was resolved is refused, and so it is when its cache is warm with another."""
    wheel = next(path for path in (built / "files").rglob("click-*.whl"))
    other = wheel.read_bytes()
    own.rules.append(Rule(r"/itsdangerous-[^/]*\.whl$", body=other))
    refused(
        alone,
        "step start: ",
        "itsdangerous-",
        "is not the file that was resolved",
        resolved=True,
        SPEC=PYPI,
    )


def test_a_server_that_dies_between_resolving_and_creating(alone: Project, built: Path) -> None:
    """What cannot be fetched is named, and the next try goes on where this stopped."""
    with serve(built) as dying:
        alone.variables["METAFLOW_CONDA_CHANNELS"] = dying.channel
        dying.rules.append(Rule(r"\.(conda|tar\.bz2)$", status=502))
        refused(alone, "step start: ", "cannot be fetched", "run again", resolved=True)
        port = int(dying.url.rpartition(":")[2])
    done = alone.flow(ONE, "run", variables={"SPEC": CLICK})
    check_refusal(done, "step start: ", "cannot be fetched", "check the network")
    assert half_made(alone.envs) == []

    with serve(built, port=port):
        done = alone.flow(ONE, "run", variables={"SPEC": CLICK})
    assert done.returncode == 0, done.output
    assert "Resolving" not in done.output


def test_an_index_that_dies_between_resolving_and_creating(alone: Project, own: Server) -> None:
    """A wheel that cannot be fetched any more is named."""
    own.rules.append(Rule(r"\.whl$", status=502))
    refused(alone, "step start: ", ".whl", "cannot be fetched", "check the network", resolved=True, SPEC=PYPI)
