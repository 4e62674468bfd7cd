"""Packages made from scratch, some of them broken on purpose."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .archive import CONDA, PLACEHOLDER, TAR_BZ2, Item, Package, write
from .errors import ChannelError

ABOUT = {"license": "Apache-2.0", "summary": "Made for tests"}


@dataclass(frozen=True)
class Extra:
    """One package made from scratch, and the archives it is written as."""

    package: Package
    formats: tuple[str, ...] = (CONDA,)


def _activate(_: str) -> list[Extra]:
    folder = "etc/conda"
    name = "activate-demo.sh"
    items = (
        Item(
            f"{folder}/activate.d/{name}",
            b'export ACTIVATE_DEMO="on"\nexport ACTIVATE_DEMO_HOME="${CONDA_PREFIX}"\n',
        ),
        Item(f"{folder}/deactivate.d/{name}", b"unset ACTIVATE_DEMO\nunset ACTIVATE_DEMO_HOME\n"),
        Item(
            f"{folder}/env_vars.d/activate-demo.json",
            json.dumps({"ACTIVATE_DEMO_VARIABLE": "from-env-vars"}).encode(),
        ),
    )
    return [Extra(_generic("activate-demo", items=items))]


def _hello(subdir: str) -> list[Extra]:
    return [Extra(_hello_version(version, subdir)) for version in ("1.0.0", "1.1.0")]


def _hello_version(version: str, subdir: str) -> Package:
    script = f'#!/bin/sh\nprefix="{PLACEHOLDER}"\necho "hello-tool {version} in ${{prefix}}"\n'
    # A binary file keeps its length: what the real prefix leaves over is filled with zeros.
    binary = b"\x00\x01prefix=" + PLACEHOLDER.encode() + b"/share\x00end\x00"
    items = (
        Item("bin/hello-tool", script.encode(), executable=True, prefix="text"),
        Item("share/hello-tool/prefix.bin", binary, prefix="binary"),
        Item("share/hello-tool/prefix.txt", f"{PLACEHOLDER}\n".encode(), prefix="text"),
    )
    return Package("hello-tool", version, subdir=subdir, items=items, about=ABOUT)


def _missing(_: str) -> list[Extra]:
    return [Extra(_generic("missing-dependency", depends=("does-not-exist-anywhere >=1",)))]


def _glibc(_: str) -> list[Extra]:
    return [Extra(_generic("needs-new-glibc", depends=("__glibc >=2.99",)))]


def _cuda(_: str) -> list[Extra]:
    return [Extra(_generic("needs-cuda", depends=("__cuda",)))]


def _other(subdir: str) -> list[Extra]:
    elsewhere = "linux-64" if subdir == "osx-arm64" else "osx-arm64"
    items = (_note("other-platform"),)
    return [Extra(Package("other-platform", "1.0.0", subdir=elsewhere, items=items, about=ABOUT))]


def _corrupt(_: str) -> list[Extra]:
    return [Extra(_generic("corrupt-package"))]


def _tampered(_: str) -> list[Extra]:
    return [Extra(_generic("tampered-package"))]


def _legacy(_: str) -> list[Extra]:
    return [Extra(_generic("legacy-archive"), (TAR_BZ2,))]


def _both(_: str) -> list[Extra]:
    return [Extra(_generic("both-archives"), (CONDA, TAR_BZ2))]


MAKERS: dict[str, Callable[[str], list[Extra]]] = {
    "activate-demo": _activate,
    "hello-tool": _hello,
    "missing-dependency": _missing,
    "needs-new-glibc": _glibc,
    "needs-cuda": _cuda,
    "other-platform": _other,
    "corrupt-package": _corrupt,
    "tampered-package": _tampered,
    "legacy-archive": _legacy,
    "both-archives": _both,
}


def add(name: str, channel: Path, *, subdir: str) -> list[Path]:
    """Write the extra package of that name into a channel and return its archives."""
    if name not in MAKERS:
        raise ChannelError(f"no extra package is called {name!r}; there are: {', '.join(MAKERS)}")
    paths: list[Path] = []
    for extra in MAKERS[name](subdir):
        paths.extend(write(extra.package, channel, formats=extra.formats))
    return paths


def corrupt(channel: Path) -> None:
    """Spoil packages whose checksums are in the index by now.

    ``corrupt-package`` can no longer be read; ``tampered-package`` is a sound archive
    of other contents, which only its checksum gives away.
    """
    for path in channel.glob("*/corrupt-package-*"):
        data = bytearray(path.read_bytes())
        middle = len(data) // 2
        data[middle : middle + 16] = bytes(byte ^ 0xFF for byte in data[middle : middle + 16])
        path.write_bytes(data)
    if any(channel.glob("*/tampered-package-*")):
        note = Item("share/tampered-package/note.txt", b"somebody else was here\n")
        write(_generic("tampered-package", items=(note,)), channel)


def _generic(name: str, *, depends: Sequence[str] = (), items: Sequence[Item] | None = None) -> Package:
    contents = (_note(name),) if items is None else items
    return Package(name, "1.0.0", noarch="generic", depends=depends, items=contents, about=ABOUT)


def _note(name: str) -> Item:
    return Item(f"share/{name}/note.txt", f"{name} was here\n".encode())
