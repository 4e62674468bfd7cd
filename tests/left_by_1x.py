"""What metaflow-netflixext 1.x leaves behind, written after its formats: documents, packages in a store, a manifest."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

# Nobody answers there.
HOST = "127.0.0.1:9"
CHANNEL = f"http://{HOST}/forge"
INDEX = f"http://{HOST}/packages"
REQ, FULL = "1" * 39 + "a", "2" * 39 + "b"
CONDA = (
    "linux-64/python-3.11.7-0_cpython.conda",
    "linux-64/charset-normalizer-3.5.3-py311_0.conda",
    "noarch/certifi-2026.10.19.post1-py_0.conda",
    "noarch/click-8.5.1-py_0.conda",
    "noarch/idna-3.20-py_0.conda",
    "noarch/legacy-archive-1.0.0-0.tar.bz2",
    "noarch/requests-2.32.5-py_0.conda",
    "noarch/urllib3-2.6.3-py_0.conda",
)
FORMATS = (".conda", ".tar.bz2", ".whl")

Document = dict[str, Any]


def split(file: str) -> tuple[str, str]:
    """Return the name of an archive without its format, and that."""
    found = next(suffix for suffix in FORMATS if file.endswith(suffix))
    return file[: -len(found)], found


@dataclass
class Left:
    """A store of 1.x in the folder `root`, filled with packages of the channel and index below `built`."""

    root: Path
    built: Path
    sources: Sequence[str] = ("conda::forge",)
    packages: list[Document] = field(default_factory=list)

    def conda(self, place: str, *, base: str = CHANNEL) -> None:
        """Add a package of the channel, under the URL that it would have in *base*."""
        file = self.built / "conda" / place
        self._add("conda", file, f"{base}/{place}", hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest())

    def transmuted(self) -> None:
        """Add a package of which only the format that its URL does not have is in the store."""
        stem = "both-archives-1.0.0-0"
        file = self.built / "conda" / "noarch" / f"{stem}.conda"
        digest = hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()
        self._add("conda", file, f"{CHANNEL}/noarch/{stem}.tar.bz2", digest, own=".tar.bz2")

    def wheel(self, name: str, *, url: str = "") -> None:
        """Add a wheel of the index; *url* says what it was built from."""
        file = next(self.built.rglob(name))
        self._add("pypi", file, url or f"{INDEX}/{name}", hashlib.sha256(file.read_bytes()).hexdigest())

    def _add(self, kind: str, file: Path, url: str, digest: str, *, own: str = "") -> None:
        stem, suffix = split(file.name)
        parts = urlsplit(url)
        key = f"packages/{kind}/{parts.netloc}{parts.path}/{file.name}/{digest}/{file.name}"
        (self.root / key).parent.mkdir(parents=True)
        shutil.copyfile(file, self.root / key)
        self.packages.append(
            {
                "_type": kind,
                "filename": stem,
                "url": url,
                "url_format": own or suffix,
                "hashes": {suffix: digest},
                "cache_info": {suffix: {"_type": kind, "url": key}},
            }
        )

    def file(self, name: str) -> Path:
        """Return where a package lies in the store."""
        return next(path for path in self.root.rglob(name) if path.is_file())

    @property
    def document(self) -> Document:
        """The environment of all packages that were added."""
        return {
            "deps": ["conda::python==3.11", "conda::requests==>=2.21.0", "pypi::itsdangerous==2.1.2"],
            "sources": list(self.sources),
            "extras": ["pypi::--use-deprecated=legacy-resolver"],
            "packages": self.packages,
            "resolved_on": "2024-03-05T10:20:30.123456",
            "resolved_by": "joe",
            "resolved_archs": ["linux-64"],
            "env_type": "mixed",
            "accurate_source": True,
        }

    def publish(self, *names: str) -> None:
        """Put the environment, and *names* such as ``team/old/v1`` that mean it, into the store."""
        self.put(f"envs/linux-64/{REQ}/{FULL}/env", self.document)
        self.put(f"envs/aliases/full-id/{FULL}", [REQ, FULL])
        for name in names:
            self.put(f"envs/aliases/generic/{name}", [REQ, FULL])

    def put(self, key: str, values: object) -> None:
        """Write *values* under *key*."""
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))

    def manifest(self, aliases: Mapping[str, list[str]] | None = None) -> Document:
        """Return what a machine would have written of the environment into its ``conda_v2.cnd``."""
        return {
            "version": 1,
            "mappings": {},
            "mutable_aliases": {},
            "aliases": {FULL: [REQ, FULL], **(aliases or {})},
            "environments": {"linux-64": {REQ: {FULL: self.document, "_default": FULL}}},
        }


def left(root: Path, built: Path, channel: str, index: str) -> Left:
    """Return a store with an environment whose packages are of every kind, none of them to be had elsewhere.

    It was resolved from *channel* and *index*, with a password, which have something else by now.
    """
    store = Left(root, built, (f"conda::{channel}", f"pypi::{index.replace('://', '://joe:s3cr3t@')}"))
    for place in CONDA:
        store.conda(place)
    store.transmuted()
    store.wheel("itsdangerous-2.1.2-py3-none-any.whl", url=f"https://_fake/{HOST}/someone/itsdangerous/1234abcd")
    return store


def state(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Return every file below *folder* with its bytes and when it was written."""
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }
