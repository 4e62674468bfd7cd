"""What py-rattler is asked, and what its answers and complaints mean; the worker's part is canned."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from metaflow_extensions.netflix_ext.adapters.conda import RattlerSolver, package_of
from metaflow_extensions.netflix_ext.adapters.worker import Worker, WorkerError
from metaflow_extensions.netflix_ext.engine.channel_settings import ChannelSettings
from metaflow_extensions.netflix_ext.engine.errors import (
    ExtensionError,
    InputError,
    ResolveError,
    SourceError,
    ToolError,
)
from metaflow_extensions.netflix_ext.engine.package import CondaPackage, package_to_dict
from metaflow_extensions.netflix_ext.engine.platform import virtual_packages
from metaflow_extensions.netflix_ext.engine.ports import CondaRequest
from metaflow_extensions.netflix_ext.engine.requirement import CondaRequirement
from tests.fakes import conda_package

RECORD = {
    "name": "alpha",
    "version": "1.0",
    "build": "h0_0",
    "build_number": 3,
    "subdir": "noarch",
    "channel": "https://me:SECRET@host/t/TOKEN/chan/",
    "fn": "alpha-1.0-h0_0.conda",
    "url": "https://me:SECRET@host/t/TOKEN/chan/noarch/alpha-1.0-h0_0.conda",
    "sha256": "aa",
    "md5": "bb",
    "size": 5,
    "noarch": "python",
    "depends": ["python >=3.9"],
    "constrains": ["beta <2"],
    "python_site_packages_path": "lib/python3.13t/site-packages",
    "purls": ["pkg:pypi/alpha"],
    "license": "MIT",
    "timestamp": 1600000000000,
}


class Canned(Worker):
    """A worker with given answers, in a row for each request; keeps what it was asked."""

    def __init__(self, **answers: Any) -> None:
        super().__init__()
        self._answers = answers
        self.asked: list[tuple[str, Mapping[str, Any]]] = []

    def request(
        self,
        do: str,
        arguments: Mapping[str, object],
        *,
        on_event: Callable[[Any], None] | None = None,
        before_retry: Callable[[], None] | None = None,
    ) -> Any:
        self.asked.append((do, arguments))
        answer = self._answers[do]
        if isinstance(answer, Exception):
            raise answer
        return answer


def asking(*requirements: str, channels: tuple[str, ...] = ("chan",), arch: str = "linux-64") -> CondaRequest:
    return CondaRequest(
        requirements=tuple(map(CondaRequirement.parse, requirements)),
        channels=channels,
        arch=arch,
        virtual=virtual_packages(arch),
    )


def refusal(kind: str, message: str, request: CondaRequest, *, look: Any = (), **details: Any) -> ExtensionError:
    """Return the error that an error of the worker becomes."""
    worker = Canned(solve=WorkerError(kind, message, details), look=look)
    with pytest.raises(ExtensionError) as caught:
        RattlerSolver(worker).solve(request)
    return caught.value


def found(name: str, **facts: Any) -> dict[str, Any]:
    return {"name": name, "met": False, "versions": [], "platforms": [], "similar": [], **facts}


def test_a_record_becomes_a_package_without_credentials() -> None:
    """Every field of a record is kept, and no secret."""
    assert package_of(RECORD) == CondaPackage(
        name="alpha",
        version="1.0",
        build="h0_0",
        build_number=3,
        subdir="noarch",
        channel="https://host/chan/",
        filename="alpha-1.0-h0_0.conda",
        url="https://host/chan/noarch/alpha-1.0-h0_0.conda",
        sha256="aa",
        md5="bb",
        size=5,
        noarch="python",
        depends=("python >=3.9",),
        constrains=("beta <2",),
        python_site_packages_path="lib/python3.13t/site-packages",
        purls=("pkg:pypi/alpha",),
        license="MIT",
        timestamp=1600000000000,
    )


def test_a_record_with_what_it_must_have_alone_is_a_package() -> None:
    """Old channels leave out hashes, sizes and all that is optional."""
    needed = ("name", "version", "build", "build_number", "subdir", "fn")
    record = {**{key: RECORD[key] for key in needed}, "url": "file:///c/noarch/a.conda", "channel": None}

    package = package_of(record)

    assert (package.digest, package.size, package.noarch, package.depends) == ("md5:", 0, "", ())
    assert package_of({**record, "noarch": True}).noarch == "generic"


def test_requirements_are_written_as_match_specs() -> None:
    """A build without a version, a constraint and a channel each take their place."""
    worker = Canned(solve=[RECORD])

    RattlerSolver(worker).solve(asking("a", "b >=1,<2", "c=1.2", "d=1.2=h0", "other::e", "f=*=h1"))

    specs = worker.asked[0][1]["specs"]
    assert [(spec["text"], spec["channel"]) for spec in specs] == [
        ("a *", ""),
        ("b <2,>=1", ""),
        ("c 1.2.*", ""),
        ("d 1.2.* h0", ""),
        ("e *", "other"),
        ("f * h1", ""),
    ]


def test_secrets_travel_apart_from_channels(tmp_path: Path) -> None:
    """Channels are named without credentials, also those a user wrote into one, and secrets are read when asked."""
    secrets: dict[str, str] = {}
    worker = Canned(solve=[])
    solver = RattlerSolver(worker, settings=ChannelSettings(alias=str(tmp_path)), secrets=secrets)
    secrets["https://a/x"] = "https://me:S1@a/x"

    solver.solve(asking("e", channels=("https://a/x", "https://you:S2@b/y", "~/c", "d")))

    arguments = worker.asked[0][1]
    assert arguments["channels"] == ["https://a/x", "https://b/y", f"{Path.home()}/c", "d"]
    assert arguments["secrets"] == {"https://a/x": "https://me:S1@a/x", "https://b/y": "https://you:S2@b/y"}
    assert arguments["alias"] == f"{tmp_path.as_uri()}/"
    assert arguments["virtual"] == [[p.name, p.version, p.build] for p in virtual_packages("linux-64")]
    assert arguments["root"] == os.getcwd()


def test_versions_name_the_solver() -> None:
    """The tool that solved is written down with the answer."""
    assert RattlerSolver(Canned(versions={"py-rattler": "1"})).versions() == {"py-rattler": "1"}


def test_the_explanation_is_the_solvers_own() -> None:
    """The tree is kept letter by letter, its preamble is ours."""
    tree = "pandas * cannot be installed because:\n└─ pandas 1.5.3 would require\n   └─ python 3.9"

    error = refusal(
        "SolverError",
        f"Cannot solve the request because of: {tree}\n",
        asking("pandas"),
        look=[found("pandas", met=True, versions=["1"])],
    )

    assert isinstance(error, ResolveError)
    assert error.message == f"no set of conda packages for linux-64 satisfies the requirements:\n{tree}"
    assert error.hint == "loosen one of the requirements that are named above"


def test_python_versions_of_the_channel_are_told() -> None:
    """Where no Python fits, the minor versions that are there are named once each."""
    look = [found("python", versions=["3.9.1", "3.10.2", "3.10.12"])]

    error = refusal("SolverError", "x", asking("python=3.6"), look=look)

    assert error.message.endswith("- versions of python there: 3.9, 3.10")
    assert error.hint == "ask for a version that is there, or add a channel that has it"


def test_many_versions_are_cut() -> None:
    """The newest versions are named."""
    error = refusal("SolverError", "x", asking("a=9"), look=[found("a", versions=[str(n) for n in range(12)])])

    assert error.message.endswith("- versions of a there: ..., 4, 5, 6, 7, 8, 9, 10, 11")


def test_a_package_for_other_platforms_says_which() -> None:
    """The platform that was asked and those that have it are named."""
    error = refusal("SolverError", "x", asking("a"), look=[found("a", platforms=["osx-64", "osx-arm64"])])

    assert error.message.endswith("- a is there for 'osx-64', 'osx-arm64' alone, not for linux-64")
    assert error.hint == "add a channel that builds it for linux-64, or leave it out there"


def test_an_unknown_package_brings_names_like_it() -> None:
    """A slip of the pen is seen at once, and where was looked is told without credentials."""
    request = asking("numpi", channels=("https://me:SECRET@a/x",))

    error = refusal("SolverError", "x", request, look=[found("numpi", similar=["numpy"])])

    assert error.message.endswith(
        "- no channel has a package named numpi (looked in 'https://a/x'); names like it: numpy"
    )
    assert "PyPI" in error.hint


def test_virtual_packages_are_named_where_they_are_the_reason() -> None:
    """A user learns what the target was taken to have."""
    error = refusal("SolverError", "a needs __glibc >=2.99", asking("a"), look=[found("a", met=True, versions=["1"])])

    assert "__glibc 2.28" in error.hint
    assert "@sys_packages" in error.hint


def test_the_explanation_stands_without_facts() -> None:
    """Where the channels cannot be asked again, what is known is told."""
    error = refusal("SolverError", "why", asking("a"), look=WorkerError("GatewayError", "gone", {}))

    assert error.message.endswith(":\nwhy")


CHANNELS = [["one", "https://h/one/"], ["https://h/two", "https://h/two/"], ["/c/three", "file:///c/three/"]]


@pytest.mark.parametrize(
    ("message", "channel", "words", "hint"),
    [
        (
            "Request failed after 3 retries\nCaused by: error sending request for url (https://h/two/noarch/x)\n"
            "Caused by: client error (Connect)\nCaused by: Connection refused (os error 111)",
            "'https://h/two'",
            "cannot be reached: Connection refused",
            "network",
        ),
        (
            "could not find subdir 'noarch' in channel 'https://h/one/'\n"
            "Caused by: HTTP status client error (404 Not Found) for url (https://h/one/noarch/repodata.json)",
            "'one'",
            "is not a conda channel, or has gone: HTTP status client error (404",
            "name",
        ),
        (
            "could not find subdir 'noarch' in channel 'file:///c/three/'\nCaused by: failed to open file",
            "'/c/three'",
            "is not a conda channel",
            "name",
        ),
        (
            "HTTP status client error (401 Unauthorized) for url (https://h/t/********/two/noarch/x)",
            "'https://h/two'",
            "refuses access",
            "credentials",
        ),
        ("invalid peer certificate for https://h/one/x", "'one'", "cannot be trusted", "SSL_CERT_FILE"),
        ("HTTP status server error (503 x) for url (https://h/one/x)", "'one'", "is out of order", "later"),
        ("failed to decode zstd shard from 'https://h/one/noarch/x'", "'one'", "no conda metadata", "address"),
        ("failed to parse repodata.json\nCaused by: expected value at line 1", "one of the channels", "no conda", ""),
        ("something new", "one of the channels 'one', 'https://h/two', '/c/three'", "something new", ""),
    ],
)
def test_a_bad_channel_is_named_with_the_cause(message: str, channel: str, words: str, hint: str) -> None:
    """The message names the channel as the user wrote it, what it does, and why."""
    error = refusal("GatewayError", message, asking("a"), channels=CHANNELS)

    assert isinstance(error, SourceError)
    assert channel in error.message
    assert words in error.message
    assert hint in error.hint


def test_silence_is_a_bad_source() -> None:
    """A channel that never answers ends in an error as well."""
    error = refusal("Stalled", "no answer within 600 s", asking("a"), channels=CHANNELS)

    assert isinstance(error, SourceError)
    assert "cannot be reached: no answer within 600 s" in error.message


def test_a_requirement_that_rattler_cannot_read_is_an_input_error() -> None:
    """The requirements are named, since rattler does not say which."""
    error = refusal("InvalidMatchSpecError", "unable to parse", asking("a >=1"))

    assert isinstance(error, InputError)
    assert "'a >=1'" in error.hint


def test_what_is_not_foreseen_is_a_tool_error() -> None:
    """A bug is called one."""
    assert isinstance(refusal("KeyError", "'x'", asking("a")), ToolError)


def test_pinned_packages_are_no_spec_to_explain() -> None:
    """Channels are not asked about packages that are kept: a base may hold what no channel has any more."""
    kept = conda_package("old")
    worker = Canned(solve=WorkerError("SolverError", "No candidates were found for new *.", {}), look=[])
    request = replace(asking("old", "new"), pinned=(kept,))

    with pytest.raises(ResolveError) as caught:
        RattlerSolver(worker).solve(request)

    (_, solve), (_, look) = worker.asked
    assert [package_to_dict(kept)] == solve["pinned"]
    assert ["new"] == [spec["name"] for spec in look["specs"]]
    assert "the packages of the environment to extend are kept as they are" in caught.value.message


def test_what_is_required_in_another_version_is_in_the_way() -> None:
    """Where the explanation names no lock, the kept package that something requires otherwise is named."""
    text = "└─ new 1.0 would require\n   └─ old >=2, which cannot be installed because there are no viable options"
    worker = Canned(solve=WorkerError("SolverError", text, {}), look=[])

    with pytest.raises(ResolveError, match=r"in the way is old 1\.0"):
        RattlerSolver(worker).solve(replace(asking("new"), pinned=(conda_package("old"), conda_package("new-old"))))
