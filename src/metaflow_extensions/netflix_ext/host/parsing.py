"""Files of requirements as arguments of decorators: what Metaflow's ``Config`` reads them for."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..engine.asked_file import AskedFile, FileContext
from ..engine.environment_yml import parse_environment
from ..engine.errors import InputError
from ..engine.platform import arch_of
from ..engine.pyproject_toml import Wanted, parse_pyproject
from ..engine.requirement import CondaRequirement, PypiRequirement
from ..engine.requirements_txt import parse_requirements
from ..engine.secret import has_credentials

_INSTEAD = "resolve it as a named environment: metaflow environment resolve {} FILE --alias NAME, and use @named_env"


_WORDS = {"hashed": "hashes", "pre": "pre-releases"}


def requirements(text: str) -> dict[str, Any]:
    """Return the arguments of ``@pypi`` that a requirements.txt gives; raise InputError for what they cannot say."""
    return _pypi(parse_requirements(text, file="requirements.txt", context=_context()), "requirements.txt", "-r")


def project(text: str) -> dict[str, Any]:
    """Return the arguments of ``@pypi`` that a pyproject.toml gives; raise InputError for what they cannot say."""
    found = parse_pyproject(text, file="pyproject.toml", wanted=Wanted(), context=_context())
    return _pypi(found, "pyproject.toml", "-p")


def environment(text: str) -> dict[str, Any]:
    """Return the arguments of ``@conda`` that an environment.yml gives; raise InputError for what they cannot say."""
    arch = arch_of(platform.system(), platform.machine())
    found = parse_environment(text, file="environment.yml", arch=arch, context=_context())
    ask = found.ask
    _check(replace(found, platforms=()), "environment.yml", "-f")
    more = {
        "channels": list(ask.channels),
        "pip_packages": _wheels(ask.pypi, "environment.yml", "-f"),
        "pip_sources": list(ask.indexes),
    }
    given = {"packages": _conda(ask.conda, "environment.yml", "-f"), "python": ask.python}
    return {**given, **{name: value for name, value in more.items() if value}}


def _context() -> FileContext:
    return FileContext(read=lambda name: Path(name).read_bytes(), folder=os.getcwd(), variables=os.environ)


def _pypi(found: AskedFile, file: str, option: str) -> dict[str, Any]:
    ask = found.ask
    _check(found, file, option, ("package_indexes", "torch_backend"))
    if ask.channels:
        raise _unsaid("--conda-channel", file, option)
    more = {
        "extra_indices": list(ask.indexes),
        "package_indices": dict(ask.options.package_indexes),
        "torch_backend": ask.options.torch_backend,
        "conda_only": _conda(ask.conda_only, file, option),
    }
    given = {"packages": _wheels(ask.pypi, file, option), "python": ask.python}
    return {**given, **{name: value for name, value in more.items() if value}}


def _check(found: AskedFile, file: str, option: str, sayable: Sequence[str] = ()) -> None:
    """Raise InputError for what a decorator cannot say, or may not: what `Config` reads is kept with the run."""
    ask = found.ask
    said = {
        "a default index": found.index,
        "nodefaults": found.no_default_channels,
        "system packages": ask.virtual,
        **{
            _WORDS.get(name, name.replace("_", "-")): value
            for name, value in ask.options.to_dict().items()
            if name not in sayable
        },
    }
    if any(map(has_credentials, found.urls)):
        raise InputError(
            f"{file}: a URL in it has credentials, and Metaflow would store them with the code of each run",
            "write the URL without them, and give them where the flow is launched, in METAFLOW_CONDA_CHANNELS or "
            f"METAFLOW_CONDA_DEFAULT_PYPI_SOURCE; or {_INSTEAD.format(option)}",
        )
    for name, value in said.items():
        if value:
            raise _unsaid(name, file, option)


def _unsaid(what: str, file: str, option: str) -> InputError:
    return InputError(f"{file}: {what} cannot be said by a decorator", _INSTEAD.format(option))


def _wheels(asked: Iterable[PypiRequirement], file: str, option: str) -> dict[str, str]:
    """Return requirements by name, with extras, as a decorator has them."""
    found: dict[str, str] = {}
    for item in asked:
        name = f"{item.name}[{','.join(item.extras)}]" if item.extras else item.name
        version = f"@ {item.url}" if item.url else item.specifier
        text = f"{version} ; {item.marker}".strip() if item.marker else version
        there = found.get(name)
        if there is not None and (item.url or item.marker or ";" in there or there.startswith("@")):
            raise _unsaid(f"'{item.name}', twice", file, option)
        found[name] = ",".join(filter(None, (there, text))) if there is not None else text
    return found


def _conda(asked: Iterable[CondaRequirement], file: str, option: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for item in asked:
        name = f"{item.channel}::{item.name}" if item.channel else item.name
        text = f"{item.constraint or '*'} {item.build}" if item.build else item.constraint
        there = found.get(name)
        if there is not None and re.search(r"[| ]", f"{there}{text}"):
            raise _unsaid(f"'{name}', twice", file, option)
        found[name] = ",".join(filter(None, (there, text)))
    return found
