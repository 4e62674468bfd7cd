"""Test the reading of wheels, their conversion and their index pages."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path

import pytest

from tests.channel import cache, extras
from tests.channel.conversion import Plan, convert, extras_asked
from tests.channel.errors import ChannelError
from tests.channel.interpreters import Interpreter, choose
from tests.channel.sets import EVERY, SETS, definition
from tests.channel.simple import publish
from tests.channel.wheels import Wheel, read

METADATA = "Metadata-Version: 2.1\nName: Some.Thing\nVersion: 1.0\nRequires-Python: >=3.8,<4\n"


def _wheel(folder: Path, *, more: str = "") -> Wheel:
    path = folder / "some_thing-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("some_thing.py", "def main():\n    return 0\n")
        archive.writestr("some_thing-1.0.data/scripts/old", "#!python\nprint(1)\n")
        archive.writestr("some_thing-1.0.dist-info/METADATA", METADATA + more)
        points = "[console_scripts]\nthing = some_thing:main [extra]\n"
        archive.writestr("some_thing-1.0.dist-info/entry_points.txt", points)
    return read(path)


def _python(version: str) -> Interpreter:
    return Interpreter(
        version=version,
        executable="/none/python",
        prefix="/none",
        stdlib="/none/lib",
        include="",
        library="",
        libdir="",
        abiflags="",
        patched=False,
    )


PYTHONS = {"3.8": _python("3.8.18"), "3.11": _python("3.11.7")}


def _convert(wheel: Wheel, channel: Path) -> list[str]:
    plan = Plan(wheel, used=("3.11",), interpreters=PYTHONS, extras=frozenset(), subdir="linux-64")
    return [path.relative_to(channel).as_posix() for path in convert(plan, channel)]


def test_read(tmp_path: Path) -> None:
    """A wheel's name is normalised and its entry points lose their extras."""
    wheel = _wheel(tmp_path)
    assert (wheel.name, wheel.version, wheel.pure) == ("some-thing", "1.0", True)
    assert wheel.entry_points == ("thing = some_thing:main",)


def test_pure_wheel_is_noarch(tmp_path: Path) -> None:
    """A pure wheel with the same needs everywhere becomes one noarch package."""
    wheel = _wheel(tmp_path, more="Requires-Dist: idna\n")
    assert _convert(wheel, tmp_path) == ["noarch/some-thing-1.0-py_0.conda"]


def test_differing_marker_needs_one_package_per_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pure wheel whose needs differ between Pythons is built for each of them."""
    monkeypatch.setattr("tests.channel.conversion.compile_tree", lambda *_: None)
    wheel = _wheel(tmp_path, more="Requires-Dist: zipp; python_version < '3.9'\n")
    assert _convert(wheel, tmp_path) == ["linux-64/some-thing-1.0-py311_0.conda"]


def test_extras_asked(tmp_path: Path) -> None:
    """Extras are collected from requirements and from what wheels require."""
    wheel = _wheel(tmp_path, more="Requires-Dist: Requests[socks]>=2\n")
    asked = extras_asked([wheel], ["some.thing[more]", "some-thing[most]"])
    assert asked["requests"] == {"socks"}
    assert asked["some-thing"] == {"more", "most"}


def test_publish(tmp_path: Path) -> None:
    """The index links each wheel with its checksum, its Python and its metadata."""
    wheel = _wheel(tmp_path)
    publish([wheel], tmp_path / "index")
    page = (tmp_path / "index/simple/some-thing/index.html").read_text()
    metadata = tmp_path / "index/files/some_thing-1.0-py3-none-any.whl.metadata"
    assert f"#sha256={hashlib.sha256(wheel.path.read_bytes()).hexdigest()}" in page
    assert 'data-requires-python="&gt;=3.8,&lt;4"' in page
    assert f'"sha256={hashlib.sha256(metadata.read_bytes()).hexdigest()}"' in page


def test_sets_are_sound() -> None:
    """Every set names known extras and only minors it has."""
    for one in SETS:
        assert set(one.extras) <= set(extras.MAKERS)
        assert all(set(group.minors) <= set(one.minors) <= set(EVERY) for group in one.groups)


def test_unknown_set_is_refused() -> None:
    """A set that does not exist is refused with the names there are."""
    with pytest.raises(ChannelError, match="demo, tests, stores, clouds, bench"):
        definition("nothing")


def test_no_interpreter_is_refused() -> None:
    """A set none of whose Pythons is here is refused."""
    with pytest.raises(ChannelError, match=r"no CPython 3\.12"):
        choose(("3.12",), PYTHONS)


def test_corrupt_keeps_one_readable(tmp_path: Path) -> None:
    """Spoiling changes both packages; the tampered one is still a sound archive."""
    names = ("corrupt-package", "tampered-package")
    paths = [extras.add(name, tmp_path, subdir="linux-64")[0] for name in names]
    before = [path.read_bytes() for path in paths]
    extras.corrupt(tmp_path)
    assert all(path.read_bytes() != old for path, old in zip(paths, before, strict=True))
    assert zipfile.ZipFile(paths[1]).testzip() is None


def test_ensure_builds_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A set is built the first time and only found the second."""
    built: list[Path] = []

    def fake(order: object, root: Path) -> None:
        built.append(root)
        (root / "manifest.json").write_text(json.dumps({}))

    monkeypatch.setenv(cache.VARIABLE, str(tmp_path))
    monkeypatch.setattr(cache, "build", fake)
    monkeypatch.setattr(cache, "find", lambda _: PYTHONS)
    first = cache.ensure("demo")
    assert cache.ensure("demo") == first
    assert first.parent == tmp_path
    assert len(built) == 1


def test_ensure_refuses_a_full_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that holds something is not built into."""
    (tmp_path / "mine").touch()
    monkeypatch.setattr(cache, "find", lambda _: PYTHONS)
    with pytest.raises(ChannelError, match="not an empty folder"):
        cache.ensure("demo", into=tmp_path)
