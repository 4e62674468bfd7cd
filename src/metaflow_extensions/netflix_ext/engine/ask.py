"""What decorators say, and how several of them become one: the merging rules.

Decorators of one level (all of the flow, or all of a step) *combine*: their packages and sources add up, and a scalar
said twice must be the same. A step's level then *overrides* the flow's: its scalars and its packages replace those of
the same name, the others stay, and its sources come first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from .errors import ExtensionError, InputError
from .options import PypiOptions
from .platform import VirtualPackage
from .requirement import CondaRequirement, PypiRequirement, python_constraint
from .secret import is_url
from .torch import check_backend

T = TypeVar("T")
_Named = TypeVar("_Named", CondaRequirement, PypiRequirement, VirtualPackage)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """The words of one decorator, of one level, of a whole step, or of a file; sources are as the user wrote them.

    ``name`` or ``pathspec`` says which environment to take, or to extend by all that is asked for beside it;
    ``fetch_at_exec`` lets that be chosen when the task starts.
    """

    conda: tuple[CondaRequirement, ...] = ()
    pypi: tuple[PypiRequirement, ...] = ()
    virtual: tuple[VirtualPackage, ...] = ()
    channels: tuple[str, ...] = ()
    indexes: tuple[str, ...] = ()
    conda_only: tuple[CondaRequirement, ...] = ()
    options: PypiOptions = field(default_factory=PypiOptions)
    python: str | None = None
    disabled: bool | None = None
    name: str | None = None
    pathspec: str | None = None
    fetch_at_exec: bool | None = None

    @property
    def urls(self) -> tuple[str, ...]:
        """Every source it names, in requirements too, as the user wrote it: with credentials."""
        own = [requirement.channel for requirement in (*self.conda, *self.conda_only)]
        own += [requirement.url for requirement in (*self.pypi, *self.options.constraints)]
        own += [index for _, index in self.options.package_indexes if is_url(index)]
        return (*self.channels, *self.indexes, *self.options.find_links, *filter(None, own))

    @property
    def requirements(self) -> tuple[str, ...]:
        """What it asks for beside a name, a word each, for messages."""
        asked = (*self.conda, *self.conda_only, *self.pypi, *self.virtual, *self.channels, *self.indexes)
        python = [f"python {self.python}"] if self.python is not None else []
        return (*python, *map(str, asked), *(f"{name}={value}" for name, value in self.options.to_dict().items()))


def ask_of(name: str, attributes: Mapping[str, Any]) -> Ask:
    """Read the attributes of the decorator *name* (``conda``, ``pypi_base``, ...); raise InputError with its name.

    A decorator that does not say ``disabled`` enables: that is how a step opts back in.
    """
    try:
        return _READERS[name.removesuffix("_base")](attributes)
    except ExtensionError as error:
        raise InputError(f"@{name}: {error.message}", error.hint) from None


def _conda(attributes: Mapping[str, Any]) -> Ask:
    packages = {**_pairs(attributes, "libraries"), **_pairs(attributes, "packages")}
    as_package = packages.pop("python", None)
    pip_packages = _pairs(attributes, "pip_packages")
    return Ask(
        conda=tuple(CondaRequirement.from_pair(name, version) for name, version in packages.items()),
        pypi=tuple(PypiRequirement.from_pair(name, version) for name, version in pip_packages.items()),
        channels=_texts(attributes, "channels"),
        indexes=_urls(attributes, "pip_sources"),
        python=_same("python", _python(attributes), _python({"python": as_package})),
        disabled=_flag(attributes),
        **_base(attributes),
    )


def _pypi(attributes: Mapping[str, Any]) -> Ask:
    packages = _pairs(attributes, "packages")
    return Ask(
        pypi=tuple(PypiRequirement.from_pair(name, version) for name, version in packages.items()),
        indexes=_urls(attributes, "extra_indices") + _urls(attributes, "sources"),
        conda_only=tuple(CondaRequirement.from_pair(*pair) for pair in _pairs(attributes, "conda_only").items()),
        options=PypiOptions(package_indexes=_package_indexes(attributes), torch_backend=_backend(attributes)),
        python=_python(attributes),
        disabled=_flag(attributes),
        **_base(attributes),
    )


def _named(attributes: Mapping[str, Any]) -> Ask:
    found = _base(attributes)
    if not any(found.values()) and not attributes.get("disabled"):
        raise InputError("neither name nor pathspec is given", "write name='team/project', or pathspec='Flow/Run/Step'")
    return Ask(disabled=_flag(attributes), **found)


def _base(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is said of the environment to begin with."""
    found: dict[str, Any] = {}
    for key in ("name", "pathspec"):
        value = attributes.get(key)
        if value is not None and (not isinstance(value, str) or not value.strip()):
            raise InputError(f"{key}={value!r} is not a text", f"write {key}='...'")
        found[key] = value.strip() if value is not None else None
    if found["name"] and found["pathspec"]:
        raise InputError("both name and pathspec are given", "give the one that you mean")
    found["fetch_at_exec"] = _true_or_false("fetch_at_exec", attributes)
    return found


def _sys(attributes: Mapping[str, Any]) -> Ask:
    packages = _pairs(attributes, "packages")
    return Ask(
        virtual=tuple(VirtualPackage.from_pair(name, version) for name, version in packages.items()),
        disabled=_flag(attributes),
    )


_READERS: Mapping[str, Callable[[Mapping[str, Any]], Ask]] = {
    "conda": _conda,
    "pypi": _pypi,
    "pip": _pypi,
    "sys_packages": _sys,
    "named_env": _named,
}


def _pairs(attributes: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = attributes.get(key)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InputError(
            f"{key}={value!r} is not a dictionary", f"write {key}={{'package': 'version'}}, with '' for any version"
        )
    return {name: "" if version is None else version for name, version in value.items()}


def _texts(attributes: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = attributes.get(key)
    if value is None:
        return ()
    if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) and item.strip() for item in value):
        raise InputError(f"{key}={value!r} is not a list of texts", f"write {key}=['...', '...']")
    return tuple(item.strip() for item in value)


def _urls(attributes: Mapping[str, Any], key: str) -> tuple[str, ...]:
    return tuple(check_index(text, f"{key}: ") for text in _texts(attributes, key))


def check_index(text: str, where: str = "") -> str:
    """Return *text* where it is the URL of an index; else raise InputError, which begins with *where*."""
    if not is_url(text):
        raise InputError(
            f"{where}'{text}' is not the URL of an index", "write https://, http:// or file:// and where it is"
        )
    return text


def _package_indexes(attributes: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    pairs = _pairs(attributes, "package_indices").items()
    return tuple(sorted(package_index(name, index, "package_indices") for name, index in pairs))


def package_index(name: object, index: object, where: str) -> tuple[str, str]:
    """Return the canonical name of a package and the index it comes from: a URL, or a name that uv's settings know."""
    if not isinstance(name, str) or not isinstance(index, str) or not name.strip() or not index.strip():
        raise InputError(f"{where}: {name!r}: {index!r} is no package and its index", "both are texts")
    requirement = PypiRequirement.parse(name)
    if str(requirement) != requirement.name:
        raise InputError(f"{where}: '{name}' is more than the name of a package", f"write '{requirement.name}'")
    if "/" in index:
        check_index(index, f"{where}: ")
    return requirement.name, index.strip().rstrip("/")


def _backend(attributes: Mapping[str, Any]) -> str:
    value = attributes.get("torch_backend")
    if value is not None and not isinstance(value, str):
        raise InputError(f"torch_backend={value!r} is not a text", "write torch_backend='cu128'")
    return check_backend(value.strip()) if value else ""


def _python(attributes: Mapping[str, Any]) -> str | None:
    value = attributes.get("python")
    return None if value is None or value == "" else python_constraint(value)


def _flag(attributes: Mapping[str, Any]) -> bool:
    return bool(_true_or_false("disabled", attributes))


def _true_or_false(key: str, attributes: Mapping[str, Any]) -> bool | None:
    value = attributes.get(key)
    if value not in (None, True, False, "True", "False", "true", "false"):
        raise InputError(f"{key}={value!r} is neither True nor False", f"write {key}=True")
    return None if value is None else value in (True, "True", "true")


def combine(asks: Iterable[Ask]) -> Ask:
    """Merge decorators of one level; raise InputError where two say different things."""
    merged = Ask()
    for ask in asks:
        for name, index in ask.options.package_indexes:
            _same(f"the index of {name}", dict(merged.options.package_indexes).get(name), index)
        _same("torch_backend", merged.options.torch_backend or None, ask.options.torch_backend or None)
        merged = Ask(
            conda=_unique(merged.conda + ask.conda),
            pypi=_unique(merged.pypi + ask.pypi),
            virtual=_unique(merged.virtual + ask.virtual),
            channels=_unique(merged.channels + ask.channels),
            indexes=_unique(merged.indexes + ask.indexes),
            conda_only=_unique(merged.conda_only + ask.conda_only),
            options=merged.options.joined(ask.options),
            python=_same("python", merged.python, ask.python),
            disabled=_same("disabled", merged.disabled, ask.disabled),
            name=_same("name", merged.name, ask.name),
            pathspec=_same("pathspec", merged.pathspec, ask.pathspec),
            fetch_at_exec=_same("fetch_at_exec", merged.fetch_at_exec, ask.fetch_at_exec),
        )
    _check_virtual(merged.virtual)
    if merged.name and merged.pathspec:
        raise InputError(f"both an environment '{merged.name}' and one of '{merged.pathspec}' are named", "name one")
    return merged


def override(flow: Ask, step: Ask) -> Ask:
    """Return the flow's words with the step's put over them; a name of the step takes the place of a pathspec, too."""
    named = step if step.name or step.pathspec else flow
    return replace(
        step,
        conda_only=_replace(flow.conda_only, step.conda_only),
        options=step.options.joined(flow.options),
        name=named.name,
        pathspec=named.pathspec,
        fetch_at_exec=step.fetch_at_exec if step.fetch_at_exec is not None else named.fetch_at_exec,
        conda=_replace(flow.conda, step.conda),
        pypi=_replace(flow.pypi, step.pypi),
        virtual=_replace(flow.virtual, step.virtual),
        channels=_unique(step.channels + flow.channels),
        indexes=_unique(step.indexes + flow.indexes),
        python=step.python if step.python is not None else flow.python,
        disabled=step.disabled if step.disabled is not None else flow.disabled,
    )


def _unique(items: tuple[T, ...]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(items))


def _same(what: str, first: T | None, second: T | None) -> T | None:
    if first is None or second is None or first == second:
        return second if first is None else first
    raise InputError(
        f"{what} is said twice, with different values: {first} and {second}",
        f"say {what} once, or the same in every decorator of the step (or of the flow)",
    )


def _replace(flow: tuple[_Named, ...], step: tuple[_Named, ...]) -> tuple[_Named, ...]:
    said = {item.name for item in step}
    return tuple(item for item in flow if item.name not in said) + step


def _check_virtual(packages: tuple[VirtualPackage, ...]) -> None:
    seen: dict[str, VirtualPackage] = {}
    for package in packages:
        _same(package.name, seen.setdefault(package.name, package), package)
