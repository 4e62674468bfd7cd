"""Packages as py-rattler takes them, in the worker (see `rattler_worker`)."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

import rattler


def record_of(fields: Mapping[str, Any]) -> rattler.RepoDataRecord:
    """Return the record of a package whose *fields* are those of `engine.package.CondaPackage`."""
    record = rattler.PackageRecord(
        fields["name"],
        fields["version"],
        rattler.BuildString.new_unchecked(fields["build"]),
        fields["build_number"],
        fields["subdir"],
        noarch=fields.get("noarch"),
        depends=fields.get("depends"),
        constrains=fields.get("constrains"),
        sha256=bytes.fromhex(fields["sha256"]) if fields.get("sha256") else None,
        md5=bytes.fromhex(fields["md5"]) if fields.get("md5") else None,
        size=fields.get("size"),
        license=fields.get("license"),
        python_site_packages_path=fields.get("python_site_packages_path"),
    )
    if fields.get("timestamp"):
        record.timestamp = datetime.datetime.fromtimestamp(fields["timestamp"] / 1000, datetime.timezone.utc)
    return rattler.RepoDataRecord(record, fields["filename"], fields["url"], fields["channel"])
