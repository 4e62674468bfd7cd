"""What each tool says, in the form of its versions: libmamba's (micromamba, mamba 2), conda's, mamba 1's of both."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Record = dict[str, Any]


@dataclass(frozen=True)
class Tool:
    """One tool of one version."""

    name: str
    version: str

    @property
    def major(self) -> int:
        """The first number of its version."""
        return int(self.version.partition(".")[0])

    @property
    def libmamba(self) -> bool:
        """Whether it is micromamba, or mamba 2, which is built of the same."""
        return self.name == "micromamba" or (self.name == "mamba" and self.major >= 2)

    @property
    def version_text(self) -> str:
        """What ``--version`` prints."""
        if self.libmamba:
            return self.version
        return f"mamba {self.version}\nconda 23.1.0" if self.name == "mamba" else f"conda {self.version}"

    def unknown(self, words: Sequence[str]) -> int:
        """Refuse words that it does not know."""
        if self.libmamba:
            print(f"The following argument was not expected: {words[0]}\nRun with --help for more information.")
            return 109
        print(f"{self.name}: error: unrecognized arguments: {' '.join(words)}", file=sys.stderr)
        return 2

    def solved(self, records: list[Record], prefix: str, *, fetched: bool) -> None:
        """Print a solution."""
        conda = not self.libmamba and self.name == "conda"
        fetch = [self._conda_record(record) if conda else self._mamba_record(record) for record in records]
        link = [_linked(record) if conda else entry for record, entry in zip(records, fetch, strict=True)]
        actions = {**({"FETCH": fetch} if fetched else {}), "LINK": link, "PREFIX": prefix}
        print(json.dumps({"actions": actions, "dry_run": True, "prefix": prefix, "success": True}, indent=4))

    def _mamba_record(self, record: Record) -> Record:
        channel = record["channel"].rstrip("/")
        found = {
            "build": record["build"],
            "build_number": record["build_number"],
            "build_string": record["build"],
            "channel": channel if self.major >= 2 else f"{channel}/{record['subdir']}",
            "constrains": record.get("constrains", []),
            "depends": record["depends"],
            "fn": record["fn"],
            "license": record.get("license", ""),
            "name": record["name"],
            "size": record.get("size", 0),
            "subdir": record["subdir"],
            "timestamp": record.get("timestamp", 0),
            "track_features": "",
            "url": record["url"],
            "version": record["version"],
        }
        return {**found, **_known(record, "md5", "sha256", "noarch")}

    def _conda_record(self, record: Record) -> Record:
        kept = ("md5", "sha256", "noarch", "license", "size", "timestamp", "constrains")
        return {
            "arch": None,
            "build": record["build"],
            "build_number": record["build_number"],
            "channel": f"{record['channel'].rstrip('/')}/{record['subdir']}",
            "depends": record["depends"],
            "fn": record["fn"],
            "name": record["name"],
            "package_type": None,
            "subdir": record["subdir"],
            "url": record["url"],
            "version": record["version"],
            **_known(record, *kept),
        }

    def unsatisfiable(self, text: str, missing: list[str], channels: list[str]) -> int:
        """Say that there is no solution."""
        lines = [
            line for line in text.removeprefix("Cannot solve the request because of: ").splitlines() if line.strip()
        ]
        if self.libmamba:
            problems = [f"nothing provides requested {name}" for name in missing] or lines
            tree = "\n".join(f"    {line}" for line in ["The following package could not be installed", *lines])
            print(f"error    libmamba Could not solve for environment specs\n{tree}", file=sys.stderr)
            print("critical libmamba Could not solve for environment specs", file=sys.stderr)
            print(json.dumps({"solver_problems": problems, "success": False}, indent=4))
        elif self.name == "mamba":
            told = [f"nothing provides requested {name}" for name in missing] or lines
            print("Encountered problems while solving:", *(f"  - {line}" for line in told), sep="\n")
        elif missing:
            listed = "".join(f"\n  - {name}" for name in missing)
            places = "".join(f"\n  - {channel}" for channel in channels)
            self._exception(
                "PackagesNotFoundError",
                "The following packages are not available from current channels:\n"
                f"{listed}\n\nCurrent channels:\n{places}",
                packages=missing,
            )
        else:
            kind = "LibMambaUnsatisfiableError" if self.major > 4 else "UnsatisfiableError"
            problems = "".join(f"\n  - {line}" for line in lines)
            self._exception(
                kind, f"Encountered problems while solving:{problems}\n\nCould not solve for environment specs\n"
            )
        return 1

    def unreachable(self, text: str, channels: list[str]) -> int:
        """Say that a channel cannot be read."""
        cause = text.strip().splitlines()[-1]
        if self.libmamba:
            print(f"error    libmamba {cause}\ncritical libmamba Multiple errors occurred:", file=sys.stderr)
            print(
                "    Subdir noarch not loaded!\n"
                "    If you run into this error repeatedly, your package cache may be corrupted.",
                file=sys.stderr,
            )
        else:
            kind = "UnavailableInvalidChannel" if "404" in text or "could not find" in text else "CondaHTTPError"
            self._exception(kind, f"HTTP 404 NOT FOUND for channel {channels[-1]}\n\n{cause}")
        return 1

    def _exception(self, kind: str, message: str, **more: object) -> None:
        print(
            json.dumps(
                {
                    "caused_by": "None",
                    "error": f"{kind}: {message}",
                    "exception_name": kind,
                    "exception_type": f"<class 'conda.exceptions.{kind}'>",
                    "message": message,
                    **more,
                },
                indent=2,
            )
        )


def _linked(record: Record) -> Record:
    base = record["channel"].rstrip("/")
    return {
        "base_url": base,
        "build_number": record["build_number"],
        "build_string": record["build"],
        "channel": base.rpartition("/")[2],
        "dist_name": f"{record['name']}-{record['version']}-{record['build']}",
        "name": record["name"],
        "platform": record["subdir"],
        "version": record["version"],
    }


def _known(record: Record, *names: str) -> Record:
    return {name: record[name] for name in names if record.get(name)}
