"""A task in a container gets its environment, before the step runs. Imports on Python 3.7 (step side).

Stage 0, here, is run by the container's own Python, with the standard library, Metaflow and the datastore's client:
it fetches the tools and the packages from the datastore, by their hashes. Stage 1 (`stage`) creates the prefix.

    .mf_conda/tools/          py-rattler, uv and what they need, unpacked
    .mf_conda/archives/       packages that come as files
    .mf_conda/bytecode/       byte code that has come along
    .mf_conda/envs/           prefixes, and in .packages unpacked packages, where neither METAFLOW_CONDA_ENVS_ROOT nor
                              CONDA_PKGS_DIRS names a folder that can be written to
    .mf_conda/activate        what the shell reads before it starts the step
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Mapping

from ...engine import compiled
from ...engine.alias import fill
from ...engine.errors import PackageError, StoreError, unwritable
from ...engine.identity import EnvID, parse_env_id
from ...engine.resolved import ResolvedEnvironment
from .. import choice, compat, home, launcher
from ..flow import ENV_VARIABLE, PACKAGE_FILE
from . import arrivals, nested
from .arrivals import Arrivals
from .delivery import Additions, Delivery, promised, settled
from .installer import Installer, complete
from .remote import ACTIVATE, CREATION_TOOLS, FOLDER
from .travelled import TravelledByteCode

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

    from ...engine.compiled import Listing
    from ...engine.ports import Store

_WORKERS = 16


class Container:
    """The work of one task, in *folder*.

    Args:
        store: the one that the flow's environments are shared in.
        folder: where to work.
        document: what the code package tells of environments and tools (see `provisions`).
    """

    def __init__(self, store: Store, folder: str, document: Mapping[str, Any]) -> None:
        self._store = store
        self._folder = folder
        self._document = document
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
        from ...engine.catalog import Catalog
        from ...engine.lookup import Lookup
        from .. import tasks

        text = fill(name, choice.variables_in_container(name, datastore))
        lookup = Lookup(Catalog(self._store), task_env_id=tasks.env_id, packaged=tasks.packaged)
        found = lookup.find(text, arch)
        self.say(f"'{text}' is the environment {':'.join(found.env_id[:2])}")
        return found

    def prefix(self, env_id: EnvID, environment: ResolvedEnvironment | None = None) -> dict[str, Any]:
        """Return the prefix of *env_id*, created if need be: its path, its interpreter, its activation variables.

        Without *environment* the code package has it.
        """
        shared = _beside_packages()
        configured = compat.configured(("CONDA_ENVS_ROOT",))["CONDA_ENVS_ROOT"]
        root = _writable(configured) or shared or os.path.join(self._folder, "envs")
        self._packages = os.path.join(shared or root, ".packages")
        path = os.path.join(root, env_id.prefix_name)
        variables = complete(path, env_id)
        if variables is None:
            variables = self._create(environment or _environment(self._document, env_id), root)
        else:
            self.say(f"The environment is there already: {path}")
        return {"path": path, "python": os.path.join(path, "bin", "python"), "variables": variables}

    def lacking(self, arch: str) -> dict[str, Any]:
        """Return which tools are not here, and where they would be: see `nested.complete`."""
        known = self._document.get("tools", {}).get(arch, [])
        tools = [tool for tool in known if tool["name"] not in self._unpacked]
        return {"folder": self._tools, "tools": tools}

    def _create(self, environment: ResolvedEnvironment, root: str) -> dict[str, str]:
        """Return the activation variables of the prefix of *environment* below *root*, made now."""
        arch = environment.env_id.arch
        installer = self._document.get("installer", {}).get(arch) if environment.interpreter is None else None
        if installer is None:
            nested.check_python()
        # uv is large, and puts wheels in place at the end.
        unneeded = {"py-rattler"} if environment.interpreter is not None else set()
        tools = [tool for tool in self._document["tools"][arch] if tool["name"] in {*CREATION_TOOLS} - unneeded]
        last = [tool for tool in tools if tool["name"] == "uv" and environment.pypi]
        first = [tool for tool in tools if tool["name"] != "uv" and not installer]
        delivery = Delivery(
            self._store,
            self._arrivals,
            stored=environment.stored,
            forms=self._document.get("formats", {}),
            # An installer unpacks for itself.
            cache=None if installer else self._packages,
            say=self.say,
        )
        byte_code = TravelledByteCode(os.path.join(self._folder, "bytecode"))
        count = len(environment.packages)
        here = sum(1 for package in environment.conda if delivery.unpacked(package) is not None)
        self.say(_fetching(count, here, len(first) + len(last)))
        with ThreadPoolExecutor(max_workers=_WORKERS) as pool:
            # What links needs time to start: it has the network for itself first.
            linking = {tool["name"]: pool.submit(self._tool, tool) for tool in first}
            make = self._installer(installer, root) if installer else self._stage(root, linking, delivery.headers)
            python = pool.submit(delivery.python, environment.interpreter)
            uv = [pool.submit(self._tool, tool) for tool in last]
            wheels = [pool.submit(delivery.wheel, package) for package in environment.pypi]
            listing = self._compiled(environment)
            codes = delivery.byte_code(listing, environment.cache_tag, byte_code, pool)
            additions = Additions(uv, wheels, codes, byte_code)
            environment = replace(environment, pypi=promised(environment.pypi), interpreter=python.result())
            found: dict[str, str] = self._linked(make, environment, delivery, additions, pool)
        self.say(f"Created the environment: {count} packages")
        shutil.rmtree(os.path.join(self._folder, "archives"), ignore_errors=True)
        return found

    def _linked(
        self, make: Any, environment: ResolvedEnvironment, delivery: Delivery, additions: Additions, pool: Executor
    ) -> dict[str, str]:
        """Let *make* create the prefix: from the store as it is read where that can be, else from files."""
        signed = delivery.signed(environment.conda) if make.reads else None
        if signed is not None:
            self.say("Linking packages as they come ...")
            try:
                return dict(make.create(replace(environment, stored={}, conda=signed), additions))
            except PackageError as error:
                # The client of the store tells better what is wrong, and tries longer.
                if additions.asked:
                    raise
                self.say(f"Packages are fetched first: {error.message}")
        conda = tuple(settled([pool.submit(delivery.conda, package) for package in environment.conda]))
        additions.settle()
        self.say(f"Fetched {self._arrivals.bytes / 1e6:.1f} MB")
        return dict(make.create(replace(environment, stored={}, conda=conda), additions))

    def _stage(self, root: str, tools: Mapping[str, Future[None]], headers: Mapping[str, Mapping[str, str]]) -> Any:
        """Return the `stage.Stage` that creates prefixes, once all of *tools* are there; *headers* open URLs."""
        # py-rattler, the largest, runs in another process; both load all else while it is fetched.
        from ...adapters.worker import Worker

        worker = Worker(folders=[Path(self._tools)], held=True)
        if "py-rattler" in tools:
            worker.begin()
        settled([found for name, found in tools.items() if name != "py-rattler"])
        sys.path.append(self._tools)
        from .stage import Stage

        settled(tools.values())
        worker.release()
        return Stage(worker, self._tools, root, self._packages, headers, self.say)

    def _installer(self, installer: Mapping[str, str], root: str) -> Installer:
        """Return what creates prefixes by the program that is configured to."""
        path = self._arrivals.fetch(installer["key"], installer["sha256"], "installer")
        if path is None:
            raise StoreError(
                f"the installer '{self._store.where(installer['key'])}' is not there any more", "put it there again"
            )
        os.chmod(path, 0o755)  # noqa: S103 - a program that is run
        uv = os.path.join(self._tools, "bin", "uv")
        return Installer(path, uv, root, os.path.join(self._folder, "scratch"))

    def _compiled(self, environment: ResolvedEnvironment) -> Listing:
        """Return the byte code that there is for *environment*: as the code package says, else as the store does."""
        listing = self._document.get("bytecode", {}).get(environment.env_id.full_id)
        try:
            return listing if listing is not None else compiled.known(environment, self._store) or {}
        except StoreError as error:
            self.say(f"Warning: {error.message}")
            return {}

    def _tool(self, tool: Mapping[str, str]) -> None:
        self._arrivals.unpack(tool, self._tools)
        self._unpacked.append(tool["name"])


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


def _beside_packages() -> str | None:
    """Return the folder for what tasks share, in the first that ``CONDA_PKGS_DIRS`` names: there files are linked."""
    first = os.environ.get("CONDA_PKGS_DIRS", "").split(",")[0].strip()
    chosen = _writable(first)
    return os.path.join(chosen, ".metaflow") if chosen else None


def _fetching(count: int, here: int, tools: int) -> str:
    """Return what is said of *tools*, and of *count* packages, when all but those that are *here* are fetched."""
    several = f"{tools} tool{'' if tools == 1 else 's'}"
    if here == count:
        return f"Fetching {several}; all {count} packages are here, unpacked ..."
    packages = f"{count - here} of {count} packages" if here else f"{count} packages"
    return f"Fetching {packages}, and {several} to install them ..."


def _document() -> dict[str, Any]:
    path = compat.package_member(PACKAGE_FILE)
    if path is None:
        raise StoreError(f"the code package has no {PACKAGE_FILE}", "deploy the flow again")
    with open(path, encoding="utf-8") as file:
        found = json.load(file)
    assert isinstance(found, dict)
    return found


def _environment(document: Mapping[str, Any], env_id: EnvID) -> ResolvedEnvironment:
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
    here = {"python": sys.executable, "PYTHONPATH": os.environ.get("PYTHONPATH", ""), "root": root, "tools": tools}
    variables[launcher.VARIABLE] = json.dumps(here, sort_keys=True)
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
    container = Container(arrivals.store_at(datastore, root), folder, _document())
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
