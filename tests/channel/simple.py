"""Write a package index of wheels on disk (PEP 503 pages, PEP 658 metadata)."""

from __future__ import annotations

import hashlib
import html
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from .wheels import Wheel

_PAGE = (
    '<!DOCTYPE html>\n<html><head><meta charset="utf-8"><meta name="pypi:repository-version" '
    'content="1.0"><title>{title}</title></head><body>\n{links}</body></html>\n'
)


def publish(wheels: Iterable[Wheel], root: Path) -> None:
    """Put wheels into ``root/files`` and their pages into ``root/simple``."""
    files, pages = root / "files", root / "simple"
    files.mkdir(parents=True)
    pages.mkdir()
    projects: dict[str, list[str]] = {}
    for wheel in sorted(wheels, key=lambda one: one.path.name):
        _place(wheel.path, files / wheel.path.name)
        (files / f"{wheel.path.name}.metadata").write_bytes(wheel.metadata)
        projects.setdefault(wheel.name, []).append(link(wheel))
    for name, links in projects.items():
        (pages / name).mkdir()
        (pages / name / "index.html").write_text(_PAGE.format(title=f"Links for {name}", links="".join(links)))
    names = "".join(f'<a href="{name}/">{name}</a><br>\n' for name in sorted(projects))
    (pages / "index.html").write_text(_PAGE.format(title="Simple index", links=names))


def link(wheel: Wheel) -> str:
    """Return the line of a project page for one wheel."""
    digest = hashlib.sha256(wheel.path.read_bytes()).hexdigest()
    metadata = hashlib.sha256(wheel.metadata).hexdigest()
    needs = ""
    if wheel.requires_python:
        needs = f' data-requires-python="{html.escape(wheel.requires_python)}"'
    name = html.escape(wheel.path.name)
    return (
        f'<a href="../../files/{name}#sha256={digest}"{needs} '
        f'data-core-metadata="sha256={metadata}" '
        f'data-dist-info-metadata="sha256={metadata}">{name}</a><br>\n'
    )


def _place(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy(source, target)
