"""What micromamba, mamba and conda answer to ``create --dry-run --json``, read from their several forms of JSON.

libmamba's (micromamba, mamba 2) has whole records under ``FETCH`` and ``LINK``; conda's has them under ``FETCH``
alone, and says under ``LINK`` where a package lies, without URL or hash; mamba 1 may print both, one after the other.
Words may stand around the JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from ..engine.formats import FORMATS
from ..engine.package import CondaPackage
from ..engine.secret import strip_credentials

Record = Mapping[str, Any]

_UNSATISFIABLE = re.compile(r"nothing provides|could not solve|problems while solving|not available from current", re.I)
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class UnsatisfiableError(Exception):
    """The tool found no solution; the text is its explanation."""


class GarbledError(Exception):
    """The tool has not answered; the text says what is wrong."""


def records(stdout: str, stderr: str, status: int) -> list[Record]:
    """Return the packages to link, in order, as far as the tool tells of them.

    Raises UnsatisfiableError, GarbledError.
    """
    answers = _objects(stdout)
    for answer in sorted(answers, key=lambda answer: "FETCH" not in _actions(answer)):
        found = _linked(_actions(answer))
        if found and answer.get("success", True) is not False:
            return found
    explanation = next((text for answer in answers if (text := _explanation(answer, stderr))), "")
    if not explanation and status != 0 and _UNSATISFIABLE.search(stdout + stderr):
        explanation = _tree(stdout) or _tree(stderr)
    if explanation:
        raise UnsatisfiableError(explanation)
    if any(answer.get("success") is True for answer in answers):
        raise GarbledError("says that there is nothing to do")
    raise GarbledError("" if status != 0 else "gave an answer without JSON" if not answers else "gave no packages")


def _objects(text: str) -> list[dict[str, Any]]:
    decoder, found, start = json.JSONDecoder(), [], text.find("{")
    while start != -1:
        try:
            value, end = decoder.raw_decode(text, start)
        except ValueError:
            end = start + 1
        else:
            found.append(value)
        start = text.find("{", end)
    return found


def _actions(answer: Mapping[str, Any]) -> dict[str, Any]:
    actions = answer.get("actions")
    if isinstance(actions, list):  # one for each prefix
        actions = actions[0] if actions else {}
    return actions if isinstance(actions, dict) else {}


def _linked(actions: Mapping[str, Any]) -> list[Record]:
    fetched = {str(record.get("name")): record for record in actions.get("FETCH") or () if isinstance(record, dict)}
    linked = [record for record in actions.get("LINK") or () if isinstance(record, dict)] or list(fetched.values())
    found = [{**record, **fetched.get(str(record.get("name")), {})} for record in linked]
    return [record for record in found if record.get("name") and not str(record["name"]).startswith("__")]


def _explanation(answer: Mapping[str, Any], stderr: str) -> str:
    problems = answer.get("solver_problems")
    if problems:
        return _tree(stderr) or "\n".join([problems] if isinstance(problems, str) else map(str, problems))
    kind = str(answer.get("exception_name") or "")
    if "Unsatisfiable" in kind or "NotFound" in kind or kind == "SpecsConfigurationConflictError":
        return str(answer.get("message") or answer.get("error") or kind).strip()
    return ""


def _tree(text: str) -> str:
    """Return the explanation that libmamba writes for people, without what it writes before every line of a log."""
    plain = _COLOURS.sub("", text)
    _, found, told = plain.partition("Could not solve for environment specs\n")
    if not found:
        _, found, told = plain.partition("Encountered problems while solving:\n")
    lines: list[str] = []
    for line in told.splitlines():
        if re.match(r"(error|critical|warning|info)\s+libmamba", line):
            break
        lines.append(line.strip() if not lines else line.removeprefix("    ").rstrip())
    return "\n".join(line for line in lines if line)


def package(record: Record) -> CondaPackage:
    """Return the package that *record* tells of; its URL and its hashes are empty where they are not told.

    Raises ValueError, TypeError where the record is none.
    """
    name, version = str(record["name"]), str(record["version"])
    build = str(record.get("build") or record.get("build_string") or "")
    subdir = str(record.get("subdir") or record.get("platform") or "")
    url = strip_credentials(str(record.get("url") or ""))
    filename = str(record.get("fn") or url.rpartition("/")[2])
    if url and not url.endswith(FORMATS):
        raise ValueError(f"'{url}' is no conda package")
    noarch = record.get("noarch")
    depends = tuple(map(str, record.get("depends") or ()))
    # Solvers add their wish for a pip to the record; what we keep is what the channel says.
    if name == "python" and depends[-1:] == ("pip",):
        depends = depends[:-1]
    return CondaPackage(
        name=name,
        version=version,
        build=build,
        build_number=int(record.get("build_number") or 0),
        subdir=subdir,
        channel=url.removesuffix(f"{subdir}/{filename}"),
        filename=filename,
        url=url,
        sha256=str(record.get("sha256") or ""),
        md5=str(record.get("md5") or ""),
        size=int(record.get("size") or 0),
        noarch=noarch if isinstance(noarch, str) else "generic" if noarch or subdir == "noarch" else "",
        depends=depends,
        constrains=tuple(map(str, record.get("constrains") or ())),
        python_site_packages_path=str(record.get("python_site_packages_path") or ""),
        license=str(record.get("license") or ""),
        timestamp=_milliseconds(record.get("timestamp")),
    )


def _milliseconds(value: object) -> int:
    number = int(value) if isinstance(value, int | float) else 0
    return number * 1000 if 0 < number < 10_000_000_000 else number  # conda keeps seconds
