"""How the worker process is started, talked to, replaced and ended; played by small programs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import pytest
import rattler.exceptions

from metaflow_extensions.netflix_ext.adapters import process
from metaflow_extensions.netflix_ext.adapters.worker import ERRORS, Worker, WorkerError, worker_environment
from metaflow_extensions.netflix_ext.engine.errors import ExtensionError, ResolveError, ToolError

# Answers each request by what it asks for; *marker* tells a second worker from the first.
PLAYER = """
import json, os, signal, sys, threading, time
marker = sys.argv[1]
first = not os.path.exists(marker)
open(marker, "a").write(f"{os.getpid()}\\n")
lock = threading.Lock()

def say(message):
    with lock:
        print(json.dumps(message), flush=True)

def work(asked):
    number, do = asked["id"], asked["do"]
    if do == "late":
        time.sleep(asked["seconds"])
    if do == "die" or (do == "die once" and first):
        print("last words http://me:SECRET@host/x", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGSEGV)
        time.sleep(5)
    if do == "die politely":
        os._exit(0)
    if do == "noise":
        print("not json", flush=True)
        print("[]", flush=True)
    if do == "fail":
        say({"id": number, "error": {"kind": "SolverError", "message": "no", "details": {"a": 1}}})
        return
    if do == "count":
        for step in range(3):
            say({"id": number, "event": step})
    if do == "count and wait":
        say({"id": number, "event": 0})
        time.sleep(60)
    say({"id": number, "result": {"pid": os.getpid(), "asked": asked}})

for line in sys.stdin:
    asked = json.loads(line)
    if asked["do"] == "leave":
        break
    threading.Thread(target=work, args=(asked,), daemon=True).start()
os._exit(0)
"""


@pytest.fixture(name="marker")
def _marker(tmp_path: Path) -> Path:
    return tmp_path / "started"


@pytest.fixture(name="worker")
def _worker(marker: Path) -> Any:
    worker = Worker(command=[sys.executable, "-I", "-c", PLAYER, str(marker)])
    yield worker
    worker.close()


def started(marker: Path) -> list[int]:
    """Return the process ids of all workers so far."""
    return [int(line) for line in marker.read_text().split()] if marker.exists() else []


def is_gone(pid: int, within: float = 5.0) -> bool:
    """Tell whether a process has ended (a zombie has not been waited for, and counts as there)."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


def test_nothing_is_started_before_the_first_request(worker: Worker, marker: Path) -> None:
    """Making a worker costs nothing; one process then serves all requests."""
    assert started(marker) == []

    pids = {worker.request("hello", {})["pid"] for _ in range(3)}

    assert list(pids) == started(marker)


def test_requests_of_many_threads_get_their_own_answers(worker: Worker, marker: Path) -> None:
    """Answers come in the order in which work ends, each to the thread that asked."""
    answers: dict[int, float] = {}

    def ask(number: int, seconds: float) -> None:
        answers[number] = worker.request("late", {"seconds": seconds})["asked"]["seconds"]

    waits = [0.3, 0.1, 0.2, 0.0]
    threads = [threading.Thread(target=ask, args=pair) for pair in enumerate(waits)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert answers == dict(enumerate(waits))
    assert len(started(marker)) == 1


def test_events_come_to_the_caller_in_order_and_in_its_thread(worker: Worker) -> None:
    """A reporter need not care for threads because of the worker."""
    events: list[tuple[int, threading.Thread]] = []

    worker.request("count", {}, on_event=lambda event: events.append((event, threading.current_thread())))

    assert events == [(step, threading.current_thread()) for step in range(3)]


def test_an_error_is_an_answer(worker: Worker, marker: Path) -> None:
    """An error of py-rattler is raised with its kind, and the worker lives on."""
    with pytest.raises(WorkerError, match="no") as caught:
        worker.request("fail", {})

    assert (caught.value.kind, caught.value.details) == ("SolverError", {"a": 1})
    assert isinstance(caught.value.translated(), ResolveError)
    assert worker.request("hello", {})["pid"] == started(marker)[0]


def test_foreign_lines_are_ignored(worker: Worker) -> None:
    """What a library prints to the pipe after all does no harm."""
    assert worker.request("noise", {})["asked"]["do"] == "noise"


def test_a_worker_that_dies_is_replaced_once(worker: Worker, marker: Path) -> None:
    """The request is made again in a fresh process, after the caller has cleaned up."""
    cleaned: list[int] = []

    answer = worker.request("die once", {}, before_retry=lambda: cleaned.append(len(started(marker))))

    assert answer["pid"] == started(marker)[1]
    assert cleaned == [1]
    assert all(is_gone(pid) for pid in started(marker)[:1])


def test_requests_that_wait_survive_the_death_of_the_worker(worker: Worker, marker: Path) -> None:
    """One request that kills the worker costs its neighbours a retry, and no more."""
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(worker.request("late", {"seconds": 0.5})))
    thread.start()
    while not started(marker):
        time.sleep(0.01)
    time.sleep(0.1)

    worker.request("die once", {})
    thread.join()

    assert answers[0]["pid"] == started(marker)[1]


@pytest.mark.parametrize(("do", "how"), [("die", "signal 11"), ("die politely", "exit status 0")])
def test_a_worker_that_dies_again_is_one_clear_error(worker: Worker, marker: Path, do: str, how: str) -> None:
    """After two deaths there is a ToolError with how it ended and its last words, without secrets."""
    with pytest.raises(ToolError) as caught:
        worker.request(do, {})

    assert f"died twice ({how})" in str(caught.value)
    assert "SECRET" not in str(caught.value)
    assert ("last words http://****@host/x" in str(caught.value)) == (do == "die")
    assert len(started(marker)) == 2
    assert worker.request("hello", {})["pid"] == started(marker)[2]


def test_a_worker_that_cannot_start_is_a_tool_error(tmp_path: Path) -> None:
    """An interpreter that is not there is named."""
    with pytest.raises(ToolError, match="no-python"):
        Worker(tmp_path / "no-python").request("versions", {})


def test_a_worker_without_py_rattler_says_so(tmp_path: Path) -> None:
    """What Python complains about reaches the user."""
    with pytest.raises(ToolError, match="No module named 'rattler'"):
        Worker(command=[sys.executable, "-I", "-S", "-c", "import rattler"]).request("versions", {})


def test_closing_ends_the_process_and_the_next_request_starts_another(worker: Worker, marker: Path) -> None:
    """No process and no zombie stays."""
    first = worker.request("hello", {})["pid"]

    worker.close()
    worker.close()

    assert is_gone(first, within=0.5)
    assert worker.request("hello", {})["pid"] == started(marker)[1]


def test_closing_a_worker_that_was_never_started_starts_none(worker: Worker, marker: Path) -> None:
    """An exit hook may close what was never used."""
    worker.close()

    assert started(marker) == []


def test_an_interrupted_caller_leaves_nothing_working(worker: Worker, marker: Path) -> None:
    """After Ctrl-C nothing goes on writing into a folder that is about to be removed."""

    def interrupt(event: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        worker.request("count and wait", {}, on_event=interrupt)

    assert is_gone(started(marker)[0], within=1.0)


def test_a_forked_child_has_a_worker_of_its_own(worker: Worker, marker: Path) -> None:
    """The child of a fork neither talks to its parent's worker nor ends it."""
    parents = worker.request("hello", {})["pid"]
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # later Pythons warn of forks among threads
        child = os.fork()
    if child == 0:
        answer = -1
        try:
            answer = worker.request("hello", {})["pid"]
            worker.close()
        finally:
            os.write(writer, str(answer).encode())
            os._exit(0)
    os.waitpid(child, 0)
    childs = int(os.read(reader, 100))
    os.close(reader)
    os.close(writer)

    assert childs not in (-1, parents)
    assert is_gone(childs)
    assert worker.request("hello", {})["pid"] == parents


@pytest.mark.parametrize("first", ["release", "request"])
def test_one_that_is_held_waits_for_its_library(first: str, tmp_path: Path) -> None:
    """It is started before py-rattler is there, loads it when it is let go or asked, and so does its successor."""
    bare = Path(sys.base_prefix, "bin", f"python{sys.version_info[0]}.{sys.version_info[1]}")
    if not bare.exists() or subprocess.run([bare, "-Ic", "import rattler"], check=False).returncode == 0:
        pytest.skip("there is no Python beside this one that lacks py-rattler")
    tools = tmp_path / "tools"
    worker = Worker(bare, [tools], held=True)
    worker.begin()
    time.sleep(0.5)  # one that does not wait has died by now
    tools.mkdir()
    (tools / "rattler").symlink_to(Path(rattler.__file__).parent)

    if first == "release":
        worker.release()
    versions = [worker.request("versions", {})]
    worker.kill()
    versions.append(worker.request("versions", {}))
    worker.close()

    assert versions == [{"py-rattler": rattler.__version__}] * 2


_USES = """
import sys
from pathlib import Path
from metaflow_extensions.netflix_ext.adapters.worker import Worker
worker = Worker(command=[sys.executable, "-I", "-c", Path(sys.argv[1]).read_text(), sys.argv[2]])
worker.request("hello", {})
"""


def test_an_interpreter_that_exits_takes_its_worker_along(tmp_path: Path, marker: Path) -> None:
    """A program that forgets to close ends at once, in silence, and leaves nothing behind."""
    (tmp_path / "player").write_text(PLAYER)
    begin = time.monotonic()

    done = process.run([sys.executable, "-c", _USES, str(tmp_path / "player"), str(marker)], timeout=20)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert time.monotonic() - begin < 5
    assert is_gone(started(marker)[0], within=0.5)


def test_the_real_worker_does_not_outlive_its_starter(tmp_path: Path) -> None:
    """Where the starter is killed, the worker leaves although a forked child holds its input open."""
    script = (
        "import os, signal, sys, time\n"
        "from metaflow_extensions.netflix_ext.adapters.worker import Worker\n"
        "worker = Worker()\n"
        "worker.request('versions', {})\n"
        "pid = worker._connection._pipe.pid\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    os.close(1), os.close(2)\n"
        "    time.sleep(30)\n"
        "    os._exit(0)\n"
        "print(pid, child, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = process.run([sys.executable, "-W", "ignore", "-c", script], timeout=30)
    worker, child = map(int, done.stdout.split())
    try:
        assert is_gone(worker)
    finally:
        os.kill(child, signal.SIGKILL)


def test_the_real_worker_imports_no_metaflow() -> None:
    """The worker's modules bring py-rattler and nothing else that is heavy."""
    script = (
        "import json, sys\n"
        "import metaflow_extensions.netflix_ext.adapters.rattler_worker\n"
        "print(json.dumps(sorted(name.partition('.')[0] for name in sys.modules)))"
    )
    done = process.run([sys.executable, "-c", script], timeout=30)

    assert done.returncode == 0, done.stderr
    assert not {"metaflow", "requests", "boto3", "rich"} & set(json.loads(done.stdout))


def test_the_worker_speaks_only_its_language_on_its_output() -> None:
    """Prints of a library go to the log; the worker leaves cleanly when its input ends."""
    script = (
        "import metaflow_extensions.netflix_ext.adapters.rattler_worker as worker\n"
        "async def loud(*_):\n"
        "    print('from Python'); import os; os.system('echo from a child')\n"
        "    return 1\n"
        "worker._WORK['versions'] = loud\n"
        "worker.main()"
    )
    done = process.run([sys.executable, "-c", script], text='{"id": 7, "do": "versions"}\n', timeout=30)

    assert (done.returncode, json.loads(done.stdout)) == (0, {"id": 7, "result": 1})
    assert "from Python" in done.stderr
    assert "from a child" in done.stderr


def test_an_unknown_request_is_an_error_answer() -> None:
    """A bug of ours does not hang the caller."""
    worker = Worker()
    try:
        with pytest.raises(WorkerError) as caught:
            worker.request("dance", {})
    finally:
        worker.close()

    assert isinstance(caught.value.translated(), ToolError)


def test_the_environment_is_cleaned_and_certificates_follow_requests(tmp_path: Path) -> None:
    """Python's settings are dropped; what REQUESTS_CA_BUNDLE names reaches rattler, which reads SSL_CERT_FILE alone."""
    bundle = tmp_path / "ca.pem"
    bundle.write_text("")
    given = {"PYTHONPATH": "/x", "PYTHONHOME": "/y", "HTTPS_PROXY": "http://p", "REQUESTS_CA_BUNDLE": str(bundle)}

    assert worker_environment(given) == {
        "HTTPS_PROXY": "http://p",
        "REQUESTS_CA_BUNDLE": str(bundle),
        "SSL_CERT_FILE": str(bundle),
    }
    assert worker_environment({**given, "SSL_CERT_FILE": "/own"})["SSL_CERT_FILE"] == "/own"
    assert "SSL_CERT_FILE" not in worker_environment({"REQUESTS_CA_BUNDLE": "/none"})


def test_every_exception_of_py_rattler_has_a_meaning() -> None:
    """A new version with a new exception fails here, and not in front of a user."""
    exported = {name for name in rattler.exceptions.__all__ if name[0].isupper()}

    assert exported == set(ERRORS)
    assert all(issubclass(kind, ExtensionError) for kind in ERRORS.values())
    assert all(WorkerError(name, "said", {}).translated().hint for name in ERRORS)


def test_a_worker_that_was_begun_answers_the_first_request(tmp_path: Path) -> None:
    """Starting ahead of time starts one process, the one that answers."""
    worker = Worker()
    worker.begin()
    begun = worker._connection
    try:
        assert "py-rattler" in worker.request("versions", {})
        assert worker._connection is begun
    finally:
        worker.close()
