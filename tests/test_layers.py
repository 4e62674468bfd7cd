"""The import rules of the house, read off the source: arrows point inward, and each foreign thing has its place."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

PACKAGE = "metaflow_extensions.netflix_ext"
ROOT = Path(__file__).parents[1] / "src" / "metaflow_extensions" / "netflix_ext"
MODULES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))

# A folder of ours: the folders of ours that its modules may import.
INWARD: Mapping[str, frozenset[str]] = {
    "__init__.py": frozenset(),
    "config": frozenset({"engine"}),
    "toplevel": frozenset(),
    "engine": frozenset({"engine"}),
    "adapters": frozenset({"engine", "adapters"}),
    "host": frozenset({"engine", "host"}),
    "plugins": frozenset({"engine", "host", "plugins"}),
    "cmd": frozenset({"engine", "host", "cmd"}),
}
# Modules that may import one folder more: the composition root, the step side's ways to start a program, and what a
# container runs before it has the packages that the composition root needs.
MORE: Mapping[str, frozenset[str]] = {
    "host/wiring.py": frozenset({"adapters"}),
    "host/conda_parts.py": frozenset({"adapters"}),
    "host/delegate.py": frozenset({"adapters"}),
    "host/commands/flow_api.py": frozenset({"adapters"}),
    "host/containers/arrivals.py": frozenset({"adapters"}),
    "host/containers/container.py": frozenset({"adapters"}),
    "host/containers/parts.py": frozenset({"adapters"}),
    "host/containers/delivery.py": frozenset({"adapters"}),
    "host/containers/stage.py": frozenset({"adapters"}),
    "host/containers/installer.py": frozenset({"adapters"}),
}
# A foreign package: the only places whose modules may name it.
PLACES: Mapping[str, tuple[str, ...]] = {
    "metaflow": ("host/", "plugins/", "cmd/", "config/", "toplevel/"),
    "rattler": ("adapters/",),
    "uv": ("adapters/",),
    "ruamel": ("engine/environment_yml.py", "engine/condarc.py"),
    "subprocess": ("adapters/process.py",),
}


def imported(root: Path, module: str) -> Iterator[str]:
    """Yield the absolute names that *module* imports, those inside functions too."""
    folder = [*PACKAGE.split("."), *Path(module).parent.parts]
    for node in ast.walk(ast.parse((root / module).read_text("utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
        elif isinstance(node, ast.ImportFrom):
            start = folder[: len(folder) - node.level + 1] if node.level else []
            for alias in node.names:
                yield ".".join([*start, *([node.module] if node.module else []), alias.name])


def broken(root: Path, module: str) -> list[str]:
    """Return what is wrong with the imports of *module*, a sentence each."""
    folder = module.partition("/")[0]
    allowed = INWARD[folder] | MORE.get(module, frozenset())
    found = []
    for name in imported(root, module):
        ours = name.startswith(f"{PACKAGE}.")
        if ours and name[len(PACKAGE) + 1 :].partition(".")[0] not in allowed:
            found.append(f"{module} points outward: {name}")
        places = PLACES.get(name.partition(".")[0])
        if places is not None and not module.startswith(places):
            found.append(f"{module} is not the place for {name}")
    return found


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_inward(module: str) -> None:
    """A module imports only what lies further in, and a foreign package only in its place."""
    assert broken(ROOT, module) == []


def test_every_rule_is_about_something() -> None:
    """A module that the rules except exists, or the exception goes."""
    assert [module for module in MORE if not (ROOT / module).is_file()] == []


@pytest.mark.parametrize(
    ("module", "source", "said"),
    [
        ("engine/a.py", "from ..host import settings\n", "points outward"),
        ("engine/a.py", "def f():\n    import subprocess\n", "not the place"),
        ("host/a.py", "from ..adapters.folder import FolderStore\n", "points outward"),
        ("plugins/conda/a.py", "from ...adapters import process\n", "points outward"),
        ("engine/a.py", "from metaflow.exception import MetaflowException\n", "not the place"),
        ("host/a.py", "import rattler.networking\n", "not the place"),
    ],
)
def test_a_planted_violation_is_found(tmp_path: Path, module: str, source: str, said: str) -> None:
    """The rules can fail: each kind of forbidden import is told from the allowed ones beside it."""
    path = tmp_path / module
    path.parent.mkdir(parents=True)
    path.write_text(f"import json\n{source}")

    found = broken(tmp_path, module)

    assert len(found) == 1
    assert said in found[0]
