"""A place of uv's builds of CPython, made of an interpreter of this machine."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.channel import interpreters
from tests.channel.pythons import patchelf

_LEFT_OUT = {"site-packages", "test", "__pycache__", "idlelib", "tkinter", "ensurepip"}
_TRIPLES = {("linux", "x86_64"): "x86_64-unknown-linux-gnu", ("darwin", "aarch64"): "aarch64-apple-darwin"}


@dataclass
class Mirror:
    """Builds in a folder, served on loopback; `asked` remembers the paths that were asked for."""

    folder: Path
    url: str
    asked: list[str] = field(default_factory=list)
    known: dict[str, object] = field(default_factory=dict)

    def add(self, version: str, *, arch: str = "x86_64", os: str = "linux", data: bytes | None = None) -> Path:
        """Add a build that calls itself *version*; its content is *data*, or Python 3.11 of this machine."""
        name = f"cpython-{version}+20240814-{_TRIPLES[os, arch]}-install_only_stripped.tar.gz"
        path = self.folder / name
        path.write_bytes(data if data is not None else archive("3.11"))
        major, minor, patch = map(int, version.split("."))
        self.known[f"cpython-{version}-{os}-{arch}-{'gnu' if os == 'linux' else 'none'}"] = {
            "name": "cpython",
            "arch": {"family": arch, "variant": None},
            "os": os,
            "libc": "gnu" if os == "linux" else "none",
            "major": major,
            "minor": minor,
            "patch": patch,
            "prerelease": "",
            "url": f"{self.url}/{name.replace('+', '%2B')}",
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "variant": None,
            "build": "20240814",
        }
        (self.folder / "downloads.json").write_text(json.dumps(self.known))
        return path

    @property
    def variables(self) -> dict[str, str]:
        """What lets uv know of these builds alone."""
        return {"UV_PYTHON_DOWNLOADS_JSON_URL": str(self.folder / "downloads.json")}


def archive(minor: str) -> bytes:
    """Return Python *minor* of this machine in the form of uv's builds: relocatable, made at ``/install``."""
    found = interpreters.find()[minor]
    library = Path(found.stdlib)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as file:
        file.add(_relocatable(Path(found.executable).resolve()), f"python/bin/python{minor}")
        link = tarfile.TarInfo("python/bin/python3")
        link.type, link.linkname = tarfile.SYMTYPE, f"python{minor}"
        file.addfile(link)
        for path in sorted(library.rglob("*")):
            inside = path.relative_to(library)
            if path.is_dir() or _LEFT_OUT & set(inside.parts) or inside.parts[0].startswith("config-"):
                continue
            if path.name.startswith("_sysconfigdata"):
                text = path.read_text().replace(found.prefix, "/install").encode()
                item = tarfile.TarInfo(f"python/lib/python{minor}/{inside}")
                item.size = len(text)
                file.addfile(item, io.BytesIO(text))
            else:
                file.add(path.resolve(), f"python/lib/python{minor}/{inside}")
        if found.library:
            file.add(Path(found.libdir, found.library), f"python/lib/{found.library}")
    return buffer.getvalue()


def _relocatable(executable: Path) -> Path:
    """Return a copy of *executable* that finds its library beside itself."""
    copy = Path(tempfile.mkdtemp(prefix="python-"), executable.name)
    shutil.copy2(executable, copy)
    patchelf("--force-rpath", "--set-rpath", "$ORIGIN/../lib", str(copy))
    return copy


@contextmanager
def mirror(folder: Path) -> Iterator[Mirror]:
    """Serve *folder*, which is made, until the block ends."""
    folder.mkdir()
    asked: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            super().do_GET()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield Mirror(folder, f"http://127.0.0.1:{server.server_address[1]}", asked)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
