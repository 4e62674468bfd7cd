"""The pages say what is so: their flows and commands run, their links lead somewhere, their tables are complete.

On a page, ```python title="x.py" is a file (toml too), ```diff title="x.py" changes it, and ```console (`$ command`,
then what it prints) and ```sh (commands) are run, all in one folder, from top to bottom. Each line of expected output
must occur; `...` stands for anything. A comment above a block says what else holds: `<!-- fails -->`,
`<!-- not run: reason -->`.
"""

from __future__ import annotations

import base64
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from metaflow import plugins

from tests.channel import Rule, Server, ensure, serve, with_token
from tests.project import Project, project_at

ROOT = Path(__file__).parents[2]
LANGUAGES = {"python", "toml", "diff", "console", "sh"}
NEEDS_DEFAULT_INDEX = {"README.md"}
NOT_RUN = 34

_BLOCK = re.compile(
    r"(?:^<!-- (?P<note>.+?) -->\n+)?^```(?P<word>\w+)(?: title=\"(?P<title>.+?)\")?\n(?P<text>.*?)^```$", re.M | re.S
)
_LINK = re.compile(r"\[[^\]]+\]\((?P<target>[^)\s]+)\)")


def _pages() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "*.md"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.splitlines()
    found = listed or [path.relative_to(ROOT).as_posix() for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"))]
    return sorted(name for name in found if (ROOT / name).exists())


PAGES = _pages()


@dataclass(frozen=True)
class Block:
    """A block of code on a page, with the comment above it."""

    page: str
    word: str
    title: str
    note: str
    text: str

    @property
    def skipped(self) -> bool:
        return self.note.startswith("not run: ")


def blocks_of(page: str, text: str) -> list[Block]:
    return [
        Block(page, match["word"], match["title"] or "", match["note"] or "", match["text"])
        for match in _BLOCK.finditer(text)
    ]


def read(page: str) -> str:
    return (ROOT / page).read_text("utf-8")


BLOCKS = [block for page in PAGES for block in blocks_of(page, read(page)) if block.word in LANGUAGES]
RUNNING = sorted({block.page for block in BLOCKS if not block.skipped})


def applied(text: str, diff: str) -> str:
    """Return *text* with a diff's ``-`` lines replaced by its ``+`` lines; other lines stand for themselves."""
    lines = diff.splitlines(keepends=True)
    before = "".join(line[1:] for line in lines if line[0] != "+")
    after = "".join(line[1:] for line in lines if line[0] != "-")
    assert text.count(before) == 1, f"not once in the file:\n{before}"
    return text.replace(before, after)


def commands_of(block: Block) -> Iterator[tuple[str, list[str]]]:
    """Yield each command of a block with the lines that are expected of it."""
    if block.word == "sh":
        yield block.text, []
        return
    for part in re.split(r"^\$ ", block.text, flags=re.M)[1:]:
        command, *lines = part.splitlines()
        yield command, [line for line in lines if line.strip() not in ("", "...")]


def occurs(line: str, output: str) -> bool:
    """Tell whether *line* is in *output*; ``...`` in it is anything, and so are spaces."""
    wanted = r"[^\n]*".join(re.escape(part.strip()) for part in line.split("..."))
    return re.search(wanted.replace(r"\ ", r"\s+"), output.replace("\u2217", "*")) is not None


@pytest.fixture(scope="session")
def served() -> Iterator[Server]:
    """The channel and index of the set `tests`."""
    with serve(ensure("tests")) as running:
        yield running


@pytest.fixture(scope="session")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The same for those alone who know a password; the channel for those, too, who have its token."""
    root = tmp_path_factory.mktemp("closed")
    with_token(ensure("tests"), root, "secret")
    with serve(root) as running:
        known = base64.b64encode(b"reader:secret").decode()
        running.rules.append(Rule("^/(?!t/)", require_token=known, headers=(("WWW-Authenticate", "Basic"),)))
        yield running


def play(page: str, project: Project, variables: dict[str, str]) -> None:
    """Write the files of a page and run its commands, as somebody who reads it does."""
    files: dict[str, str] = {}
    called: list[str] = []
    for block in BLOCKS:
        if block.page != page or block.skipped:
            continue
        if block.word in ("python", "toml", "diff"):
            changed = applied(files[block.title], block.text) if block.word == "diff" else block.text
            files[block.title] = changed
            project.write(block.title, changed)
            continue
        for command, lines in commands_of(block):
            called.append(command)
            status, output = shell(command, project, variables)
            assert (status != 0) == (block.note == "fails"), f"$ {command}\n{output}"
            for line in lines:
                assert occurs(line, output), f"$ {command}\nprints no line like\n{line}\nbut\n{output}"
    named = "\n".join([*called, *files.values()])
    assert [name for name in files if name.partition("/")[0] not in named] == [], "files that nothing runs"


def shell(command: str, project: Project, variables: dict[str, str]) -> tuple[int, str]:
    """Run a command in the project's folder, with this interpreter as `python`."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**project.environment(variables), "PATH": path}
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=project.root,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    return done.returncode, done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=[pytest.mark.network] * (page in NEEDS_DEFAULT_INDEX)) for page in RUNNING]
)
def test_page_runs_as_written(page: str, tmp_path: Path, served: Server, closed: Server) -> None:
    """What a page tells to write and to run works, and prints what the page shows."""
    root = tmp_path / "project"
    root.mkdir()
    project = project_at(root, served, tmp_path / "envs")
    if page in NEEDS_DEFAULT_INDEX:
        del project.variables["METAFLOW_CONDA_DEFAULT_PYPI_SOURCE"]
    # A mirror to point the channel alias at, an index to be listed before the default one, and one behind a password.
    private = {"PRIVATE": closed.url, "PRIVATE_HOST": closed.url.rpartition("/")[2]}
    play(page, project, {"MIRROR": served.url, "PIP_CONFIG_FILE": os.devnull, **private})


def test_blocks_that_are_not_run() -> None:
    """Code that is not run has its reason above it, is Python where it says so, and does not become more unnoticed."""
    skipped = [block for block in BLOCKS if block.skipped]
    for block in skipped:
        if block.word == "python":
            compile(block.text.rstrip() + ("\ndef f(): ..." if block.text.startswith("@") else ""), block.page, "exec")

    untitled = [
        block for block in BLOCKS if block.word in ("python", "toml", "diff") and not (block.title or block.skipped)
    ]
    assert [f"{block.page}: {block.text}" for block in untitled] == []
    assert [block for block in BLOCKS if block.note not in ("", "fails") and not block.skipped] == []
    failing = [block for block in BLOCKS if block.note == "fails"]
    assert [word for block in failing for word, lines in commands_of(block) if not lines] == [], "shows no message"
    assert len(skipped) == NOT_RUN
    flows = [block for block in skipped if "__main__" in block.text]
    assert flows == []


@pytest.mark.parametrize("page", PAGES)
def test_links_resolve(page: str) -> None:
    """A relative link leads to a file or a folder of the repository, pictures too, and its fragment to a heading."""
    broken = []
    for target in (
        match["target"] for match in _LINK.finditer(re.sub(r"^```.*?^```$", "", read(page), flags=re.M | re.S))
    ):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, fragment = target.partition("#")
        path = (ROOT / page).parent / name if name else ROOT / page
        if not path.exists() or (fragment and fragment not in headings(path.read_text("utf-8"))):
            broken.append(target)

    assert broken == []


def headings(text: str) -> set[str]:
    """Return the anchors of a page's headings."""
    found = re.findall(r"^#+ (.+)$", text, flags=re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in found}


def test_every_page_is_listed() -> None:
    """The README leads to the index, that to every page but decisions, and their own index to those."""
    listed = {"docs/decisions/": read("docs/decisions/index.md"), "docs/": read("docs/index.md")}
    missing = []
    for page in PAGES:
        folder = next((folder for folder in listed if page.startswith(folder)), None)
        if folder and not page.endswith("/index.md") and f"({page.removeprefix(folder)})" not in listed[folder]:
            missing.append(page)

    assert missing == []
    assert "(decisions/index.md)" in listed["docs/"]
    assert "docs/index.md" in read("README.md")


def arguments_on(text: str) -> dict[str, set[str]]:
    """Return the arguments that the page of decorators names, by the decorator that heads their list."""
    found: dict[str, set[str]] = {}
    names: list[str] = []
    for line in text.partition("## Arguments")[2].partition("\n## ")[0].splitlines():
        if re.match(r"`@\w+`, `@\w+`$", line):
            names = re.findall(r"@(\w+)", line)
        item = re.match(r"- (?P<head>[^:]+):", line)
        if item:
            said = re.findall(r"`(\w+)`", line if item["head"] == "deprecated" else item["head"])
            for name in names:
                found.setdefault(name, set()).update(said)
    return found


def test_decorators_page_is_complete() -> None:
    """The page of decorators lists each one's arguments, all of them, and no others."""
    every = [*plugins.STEP_DECORATORS, *plugins.FLOW_DECORATORS]
    classes = [cls for cls in every if cls.__module__.endswith("netflix_ext.plugins.conda.decorators")]
    told = arguments_on(read("docs/reference/decorators.md"))

    assert {cls.name: set(cls.defaults) for cls in classes if not cls.name.startswith("pip")} == told
    assert {cls.name for cls in classes if cls.name.startswith("pip")} == {"pip", "pip_base"}
    assert {f"`@{cls.name}`" for cls in classes} <= set(re.findall(r"`@\w+`", read("docs/reference/decorators.md")))


def test_readme_is_short() -> None:
    """The README is read in one go: under 120 lines."""
    assert len(read("README.md").splitlines()) < 120


def test_the_reader_of_pages() -> None:
    """Blocks, commands, diffs and expected lines are read as the docstring says, and differences are found."""
    text = '<!-- fails -->\n```console\n$ one\na ... c\n...\n$ two\n```\n```python title="x.py"\npass\n```\n'
    first, second = blocks_of("p.md", text)

    assert list(commands_of(first)) == [("one", ["a ... c"]), ("two", [])]
    assert (first.note, second.title, second.note, second.text) == ("fails", "x.py", "", "pass\n")
    assert occurs("a ... c", "x\n  a b  c\n")
    assert not occurs("a ... c", "a b\nc\n")
    assert applied("a\nb\nc\n", "-b\n+d\n") == "a\nd\nc\n"
    with pytest.raises(AssertionError, match="not once"):
        applied("a\n", "-b\n+d\n")
    assert arguments_on("## Arguments\n\n`@a`, `@b`\n\n- `x` or `y`: `z`\n- deprecated: `w`.\n\n## Else\n") == {
        "a": {"x", "y", "w"},
        "b": {"x", "y", "w"},
    }
