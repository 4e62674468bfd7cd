"""Conda packages in the format that is preferred, beside the files that channels have: the same content, packed anew.

packages/conda/.../<its own file>/<sha256>/<its own file>        what the channel has
packages/conda/.../<the other file>/<sha256>/<the other file>    the same in the other format
formats/<format>/<digest of what the channel has>                locally: which of the two belong together

The files are made from what was resolved, on the machine that vouches for them: those that others have made are used
where they are the same to the byte.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from .events import Reporter, working
from .fetch import nowhere
from .layout import format_key, package_key, package_keys
from .package import CondaPackage
from .ports import Archives, Store, Transmuter
from .resolved import ResolvedEnvironment

FORMATS = (".conda", ".tar.bz2")
_WORKERS = 2
# By the digest of what the channel has: the file in the preferred format, its SHA-256, its key.
Forms = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Formatter:
    """What is needed for packages in *preferred*, one of `FORMATS`."""

    preferred: str
    local: Store
    shared: Store
    files: Archives
    transmuter: Transmuter


def forms(environments: Iterable[ResolvedEnvironment], formatter: Formatter, report: Reporter) -> Forms:
    """Return the packages of *environments* that have another format, in the preferred one; the store has them then.

    Raises PackageError, StoreError, ToolError, OSError.
    """
    stored = {name: key for environment in environments for name, key in environment.stored.items()}
    wanted = {
        package.digest: package
        for environment in environments
        for package in environment.conda
        if not package.filename.endswith(formatter.preferred)
    }
    known = {digest: form for digest in wanted if (form := _known(digest, formatter)) is not None}
    there = formatter.shared.present(form["key"] for form in known.values())
    found = {digest: form for digest, form in known.items() if form["key"] in there}
    missing = [package for digest, package in wanted.items() if digest not in found]
    if not missing:
        return found
    title = f"Packing packages as {formatter.preferred}"
    with working(report, title, len(missing)) as work, ThreadPoolExecutor(max_workers=_WORKERS) as pool:
        made = pool.map(lambda package: _made(package, stored, formatter), missing)
        for number, (package, form) in enumerate(zip(missing, made, strict=True), 1):
            found[package.digest] = form
            report.advanced(title, number)
        work.summary = f"{len(missing)} packages"
    return found


def _known(digest: str, formatter: Formatter) -> dict[str, str] | None:
    data = formatter.local.get(format_key(formatter.preferred, digest))
    try:
        form = json.loads(data) if data is not None else None
        return {word: str(form[word]) for word in ("file", "sha256", "key")} if form is not None else None
    except (ValueError, KeyError, TypeError):
        return None


def _made(package: CondaPackage, stored: Mapping[str, str], formatter: Formatter) -> dict[str, str]:
    files = formatter.files
    path = files.here(package) or files.copied(package, package_keys(package, stored))
    if path is None and not package.fetchable:
        raise nowhere(package)
    path = path or files.fetched(package)
    with tempfile.TemporaryDirectory(prefix="metaflow-packing-") as folder:
        made = formatter.transmuter.transmute(path, formatter.preferred, Path(folder))
        sha256 = hashlib.sha256(made.read_bytes()).hexdigest()
        form = {"file": made.name, "sha256": sha256, "key": package_key("conda", package.url, made.name, sha256)}
        formatter.shared.put_file(form["key"], made)
    data = json.dumps(form, sort_keys=True).encode("utf-8")
    formatter.local.put(format_key(formatter.preferred, package.digest), data, overwrite=True)
    return form
