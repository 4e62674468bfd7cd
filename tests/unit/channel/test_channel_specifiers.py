"""Test the conversion of Python requirements to conda match specs."""

from __future__ import annotations

import pytest

from tests.channel.errors import ChannelError
from tests.channel.specifiers import applies, constraint, depends, environment, requirement


@pytest.mark.parametrize(
    ("python", "conda"),
    [
        ("", ""),
        (">=1.2", ">=1.2"),
        ("==1.2", "==1.2"),
        ("===1.2+local", "==1.2+local"),
        ("==1.2.*", "1.2.*"),
        ("!=3.0.*", "!=3.0.*"),
        ("!=1.5", "!=1.5"),
        ("~=2.2", ">=2.2,2.*"),
        ("~=1.4.2", ">=1.4.2,1.4.*"),
        ("~=1!2.3", ">=1!2.3,1!2.*"),
        ("~=2.2.0rc1", ">=2.2.0rc1,2.2.*"),
        ("<2", "<2a0"),
        ("<2.0rc1", "<2.0rc1"),
        ("<=2.0", "<=2.0"),
        (">=1.21.1,<3", "<3a0,>=1.21.1"),
        (">= 1.0.0-beta.1", ">=1.0.0b1"),
    ],
)
def test_constraint(python: str, conda: str) -> None:
    """A PEP 440 specifier becomes the conda constraint of the same meaning."""
    assert constraint(python) == conda


def test_constraint_refuses_nonsense() -> None:
    """Text that is no specifier is refused with a clear message."""
    with pytest.raises(ChannelError, match="not a version specifier"):
        constraint("newest")


def test_requirement_refuses_nonsense() -> None:
    """Text that is no requirement is refused with a clear message."""
    with pytest.raises(ChannelError, match="not a requirement"):
        requirement("??")


@pytest.mark.parametrize(("version", "expected"), [("3.7.16", True), ("3.10.13", False)])
def test_marker_follows_the_python_version(version: str, *, expected: bool) -> None:
    """A marker is judged for the Python asked about, not the one that runs."""
    wanted = requirement("importlib-metadata; python_version < '3.8'")
    assert applies(wanted, environment(version)) is expected


def test_depends_takes_extras_only_when_asked() -> None:
    """A dependency of an extra counts only when that extra was asked for."""
    lines = ["Idna<4,>=2.5", "PySocks!=1.5.7,>=1.5.6; extra == 'socks'"]
    markers = environment("3.11.7")
    assert depends(lines, markers, own="requests") == ("idna <4a0,>=2.5",)
    asked = depends(lines, markers, extras=["socks"], own="requests")
    assert asked == ("idna <4a0,>=2.5", "pysocks !=1.5.7,>=1.5.6")


def test_depends_leaves_out_itself() -> None:
    """A distribution that names itself for an extra does not depend on itself."""
    assert depends(["Tool[all]"], environment("3.11.7"), own="tool") == ()
