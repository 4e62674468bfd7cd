"""What direct links lead to, and what wheels are built from."""

from __future__ import annotations

from pathlib import Path

import pytest

from metaflow_extensions.netflix_ext.engine.errors import InputError
from metaflow_extensions.netflix_ext.engine.origin import Link, Origin, settled
from metaflow_extensions.netflix_ext.engine.requirement import PypiRequirement

COMMIT, SHA = "c" * 40, "ab" * 32


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("git+https://x.example/o/p.git", Link("git", "https://x.example/o/p.git")),
        ("git+https://x.example/o/p@v1.0", Link("git", "https://x.example/o/p", reference="v1.0")),
        ("git+ssh://git@x.example/p@main", Link("git", "ssh://git@x.example/p", reference="main")),
        ("git+https://x.example/p@feature/a", Link("git", "https://x.example/p", reference="feature/a")),
        ("git+https://x.example/p.git#main", Link("git", "https://x.example/p.git", reference="main")),
        (
            "git+file:///some/p@v1#subdirectory=a/b&egg=p",
            Link("git", "file:///some/p", reference="v1", subdirectory="a/b"),
        ),
        ("https://x.example/p-1.tar.gz", Link("archive", "https://x.example/p-1.tar.gz")),
        (
            f"https://x.example/p.ZIP?raw=1#sha256={SHA.upper()}&subdirectory=a",
            Link("archive", "https://x.example/p.ZIP?raw=1", subdirectory="a", sha256=SHA),
        ),
        ("https://x.example/p-1-py3-none-any.whl", Link("wheel", "https://x.example/p-1-py3-none-any.whl")),
        ("file:///some/p/", Link("folder", "file:///some/p")),
        (f"file:///some/p#sha256={SHA}", Link("folder", "file:///some/p", sha256=SHA)),
    ],
)
def test_links_are_taken_apart(text: str, expected: Link) -> None:
    """Kind, place, reference, subdirectory and hash; what is no fragment that pip knows is a branch."""
    assert Link.parse(text, "p") == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hg+https://x.example/p", "lies in hg"),
        ("ftp://x.example/p-1.tar.gz", "no link to a wheel, a source archive"),
        ("https://u:secret@x.example/p", r"https://\*\*\*\*@x.example/p' is no link"),
        ("git+https://x.example/p#subdirectory=../q", "leads out of it"),
    ],
)
def test_what_cannot_be_used_is_refused(text: str, said: str) -> None:
    """The package and what is wrong are told, without credentials."""
    with pytest.raises(InputError, match=said) as caught:
        Link.parse(text, "p")
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "pin", "written"),
    [
        ("git+https://u:secret@x.example/p@main", COMMIT, f"git+https://x.example/p@{COMMIT}"),
        ("git+file:///home/me/p#subdirectory=a", COMMIT, f"git+file:///p@{COMMIT}#subdirectory=a"),
        ("https://x.example/p-1.zip", SHA, f"https://x.example/p-1.zip#sha256={SHA}"),
        ("file:///home/me/p#subdirectory=a", SHA, f"file:///p#sha256={SHA}&subdirectory=a"),
    ],
)
def test_an_origin_is_written_without_credentials_and_paths_and_read_again(text: str, pin: str, written: str) -> None:
    """What is written names the state, and means the same when it is read."""
    origin = Origin.of(Link.parse(text, "p"), pin)
    assert str(origin) == written
    assert Origin.parse(written) == origin
    assert Origin.parse(written).digest == origin.digest


def test_the_same_state_is_the_same_wherever_it_is() -> None:
    """A fork, a mirror or another folder with the same content gives the same wheel; another state does not."""
    here = Origin.of(Link.parse("git+https://x.example/p", "p"), COMMIT)
    assert here.digest == Origin.of(Link.parse("git+ssh://git@y.example/q", "p"), COMMIT).digest
    others = [
        Origin.of(Link.parse("git+https://x.example/p", "p"), "d" * 40),
        Origin.of(Link.parse("git+https://x.example/p#subdirectory=a", "p"), COMMIT),
        Origin.of(Link.parse("file:///p", "p"), COMMIT),
    ]
    assert here.digest not in [other.digest for other in others]


@pytest.mark.parametrize(
    ("text", "moving"),
    [
        ("https://x.example/p-1.0.tar.gz", False),
        ("https://x.example/main.zip", True),
        ("https://x.example/p-main.tar.gz", True),
        ("file:///p", True),
        ("git+https://x.example/p@v1", True),
    ],
)
def test_what_may_call_itself_the_same_version_again_moves(text: str, moving: bool) -> None:
    """Of all but an sdist another state may have the same name and version."""
    assert Origin.of(Link.parse(text, "p"), SHA).moving is moving


def test_labels_tell_builds_apart() -> None:
    """They begin with a letter, as a local version that is all digits would lose its zeros."""
    assert Origin.of(Link.parse("git+https://x.example/p", "p"), COMMIT).label == f"g{COMMIT[:12]}"
    assert Origin.of(Link.parse("file:///p", "p"), "0" * 64).label == "h000000000000"


def test_what_lies_here_is_settled_by_its_state(tmp_path: Path) -> None:
    """A path is taken from the folder, gets its hash, and keeps the rest of the fragment."""
    (tmp_path / "a b").mkdir()
    (tmp_path / "p.whl").touch()

    def state(path: str) -> str:
        return f"state-of-{Path(path).name}".replace(" ", "-")

    def settle(text: str) -> str:
        return settled(PypiRequirement("p", url=text), str(tmp_path), state).url

    assert settle("./a b#subdirectory=c") == f"file://{tmp_path}/a%20b#sha256=state-of-a-b&subdirectory=c"
    assert settle(f"file://{tmp_path}/p.whl") == f"file://{tmp_path}/p.whl#sha256=state-of-p.whl"
    assert settle(f"file://{tmp_path}/p.whl#sha256=00") == f"file://{tmp_path}/p.whl#sha256=00"
    assert settle("./missing") == f"file://{tmp_path}/missing"
    assert settle("git+https://x.example/p") == "git+https://x.example/p"
    assert settle("") == ""
