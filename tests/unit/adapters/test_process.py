"""Programs: started, talked to, ended."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from metaflow_extensions.netflix_ext.adapters import process
from metaflow_extensions.netflix_ext.engine.errors import ToolError

ECHO = "import sys\nfor line in sys.stdin: print('you said ' + line.strip(), flush=True)"


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def gone(pid: int) -> bool:
    """Tell whether the process *pid* ends within a short while."""
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        if Path(f"/proc/{pid}/stat").exists() and ") Z " in Path(f"/proc/{pid}/stat").read_text():
            return True
        time.sleep(0.02)
    return False


def test_a_program_is_run_to_its_end(tmp_path: Path) -> None:
    """Status, output and errors are given back; input, folder and environment reach the program."""
    code = (
        "import os, sys; print(sys.stdin.read(), os.getcwd(), os.environ['X']); sys.stderr.write('é\\n'); sys.exit(3)"
    )
    environment = {"X": "y", "PYTHONIOENCODING": "utf-8"}

    done = process.run(python(code), environment=environment, folder=tmp_path, text="hello")

    assert done == process.Finished(3, f"hello {tmp_path.resolve()} y\n", "é\n")


def test_without_text_there_is_no_input() -> None:
    """A program that reads finds the end at once, and never the user's terminal."""
    assert process.run(python("import sys; print(repr(sys.stdin.read()))"), timeout=10).stdout == "''\n"


def test_bytes_that_are_no_text_do_no_harm() -> None:
    """Output that is not UTF-8 is read with marks in its place."""
    assert process.run(python("import sys; sys.stdout.buffer.write(b'a\\xffb')")).stdout == "a\ufffdb"


def test_a_program_that_is_missing_is_told() -> None:
    """What cannot be started is a ToolError that names it."""
    with pytest.raises(ToolError, match="no-such-program x cannot be started"):
        process.run(["/no-such-program", "x"])


def test_a_secret_on_a_command_line_is_not_told() -> None:
    """The error names the command without the password in it."""
    with pytest.raises(ToolError) as caught:
        process.run(["/no-such-program", "https://u:s3cret@example.org"])

    assert "s3cret" not in str(caught.value)


def test_a_program_out_of_time_is_ended_with_its_children(tmp_path: Path) -> None:
    """Past its time a program is a ToolError; neither it nor what it started goes on."""
    note = tmp_path / "pid"
    inner = f"import os, time; open({str(note)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}])"

    with pytest.raises(ToolError, match="did not end within 1 s"):
        process.run(python(outer), timeout=1)

    assert gone(int(note.read_text()))


def test_a_pipe_is_talked_to_line_by_line(tmp_path: Path) -> None:
    """Each line sent is answered, and closing its input lets the program leave."""
    with (tmp_path / "log").open("w") as log:
        pipe = process.Pipe(python(ECHO), environment=dict(os.environ), log=log)
        pipe.send("a")
        assert pipe.read() == "you said a\n"
        pipe.send("é")
        assert pipe.read() == "you said é\n"

        assert pipe.close() == 0
        assert pipe.read() is None
    assert gone(pipe.pid)


def test_a_pipe_that_dies_is_told_from_one_that_talks(tmp_path: Path) -> None:
    """A program that is gone reads as None, breaks on sending, and its errors are in the log."""
    with (tmp_path / "log").open("w") as log:
        pipe = process.Pipe(python("import sys; sys.exit('bad end')"), environment=dict(os.environ), log=log)
        assert pipe.read() is None
        assert gone(pipe.pid)
        with pytest.raises(BrokenPipeError):
            pipe.send("x" * 1_000_000)

        assert pipe.close() == 1
    assert "bad end" in (tmp_path / "log").read_text()


def test_a_pipe_that_has_left_is_not_ended_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its number may be that of somebody else's process by then."""
    ended: list[int] = []
    monkeypatch.setattr(os, "killpg", lambda pid, _signal: ended.append(pid))
    with (tmp_path / "log").open("w") as log:
        pipe = process.Pipe(python("pass"), environment=dict(os.environ), log=log)
        assert pipe.read() is None
        assert pipe.close() == 0

        pipe.kill()

    assert ended == []


def test_a_pipe_that_will_not_leave_is_ended(tmp_path: Path) -> None:
    """A program that goes on when its input is closed is ended, and so is one that is killed."""
    with (tmp_path / "log").open("w") as log:
        stubborn = process.Pipe(python("import time; time.sleep(60)"), environment=dict(os.environ), log=log)
        assert stubborn.close(timeout=0.1) == -9
        killed = process.Pipe(python(ECHO), environment=dict(os.environ), log=log)
        killed.kill()
        assert killed.close() == -9
        assert [stubborn.read(), killed.read()] == [None, None]
    assert gone(stubborn.pid)
    assert gone(killed.pid)
