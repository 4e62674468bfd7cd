"""Two small channels that solvers are asked of."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from tests.channel.archive import PLACEHOLDER, Item, Package, write
from tests.channel.indexing import index


def generic(name: str, version: str = "1.0", depends: tuple[str, ...] = (), **more: str) -> Package:
    """Return a package of one file that holds its own name and version."""
    text = f"{name} {version}".encode() * 1000
    return Package(name, version, noarch="generic", depends=depends, items=[Item(f"share/{name}.txt", text)], **more)


def make(root: Path) -> Path:
    """Make two channels below *root*: `first` has `alpha`, `beta`, `python`...; `second` other builds and `pip`."""
    first, second = root / "first", root / "second"
    for channel in (first, second):
        for arch in ("linux-64", "osx-arm64"):
            (channel / arch).mkdir(parents=True)
    prefixed = Item("etc/where.txt", f"at {PLACEHOLDER}/x".encode(), prefix="text")
    for version in ("1.0", "2.0"):
        alpha = generic("alpha", version, ("beta",))
        write(dataclasses.replace(alpha, items=[*alpha.items, prefixed]), first)
    write(generic("beta"), first, formats=(".tar.bz2",))
    write(Package("gamma", "1.0", subdir="osx-arm64"), first)
    write(generic("needs-glibc", depends=("__glibc >=2.99",)), first)
    for version in ("3.9.1", "3.10.2"):
        write(generic("python", version), first)
    write(generic("alpha", "9.0"), second)
    write(generic("only-second"), second)
    write(generic("python", "3.12.1"), second)
    write(generic("pip", "24.0", ("python >=3.12",)), second)
    index(first)
    index(second)
    return root


def make_more(root: Path, *packages: Package) -> Path:
    """Make a channel of *packages* at *root*."""
    (root / "noarch").mkdir(parents=True)
    for package in packages:
        write(package, root)
    index(root)
    return root
