"""A task in a container gets its environment, before the step runs. Imports on Python 3.7 (step side).

Stage 0, here, is run by the container's own Python, with the standard library, Metaflow and the datastore's client:
it fetches the tools and the packages from the datastore, by their hashes. Stage 1 (`stage`) creates the prefix.

    .mf_conda/tools/          py-rattler, uv and what they need, unpacked
    .mf_conda/archives/       the packages
    .mf_conda/bytecode/       byte code that has come along
    .mf_conda/envs/           prefixes, where METAFLOW_CONDA_ENVS_ROOT names no other folder that can be written to;
                              in it .packages, unpacked, where CONDA_PKGS_DIRS names no other
    .mf_conda/activate        what the shell reads before it starts the step
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Iterable, Mapping, Sequence

from ..adapters.rattler_cache import is_unpacked
from ..engine import compiled
from ..engine.alias import fill
from ..engine.errors import PackageError, StoreError, unwritable
from ..engine.identity import EnvID, parse_env_id
from ..engine.layout import byte_code_key, package_keys
from ..engine.package import CondaPackage, PypiPackage
from ..engine.resolved import ResolvedEnvironment
from . import arrivals, compat, fetching, gate, home, nested
from .arrivals import Arrivals
from .flow import ENV_VARIABLE, PACKAGE_FILE
from .installer import Installer, complete
from .remote import ACTIVATE, CREATION_TOOLS, FOLDER
from .travelled import TravelledByteCode

if TYPE_CHECKING:
    from ..engine.compiled import Listing
    from ..engine.ports import Store

_WORKERS = 16


class Container:
    """The work of one task, in *folder*; *store* is the one that the flow's environments are shared in."""

    def __init__(self, store: Store, folder: str) -> None:
        self._store = store
        self._folder = folder
        self._begun = time.time()
        self._arrivals = Arrivals(store, os.path.join(folder, "archives"))
        self._tools = os.path.join(folder, "tools")
        self._packages = os.path.join(folder, "packages")
        self._unpacked: list[str] = []

    def say(self, text: str) -> None:
        """Tell the log what goes on, and when."""
        sys.stdout.write(f"[{time.time() - self._begun:5.1f} s] {text}\n")
        sys.stdout.flush()

    def chosen(self, name: str, arch: str, datastore: str) -> ResolvedEnvironment:
        """Return the environment that *name* means now, for this task; raise InputError where there is none."""
        from ..engine.catalog import Catalog
        from ..engine.lookup import Lookup
        from . import tasks

        text = fill(name, fetching.in_container(name, datastore))
        lookup = Lookup(Catalog(self._store), task_env_id=tasks.env_id, packaged=tasks.packaged)
        found = lookup.find(text, arch)
        self.say(f"'{text}' is the environment {':'.join(found.env_id[:2])}")
        return found

    def prefix(self, env_id: EnvID, environment: ResolvedEnvironment | None = None) -> dict[str, Any]:
        """Return the prefix of *env_id*, created if need be: its path, its interpreter, its activation variables.

        Without *environment* the code package has it.
        """
        root = _writable(compat.configured(("CONDA_ENVS_ROOT",))["CONDA_ENVS_ROOT"]) or os.path.join(
            self._folder, "envs"
        )
        self._packages = _shared_packages() or os.path.join(root, ".packages")
        path = os.path.join(root, env_id.prefix_name)
        variables = complete(path, env_id)
        if variables is None:
            document = _document()
            environment = environment or _environment(document, env_id)
            variables = self._create(environment, document, root)
        else:
            self.say(f"The environment is there already: {path}")
        return {"path": path, "python": os.path.join(path, "bin", "python"), "variables": variables}

    def lacking(self, arch: str) -> dict[str, Any]:
        """Return which tools are not here, and where they would be: see `nested.complete`."""
        tools = [tool for tool in _document().get("tools", {}).get(arch, []) if tool["name"] not in self._unpacked]
        return {"folder": self._tools, "tools": tools}

    def _create(self, environment: ResolvedEnvironment, document: Mapping[str, Any], root: str) -> dict[str, str]:
        """Return the activation variables of the prefix of *environment* below *root*, made now."""
        arch = environment.env_id.arch
        installer = document.get("installer", {}).get(arch)
        if installer is None:
            nested.check_python()
        # uv is large, and puts wheels in place at the end.
        tools = [tool for tool in document["tools"][arch] if tool["name"] in CREATION_TOOLS]
        last = [tool for tool in tools if tool["name"] == "uv" and environment.pypi]
        first = [tool for tool in tools if tool["name"] != "uv" and not installer]
        forms = document.get("formats", {})
        byte_code = TravelledByteCode(os.path.join(self._folder, "bytecode"))
        count = len(first) + len(last)
        self.say(f"Fetching {len(environment.packages)} packages, and {count} tools to install them ...")
        with ThreadPoolExecutor(max_workers=_WORKERS) as pool:
            # What links needs time to start: it has the network for itself first.
            linking = {tool["name"]: pool.submit(self._tool, tool) for tool in first}
            stage = self._stage(root, byte_code, linking) if not installer else None
            uv = [pool.submit(self._tool, tool) for tool in last]
            packages = [pool.submit(self._package, item, environment.stored, forms) for item in environment.packages]
            byte_codes = [
                pool.submit(self._byte_code, byte_code, environment.cache_tag, digest, sha256)
                for digest, sha256 in self._compiled(environment, document).items()
            ]
            if stage is None:
                stage = self._installer(installer, root, byte_code)
            _settle([*uv, *packages, *byte_codes])
        self.say(f"Fetched {self._arrivals.bytes / 1e6:.1f} MB")
        found: dict[str, str] = stage.create(_of(environment, [future.result() for future in packages]))
        self.say(f"Created the environment: {len(environment.packages)} packages")
        shutil.rmtree(os.path.join(self._folder, "archives"), ignore_errors=True)
        return found

    def _stage(self, root: str, byte_code: TravelledByteCode, tools: Mapping[str, Future[None]]) -> Any:
        """Return the `stage.Stage` that creates prefixes, once all of *tools* are there."""
        # py-rattler, the largest, runs in another process: this one loads all else while that is fetched.
        _settle([found for name, found in tools.items() if name != "py-rattler"])
        sys.path.append(self._tools)
        from .stage import Stage

        _settle(tools.values())
        return Stage(self._tools, root, self._packages, byte_code)

    def _installer(self, installer: Mapping[str, str], root: str, byte_code: TravelledByteCode) -> Installer:
        """Return what creates prefixes by the program that is configured to."""
        path = self._arrivals.fetch(installer["key"], installer["sha256"], "installer")
        if path is None:
            raise StoreError(
                f"the installer '{self._store.where(installer['key'])}' is not there any more", "put it there again"
            )
        os.chmod(path, 0o755)  # noqa: S103 - a program that is run
        uv = os.path.join(self._tools, "bin", "uv")
        return Installer(path, uv, root, os.path.join(self._folder, "scratch"), byte_code)

    def _compiled(self, environment: ResolvedEnvironment, document: Mapping[str, Any]) -> Listing:
        """Return the byte code that there is for *environment*: as the code package says, else as the store does."""
        listing = document.get("bytecode", {}).get(environment.env_id.full_id)
        try:
            return listing if listing is not None else compiled.known(environment, self._store) or {}
        except StoreError as error:
            self.say(f"Warning: {error.message}")
            return {}

    def _byte_code(self, byte_code: TravelledByteCode, tag: str, digest: str, sha256: str) -> None:
        """Fetch and unpack byte code of the package *digest*; without it, the task compiles what it imports."""
        try:
            path = self._arrivals.fetch(byte_code_key(tag, digest, f"{sha256}.zip"), sha256, "bytecode.zip")
            if path is not None:
                byte_code.unpack(path, digest.replace(":", "-"))
        except (PackageError, StoreError) as error:
            self.say(f"Warning: {error.message}")

    def _tool(self, tool: Mapping[str, str]) -> None:
        self._arrivals.unpack(tool, self._tools)
        self._unpacked.append(tool["name"])

    def _package(
        self, package: CondaPackage | PypiPackage, stored: Mapping[str, str], forms: Mapping[str, Mapping[str, str]]
    ) -> CondaPackage | PypiPackage:
        """Return *package* as a file of this machine; as it is where it is left to be fetched from its source.

        It is in the format that *forms* has for it.
        """
        if isinstance(package, CondaPackage) and is_unpacked(package, Path(self._packages)):
            return package
        form = forms.get(package.digest)
        if form is not None and isinstance(package, CondaPackage):
            path = self._arrivals.fetch(form["key"], form["sha256"], form["file"])
            if path is not None:
                return replace(package, url=_url(path), filename=form["file"], sha256=form["sha256"], md5="", size=0)
        keys = package_keys(package, stored)
        for key in keys:
            path = self._arrivals.fetch(key, package.digest, package.filename)
            if path is not None:
                local = replace(package, url=_url(path))
                return replace(local, index="") if isinstance(local, PypiPackage) else local
        place = self._store.where(keys[-1])
        if not package.fetchable:
            raise StoreError(f"'{place}' is not there any more", "restore it, or resolve the environment anew")
        self.say(f"Warning: '{place}' is not there any more; it is fetched from where it came from")
        return package


def _settle(futures: Iterable[Future[Any]]) -> None:
    for future in futures:
        future.result()


def _writable(folder: str | None) -> str | None:
    """Return *folder*, made if need be, where it can be written to, such as a mounted volume; else None.

    Metaflow puts its path into commands as it is: one with blanks is none.
    """
    if not folder or len(folder.split()) != 1:
        return None
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError:
        return None
    return os.path.abspath(folder) if os.access(folder, os.W_OK) else None


def _shared_packages() -> str | None:
    """Return the folder for unpacked packages that tasks share, in the first that ``CONDA_PKGS_DIRS`` names."""
    first = os.environ.get("CONDA_PKGS_DIRS", "").split(",")[0].strip()
    chosen = _writable(first)
    return os.path.join(chosen, ".metaflow") if chosen else None


def _url(path: str) -> str:
    return Path(path).absolute().as_uri()


def _of(environment: ResolvedEnvironment, packages: Sequence[CondaPackage | PypiPackage]) -> ResolvedEnvironment:
    """Return *environment* made of *packages*, which stand for its own."""
    return replace(
        environment,
        stored={},
        conda=tuple(item for item in packages if isinstance(item, CondaPackage)),
        pypi=tuple(item for item in packages if isinstance(item, PypiPackage)),
    )


def _document() -> dict[str, Any]:
    path = compat.package_member(PACKAGE_FILE)
    if path is None:
        raise StoreError(f"the code package has no {PACKAGE_FILE}", "deploy the flow again")
    with open(path, encoding="utf-8") as file:
        found = json.load(file)
    assert isinstance(found, dict)
    return found


def _environment(document: dict[str, Any], env_id: EnvID) -> ResolvedEnvironment:
    for item in document["environments"]:
        if item["id"] == list(env_id):
            return ResolvedEnvironment.from_dict(item, PACKAGE_FILE)
    raise StoreError("{} has no environment {}".format(PACKAGE_FILE, ":".join(env_id)), "deploy the flow again")


def activation(prefix: dict[str, Any], env_id: EnvID, tools: Mapping[str, Any]) -> str:
    """Return what a shell reads to activate *prefix*, each value quoted.

    *tools* are those that flows which the step launches need: see `nested.complete`.
    """
    variables = dict(home.activation(prefix))
    variables[ENV_VARIABLE] = json.dumps(list(env_id))
    root = os.environ.get("METAFLOW_EXTRACTED_ROOT", os.getcwd())
    variables["PYTHONPATH"] = os.path.join(root, ".mf_code")
    launcher = {"python": sys.executable, "PYTHONPATH": os.environ.get("PYTHONPATH", ""), "root": root, "tools": tools}
    variables[gate.LAUNCHER_VARIABLE] = json.dumps(launcher, sort_keys=True)
    lines = [f"export {name}={shlex.quote(value)}" for name, value in sorted(variables.items())]
    return "\n".join(lines) + "\nunset PYTHONHOME\n"


def main(arguments: list[str]) -> int:
    """Prepare the environment of one step, or tell why that cannot be; return the exit status.

    *arguments* are the step, the datastore, its root for environments, the platform, and ``id=...`` of an environment
    or ``name=...`` of one that is chosen now.
    """
    try:
        _prepare(*arguments)
    except OSError as error:
        sys.stderr.write(compat.told(unwritable("", error)) + "\n")
        return 1
    except Exception as error:
        sys.stderr.write(compat.told(error) + "\n")
        return 1
    return 0


def _prepare(step: str, datastore: str, root: str, arch: str, which: str) -> None:
    folder = os.path.join(os.getcwd(), FOLDER)
    container = Container(arrivals.store_at(datastore, root), folder)
    container.say(f"Preparing the environment of step {step}")
    kind, _, text = which.partition("=")
    chosen = container.chosen(text, arch, datastore) if kind == "name" else None
    env_id = chosen.env_id if chosen is not None else parse_env_id(text.split(":"))
    prefix = container.prefix(env_id, chosen)
    tools = {"datastore": datastore, "store": root, **container.lacking(arch)}
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, ACTIVATE), "w", encoding="utf-8") as file:
        file.write(activation(prefix, env_id, tools))
    container.say("Environment bootstrapped")
