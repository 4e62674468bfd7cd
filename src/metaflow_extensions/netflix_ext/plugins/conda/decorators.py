"""The decorators that users write. They hold words; `engine.ask` reads and merges them."""

from __future__ import annotations

import re
from typing import Any

from metaflow.decorators import Decorator, FlowDecorator, StepDecorator

from ...host import compat

_PYTHON = re.compile(r"(?:^|,)\s*python=([^,]*(?:,(?=\s*[<>=!~])[^,]*)*)")
_NAME = re.compile(r"(?:^|,)\s*name=([^,]*)")


class _Words(Decorator):
    """What all of them share: several on one step or flow add up, and none needs more than our environment."""

    allow_multiple = True

    @classmethod
    def extract_args_kwargs_from_decorator_spec(cls, deco_spec: Any) -> tuple[list[Any], dict[str, Any]]:
        """Read a ``--with`` spec; some words stay text: as a number 3.10 would be 3.1, and an id may be all digits."""
        args, kwargs = super().extract_args_kwargs_from_decorator_spec(deco_spec)
        for word, pattern in (("python", _PYTHON), ("name", _NAME)):
            found = pattern.search(deco_spec) if word in kwargs else None
            if found:
                kwargs[word] = found.group(1).strip()
        return args, kwargs

    def is_attribute_user_defined(self, name: Any) -> bool:
        """Tell whether the user has set the attribute *name* (Metaflow's own decorators have this method)."""
        return bool(name in self._user_defined_attributes)


class _StepWords(_Words, StepDecorator):
    def step_init(
        self, flow: Any, graph: Any, step_name: Any, decorators: Any, environment: Any, flow_datastore: Any, logger: Any
    ) -> None:
        """Refuse to execute without our environment; commands that only read go on."""
        compat.require_environment(self.name, environment)


class _FlowWords(_Words, FlowDecorator):
    def flow_init(
        self,
        flow: Any,
        graph: Any,
        environment: Any,
        flow_datastore: Any,
        metadata: Any,
        logger: Any,
        echo: Any,
        options: Any,
    ) -> None:
        """Refuse to execute without our environment; commands that only read go on."""
        compat.require_environment(self.name, environment)


_PYTHON_WORDS = """
    python : str, optional, default None
        Version of Python, such as '3.11', '3.11.7' or '>=3.10,<3.12'. None: the launcher's minor version."""
_DISABLED = """
    disabled : bool, optional, default None
        If set to True, the step runs in the launcher's Python; on a flow, all steps that do not say otherwise."""

_NAMED: dict[str, Any] = {"name": None, "pathspec": None, "fetch_at_exec": None}
_DEPRECATED_NAMED = """
    name : str, optional, default None
        Deprecated: use the name of `@named_env`.
    pathspec : str, optional, default None
        Deprecated: use the pathspec of `@named_env`.
    fetch_at_exec : bool, optional, default None
        Deprecated: use the fetch_at_exec of `@named_env`."""

_CONDA: dict[str, Any] = {
    "packages": {},
    "libraries": {},
    "channels": [],
    "python": None,
    "disabled": None,
    "pip_packages": {},
    "pip_sources": [],
    **_NAMED,
}
_CONDA_WORDS = f"""

    Parameters
    ----------
    packages : Dict[str, str], default {{}}
        Packages by name, or `channel::name`: the version, constraints such as `>=1.2,<2`, or an empty string for any.
    libraries : Dict[str, str], default {{}}
        The same by its older name. When used with packages, packages take precedence.
    channels : List[str], default []
        Channels (names, URLs or folders) that come before the configured ones, in order of priority.{_PYTHON_WORDS}{_DISABLED}
    pip_packages : Dict[str, str], default {{}}
        Deprecated: use the packages of `@pypi`.
    pip_sources : List[str], default []
        Deprecated: use the extra_indices of `@pypi`.{_DEPRECATED_NAMED}
    """

_PYPI: dict[str, Any] = {
    "packages": {},
    "extra_indices": [],
    "package_indices": {},
    "torch_backend": None,
    "conda_only": {},
    "python": None,
    "disabled": None,
    "sources": [],
    **_NAMED,
}
_PYPI_WORDS = f"""

    Parameters
    ----------
    packages : Dict[str, str], default {{}}
        Packages by name, with extras (`name[extra]`) or a link (`name @ https://...`): the version, PEP 440
        constraints, or an empty string for any.
    extra_indices : List[str], default []
        Indexes that come before the default one, in order of priority.
    package_indices : Dict[str, str], default {{}}
        The one index that each of these packages comes from: a URL, or a name that uv's settings know.
    torch_backend : str, optional, default None
        Builds of PyTorch: 'cpu', a CUDA such as 'cu128', 'rocm6.4', or 'auto' for what the target's `__cuda` can run.
    conda_only : Dict[str, str], default {{}}
        Conda packages that need no Python, such as programs; all Python packages still come from PyPI.{_PYTHON_WORDS}{_DISABLED}
    sources : List[str], default []
        Deprecated: use extra_indices.{_DEPRECATED_NAMED}
    """

_NAMED_ENV: dict[str, Any] = {**_NAMED, "disabled": None}
_NAMED_ENV_WORDS = f"""

    Parameters
    ----------
    name : str, optional, default None
        Its alias (`team/project:v1`; without a tag, `latest`), its ids (`req_id:full_id`), or the beginning of an id.
        `@{{VARIABLE}}` stands for a variable of the process that launches the flow, or for METAFLOW_STEP_NAME.
    pathspec : str, optional, default None
        Instead of a name, a step or a task that ran in it: `Flow/Run/Step` or `Flow/Run/Step/Task`.
    fetch_at_exec : bool, optional, default None
        If set to True, it is looked up when the task starts. No other decorator may then ask for packages, and
        variables are those of the task: METAFLOW_RUN_ID, METAFLOW_STEP_NAME, METAFLOW_TASK_ID, METAFLOW_INIT_ and the name of a
        parameter in capitals; else those of the process.{_DISABLED}
    """

_SYS: dict[str, Any] = {"packages": {}, "disabled": None}
_SYS_WORDS = f"""

    Parameters
    ----------
    packages : Dict[str, str], default {{}}
        Exact versions by name, such as `{{"__glibc": "2.31", "__cuda": "12.4"}}`.{_DISABLED}
    """


class CondaDecorator(_StepWords):
    __doc__ = f"""
    Specifies the conda packages of the step; several add up, and override the flow's, package by package.{_CONDA_WORDS}"""
    name = "conda"
    defaults = _CONDA


class CondaBaseDecorator(_FlowWords):
    __doc__ = f"""
    Specifies the conda packages of all steps of the flow.{_CONDA_WORDS}"""
    name = "conda_base"
    defaults = _CONDA


class PypiDecorator(_StepWords):
    __doc__ = f"""
    Specifies the PyPI packages of the step; several add up, and override the flow's, package by package.{_PYPI_WORDS}"""
    name = "pypi"
    defaults = _PYPI


class PypiBaseDecorator(_FlowWords):
    __doc__ = f"""
    Specifies the PyPI packages of all steps of the flow.{_PYPI_WORDS}"""
    name = "pypi_base"
    defaults = _PYPI


class PipDecorator(_StepWords):
    __doc__ = f"""
    Deprecated: the earlier spelling of `@pypi`.{_PYPI_WORDS}"""
    name = "pip"
    defaults = _PYPI


class PipBaseDecorator(_FlowWords):
    __doc__ = f"""
    Deprecated: the earlier spelling of `@pypi_base`.{_PYPI_WORDS}"""
    name = "pip_base"
    defaults = _PYPI


class NamedEnvDecorator(_StepWords):
    __doc__ = f"""
    Specifies an environment by its name. What `@conda` and `@pypi` ask for extends it: its packages stay as they are.{_NAMED_ENV_WORDS}"""
    name = "named_env"
    defaults = _NAMED_ENV


class NamedEnvBaseDecorator(_FlowWords):
    __doc__ = f"""
    Specifies the environment of all steps of the flow by its name; a step may name another.{_NAMED_ENV_WORDS}"""
    name = "named_env_base"
    defaults = _NAMED_ENV


class SysPackagesDecorator(_StepWords):
    __doc__ = f"""
    Specifies what the machine of the step offers, for resolving: conda's virtual packages.{_SYS_WORDS}"""
    name = "sys_packages"
    defaults = _SYS


class SysPackagesBaseDecorator(_FlowWords):
    __doc__ = f"""
    Specifies what the machines of all steps offer, for resolving: conda's virtual packages.{_SYS_WORDS}"""
    name = "sys_packages_base"
    defaults = _SYS
