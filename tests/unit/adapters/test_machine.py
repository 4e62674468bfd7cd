"""What this machine is."""

from __future__ import annotations

import platform

import pytest

from metaflow_extensions.netflix_ext.adapters.machine import LocalMachine
from metaflow_extensions.netflix_ext.engine.errors import InputError
from metaflow_extensions.netflix_ext.engine.platform import ARCHES, version_of


def test_this_machine_is_one_we_know() -> None:
    """The machine has a platform, and on Linux a kernel."""
    machine = LocalMachine({})

    assert machine.arch() in ARCHES
    assert version_of(machine.virtual(), "__unix") == "0"
    if platform.system() == "Linux":
        assert version_of(machine.virtual(), "__linux")[0].isdigit()


def test_overrides_are_obeyed() -> None:
    """What ``CONDA_OVERRIDE_*`` says stands in the place of what is found; empty takes it away."""
    machine = LocalMachine({"CONDA_OVERRIDE_GLIBC": "2.99", "CONDA_OVERRIDE_CUDA": "12.1", "CONDA_OVERRIDE_OSX": ""})
    without = LocalMachine({"CONDA_OVERRIDE_GLIBC": "", "CONDA_OVERRIDE_CUDA": ""})

    assert version_of(machine.virtual(), "__glibc") == "2.99"
    assert version_of(machine.virtual(), "__cuda") == "12.1"
    assert version_of(machine.virtual(), "__osx") == ""
    assert version_of(without.virtual(), "__glibc") == version_of(without.virtual(), "__cuda") == ""


def test_a_senseless_override_is_told() -> None:
    """An override that is no version is refused."""
    with pytest.raises(InputError, match="__glibc: new"):
        LocalMachine({"CONDA_OVERRIDE_GLIBC": "new"}).virtual()


@pytest.mark.parametrize(
    ("release", "version"),
    [
        ("6.8.0-45-generic", "6.8.0"),
        ("5.10.0+", "5.10.0"),
        ("6.1.21-v8+", "6.1.21"),
        ("5.15.153.1-microsoft-standard-WSL2", "5.15.153.1"),
        ("6.6.0_1", "6.6.0"),
        ("4.14.336-253.amzn2.x86_64", "4.14.336"),
        ("weird", "0"),
    ],
)
def test_any_name_of_a_kernel_is_read(monkeypatch: pytest.MonkeyPatch, release: str, version: str) -> None:
    """Whatever makers add to the version of their kernel, the machine has one."""
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(platform, "release", lambda: release)

    assert version_of(LocalMachine({}).virtual(), "__linux") == version
