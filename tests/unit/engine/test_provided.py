"""What conda packages bring of Python distributions."""

from __future__ import annotations

import pytest

from metaflow_extensions.netflix_ext.engine.provided import distributions
from tests.fakes import conda_package


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"name": "zlib"}, ()),
        ({"name": "Torch_X", "noarch": "python"}, (("torch-x", "1.0"),)),
        ({"name": "torch", "depends": ("python >=3.11",)}, (("tor", "1.0"),)),
        ({"name": "x", "depends": ("pythonic", "")}, ()),
        (
            {"name": "x", "purls": ("pkg:pypi/Real_Name@2.0?a=b", "pkg:pypi/two")},
            (("real-name", "2.0"), ("two", "1.0")),
        ),
        ({"name": "x", "purls": ("pkg:github/a/b",)}, ()),
        ({"name": "python", "depends": ("python >=3.11",)}, ()),
        ({"name": "python_abi", "depends": ("python 3.11.*",)}, ()),
    ],
)
def test_distributions_of_a_conda_package(facts: dict[str, object], expected: tuple[tuple[str, str], ...]) -> None:
    """``purls`` say which distributions a package holds; else one that needs Python is taken to be its namesake."""
    assert distributions(conda_package(**facts), {"torch": "tor"}) == expected  # type: ignore[arg-type]
