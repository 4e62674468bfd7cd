"""What a file asks for.

requirements.txt, environment.yml and pyproject.toml all become one AskedFile, each by a reader of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from .ask import Ask, check_index, combine
from .options import PypiOptions
from .place import Faults, FileError, Line, Place, Reader
from .platform import VirtualPackage, is_platform
from .requirement import CondaRequirement, python_constraint

_BRACKET_FIELD = re.compile(r"\s*(?P<key>\w+)\s*=\s*(?P<value>'[^']*'|\"[^\"]*\"|[^,'\"]*)\s*(?:,|$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedFile:
    """All that one file asks for, with what it includes.

    Attributes:
        ask: what it asks for; its indexes come before the default one
        index: the index in place of the default one (``--index-url``), if any
        platforms: the platforms that the file is meant for, by conda's names; empty where it does not say
        no_default_channels: whether its channels stand alone (``nodefaults``)
    """

    ask: Ask = field(default_factory=Ask)
    index: str | None = None
    platforms: tuple[str, ...] = ()
    no_default_channels: bool = False

    @property
    def urls(self) -> tuple[str, ...]:
        """Every source it names, as the user wrote it: with credentials."""
        return (*self.ask.urls, self.index) if self.index else self.ask.urls


@dataclass(frozen=True, slots=True, kw_only=True)
class FileContext:
    """What reading a file may use beside its text.

    ``folder`` is the absolute folder that relative file names start from, ``variables`` are those for ``${NAME}``,
    and ``read`` gives the bytes of an included file or raises OSError.
    """

    read: Reader
    folder: str = "/"
    variables: Mapping[str, str] = field(default_factory=dict)


# What a line of a file says, and where it stands.
Part = tuple[Place, AskedFile]


def with_options(options: PypiOptions) -> AskedFile:
    """Return *options* as what a line says."""
    return AskedFile(ask=Ask(options=options))


def join(parts: Iterable[Part]) -> AskedFile:
    """Merge what the lines of a file say; raise FileError at the second of two that contradict each other."""
    told = list(parts)
    _check_once(told)
    files = [part for _, part in told]
    return AskedFile(
        ask=combine(part.ask for part in files if part.ask != Ask()),
        index=next((part.index for part in files if part.index), None),
        platforms=tuple(dict.fromkeys(name for part in files for name in part.platforms)),
        no_default_channels=any(part.no_default_channels for part in files),
    )


def _check_once(parts: list[Part]) -> None:
    faults, seen = Faults(), {}  # type: tuple[Faults, dict[str, tuple[Place, str]]]
    for place, part in parts:
        said = {"python": part.ask.python, "the default index": part.index}
        said.update({package.name: str(package) for package in part.ask.virtual})
        own = {f"the index of {name}": index for name, index in part.ask.options.package_indexes}
        said.update({**own, "torch_backend": part.ask.options.torch_backend or None})
        for what, value in said.items():
            if value is None:
                continue
            first, before = seen.setdefault(what, (place, value))
            with faults.gather():
                if value != before:
                    # The URL of an index may hold a secret out of a variable, in its path too.
                    values = "" if value == part.index or what in own else f": {before} and {value}"
                    message = f"{what} is said twice, with different values{values} (first at {first})"
                    raise FileError(place, message, f"say {what} once")
    faults.settle()


def read_python(line: Line, text: str) -> AskedFile:
    """Return what a line asks of Python; *text* is the constraint, empty for any."""
    with line.blame():
        return AskedFile(ask=Ask(python=python_constraint(text) if text.strip(" *") else None))


def read_conda(line: Line) -> CondaRequirement:
    """Read a match specification: ``a``, ``a=1.2=build``, ``a >=1,<2``, ``channel::a``, ``a[version='>=1']``."""
    text = line.text.strip()
    if re.match(r"[a-z]+://\S+\.(?:conda|tar\.bz2)$", text, re.IGNORECASE):
        raise line.fault("the URL of one conda package is not supported", "write its channel, name and version")
    # 'a = >=1' is what 1.x documented: the name, then the constraint.
    text = re.sub(r"^([^\s=<>!~]+)\s*=\s+(?=[<>=!~])", r"\1 ", text)
    with line.blame():
        requirement = CondaRequirement.parse(_without_brackets(line, text))
    subdir = requirement.channel.rpartition("/")[2]
    if is_platform(subdir) or subdir == "noarch":
        raise line.fault(
            f"the platform in '{requirement.channel}' cannot be chosen for one package",
            "name the channel alone; the platform is that of the environment",
        )
    return requirement


def _without_brackets(line: Line, text: str) -> str:
    match = re.fullmatch(r"(?P<head>[^\[\]]*)\[(?P<fields>[^\[\]]*)\]", text)
    if match is None:
        return text
    if re.search(r"[\s=<>!~]", match["head"].strip()) or not match["head"].strip():
        raise line.fault("before the brackets stands a name alone", "write for example a[version='>=1', build='py*']")
    fields, position = {}, 0
    while position < len(match["fields"]):
        item = _BRACKET_FIELD.match(match["fields"], position)
        if item is None:
            raise line.fault(
                f"'[{match['fields']}]' cannot be understood", "write for example [version='>=1', build='py*']"
            )
        fields[item["key"]] = item["value"].strip().strip("'\"")
        position = item.end()
    for key in fields.keys() - {"version", "build", "channel"}:
        raise line.fault(
            f"'{key}' in brackets is not supported",
            "write version, build and channel alone",
            offset=max(line.text.find(key), 0),
        )
    head = f"{fields['channel']}::{match['head']}" if "channel" in fields else match["head"]
    return " ".join([head, fields.get("version") or ("*" if "build" in fields else ""), fields.get("build", "")])


def read_index(line: Line) -> str:
    """Read the URL of an index."""
    with line.blame():
        return check_index(line.text)


def read_virtual(line: Line) -> VirtualPackage:
    """Read a virtual package and its version: ``__cuda=11.8``, ``__glibc == 2.28``, ``__archspec=1=x86_64``."""
    match = re.fullmatch(r"(?P<name>[^\s=<>!~]+)\s*(?P<version>.*)", line.text.strip())
    with line.blame():
        return VirtualPackage.from_pair(match["name"] if match else line.text, match["version"] if match else "")
