"""PyPI requirements to wheels, by ``uv pip compile`` into a pylock.toml (PEP 751)."""

from __future__ import annotations

import io
import os
import re
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote, urlsplit

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from ..engine.errors import InputError, ResolveError, ToolError
from ..engine.package import PypiPackage
from ..engine.platform import VirtualPackage, check_arch
from ..engine.ports import PypiRequest
from ..engine.requirement import PypiRequirement
from ..engine.secret import has_credentials, redact, strip_credentials
from ..engine.wheel_tags import best_wheel, number_pair, target_tags
from .process import Finished
from .uv_program import (
    Asked,
    complaint,
    default_index,
    digest_of,
    find_uv,
    indexes_environment,
    misfit,
    run_uv,
    translated,
    uv_version,
    with_credentials,
)

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_GLIBC = (17, 28, *range(31, 41))  # the manylinux targets that uv 0.9 to 0.13 know
_NO_EXTRA = re.compile(r"warning: The package `([^\s`\[]+)[^`]*` does not have an extra named `([^`]+)`")
_PASSES = 4
_FROM_SOURCE = "building from source is not supported yet in this version"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """One question to uv: what is asked, and how the distributions of conda are given."""

    request: PypiRequest
    constraints: Mapping[str, str]
    environment: Mapping[str, str]


class UvSolver:
    """Picks wheels with uv, for any target from any machine; nothing is built, no Python is looked for or fetched.

    Args:
        secrets: for each clean index URL that needs them, the same URL with its credentials. They reach uv by
            variable and by standard input, never by argument, and are taken off what comes back.
        stubs: a folder of ours in which the stand-ins for conda's distributions may stay; else a temporary one.
        program: the path of uv; else the one of the package ``uv``.
    """

    def __init__(
        self,
        secrets: Mapping[str, str] = MappingProxyType({}),
        *,
        stubs: Path | None = None,
        program: str | None = None,
    ) -> None:
        self._secrets = secrets
        self._stubs = stubs
        self._program = program

    def versions(self) -> Mapping[str, str]:
        """Return the version of uv."""
        return {"uv": uv_version(self._uv())}

    def solve(self, request: PypiRequest) -> tuple[PypiPackage, ...]:
        """Return one wheel a distribution, by name.

        Raises ResolveError where nothing fits, SourceError for a bad index, InputError for a link that is no
        wheel, ToolError where uv fails.
        """
        check_links(request)
        if not request.requirements:
            return ()
        provided = _provided(request)
        with self._stub_folder() as folder:
            lock = self._until_extras_are_known(request, provided, folder)
            found = packages_of(lock, request)
        found = tuple(package for package in found if package.name not in provided)
        return tuple(self._hashed(package) for package in self._with_index(request, found))

    def _uv(self) -> str:
        return self._program or find_uv()

    @contextmanager
    def _stub_folder(self) -> Iterator[Path]:
        if self._stubs is not None:
            self._stubs.mkdir(parents=True, exist_ok=True)
            yield self._stubs
            return
        with tempfile.TemporaryDirectory(prefix="metaflow-stubs-") as name:
            yield Path(name)

    def _until_extras_are_known(
        self, request: PypiRequest, provided: Mapping[str, str], folder: Path
    ) -> Mapping[str, Any]:
        """Solve with stand-ins; where an extra of one is asked for, again with the index's own metadata of it.

        A stand-in knows no dependencies, so that an extra of it would be dropped. The index knows what the extra
        brings, so the same version of it takes the stand-in's place in the next pass.
        """
        known = {name for requirement in request.requirements if requirement.extras for name in [requirement.name]}
        for _ in range(_PASSES):
            lines = {
                name: f"{name}=={version}"
                if name in known
                else f"{name} @ {stub_wheel(folder, name, version).as_uri()}"
                for name, version in provided.items()
            }
            real = {name: provided[name] for name in sorted(known) if name in provided}
            stdout, stderr = self._compile(
                _Call(request=request, constraints=lines, environment=self._environment(request)), real
            )
            missing = {canonicalize_name(name) for name, _ in _NO_EXTRA.findall(stderr)} & (provided.keys() - known)
            if not missing:
                return _parsed(stdout)
            known |= missing
        raise ToolError(f"uv keeps asking for extras of {', '.join(sorted(missing))}", "report this")

    def _compile(self, call: _Call, real: Mapping[str, str]) -> tuple[str, str]:
        arguments = [*compile_arguments(call.request), "--format", "pylock.toml", "--no-annotate"]
        finished = self._run(call, arguments)
        if finished.returncode != 0:
            asked = Asked(
                request=call.request, provided=tuple(_provided(call.request).items()), real=real, secrets=self._secrets
            )
            raise translated(complaint(finished.stderr), asked)
        return finished.stdout, finished.stderr

    def _run(self, call: _Call, arguments: list[str]) -> Finished:
        lines = [_line(requirement, self._secrets) for requirement in call.request.requirements]
        with tempfile.TemporaryDirectory(prefix="metaflow-uv-") as scratch:
            if call.constraints:
                path = Path(scratch, "constraints.txt")
                path.write_text("".join(f"{line}\n" for line in call.constraints.values()), encoding="utf-8")
                # An argument hides the variable, and the user's own constraints are to hold as well.
                files = [str(path), *os.environ.get("UV_CONSTRAINT", "").split()]
                arguments = [*arguments, *(part for file in files for part in ("--constraints", file))]
            return run_uv(
                self._uv(), arguments, environment=call.environment, text="".join(f"{line}\n" for line in lines)
            )

    def _environment(self, request: PypiRequest) -> dict[str, str]:
        found = {}
        if request.arch.startswith("osx"):
            found["MACOSX_DEPLOYMENT_TARGET"] = ".".join(str(part) for part in number_pair(request.virtual, "__osx"))
        indexes = list(dict.fromkeys(request.indexes))
        if indexes in ([], ["default"]):
            return found
        urls = [with_credentials(index, self._secrets) for index in indexes]
        if urls[-1] == "default":
            return {**found, **indexes_environment(urls[:-1], None)}
        if "default" in urls:
            urls[urls.index("default")] = default_index(self._uv())
        return {**found, **indexes_environment(urls[:-1], urls[-1])}

    def _with_index(self, request: PypiRequest, packages: tuple[PypiPackage, ...]) -> tuple[PypiPackage, ...]:
        """Say of each package which index it came from; uv's lock does not.

        Only where there are several does it cost a second, warm call.
        """
        if len(set(request.indexes)) < 2:
            only = request.indexes[0] if request.indexes else "default"
            return tuple(replace(package, index=only if package.index else "") for package in packages)
        pins = tuple(
            PypiRequirement(package.name, specifier=f"=={package.version}") for package in packages if package.index
        )
        call = _Call(
            request=replace(request, requirements=pins), constraints={}, environment=self._environment(request)
        )
        arguments = [*compile_arguments(request), "--format", "requirements.txt", "--no-annotate", "--no-deps"]
        finished = self._run(call, [*arguments, "--emit-index-annotation"])
        indexes = annotated(finished.stdout, request.indexes)
        return tuple(
            replace(package, index=indexes.get(package.name, "")) if package.index else package for package in packages
        )

    def _hashed(self, package: PypiPackage) -> PypiPackage:
        """Return *package* with its SHA-256, from its bytes where neither the index nor uv gave one."""
        if package.sha256:
            return package
        sha256, size = digest_of(with_credentials(package.url, self._secrets))
        return replace(package, sha256=sha256, size=size)


def uv_platform(arch: str, virtual: Sequence[VirtualPackage]) -> str:
    """Return uv's name of the target: the newest manylinux that the target's ``__glibc`` reaches, or macOS.

    Raises ResolveError for a glibc older than any that wheels are made for.
    """
    check_arch(arch)
    if arch.startswith("osx"):
        return f"{'aarch64' if arch == 'osx-arm64' else 'x86_64'}-apple-darwin"
    glibc = number_pair(virtual, "__glibc")
    reached = [minor for minor in _GLIBC if (2, minor) <= glibc]
    if not reached:
        raise ResolveError(
            f"PyPI packages cannot be resolved for {arch} with glibc {glibc[0]}.{glibc[1]}: uv knows 2.17 and newer",
            "ask for __glibc 2.17 or newer in sys_packages",
        )
    return f"{'aarch64' if arch == 'linux-aarch64' else 'x86_64'}-manylinux_2_{reached[-1]}"


def compile_arguments(request: PypiRequest) -> list[str]:
    """Return the arguments that every question to uv for *request* shares; requirements come by standard input."""
    return [
        *("pip", "compile", "-", "--no-header", "--no-build"),
        *("--python", sys.executable, "--python-version", request.python),
        *("--python-platform", uv_platform(request.arch, request.virtual)),
    ]


def check_links(request: PypiRequest) -> None:
    """Check that each direct link is a wheel that fits the target: InputError where it is none, ResolveError else."""
    tags = target_tags(request.python, request.arch, request.virtual)
    provided = _provided(request)
    for requirement in request.requirements:
        if not requirement.url:
            continue
        if requirement.name in provided:
            raise ResolveError(
                f"'{requirement.name}' is asked for by a direct link, and conda supplies {provided[requirement.name]}",
                "ask only one of the two for it",
            )
        filename = _filename(requirement.url)
        if not filename.endswith(".whl") or urlsplit(requirement.url).scheme not in ("http", "https", "file"):
            raise InputError(
                f"'{requirement.name} @ {redact(requirement.url)}' is no link to a wheel, and {_FROM_SOURCE}",
                "build it to a wheel and link to that (http, https or file), or name a version of an index",
            )
        if best_wheel([filename], tags) is None:
            raise misfit(requirement.name, filename, request)


def packages_of(lock: Mapping[str, Any], request: PypiRequest) -> tuple[PypiPackage, ...]:
    """Return the wheel of each package of a pylock (PEP 751): of several, the one that fits the target best.

    *index* is set to ``default`` where the file came from an index and is empty for a direct link. Raises
    ResolveError for a package without a fitting wheel, ToolError where the lock is not what uv writes.
    """
    tags = target_tags(request.python, request.arch, request.virtual)
    found = []
    for number, package in enumerate(_field(lock, "packages", list, "pylock", default=[])):
        where = f"pylock.packages[{number}]"
        name = canonicalize_name(_field(package, "name", str, where))
        entries = _entries(package, where)
        if not entries:
            raise ResolveError(f"'{name}' has no wheel, and {_FROM_SOURCE}", "ask for a version that has wheels")
        best = best_wheel(entries, tags)
        if best is None:
            raise misfit(name, ", ".join(sorted(entries)), request)
        place, entry = entries[best]
        hashes = _field(entry, "hashes", dict, place, default={})
        found.append(
            PypiPackage(
                name=name,
                version=_field(package, "version", str, where, default="") or best.split("-")[1],
                filename=best,
                url=_location(entry, place),
                sha256=_field(hashes, "sha256", str, f"{place}.hashes", default=""),
                size=_field(entry, "size", int, place, default=0),
                index="default" if "wheels" in package else "",
            )
        )
    return tuple(sorted(found, key=lambda one: one.name))


def annotated(text: str, indexes: Sequence[str]) -> dict[str, str]:
    """Read ``--emit-index-annotation``: the index of each name, ``default`` for one that is not in *indexes*."""
    clean = {strip_credentials(index).rstrip("/"): index for index in indexes}
    found: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        head = re.match(r"([A-Za-z0-9][\w.\-]*)==", line)
        source = re.match(r"\s+# from (\S+)", line)
        if head:
            name = str(canonicalize_name(head.group(1)))
        elif source and name:
            found[name] = clean.get(strip_credentials(source.group(1)).rstrip("/"), "default")
    return found


def _provided(request: PypiRequest) -> dict[str, str]:
    """Return name and PEP 440 version of what conda supplies; a version that cannot be read so is left out."""
    pairs = ((str(canonicalize_name(name)), distribution_version(text)) for name, text in request.provided)
    return {name: version for name, version in sorted(pairs) if version}


def _line(requirement: PypiRequirement, secrets: Mapping[str, str]) -> str:
    url = requirement.url
    if url and not has_credentials(url):
        requirement = replace(requirement, url=with_credentials(url, secrets))
    return str(requirement)


def _parsed(text: str) -> Mapping[str, Any]:
    try:
        found: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ToolError(f"uv's answer cannot be read: {error}", "check `uv --version`: 0.9 or newer") from error
    return found


def _entries(package: Mapping[str, Any], where: str) -> dict[str, tuple[str, Mapping[str, Any]]]:
    """Return place and table of each wheel of *package*, by file name."""
    found = {}
    for number, wheel in enumerate(_field(package, "wheels", list, where, default=[])):
        place = f"{where}.wheels[{number}]"
        found[_field(wheel, "name", str, place, default="") or _filename(_location(wheel, place))] = (place, wheel)
    archive = _field(package, "archive", dict, where, default={})
    if archive:
        filename = _filename(_location(archive, f"{where}.archive"))
        if filename.endswith(".whl"):
            found[filename] = (f"{where}.archive", archive)
    return found


def _location(entry: Mapping[str, Any], where: str) -> str:
    url = _field(entry, "url", str, where, default="")
    if url:
        return strip_credentials(url.partition("#")[0])
    return Path(_field(entry, "path", str, where)).resolve().as_uri()


def _filename(url: str) -> str:
    return unquote(urlsplit(url).path.rpartition("/")[2])


def _field(table: Any, key: str, kind: type, where: str, **default: Any) -> Any:
    if not isinstance(table, dict):
        raise ToolError(f"uv's answer: {where} is no table", "check `uv --version`: 0.9 or newer")
    if key not in table and "default" in default:
        return default["default"]
    value = table.get(key)
    if not isinstance(value, kind):
        raise ToolError(f"uv's answer: {where}.{key} is {value!r}, not {kind.__name__}", "check `uv --version`")
    return value


def distribution_version(text: str) -> str:
    """Return conda's version as PEP 440 writes it: as it is, else its leading numbers, else empty."""
    candidates = (text, text.replace("_", "."), (re.match(r"\d+(?:\.\d+)*", text) or [""])[0])
    for candidate in candidates:
        try:
            return str(Version(candidate))
        except InvalidVersion:
            continue
    return ""


def stub_wheel(folder: Path, name: str, version: str) -> Path:
    """Return the stand-in for *name* at *version* in *folder*, written aside and renamed where it is not there yet."""
    stem = f"{re.sub(r'[-_.]+', '_', name)}-{version}"
    path = folder.resolve() / f"{stem}-py3-none-any.whl"
    if path.exists():
        return path
    handle, aside = tempfile.mkstemp(dir=path.parent, prefix=".stub-")
    with os.fdopen(handle, "wb") as file:
        file.write(_content(stem, name, version))
    os.replace(aside, path)
    return path


def _content(stem: str, name: str, version: str) -> bytes:
    files = {
        "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        "WHEEL": "Wheel-Version: 1.0\nGenerator: metaflow-netflixext\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{stem}.dist-info/{file},,\n" for file in (*files, "RECORD"))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for file, text in {**files, "RECORD": record}.items():
            archive.writestr(zipfile.ZipInfo(f"{stem}.dist-info/{file}"), text)
    return buffer.getvalue()
