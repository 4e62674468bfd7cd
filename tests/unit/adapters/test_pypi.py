"""What uv is asked, and what its answers and complaints mean."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest

from metaflow_extensions.netflix_ext.adapters.pylock import Unbuilt, annotated, packages_of
from metaflow_extensions.netflix_ext.adapters.pypi import (
    UvSolver,
    compile_arguments,
    uv_platform,
)
from metaflow_extensions.netflix_ext.adapters.stubs import distribution_version, stub_wheel
from metaflow_extensions.netflix_ext.adapters.uv_complaints import Asked, complaint, translated
from metaflow_extensions.netflix_ext.adapters.uv_indexes import in_order
from metaflow_extensions.netflix_ext.adapters.uv_program import surroundings
from metaflow_extensions.netflix_ext.engine.credentials import secrets_for, with_credentials
from metaflow_extensions.netflix_ext.engine.errors import (
    ExtensionError,
    ResolveError,
    SourceError,
    ToolError,
)
from metaflow_extensions.netflix_ext.engine.options import HashedRequirement, PypiOptions
from metaflow_extensions.netflix_ext.engine.origin import Link
from metaflow_extensions.netflix_ext.engine.platform import VirtualPackage, virtual_packages
from metaflow_extensions.netflix_ext.engine.ports import PypiRequest
from metaflow_extensions.netflix_ext.engine.requirement import PypiRequirement


def request(
    *requirements: str,
    provided: tuple[tuple[str, str], ...] = (),
    indexes: tuple[str, ...] = ("default",),
    arch: str = "linux-64",
    options: PypiOptions | None = None,
) -> PypiRequest:
    return PypiRequest(
        requirements=tuple(PypiRequirement.parse(text) for text in requirements),
        provided=provided,
        indexes=indexes,
        python="3.11.7",
        arch=arch,
        virtual=virtual_packages(arch),
        options=options or PypiOptions(),
    )


def wheel(filename: str, **more: Any) -> dict[str, Any]:
    return {"url": f"https://files.example/{filename}", "hashes": {"sha256": "ab" * 32}, "size": 7, **more}


# Targets ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arch", "glibc", "expected"),
    [
        ("linux-64", "2.28", "x86_64-manylinux_2_28"),
        ("linux-64", "2.17", "x86_64-manylinux_2_17"),
        ("linux-64", "2.30", "x86_64-manylinux_2_28"),
        ("linux-aarch64", "2.99", "aarch64-manylinux_2_40"),
        ("osx-64", "", "x86_64-apple-darwin"),
        ("osx-arm64", "", "aarch64-apple-darwin"),
    ],
)
def test_the_target_is_the_newest_that_uv_knows_and_glibc_reaches(arch: str, glibc: str, expected: str) -> None:
    """A glibc between two that uv knows counts as the older one."""
    assert uv_platform(arch, [VirtualPackage("__glibc", glibc)] if glibc else []) == expected


def test_a_glibc_older_than_all_wheels_is_refused() -> None:
    """Nothing that uv knows runs on glibc 2.12."""
    with pytest.raises(ResolveError, match=r"glibc 2\.12"):
        uv_platform("linux-64", [VirtualPackage("__glibc", "2.12")])


def test_no_index_is_named_on_the_command_line() -> None:
    """Arguments are public, so that neither indexes nor requirements are among them."""
    text = " ".join(compile_arguments(request("secret-name", indexes=("https://user:pw@index.example/simple",))))
    assert "index.example" not in text
    assert "secret-name" not in text


def test_options_are_arguments_and_links_are_not() -> None:
    """Pages of links may hold credentials; what else is said beside requirements goes on the command line."""
    options = PypiOptions(
        pre=True, no_index=True, trusted_hosts=("a.example", "b.example:8"), find_links=("https://u:p@c.example",)
    )
    found = compile_arguments(request("q", options=options))
    assert found[len(compile_arguments(request("q"))) :] == [
        *("--prerelease", "allow", "--no-index"),
        *("--allow-insecure-host", "a.example", "--allow-insecure-host", "b.example:8"),
    ]


# Locks -----------------------------------------------------------------------------------------------------------


def test_the_best_of_several_wheels_is_taken() -> None:
    """Of a pure and a compiled wheel of one version, the compiled one is the package."""
    files = ["p_q-1-py3-none-any.whl", "p_q-1-cp311-cp311-manylinux_2_17_x86_64.whl"]
    lock = {"packages": [{"name": "P.Q", "version": "1", "wheels": [wheel(file) for file in files]}]}
    ((package,), _) = packages_of(lock, request())
    assert (package.name, package.filename, package.sha256, package.size) == ("p-q", files[1], "ab" * 32, 7)
    assert package.index == "default"


def test_an_archive_is_a_direct_link() -> None:
    """It has no index, and a path becomes a URL."""
    lock = {"packages": [{"name": "p", "archive": {"path": "/some/p-1-py3-none-any.whl", "hashes": {"sha256": "cd"}}}]}
    ((package,), _) = packages_of(lock, request())
    assert (package.url, package.version, package.index) == ("file:///some/p-1-py3-none-any.whl", "1", "")


def test_credentials_do_not_come_back() -> None:
    """What uv writes into URLs is taken off."""
    lock = {
        "packages": [{"name": "p", "version": "1", "wheels": [{"url": "https://u:pw@x.example/p-1-py3-none-any.whl"}]}]
    }
    assert packages_of(lock, request())[0][0].url == "https://x.example/p-1-py3-none-any.whl"


def test_packages_come_in_the_order_of_their_names() -> None:
    """The order of uv's answer does not show."""
    packages = [{"name": name, "version": "1", "wheels": [wheel(f"{name}-1-py3-none-any.whl")]} for name in "cab"]
    assert [package.name for package in packages_of({"packages": packages}, request())[0]] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("package", "error", "message"),
    [
        ({"name": "p", "version": "1", "sdist": {}}, ResolveError, "'p' has no wheel for linux-64.*there is nothing"),
        ({"name": "p", "vcs": {"type": "git", "url": "https://x/p"}}, ToolError, "commit-id is None"),
        ({"name": "p", "wheels": [wheel("p-1-cp311-cp311-win32.whl")]}, ResolveError, "'p' has no wheel for linux-64"),
        ({"version": "1"}, ToolError, r"pylock\.packages\[0\]\.name is None"),
        ({"name": "p", "wheels": [{}]}, ToolError, r"pylock\.packages\[0\]\.wheels\[0\]\.path"),
        ({"name": "p", "wheels": [wheel("p-1-py3-none-any.whl", size="x")]}, ToolError, r"wheels\[0\]\.size is 'x'"),
        ("text", ToolError, r"pylock\.packages\[0\] is no table"),
    ],
)
def test_a_faulty_package_is_one_error_that_says_where(package: Any, error: type[ExtensionError], message: str) -> None:
    """A lock that cannot be used is refused with the path of the fault."""
    with pytest.raises(error, match=message):
        packages_of({"packages": [package]}, request())


@pytest.mark.parametrize(
    ("package", "link"),
    [
        (
            {"version": "1", "sdist": {"url": "https://u:w@x.example/p-1.tar.gz", "hashes": {"sha256": "ab"}}},
            Link("archive", "https://x.example/p-1.tar.gz", sha256="ab"),
        ),
        (
            {"archive": {"path": "/some/p.zip", "hashes": {"sha256": "ab"}, "subdirectory": "b"}},
            Link("archive", "file:///some/p.zip", subdirectory="b", sha256="ab"),
        ),
        (
            {"vcs": {"type": "git", "url": "https://x.example/p.git", "commit-id": "c" * 40, "subdirectory": "b"}},
            Link("git", "https://x.example/p.git", reference="c" * 40, subdirectory="b"),
        ),
        ({"directory": {"path": "/some/p"}}, Link("folder", "file:///some/p")),
        (
            {
                "version": "1",
                "wheels": [wheel("p-1-cp311-cp311-win32.whl")],
                "sdist": {"url": "https://x.example/p-1.zip", "hashes": {}},
            },
            Link("archive", "https://x.example/p-1.zip"),
        ),
    ],
)
def test_what_has_no_wheel_that_fits_is_to_be_built(package: dict[str, Any], link: Link) -> None:
    """Its source is told, with what it must hash to and without credentials."""
    assert packages_of({"packages": [{"name": "P", **package}]}, request()) == ((), (Unbuilt("p", link),))


def test_a_source_whose_hash_is_not_given_is_refused() -> None:
    """The hash of a requirement is that of the file which is built, too."""
    source = {"url": "https://x.example/p-1.zip", "hashes": {"sha256": "ab" * 32}}
    lock = {"packages": [{"name": "p", "version": "1", "sdist": source}]}
    with pytest.raises(ResolveError, match=r"p-1\.zip: found sha256:abab"):
        packages_of(lock, request(options=hashed("sha256:" + "cd" * 32)))
    assert packages_of(lock, request(options=hashed("sha256:" + "ab" * 32)))[1]


def hashed(*hashes: str, name: str = "p") -> PypiOptions:
    return PypiOptions(hashed=(HashedRequirement(PypiRequirement(name), hashes),))


def test_of_several_wheels_one_whose_hash_is_given_is_taken() -> None:
    """The best wheel gives way to the one that is named; hashes of other names say nothing."""
    files = ["p-1-py3-none-any.whl", "p-1-cp311-cp311-manylinux_2_17_x86_64.whl"]
    digests = ["12" * 32, "34" * 32]
    wheels = [wheel(file, hashes={"sha256": digest}) for file, digest in zip(files, digests, strict=True)]
    lock = {"packages": [{"name": "p", "version": "1", "wheels": wheels}]}
    for options, expected in [
        (hashed(f"sha256:{digests[0]}"), files[0]),
        (hashed(*(f"sha256:{digest}" for digest in digests)), files[1]),
        (hashed(f"sha256:{digests[0]}", name="q"), files[1]),
    ]:
        assert packages_of(lock, request(options=options))[0][0].filename == expected


def test_a_file_whose_hash_is_not_given_is_refused_with_both() -> None:
    """Package, version, file, expected and found are told; many expected ones are cut."""
    lock = {"packages": [{"name": "p", "version": "1", "wheels": [wheel("p-1-py3-none-any.whl")]}]}
    with pytest.raises(ResolveError) as caught:
        packages_of(lock, request(options=hashed(*(f"sha256:{digit * 64}" for digit in "54321"))))
    assert caught.value.message.splitlines() == [
        f"'p 1' has no file with a hash that is given: expected sha256:{'1' * 64}, sha256:{'2' * 64}, "
        f"sha256:{'3' * 64} and 2 more",
        f"  p-1-py3-none-any.whl: found sha256:{'ab' * 32}",
    ]
    assert caught.value.hint


@pytest.mark.parametrize(("given", "hashes"), [(f"sha512:{'1' * 128}", {"sha256": "ab" * 32}), ("sha256:00", {})])
def test_what_only_bytes_can_tell_is_left_open(given: str, hashes: dict[str, str]) -> None:
    """A hash of another kind, or a file without one, is not refused before its bytes are looked at."""
    lock = {"packages": [{"name": "p", "version": "1", "wheels": [wheel("p-1-py3-none-any.whl", hashes=hashes)]}]}
    assert packages_of(lock, request(options=hashed(given)))[0][0].filename == "p-1-py3-none-any.whl"


def test_pages_of_links_are_no_indexes() -> None:
    """What they have given names no index, whatever slash or credentials uv writes."""
    text = "a==1\n    # from https://u:p@links.example/x\nb==1\n    # from https://one.example/\n"
    found = annotated(text, {"https://one.example": "https://one.example"}, ["https://links.example/x/"])
    assert found == {"a": "", "b": "https://one.example"}


def test_annotations_tell_the_index_of_each_name() -> None:
    """A slash at the end and credentials make no other index; an index that was not asked for is the default."""
    text = "a.b==1\n    # from https://one.example/simple/\nc==2\n    # from https://other.example/\nd @ file:///x\n"
    indexes = {"https://one.example/simple": "https://one.example/simple"}
    assert annotated(text, indexes) == {"a-b": "https://one.example/simple", "c": "default"}


def test_an_index_that_uv_chose_is_told_from_the_default_one() -> None:
    """Builds of PyTorch come from an index that nobody has named."""
    text = "torch==1\n    # from https://torch.example/whl/cpu/\nb==1\n    # from https://mine.example/simple\n"
    found = annotated(text, {"https://mine.example/simple": "default"}, foreign=True)
    assert found == {"torch": "https://torch.example/whl/cpu", "b": "default"}


# Stand-ins -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("conda", "expected"),
    [
        ("1.26.4", "1.26.4"),
        ("2023.7a_1", "2023.7a1"),
        ("9e", "9"),
        ("1.1.1w", "1.1.1"),
        ("2024_03_1", "2024.3.1"),
        ("x", ""),
    ],
)
def test_conda_versions_become_pep_440(conda: str, expected: str) -> None:
    """What PEP 440 cannot say is brought as near as it can be, and never crashes."""
    assert distribution_version(conda) == expected


def test_a_stand_in_has_a_name_a_version_and_nothing_else(tmp_path: Path) -> None:
    """It is a wheel by its name and its metadata, without dependencies, and made once."""
    path = stub_wheel(tmp_path, "a-b.c", "1.0")
    assert path.name == "a_b_c-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path) as archive:
        metadata = archive.read("a_b_c-1.0.dist-info/METADATA").decode()
    assert metadata == "Metadata-Version: 2.1\nName: a-b.c\nVersion: 1.0\n"
    before = path.stat().st_mtime_ns
    assert stub_wheel(tmp_path, "a-b.c", "1.0").stat().st_mtime_ns == before
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


# Credentials -----------------------------------------------------------------------------------------------------

SECRETS = {
    "https://x.example/simple/": "https://u:pw@x.example/simple/",
    "https://t.example/s": "https://t.example/t/tok/s",
    "https://x.example": "https://h:host@x.example",
    "https://h.example": "https://h:host@h.example",
}


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://x.example/simple", "https://u:pw@x.example/simple"),
        ("https://x.example/files/p.whl", "https://u:pw@x.example/files/p.whl"),
        ("https://t.example/s/p.whl", "https://t.example/t/tok/s/p.whl"),
        ("https://h.example/files/p.whl", "https://h:host@h.example/files/p.whl"),
        ("https://x.example.evil/simple", "https://x.example.evil/simple"),
        ("http://x.example/simple", "http://x.example/simple"),
        ("default", "default"),
    ],
)
def test_credentials_go_to_their_own_server_only(url: str, expected: str) -> None:
    """Another host, or the same without encryption, gets none."""
    assert with_credentials(url, SECRETS) == expected


def test_only_secrets_of_hosts_in_use_are_handed_over() -> None:
    """An install from one host is not told the credentials of another."""
    assert secrets_for(["https://x.example/p.whl"], SECRETS) == ("https://u:pw@x.example/simple/",)


def test_older_variables_do_not_add_indexes_to_those_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's UV_EXTRA_INDEX_URL and UV_INDEX_URL give way to the spec, other UV_* variables stay."""
    for name in ("UV_EXTRA_INDEX_URL", "UV_INDEX_URL", "UV_NO_VERIFY_HASHES", "UV_LINK_MODE"):
        monkeypatch.setenv(name, "copy")
    found = surroundings(in_order(["https://a/one two"], "https://b"))
    assert (found["UV_INDEX"], found["UV_DEFAULT_INDEX"]) == ("https://a/one%20two", "https://b")
    assert found["UV_LINK_MODE"] == "copy"
    assert not {"UV_EXTRA_INDEX_URL", "UV_INDEX_URL", "UV_NO_VERIFY_HASHES"} & found.keys()


# Complaints ------------------------------------------------------------------------------------------------------

CONFLICT = """warning: something else
\x1b[31merror\x1b[0m: No solution found when resolving dependencies
  cause: Because only the following versions of q are available:
             q<=1
             q>=3
         we can conclude that q is odd.
         And because you require q>=2, your requirements are unsatisfiable.

hint: Wheels are available for `q`
"""
THERE = "Already there, from conda or from the environment to extend, and never replaced"
OLDER = """  \u00d7 No solution found when resolving dependencies:
  ╰─▶ Because only q<2 is available
      and you require q>=2, we can conclude that it is over.
"""


def test_a_complaint_loses_its_decoration() -> None:
    """Colours, prefixes, line breaks and warnings go; lists stay readable; hints are kept apart."""
    found = complaint(CONFLICT)
    assert found.reasons[1] == (
        "Because only the following versions of q are available: q<=1, q>=3, we can conclude that q is odd. "
        "And because you require q>=2, your requirements are unsatisfiable."
    )
    assert found.hints == ("Wheels are available for `q`",)
    assert not any("\x1b" in reason for reason in found.reasons)


def test_the_older_drawing_is_read_too() -> None:
    """Before 0.13 uv drew a tree."""
    assert complaint(OLDER).reasons == (
        "No solution found when resolving dependencies:",
        "Because only q<2 is available and you require q>=2, we can conclude that it is over.",
    )


def explained(stderr: str, asking: PypiRequest) -> ExtensionError:
    asked = Asked(request=asking, provided=asking.provided, real={}, secrets={})
    return translated(complaint(stderr), asked)


@pytest.mark.parametrize("stderr", [CONFLICT, OLDER])
def test_a_conflict_says_what_is_there_already(stderr: str) -> None:
    """Of the distributions that are there only those in the explanation are named."""
    error = explained(stderr, request("q>=2", provided=(("q", "1.5"), ("r", "3"))))
    assert isinstance(error, ResolveError)
    assert error.message.startswith("with Python 3.11.7 and glibc 2.28: Because only")
    assert error.message.endswith(f"{THERE}: q 1.5.")


@pytest.mark.parametrize(
    ("stderr", "kind", "part"),
    [
        (
            "error: Request failed after 2 retries\n  cause: Failed to fetch: https://u:pw@i.example/s/q/",
            SourceError,
            "the index https://i.example/s cannot be used",
        ),
        ('error: Unsupported `Content-Type` "a" for `https://i.example/s/q/`.', SourceError, "Content-Type"),
        (
            "error: Failed to build `q @ file:///q`\n  cause: Building source distributions for `q` is disabled",
            ResolveError,
            "disabled",
        ),
        ("error: Something new", ToolError, "uv failed: Something new"),
        ("", ToolError, "uv gave no reason"),
    ],
)
def test_each_failure_has_its_kind(stderr: str, kind: type[ExtensionError], part: str) -> None:
    """An index is to blame, or the spec, or the tool; a password never shows and a hint is always there."""
    error = explained(stderr, request("q", indexes=("https://i.example/s",)))
    assert type(error) is kind
    assert part in error.message
    assert "pw" not in str(error)
    assert error.hint


def test_a_page_of_links_is_told_from_an_index() -> None:
    """A page that cannot be read is named as what it is, without its credentials."""
    stderr = (
        "error: Failed to read `--find-links` URL: https://u:pw@l.example/x\n"
        "  cause: Failed to fetch: `https://u:pw@l.example/x`\n"
    )
    asking = request("q", indexes=("https://i.example",), options=PypiOptions(find_links=("https://l.example/x",)))
    error = explained(stderr, asking)
    assert isinstance(error, SourceError)
    assert error.message.startswith("what --find-links names, https://l.example/x cannot be used")
    assert "pw" not in str(error)


def test_without_an_index_the_links_are_to_blame() -> None:
    """Who has said --no-index is not told to look at indexes."""
    stderr = (
        "error: No solution found when resolving dependencies\n"
        "  cause: Because q was not found in the provided package locations and you require q, it is over.\n"
    )
    error = explained(stderr, request("q", indexes=(), options=PypiOptions(no_index=True)))
    assert isinstance(error, ResolveError)
    assert "only what --find-links names" in error.hint


@pytest.mark.parametrize(
    "hint",
    [
        "hint: An index URL (https://i.example/s) could not be queried due to a lack of valid authentication "
        "credentials (401 Unauthorized)",
        "hint: An index (https://i.example/s) returned a 403 Forbidden error. Check that the index URL is correct.",
    ],
)
def test_a_refusal_hides_behind_an_unknown_project(hint: str) -> None:
    """What uv says is that the project was not found; the reason is the index."""
    error = explained(
        f"error: No solution found when resolving dependencies\n  cause: Because q was not found\n\n{hint}",
        request("q"),
    )
    assert isinstance(error, SourceError)
    assert error.message.startswith("the index https://i.example/s answers 40")


# The program -----------------------------------------------------------------------------------------------------


def program(folder: Path, script: str) -> str:
    path = folder / "uv"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_a_missing_program_is_a_tool_error(tmp_path: Path) -> None:
    """The path that was tried is named."""
    with pytest.raises(ToolError, match="cannot be started"):
        UvSolver(program=str(tmp_path / "uv")).solve(request("q"))


def test_a_crash_is_a_tool_error(tmp_path: Path) -> None:
    """Status 101 is a panic of uv, and its last words are told."""
    with pytest.raises(ToolError, match="status 101: panicked"):
        UvSolver(program=program(tmp_path, "echo panicked >&2; exit 101")).solve(request("q"))


def test_garbage_is_a_tool_error(tmp_path: Path) -> None:
    """An answer that is no TOML is not taken for an empty one."""
    with pytest.raises(ToolError, match="cannot be read"):
        UvSolver(program=program(tmp_path, "echo '[['")).solve(request("q"))


def test_nothing_asked_is_nothing_done(tmp_path: Path) -> None:
    """Without requirements uv is not started."""
    assert UvSolver(program=str(tmp_path / "missing")).solve(request(provided=(("numpy", "1"),))) == ()


def test_what_a_later_index_may_have_is_told_with_the_way_to_it() -> None:
    """The first index that has a name is asked alone, which surprises who knows pip."""
    said = (
        "error: No solution found when resolving dependencies\n  cause: Because only q==1 is available and you "
        "require q==2, your requirements are unsatisfiable.\n\nhint: `q` was found on file:///a, but not at the "
        "requested version (q==2). A compatible version may be available on a subsequent index (e.g., file:///b). By "
        "default, uv will only consider versions that are published on the first index that contains a package.\n"
    )
    asked = Asked(request=request("q==2"), provided=(), real={}, secrets={})
    error = translated(complaint(said), asked)
    assert isinstance(error, ResolveError)
    assert "METAFLOW_CONDA_INDEX_SETTINGS=none" in error.hint
    assert "UV_INDEX_STRATEGY=unsafe-best-match" in error.hint
