"""Make the pictures of terminals in docs/images: run the tutorial's first flow in a terminal, and draw what it shows.

Needs rich and pyte for the interpreter that runs this (`pip install rich pyte`), and the interpreter of the project as
its first argument. The channel is that of the tests; times are those of this machine.
"""

from __future__ import annotations

import io
import itertools
import os
import pty
import re
import select
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyte
from rich.console import Console
from rich.text import Text

PROJECT = Path(__file__).resolve().parents[1]
IMAGES = PROJECT / "docs" / "images"
COLUMNS, ROWS = 116, 40
COMMAND = "python prices.py --environment=conda run"
# Runs in the project's interpreter: serves the channel while the flow of the tutorial runs in a folder.
RUN = """
import os, subprocess, sys
from pathlib import Path
from tests.channel import ensure, serve
from tests.project import project_at

root = Path(sys.argv[1])
with serve(ensure("tests")) as server:
    project = project_at(root, server, root.parent / "envs", own_code=True)
    project.variables.update(RATTLER_CACHE_DIR=str(root.parent / "rattler"), UV_CACHE_DIR=str(root.parent / "uv"))
    words = [sys.executable, "prices.py", "--environment=conda", "run"]
    sys.exit(subprocess.run(words, cwd=root, env={**project.environment(), "METAFLOW_USER": "you"}).returncode)
"""
# rich's own has a font from the web in it.
TEMPLATE = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, monospace; font-size: {char_height}px;
  line-height: {line_height}px; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: system-ui, sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
COLOURS = {"brown": "yellow", "default": ""}


def tutorial(name: str) -> str:
    """Return the file *name* as the tutorial first writes it."""
    text = (PROJECT / "docs" / "tutorial.md").read_text("utf-8")
    return text.partition(f'```python title="{name}"\n')[2].partition("```\n")[0]


def output(command: list[str]) -> Iterator[bytes]:
    """Run *command* in a terminal; yield what it writes, as it comes, and nothing when the terminal is at rest."""
    master, slave = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(COLUMNS), "LINES": str(ROWS)}
    with subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=slave, stderr=slave, stdin=slave) as process:
        os.close(slave)
        while True:
            ready, _, _ = select.select([master], [], [], 0.05)
            if not ready and process.poll() is not None:
                break
            if not ready:
                yield b""
            if ready:
                try:
                    yield os.read(master, 4096)
                except OSError:  # the other end is closed
                    break
    assert process.returncode == 0


def style_of(cell: pyte.screens.Char) -> str:
    """Return the style of a character, as rich writes it."""
    colour = COLOURS.get(cell.fg, cell.fg)
    colour = f"#{colour}" if re.fullmatch(r"[0-9a-f]{6}", colour) else colour
    return " ".join(filter(None, [colour, "bold" if cell.bold else ""]))


def seen(screen: pyte.Screen, root: Path) -> list[Text]:
    """Return the lines of *screen*, without those that are empty at its end, and without paths of this machine."""
    lines = [Text.assemble(("$ ", "bold green"), (COMMAND, "bold"))]
    for number in range(screen.lines):
        row = (screen.buffer[number][column] for column in range(screen.columns))
        text = Text()
        for style, cells in itertools.groupby(row, style_of):
            text.append("".join(cell.data for cell in cells), style)
        text.rstrip()
        lines.append(text)
    while lines and not lines[-1].plain:
        lines.pop()
    assert not any(str(root) in line.plain for line in lines)
    return lines


def draw(lines: list[Text], path: Path) -> None:
    """Write *lines* as a picture of a terminal."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    for line in lines:
        console.print(line, no_wrap=True, overflow="crop", crop=True)
    text = console.export_svg(title="Terminal", code_format=TEMPLATE, unique_id=path.stem)
    path.write_text("\n".join(line.rstrip() for line in text.splitlines() if line.strip()) + "\n", "utf-8")


def main() -> None:
    """Write the picture of work going on, and that of the end of the run."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        root = Path(folder) / "prices"
        root.mkdir()
        (root / "prices.py").write_text(tutorial("prices.py"), "utf-8")
        screen = pyte.Screen(COLUMNS, ROWS)
        stream = pyte.ByteStream(screen)
        busiest: tuple[int, list[Text]] = (0, [])
        for data in output([sys.argv[1], "-c", RUN, str(root)]):
            stream.feed(data)
            rows = sum("━" in line for line in screen.display)
            if not data and rows >= busiest[0]:  # at rest: no line is half-written
                busiest = (rows, seen(screen, Path(folder)))
        draw(busiest[1], IMAGES / "terminal-progress.svg")
        draw(seen(screen, Path(folder)), IMAGES / "terminal-run.svg")


if __name__ == "__main__":
    main()
