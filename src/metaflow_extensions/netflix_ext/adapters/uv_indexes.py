"""Which indexes uv asks for a request, in what order and with which credentials.

All of it is said by variables and files: URLs may hold credentials, and a command line is public.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from urllib.parse import unquote, urlsplit

from ..engine.credentials import with_credentials
from ..engine.errors import InputError
from ..engine.ports import PypiRequest
from ..engine.requirement import PypiRequirement

# What a user says by these is in the request, where it is to count.
_GIVEN = ("UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_INDEX_STRATEGY", "UV_TORCH_BACKEND")


def environment(request: PypiRequest, secrets: Mapping[str, str], default: Callable[[], str]) -> dict[str, str]:
    """Return the variables that give uv the indexes of *request*; *default* tells what ``default`` means here.

    An empty answer of *default* leaves that to uv.
    """
    found = dict.fromkeys(_GIVEN, "")
    for number, url in enumerate(own_indexes(request)):
        userinfo, at, _ = urlsplit(with_credentials(url, secrets)).netloc.rpartition("@")
        if at:
            user, _, password = userinfo.partition(":")
            found[f"UV_INDEX_METAFLOW_{number}_USERNAME"] = unquote(user)
            found[f"UV_INDEX_METAFLOW_{number}_PASSWORD"] = unquote(password)
    indexes = list(dict.fromkeys(request.indexes))
    if not indexes:
        return found
    urls = [default() if index == "default" else with_credentials(index, secrets) for index in indexes]
    return {**found, **in_order([url for url in urls[:-1] if url], urls[-1] or None)}


def in_order(urls: Sequence[str], default: str | None) -> dict[str, str]:
    """Return the variables that give uv *urls* in order of priority, and *default* after them (None: uv's own)."""
    found = {"UV_INDEX": " ".join(url.replace(" ", "%20") for url in urls), "UV_EXTRA_INDEX_URL": ""}
    if default is not None:
        found.update({"UV_DEFAULT_INDEX": default, "UV_INDEX_URL": ""})
    return found


def own_indexes(request: PypiRequest) -> list[str]:
    """Return the indexes that some package comes from alone."""
    return list(dict.fromkeys(url for _, url in request.options.package_indexes))


def apart(request: PypiRequest) -> tuple[list[PypiRequirement], list[PypiRequirement]]:
    """Return the requirements that any index may meet, and those that one of their own must."""
    own = dict(request.options.package_indexes).keys() - {name for name, _ in request.provided}
    alone = [item for item in request.requirements if item.name in own and not item.url]
    return [item for item in request.requirements if item not in alone], alone


def project(request: PypiRequest, requirements: Iterable[PypiRequirement]) -> str:
    """Return a pyproject.toml that asks for *requirements*, each from the index of its own (uv's explicit indexes)."""
    indexes, of = own_indexes(request), dict(request.options.package_indexes)
    asked = list(requirements)
    text = ["[project]", 'name = "metaflow-step"', 'version = "0"', f"dependencies = {json.dumps([*map(str, asked)])}"]
    for number, url in enumerate(indexes):
        text += ["[[tool.uv.index]]", f'name = "metaflow-{number}"', f"url = {json.dumps(url)}", "explicit = true"]
    names = sorted({item.name for item in asked})
    sources = [f'{json.dumps(name)} = {{ index = "metaflow-{indexes.index(of[name])}" }}' for name in names]
    return "\n".join([*text, "[tool.uv.sources]", *sources, ""])


def check_backend_known(text: str, request: PypiRequest) -> None:
    """Raise InputError where uv says in *text* that it knows no such builds of PyTorch."""
    if "for '--torch-backend" in text:
        known = text.partition("possible values: ")[2].partition("]")[0]
        raise InputError(
            f"torch_backend: uv knows no builds of PyTorch named '{request.options.torch_backend}'",
            f"it knows {known}; a newer uv may know more",
        )
