"""The key of each thing in a store. Imports on Python 3.7 (step side)."""

from __future__ import annotations

import hashlib
from typing import Mapping
from urllib.parse import quote, unquote, urlsplit

from .errors import StoreError
from .identity import EnvID
from .package import AnyPackage, CondaPackage, Interpreter, PypiPackage
from .secret import strip_credentials

_KINDS = {CondaPackage: "conda", PypiPackage: "pypi", Interpreter: "python"}
# The variables that give other names to the folders of a store which others share, without METAFLOW_.
FOLDER_NAMES = {"packages": "CONDA_PACKAGES_DIRNAME", "envs": "CONDA_ENVS_DIRNAME"}


def check_key(key: str) -> str:
    """Return *key*; raise StoreError where it is not relative, or would lead out of the store."""
    if any(part in ("", ".", "..") for part in key.split("/")) or "\0" in key:
        raise StoreError(f"'{key}' cannot be a key in a store", "use names separated by '/', without '.' and '..'")
    return key


def environment_key(env_id: EnvID) -> str:
    """The key of the document of one resolved environment."""
    return f"envs/{env_id.arch}/{env_id.req_id}/{env_id.full_id}/env"


def latest_key(req_id: str, arch: str) -> str:
    """The key of the pointer to the environment that a spec resolved to last."""
    return f"envs/{arch}/{req_id}/latest"


def latest_by_key(req_id: str, arch: str, user: str) -> str:
    """The key of the pointer to the environment that a spec resolved to last for *user*."""
    name = quote(user, safe="")
    return f"envs/{arch}/{req_id}/latest-by/{'%2E' * len(name) if name in ('.', '..') else name or '%20'}"


def alias_key(name: str, tag: str, arch: str) -> str:
    """The key of what the alias *name*:*tag* means on *arch*.

    No name has an ``@``: a tag of one name is never a part of another name, nor an alias that 1.x has left there.
    """
    return f"envs/aliases/{name}/@{tag}/{arch}"


def package_key(kind: str, url: str, filename: str, digest: str) -> str:
    """The key of a package of *kind* (``conda``, ``pypi``, ``python``), from where it came from and from its content.

    *digest* is a SHA-256, or ``md5:...``; *filename* differs from the end of *url* where the file was made from that.
    """
    parts = urlsplit(strip_credentials(url))
    words = [quote(unquote(word), safe="+=@!,~") for word in parts.path.split("/")]
    path = [word for word in words if word not in ("", ".", "..")]
    return check_key("/".join(["packages", kind, parts.netloc or "_local", *path, filename, _word(digest), filename]))


def package_keys(package: AnyPackage, stored: Mapping[str, str]) -> tuple[str, ...]:
    """The keys that a store may have *package* under; *stored* names, by file name, those of an older layout."""
    kind = _KINDS[type(package)]
    own = package_key(kind, package.url, package.filename, package.digest)
    return (stored[package.filename], own) if package.filename in stored else (own,)


def byte_code_key(tag: str, digest: str, name: str = "") -> str:
    """The key of byte code of the package *digest* for the Pythons of cache *tag*; without *name* their folder."""
    return check_key(f"bytecode/{tag}/{_word(digest)}" + (f"/{name}" if name else ""))


def byte_code_list_key(env_id: EnvID) -> str:
    """The key of the list of byte code for the packages of an environment."""
    return f"envs/{env_id.arch}/{env_id.req_id}/{env_id.full_id}/bytecode"


def built_key(origin: str, tag: str, arch: str) -> str:
    """The key of what tells which wheel was built from *origin*, for the Pythons of cache *tag* on *arch*."""
    return check_key(f"built/{origin}/{tag}/{arch}")


def interpreter_key(url: str) -> str:
    """The key, in the local store, of what is known of the build of Python at *url*."""
    return f"interpreters/{hashlib.sha256(url.encode()).hexdigest()[:40]}"


def format_key(extension: str, digest: str) -> str:
    """The key, in the local store, of what the package *digest* is in the format that *extension* names."""
    return check_key(f"formats/{extension.lstrip('.')}/{_word(digest)}")


def tool_key(name: str, sha256: str, filename: str) -> str:
    """The key of a file of the tool *name* that a bare container needs to create an environment."""
    return check_key(f"tools/{name}/{sha256}/{filename}")


def tools_key(arch: str, versions: str) -> str:
    """The key of the list of tools for *arch*; *versions* is a digest of which they are."""
    return check_key(f"tools/{arch}/{versions}")


def _word(digest: str) -> str:
    return digest.replace(":", "-")


def package_file_key(data: bytes) -> str:
    """The key, in the local store, of the file that a code package carries: determined by its content."""
    return f"code/{hashlib.sha256(data).hexdigest()[:40]}/conda_v2.cnd"
