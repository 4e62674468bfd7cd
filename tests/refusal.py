"""What every refusal of bad input has in common: one message, exit status 1, nothing half-made."""

from __future__ import annotations

from pathlib import Path

from tests.project import FLOWS, Finished, Project

ONE = FLOWS / "one.py"
CLICK = "[conda(libraries={'click': ''})]"
HEADLINES = (
    "Environment cannot be understood:",
    "Not found:",
    "Alias cannot be given:",
    "Configuration error:",
    "Environment cannot be resolved:",
    "Package source error:",
    "Package error:",
    "Environment cannot be created:",
    "Environment store error:",
    "Environment tool error:",
    "Incompatible environment:",
)


def plain(text: str) -> str:
    """Return *text* with asterisks as the user wrote them: Metaflow's echo cannot print them."""
    return text.replace("\u2217", "*")


def half_made(envs: Path) -> list[str]:
    """Return prefixes and stages below *envs*."""
    return [path.name for path in envs.glob("metaflow_*")] if envs.is_dir() else []


def check_refusal(done: Finished, *says: str) -> str:
    """Check that *done* is one message with all of *says* in it, a hint and exit status 1; return the message."""
    output = plain(done.output)
    assert done.returncode == 1, output
    assert "Traceback" not in output, output
    assert sum(output.count(headline) for headline in HEADLINES) == 1, output
    headline = next(headline for headline in HEADLINES if headline in output)
    message = output.partition(headline)[2]
    assert [words for words in says if words not in message] == [], output
    return message


def refused(project: Project, *says: str, resolved: bool = False, **variables: str) -> str:
    """Run a flow of one step that must be refused, and return the message; with *resolved* only creating fails."""
    variables.setdefault("SPEC", CLICK)
    done = project.flow(ONE, "run", variables=variables)
    message = check_refusal(done, *says)
    assert "hint: " in message
    assert half_made(project.envs) == []
    assert bool(list(project.catalog.rglob("latest"))) == resolved
    assert "Task is starting" not in done.output
    return message
