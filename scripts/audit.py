"""Ask for known vulnerabilities of what the project brings to its users; fail where there are some.

pip-audit asks OSV. Where that cannot be reached, one line says so, within seconds, and nothing fails.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from uv import find_uv_bin

NAME = "metaflow-netflixext"
SERVICE = "https://api.osv.dev/v1/query"
PATIENCE_SECONDS = 4


def needed(name: str, markers: Mapping[str, str], extras: frozenset[str] = frozenset()) -> Iterator[str]:
    """Yield what *name* needs and what that needs, by installed metadata, where *markers* go over this machine's."""
    found: dict[str, frozenset[str]] = {}
    waiting = [(name, extras)]
    while waiting:
        one, wanted = waiting.pop()
        if one in found and found[one] >= wanted:
            continue
        found[one] = found.get(one, frozenset()) | wanted
        try:
            lines = metadata.requires(one) or []
        except metadata.PackageNotFoundError:
            lines = []  # of another Python or platform
        for line in map(Requirement, lines):
            if not line.marker or any(line.marker.evaluate({**markers, "extra": e}) for e in ("", *found[one])):
                waiting.append((canonicalize_name(line.name), frozenset(line.extras)))
    yield from sorted(set(found) - {name})


def answers(service: str) -> bool:
    """Tell within seconds whether *service* can be asked."""
    heard = []

    def ask() -> None:
        question = json.dumps({"package": {"name": "pip", "ecosystem": "PyPI"}, "version": "99"}).encode()
        try:
            with urllib.request.urlopen(urllib.request.Request(service, question), timeout=PATIENCE_SECONDS) as answer:
                heard.append(answer.status)
        except OSError:
            pass

    # A thread, since looking up a name has no time limit of its own.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(PATIENCE_SECONDS)
    return heard == [200]


def findings(pins: list[str], service: str) -> list[str]:
    """Return a line for each vulnerability that *service* knows of *pins*; raise OSError where it does not say."""
    with tempfile.TemporaryDirectory(prefix="audit-") as folder:
        asked, said = Path(folder, "asked.txt"), Path(folder, "said.json")
        asked.write_text("\n".join(pins))
        command = [find_uv_bin(), "tool", "run", "--quiet", "pip-audit", "--no-deps", "--disable-pip", "--format=json"]
        command += [f"--requirement={asked}", f"--output={said}", f"--cache-dir={folder}", "--progress-spinner=off"]
        command += ["--vulnerability-service=osv", f"--osv-url={service}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        try:
            found = json.loads(said.read_text())["dependencies"]
        except (OSError, ValueError) as error:
            raise OSError((done.stderr.strip().splitlines() or [str(error)])[-1]) from error
    return [
        f"{one['name']} {one['version']}: {each['id']}, mended in {', '.join(each['fix_versions']) or 'no version'}"
        for one in found
        for each in one.get("vulns", ())
    ]


def main(service: str = SERVICE) -> int:
    """Print what is found, and return an exit status."""
    installed = {item.metadata["Name"] for item in metadata.distributions()}
    names = {canonicalize_name(name) for name in installed}
    pins = [f"{name}=={metadata.version(name)}" for name in needed(NAME, {}, frozenset({"formats"})) if name in names]
    try:
        found = findings(pins, service) if answers(service) else None
    except OSError as error:
        found = None
        print(error, file=sys.stderr)
    if found is None:
        print(f"Vulnerabilities of {len(pins)} dependencies: skipped, {service} cannot be asked.")
        return 0
    print(*found, f"Vulnerabilities of {len(pins)} dependencies: {len(found)}.", sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
