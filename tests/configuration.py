"""The configuration of whoever runs the tests, which is nothing to them."""

from __future__ import annotations

import os
import re

import pytest

# Without byte code of their own, the processes of the tests would compile the same modules over and over.
_OURS = ("METAFLOW_CONDA_", "CONDA_", "_METAFLOW_", "PYTHONDONTWRITEBYTECODE")
# Where pip and uv look for packages here is nothing to the tests.
_SOURCES = re.compile(
    r"(PIP|UV)_(DEFAULT_INDEX|(EXTRA_)?INDEX(_URL|_STRATEGY)?|FIND_LINKS|NO_INDEX|PRE|PRERELEASE|TRUSTED_HOST|"
    r"INSECURE_HOST|KEYRING_PROVIDER|TORCH_BACKEND)"
)


def forget_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take it away: each test does so, and must a fixture of several tests that runs something of a user's."""
    for name in list(os.environ):
        if name.startswith(_OURS) or _SOURCES.fullmatch(name):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
