"""Linking what an explicit list names, in a prefix, without a network."""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import rattler

from . import dialects


def link(tool: dialects.Tool, asked: argparse.Namespace) -> int:
    """Fill the prefix that is *asked* for; each file must be what its hash says."""
    lines = Path(asked.file).read_text().split()
    assert lines[0] == "@EXPLICIT"
    records = []
    for line in lines[1:]:
        url, _, digest = line.partition("#")
        path = Path(unquote(urlsplit(url).path))
        algorithm = "sha256" if len(digest.removeprefix("sha256:")) == 64 else "md5"
        if not url.startswith("file://") and asked.offline:
            return _refused(f"'{url}' cannot be had offline")
        found = hashlib.new(algorithm, path.read_bytes()).hexdigest()
        if found != digest.removeprefix("sha256:"):
            return _refused(f"checksum mismatch of {path.name}: expected {digest}, found {found}")
        records.append(_record(path, url))
    asyncio.run(
        rattler.install(
            records,
            target_prefix=asked.prefix,
            cache_dir=Path(os.environ["CONDA_PKGS_DIRS"].split(",")[0]),
            show_progress=False,
            execute_link_scripts=False,
        )
    )
    (Path(asked.prefix) / "conda-meta" / "history").touch()
    print(
        json.dumps(
            {
                "success": True,
                "prefix": asked.prefix,
                "actions": {"LINK": [record.name.normalized for record in records]},
            }
        )
    )
    return 0


def _record(path: Path, url: str) -> rattler.RepoDataRecord:
    index = rattler.IndexJson.from_package_archive(path)
    record = rattler.PackageRecord(
        index.name.normalized,
        str(index.version),
        index.build,
        index.build_number,
        index.subdir or "noarch",
        noarch="python" if index.noarch.python else "generic" if index.noarch.generic else None,
        depends=index.depends,
        constrains=index.constrains,
        sha256=hashlib.sha256(path.read_bytes()).digest(),
        size=path.stat().st_size,
        python_site_packages_path=index.python_site_packages_path,
    )
    return rattler.RepoDataRecord(record, path.name, url, path.parent.as_uri())


def _refused(text: str) -> int:
    print(f"critical libmamba {text}", file=sys.stderr)
    return 1
