"""What every task loads: the standard library, Metaflow and nothing heavy, in the syntax of Python 3.7."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

PACKAGE = "metaflow_extensions.netflix_ext"
SRC = Path(__file__).parents[1] / "src"
ROOT = SRC.joinpath(*PACKAGE.split("."))
# Loaded by a task that launches another flow, whose environment is chosen when it starts, or that is opened again.
LAZY = (
    "host/delegate.py",
    "host/commands/flow_api.py",
    "engine/lookup.py",
    "host/tasks.py",
    "host/debug/replay/execute.py",
)
HEAVY = ("packaging", "rich", "rattler", "uv", "platformdirs", "asyncio")

# Runs in a fresh interpreter: what does importing these load, with everything third-party refused but *allowed*?
PROBE = """
import importlib, json, sys
hidden, allowed, modules = json.loads(sys.argv[1])

class Refuse:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top in hidden:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        ours = top in ("metaflow", "metaflow_extensions", "_metaflow_extensions")
        if allowed is not None and top not in sys.stdlib_module_names and not ours and top not in allowed:
            raise ModuleNotFoundError(f"{name} is third-party", name=name)

sys.meta_path.insert(0, Refuse())
for module in modules:
    importlib.import_module(module)
print(json.dumps(sorted(sys.modules)))
"""

# Runs in the oldest interpreter: compile all, import those that need no Metaflow.
OLDEST = """
import importlib, json, sys
paths, modules = json.loads(sys.argv[1])
for path in paths:
    with open(path, "rb") as file:
        compile(file.read(), path, "exec")
for module in modules:
    importlib.import_module(module)
print(json.dumps([len(paths), len(modules)]))
"""


def _top_level_imports(path: Path) -> list[str]:
    """Return the modules of ours, as paths below ROOT, that *path* imports when it is imported itself."""
    folder = list(path.relative_to(ROOT).parent.parts)
    found = []
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.level:
            base = [*folder[: len(folder) - node.level + 1], *(node.module.split(".") if node.module else [])]
            found += ["/".join(base), *("/".join([*base, alias.name]) for alias in node.names)]
    return [f"{name}.py" for name in found if (ROOT / f"{name}.py").is_file()]


@cache
def step_side() -> tuple[str, ...]:
    """Return the modules that a task loads: what Metaflow names, and what those import."""
    waiting = [
        path.relative_to(ROOT).as_posix()
        for part in ("config", "plugins", "toplevel")
        for path in (ROOT / part).rglob("*.py")
    ]
    waiting += LAZY
    found: set[str] = set()
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            packages = [parent / "__init__.py" for parent in Path(module).parents]
            waiting += [package.as_posix() for package in packages if (ROOT / package).is_file()]
            waiting += _top_level_imports(ROOT / module)
    return tuple(sorted(found))


def _name(module: str) -> str:
    return f"{PACKAGE}.{module[:-3].replace('/', '.')}".removesuffix(".__init__")


def _loaded(hidden: list[str], allowed: list[str] | None, modules: list[str]) -> set[str]:
    command = [sys.executable, "-c", PROBE, json.dumps([hidden, allowed, modules])]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def _oldest() -> str | None:
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    found = sorted(root.glob("versions/3.7*/bin/python")) or sorted(root.glob("versions/3.8*/bin/python"))
    return str(found[0]) if found else shutil.which("python3.7") or shutil.which("python3.8")


def test_the_step_side_is_known() -> None:
    """Following imports finds what Metaflow names, what that imports, and nothing of the launcher."""
    found = step_side()

    assert {"plugins/conda/internal.py", "host/compat.py", "engine/identity.py", "adapters/process.py"} <= set(found)
    assert not {"host/service.py", "host/wiring.py", "host/settings.py", "engine/requirement.py"} & set(found)


def test_it_loads_nothing_third_party_and_nothing_heavy() -> None:
    """With all refused that is neither standard library nor loaded by bare Metaflow, the step side imports."""
    bare = _loaded(["metaflow_extensions"], None, ["metaflow", "metaflow.client.filecache"])
    allowed = sorted({name.partition(".")[0] for name in bare})

    modules = ["metaflow", *(_name(module) for module in step_side())]
    loaded = _loaded([], [name for name in allowed if name not in HEAVY], modules)

    assert set(modules) <= loaded
    assert set() == {name for name in HEAVY if name in loaded and name not in bare}


def test_the_probe_refuses() -> None:
    """The probe can fail: a module of the launcher's side does not import under it."""
    with pytest.raises(AssertionError, match="third-party"):
        _loaded([], [], [f"{PACKAGE}.engine.wheel_tags"])


def test_it_is_python_3_7(tmp_path: Path) -> None:
    """The oldest interpreter at hand compiles the step side, and imports what of it needs no Metaflow."""
    oldest = _oldest()
    if oldest is None:
        pytest.skip("no Python 3.7 or 3.8 is at hand")
    copy = tmp_path / "copy"
    shutil.copytree(SRC, copy, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    free = [
        module for module in step_side() if module.startswith(("engine/", "adapters/")) or module == "host/launcher.py"
    ]
    paths = [str(copy.joinpath(*PACKAGE.split("."), module)) for module in step_side()]
    question = json.dumps([paths, [_name(module) for module in free]])

    done = subprocess.run(
        [oldest, "-c", OLDEST, question],
        env={"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.stderr == ""
    assert [len(paths), len(free)] == json.loads(done.stdout)
