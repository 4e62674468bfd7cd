"""What a direct link of a requirement leads to, and what a wheel is built from: its origin, pinned to one state."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from packaging.utils import InvalidSdistFilename, parse_sdist_filename

from .errors import InputError
from .requirement import PypiRequirement
from .secret import redact, strip_credentials

WHEEL, ARCHIVE, GIT, FOLDER = "wheel", "archive", "git", "folder"
_ARCHIVES = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar", ".zip")
_OTHERS = ("hg+", "svn+", "bzr+")


@dataclass(frozen=True, slots=True)
class Link:
    """A direct link (PEP 508), taken apart; what it leads to may change.

    Attributes:
        kind: one of the words above
        url: where it is, without ``git+``, reference and fragment
        reference: the branch, tag or commit of a repository; empty for its default branch
        subdirectory: where in it the project lies
        sha256: what a file or a folder must hash to, if that is said
    """

    kind: str
    url: str
    reference: str = ""
    subdirectory: str = ""
    sha256: str = ""

    @property
    def path(self) -> str:
        """The path on this machine; empty for what lies elsewhere."""
        return unquote(urlsplit(self.url).path) if self.url.startswith("file:") else ""

    @classmethod
    def parse(cls, text: str, name: str) -> Link:
        """Read the link of the requirement *name*; raise InputError where it leads to nothing that can be used."""
        url, _, fragment = text.partition("#")
        said = dict(parse_qsl(fragment))
        rest = {"subdirectory": said.get("subdirectory", "").strip("/"), "sha256": said.get("sha256", "").lower()}
        if ".." in rest["subdirectory"].split("/"):
            raise InputError(f"'{name}': the subdirectory of {redact(text)} leads out of it", "name one inside")
        if url.startswith("git+"):
            # '#main' is no fragment that pip knows; people mean a branch by it.
            return _git(url[4:], said, fragment if fragment and "=" not in fragment else "", rest["subdirectory"])
        path = urlsplit(url).path.lower()
        if url.startswith(("http://", "https://", "file:")):
            if path.endswith(".whl"):
                return cls(WHEEL, url, sha256=rest["sha256"])
            if path.endswith(_ARCHIVES):
                return cls(ARCHIVE, url, **rest)
            if url.startswith("file:"):
                return cls(FOLDER, url.rstrip("/"), **rest)
        other = next((kind[:-1] for kind in _OTHERS if url.startswith(kind)), "")
        what = f"lies in {other}" if other else "is no link to a wheel, a source archive, a folder or a git repository"
        raise InputError(
            f"'{name} @ {redact(text)}' {what}",
            "write git+https://, git+ssh:// or git+file:// for a repository, file:// for a folder, or link to a file "
            f"that ends in .whl, {', '.join(_ARCHIVES)}",
        )


def _git(url: str, said: dict[str, str], branch: str, subdirectory: str) -> Link:
    parts = urlsplit(url)
    path, at, reference = parts.path.rpartition("@")
    if not at:
        path, reference = parts.path, branch or said.get("rev", "")
    return Link(GIT, parts._replace(path=path).geturl(), reference=reference, subdirectory=subdirectory)


@dataclass(frozen=True, slots=True, order=True)
class Origin:
    """What a wheel is built from, in one state: the same origin gives the same wheel, wherever it is fetched from.

    Attributes:
        kind: ``git``, ``archive`` or ``folder``
        url: where it is, without credentials; for what lies on one machine the last part of its path alone
        pin: the commit, the SHA-256 of the archive, or that of all that is in the folder
        subdirectory: where in it the project lies
        place: the URL by which it is fetched here; no part of what it is
    """

    kind: str
    url: str
    pin: str
    subdirectory: str = ""
    place: str = field(default="", compare=False)

    @classmethod
    def of(cls, link: Link, pin: str) -> Origin:
        """Return the state *pin* of what *link* leads to."""
        url = strip_credentials(link.url)
        if link.path:
            url = f"file:///{os.path.basename(urlsplit(url).path.rstrip('/'))}"
        return cls(link.kind, url, pin, link.subdirectory, link.url)

    def __str__(self) -> str:
        inside = f"subdirectory={self.subdirectory}" if self.subdirectory else ""
        if self.kind == GIT:
            return f"git+{self.url}@{self.pin}" + (f"#{inside}" if inside else "")
        return f"{self.url}#" + "&".join(filter(None, (f"sha256={self.pin}", inside)))

    @classmethod
    def parse(cls, text: str) -> Origin:
        """Read what ``str`` wrote."""
        link = Link.parse(text, "origin")
        return cls(link.kind, link.url, link.reference if link.kind == GIT else link.sha256, link.subdirectory)

    @property
    def digest(self) -> str:
        """What stands for its content, in hexadecimal digits."""
        moving = "moving" if self.moving else ""
        return hashlib.sha256("\n".join((self.kind, self.pin, self.subdirectory, moving)).encode()).hexdigest()

    @property
    def moving(self) -> bool:
        """Whether another state of it may call itself the same version: all but an sdist, which is named by it."""
        if self.kind != ARCHIVE:
            return True
        try:
            parse_sdist_filename(filename_of(self.url))
        except InvalidSdistFilename:
            return True
        return False

    @property
    def label(self) -> str:
        """The part of a local version (PEP 440) that tells its builds apart."""
        return f"{'g' if self.kind == GIT else 'h'}{self.pin[:12]}"


def filename_of(url: str) -> str:
    """Return the name of the file at *url*."""
    return unquote(urlsplit(url).path.rpartition("/")[2])


def settled(item: PypiRequirement, folder: str, state: Callable[[str], str]) -> PypiRequirement:
    """Return *item* with what its link to this machine holds now as a part of the link, by its SHA-256.

    So a file or a folder that was changed is another requirement. Paths are taken from *folder*; *state* gives the
    SHA-256 of what lies at one. A path where nothing is stays as it is, for who needs it.
    """
    url, _, fragment = item.url.partition("#")
    if url and not re.match(r"[A-Za-z][A-Za-z0-9+.\-]*:", url):
        url = "file://" + quote(os.path.normpath(os.path.join(folder, os.path.expanduser(url))), safe="/%+@~!,=:")
    path = unquote(urlsplit(url).path) if url.startswith("file:") else ""
    if path and os.path.exists(path) and "sha256=" not in fragment:
        fragment = "&".join(filter(None, (f"sha256={state(path)}", fragment)))
    return replace(item, url=f"{url}#{fragment}" if fragment else url)
