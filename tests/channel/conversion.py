"""Turn wheels into conda packages."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from .archive import PLACEHOLDER, Item, Package, items_below, write
from .interpreters import Interpreter
from .pythons import compile_tree
from .specifiers import constraint, depends, environment, requirement
from .wheels import Wheel, dist_info

_SCRIPT = """#!{python}
import sys

from {module} import {first}

if __name__ == "__main__":
    sys.exit({call}())
"""


@dataclass(frozen=True)
class Plan:
    """One wheel, the interpreters it was resolved for, and all that the channel has."""

    wheel: Wheel
    used: tuple[str, ...]
    interpreters: Mapping[str, Interpreter]
    extras: frozenset[str]
    subdir: str


def extras_asked(wheels: Iterable[Wheel], requirements: Iterable[str]) -> dict[str, frozenset[str]]:
    """Collect the extras that requirements or other wheels ask of each distribution."""
    asked: dict[str, frozenset[str]] = {}
    lines = list(requirements)
    for wheel in wheels:
        # An extra asked for by an extra nobody chose would pull in what was never downloaded.
        lines += [line for line in wheel.requires if "extra" not in line.partition(";")[2]]
    for line in lines:
        wanted = requirement(line)
        name = str(canonicalize_name(wanted.name))
        asked[name] = asked.get(name, frozenset()) | wanted.extras
    return asked


def convert(plan: Plan, channel: Path) -> list[Path]:
    """Write the conda packages of one wheel: one for all Pythons, or one for each."""
    needs = {minor: _depends(plan, one) for minor, one in _supported(plan).items()}
    if plan.wheel.pure and len(set(needs.values())) == 1:
        return write(_noarch(plan, next(iter(needs.values()))), channel)
    paths: list[Path] = []
    for minor in plan.used:
        one = plan.interpreters[minor]
        with tempfile.TemporaryDirectory(prefix="wheel-") as folder:
            staging = Path(folder)
            paths.extend(write(_compiled(plan, one, staging), channel))
    return paths


def _supported(plan: Plan) -> dict[str, Interpreter]:
    allowed = SpecifierSet(plan.wheel.requires_python)
    return {
        minor: one for minor, one in plan.interpreters.items() if minor in plan.used or allowed.contains(one.version)
    }


def _depends(plan: Plan, one: Interpreter) -> tuple[str, ...]:
    markers = environment(one.version)
    wheel = plan.wheel
    return depends(wheel.requires, markers, extras=plan.extras, own=wheel.name)


def _noarch(plan: Plan, needs: tuple[str, ...]) -> Package:
    wheel = plan.wheel
    python = f"python {constraint(wheel.requires_python)}".strip()
    return Package(
        wheel.name,
        wheel.version,
        build="py_0",
        noarch="python",
        depends=(python, *needs),
        items=_files(wheel, site="site-packages", scripts="python-scripts", python="python"),
        entry_points=wheel.entry_points,
        purl=_purl(wheel),
        about=_about(wheel),
    )


def _compiled(plan: Plan, one: Interpreter, staging: Path) -> Package:
    wheel = plan.wheel
    site = f"lib/python{one.minor}/site-packages"
    python = f"python{one.minor}"
    items = _files(wheel, site=site, scripts="bin", python=python)
    items += [_launcher(line, python) for line in wheel.entry_points]
    for item in items:
        path = staging / item.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(item.read())
        path.chmod(0o755 if item.executable else 0o644)
    if (staging / site).is_dir():
        compile_tree(one, staging / site)
    major, minor = one.minor.split(".")
    return Package(
        wheel.name,
        wheel.version,
        build=f"py{major}{minor}_0",
        subdir=plan.subdir,
        depends=(
            f"python >={one.minor},<{major}.{int(minor) + 1}.0a0",
            f"python_abi {one.minor}.* *_{one.abi}",
            *_depends(plan, one),
        ),
        items=items_below(staging, texts=[item.path for item in items if item.prefix]),
        purl=_purl(wheel),
        about=_about(wheel),
    )


def _files(wheel: Wheel, *, site: str, scripts: str, python: str) -> list[Item]:
    found = []
    with zipfile.ZipFile(wheel.path) as archive:
        info = dist_info(archive)
        for member in archive.infolist():
            if member.is_dir():
                continue
            path = _place(member.filename, site=site, scripts=scripts)
            data = archive.read(member)
            runs = bool(member.external_attr >> 16 & 0o111)
            if path.startswith(f"{scripts}/"):
                found.append(_script(path, data, python))
            else:
                found.append(Item(path, data, executable=runs))
    found.append(Item(f"{site}/{info}/INSTALLER", b"conda\n"))
    return list({item.path: item for item in found}.values())


def _place(name: str, *, site: str, scripts: str) -> str:
    """Return where a member of a wheel goes in the package."""
    parts = PurePosixPath(name).parts
    if not parts[0].endswith(".data") or len(parts) < 3:
        return f"{site}/{name}"
    rest = "/".join(parts[2:])
    places = {
        "purelib": f"{site}/{rest}",
        "platlib": f"{site}/{rest}",
        "scripts": f"{scripts}/{rest}",
        "headers": f"include/{rest}",
    }
    return places.get(parts[1], rest)


def _script(path: str, data: bytes, python: str) -> Item:
    first, newline, rest = data.partition(b"\n")
    if not first.startswith(b"#!python"):
        return Item(path, data, executable=True)
    shebang = f"#!{PLACEHOLDER}/bin/{python}".encode()
    return Item(path, shebang + newline + rest, executable=True, prefix="text")


def _launcher(line: str, python: str) -> Item:
    name, _, target = line.partition(" = ")
    module, _, call = target.partition(":")
    text = _SCRIPT.format(
        python=f"{PLACEHOLDER}/bin/{python}",
        module=module.strip(),
        first=call.strip().partition(".")[0],
        call=call.strip(),
    )
    return Item(f"bin/{name}", text.encode(), executable=True, prefix="text")


def _purl(wheel: Wheel) -> str:
    return f"pkg:pypi/{wheel.name}@{wheel.version}"


def _about(wheel: Wheel) -> dict[str, str]:
    return {"license": wheel.license, "summary": wheel.summary}
