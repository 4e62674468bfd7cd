"""An environment opened by hand: under a name, beside the code of a task, as a kernel of a notebook."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ...engine.ask import Ask
from ...engine.errors import InputError, ResolveError
from ...engine.extend import extend
from ...engine.ports import Prefix
from ...engine.requirement import CondaRequirement, PypiRequirement
from ...engine.resolved import ResolvedEnvironment
from ...engine.spec import CONDA_ONLY, EnvSpec
from .. import home
from ..steps import surroundings, with_indexes
from ..wiring import pypi_names
from ..workbench import Workbench, check_whole
from .unpacking import PACKAGED, PYTHON

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*")
_KERNEL = "ipykernel"


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What was made: the environment, its prefix, the folder with code beside it, and the name of the kernel.

    ``packaged`` tells that the code is as a code package holds it: Metaflow lies in a folder of its own.
    """

    environment: ResolvedEnvironment
    prefix: Prefix
    folder: Path | None = None
    packaged: bool = False
    kernel: str = ""

    @property
    def code(self) -> dict[str, str]:
        """The variables by which its Python finds the code."""
        if self.folder is None:
            return {}
        if not self.packaged:
            return {"PYTHONPATH": str(self.folder)}
        return {"PYTHONPATH": f"{self.folder / PACKAGED}:{self.folder}", "METAFLOW_EXTRACTED_ROOT": str(self.folder)}


def check_name(name: str) -> None:
    """Raise InputError where *name* cannot be the name of a prefix."""
    if not _NAME.fullmatch(name) or name.startswith("metaflow_") or ".partial-" in name or len(name) > 200:
        raise InputError(
            f"'{name}' cannot be the name of an environment on this machine",
            "use letters, digits, '_', '.' and '-'; names that begin with metaflow_ are taken by runs",
        )


def with_kernel(environment: ResolvedEnvironment, bench: Workbench) -> ResolvedEnvironment:
    """Return *environment* with ipykernel added and none of its packages changed; what is new is kept.

    From channels where all of it is, from PyPI where none of its channels has ipykernel.
    """
    names = {package.name for package in environment.conda} | {wheel.name for wheel in environment.pypi}
    if _KERNEL in names:
        return environment
    pypi = Ask(pypi=(PypiRequirement(_KERNEL),))
    if EnvSpec.from_dict(environment.spec, ":".join(environment.env_id[:2])).kind != CONDA_ONLY:
        return _extended(environment, pypi, bench)
    try:
        return _extended(environment, Ask(conda=(CondaRequirement(_KERNEL),)), bench)
    except ResolveError:
        return _extended(environment, pypi, bench)


def _extended(environment: ResolvedEnvironment, ask: Ask, bench: Workbench) -> ResolvedEnvironment:
    around = surroundings(bench.settings, needs={})
    request = extend(environment, ask, with_indexes(around, bench), pypi_names())
    if request is None:
        return environment
    obtained = bench.obtain({request: "the environment with a notebook kernel"}, {})
    bench.keep(obtained)
    return obtained[request].environment


def create(
    environment: ResolvedEnvironment, bench: Workbench, *, title: str, name: str = "", replace: bool = False
) -> Prefix:
    """Return the prefix of *environment*, whole, created if need be; byte code for it is made in the background.

    Raises CreateError, PackageError.
    """
    prefix = bench.create(environment, title=title, name=name, replace=replace)
    check_whole(prefix)
    bench.wiring.byte_code.begin(prefix.path, environment.packages, environment.env_id)
    return prefix


def kernel_name(text: str) -> str:
    """Return *text* so that a Jupyter kernel can be called so."""
    return re.sub(r"[^a-z0-9_.\-]", "_", text.lower())


def register(opened: Opened, name: str, title: str, bench: Workbench, *, force: bool) -> str:
    """Register the prefix as a Jupyter kernel and return its name; raise CreateError where that fails."""
    kernel = kernel_name(f"mf_{name}")
    # The PYTHONPATH that Jupyter itself was started with is for another Python.
    variables = {**activation(opened.prefix), "PYTHONPATH": "", **opened.code}
    bench.wiring.kernels.register(opened.prefix.python, kernel, f"Metaflow {title}", variables, force=force)
    return kernel


def activation(prefix: Prefix) -> dict[str, str]:
    """Return what to set so that *prefix* is used: as for a task, without what only a task needs."""
    facts = {"path": str(prefix.path), "python": str(prefix.python), "variables": dict(prefix.variables)}
    found = home.activation(facts)
    kept = ("CONDA_PREFIX", "CONDA_DEFAULT_ENV", "PATH", "PYTHONNOUSERSITE", *prefix.variables)
    return {name: value for name, value in found.items() if name in kept}


def instructions(opened: Opened) -> list[str]:
    """Return how to use what was made, a line each."""
    path = f'export PATH="{opened.prefix.path / "bin"}:$PATH" CONDA_PREFIX="{opened.prefix.path}"'
    found = [f"to use it in this shell: {path}"]
    if opened.folder is not None:
        code = " ".join(f'{name}="{value}"' for name, value in opened.code.items())
        found.append(f'to run the code: {code} "{opened.folder / PYTHON}" ...')
    if opened.kernel:
        found.append(f"to use it in a notebook, choose the kernel {opened.kernel}")
    return found
