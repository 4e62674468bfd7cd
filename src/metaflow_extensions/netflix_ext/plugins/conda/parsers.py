"""Parsers for Metaflow's ``Config``: a file's text to the arguments of a decorator.

    needs = Config("needs", default="requirements.txt", parser=req_parser)
    @pypi_base(**needs)

Metaflow calls them where the flow is launched; tasks get what came out.
"""

from __future__ import annotations

from typing import Any

from ...host import compat


def req_parser(content: str) -> dict[str, Any]:
    """
    Read a requirements.txt: the arguments of `@pypi` and `@pypi_base`.

    Parameters
    ----------
    content : str
        The text of the file.

    Returns
    -------
    Dict[str, Any]
        `packages` and `python` (None where the file does not say), and where there are any `extra_indices`,
        `conda_only`.
    """
    from ...host import parsing

    with compat.user_errors():
        return parsing.requirements(content)


def yml_parser(content: str) -> dict[str, Any]:
    """
    Read an environment.yml: the arguments of `@conda` and `@conda_base`.

    Parameters
    ----------
    content : str
        The text of the file.

    Returns
    -------
    Dict[str, Any]
        `packages` and `python` (None where the file does not say), and where there are any `channels`, `pip_packages`,
        `pip_sources`.
    """
    from ...host import parsing

    with compat.user_errors():
        return parsing.environment(content)


def toml_parser(content: str) -> dict[str, Any]:
    """
    Read a pyproject.toml: the arguments of `@pypi` and `@pypi_base`.

    Parameters
    ----------
    content : str
        The text of the file.

    Returns
    -------
    Dict[str, Any]
        `packages` and `python` (None where the file does not say), and where there are any `extra_indices`.
    """
    from ...host import parsing

    with compat.user_errors():
        return parsing.project(content)


requirements_txt_parser = req_parser
conda_environment_yml_parser = yml_parser
pyproject_toml_parser = toml_parser
