"""Byte code of packages in the shared store, made once for a Python minor: it saves tasks their first import.

bytecode/<cache tag>/<package digest>/<sha256>.zip    byte code of one package, by its paths below a prefix
bytecode/<cache tag>/<package digest>/none            it has no sources that lack byte code
envs/<arch>/<req_id>/<full_id>/bytecode               what there is for the packages of one environment

Imports on Python 3.7 (step side).
"""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .errors import StoreError
from .events import Reporter, working
from .layout import byte_code_key, byte_code_list_key, package_keys
from .package import AnyPackage
from .resolved import ResolvedEnvironment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .ports import Archives, ByteCodeArchives, Store

    # For each package that has some, by its digest, the SHA-256 of its byte code.
    Listing = Mapping[str, str]

_NONE = "none"
_WORKERS = 3


@dataclass(frozen=True)
class Compiler:
    """What making byte code needs: the store it goes to, the files of packages, and what compiles."""

    store: Store
    files: Archives
    maker: ByteCodeArchives


def known(environment: ResolvedEnvironment, *stores: Store) -> Listing | None:
    """Return what byte code there is for *environment*, as the first of *stores* tells; None where none does."""
    for store in stores:
        data = store.get(byte_code_list_key(environment.env_id))
        if data is not None:
            return _read(data, environment, store)
    return None


def publish(environment: ResolvedEnvironment, compiler: Compiler, report: Reporter, *, title: str) -> Listing:
    """Return the byte code for the packages of *environment*, which the store has from now on, made where it lacks it.

    Raises ToolError, PackageError, StoreError, OSError.
    """
    wanted = [package for package in environment.packages if compiler.maker.expects(package)]
    found = {}
    with working(report, title, len(wanted)) as work:
        with ThreadPoolExecutor(max_workers=_WORKERS) as pool:
            done = pool.map(lambda package: _one(package, environment, compiler), wanted)
            for number, (package, sha256) in enumerate(zip(wanted, done, strict=True), 1):
                report.advanced(title, number)
                if sha256:
                    found[package.digest] = sha256
        listing = json.dumps({"tag": environment.cache_tag, "packages": found}, sort_keys=True)
        compiler.store.put(byte_code_list_key(environment.env_id), listing.encode("utf-8"))
        work.summary = f"{len(found)} packages"
    return found


def _one(package: AnyPackage, environment: ResolvedEnvironment, compiler: Compiler) -> str:
    """Return the SHA-256 of the byte code of *package*; an empty text where there is none to make."""
    tag, store = environment.cache_tag, compiler.store
    there = sorted(key.rpartition("/")[2] for key in store.list(byte_code_key(tag, package.digest)))
    if there:
        return "" if there[0] == _NONE else there[0].partition(".")[0]
    file = compiler.files.here(package) or compiler.files.copied(package, package_keys(package, environment.stored))
    if file is None:
        return ""
    made = compiler.maker.archive(package, file, ".".join(environment.python_version.split(".")[:2]))
    if made is None:
        store.put(byte_code_key(tag, package.digest, _NONE), b"")
        return ""
    sha256 = hashlib.sha256(made.read_bytes()).hexdigest()
    store.put_file(byte_code_key(tag, package.digest, f"{sha256}.zip"), made)
    return sha256


def _read(data: bytes, environment: ResolvedEnvironment, store: Store) -> Listing:
    try:
        found: dict[str, Any] = json.loads(data)["packages"]
        return {str(digest): str(sha256) for digest, sha256 in found.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        where = store.where(byte_code_list_key(environment.env_id))
        raise StoreError(f"{where}: not a list of byte code", "remove it: it is written anew") from None
