"""A cluster of one machine: the Kubernetes and AWS Batch APIs that Metaflow uses, which run jobs in clean roots.

Metaflow submits, watches and ends its jobs as ever; that they run here is all that is different.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from .batch_api import QUEUE, answer_batch
from .container import Container, Ended
from .kubernetes_api import answer_kubernetes
from .pods import Pod, run_pod

_ROLE = "arn:aws:iam::000000000000:role/nobody"


@dataclass
class Job:
    """A job that was submitted: ``document`` is what came, ``pod`` what runs, ``ended`` how that ended."""

    number: int
    name: str
    step: str
    document: Mapping[str, Any]
    pod: Pod
    ended: Ended | None = None
    fault: BaseException | None = None
    stopped: bool = False
    kill: Callable[[], None] | None = None

    @property
    def command(self) -> list[str]:
        return self.pod.command

    @property
    def over(self) -> bool:
        return self.ended is not None or self.fault is not None

    @property
    def status(self) -> int:
        return self.ended.status if self.ended is not None else 1

    def stop(self) -> None:
        self.stopped = True
        if self.kill is not None:
            self.kill()

    def has_started(self, kill: Callable[[], None]) -> None:
        self.kill = kill
        if self.stopped:
            kill()


@dataclass
class Cluster:
    """What runs jobs. ``variables`` let Metaflow use it; ``jobs`` are all that came, in their order."""

    container: Callable[[str], Container]
    claims: Mapping[str, Path]
    kill_at: Mapping[str, str]
    slots: threading.Semaphore | None
    variables: dict[str, str] = field(default_factory=dict)
    jobs: list[Job] = field(default_factory=list)
    definitions: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _threads: list[threading.Thread] = field(default_factory=list)

    def submit(self, name: str, step: str, document: Mapping[str, Any], make: Callable[[str], Pod]) -> Job:
        """Take a job, and run it as soon as there is a slot; *make* gives the pod for the job's final name."""
        with self._lock:
            unique = f"{name.rstrip('-')}-{len(self.jobs)}"
            job = Job(len(self.jobs), unique, step, document, make(unique))
            self.jobs.append(job)
            if self.slots is None:
                job.fault = AssertionError("this cluster takes jobs, and runs none")
                return job
            thread = threading.Thread(target=self._run, args=(job, self.slots))
            self._threads.append(thread)
            thread.start()
            return job

    def of(self, step: str) -> list[Job]:
        return [job for job in self.jobs if job.step == step]

    def named(self, name: str) -> Job:
        return next(job for job in self.jobs if job.name == name)

    def close(self) -> None:
        """End all jobs."""
        for job in self.jobs:
            if not job.over:
                job.stop()
        for thread in self._threads:
            thread.join()

    def _run(self, job: Job, slots: threading.Semaphore) -> None:
        try:
            with slots:
                if job.stopped:
                    raise RuntimeError("it was ended before it began")  # noqa: TRY301
                kill_at = self.kill_at.get(job.step)
                job.ended = run_pod(job.pod, self.container(job.step), kill_at=kill_at, started=job.has_started).ended
        except BaseException as error:  # whoever looks at the job gets to see it
            job.fault = error


@contextlib.contextmanager
def cluster(
    folder: Path,
    container: Container | Callable[[str], Container],
    *,
    parallel: int = 2,
    claims: Mapping[str, Path] | None = None,
    kill_at: Mapping[str, str] | None = None,
) -> Iterator[Cluster]:
    """Yield a cluster whose jobs run in fresh copies of *container*, which may depend on the step.

    *parallel* run at a time; with 0 none does, and all fail at once. *claims* are the folders of volume claims and
    of host volumes, *kill_at* has, for steps, the pattern of the line at which their jobs are killed.
    """
    chooser = container if callable(container) else lambda _step: container
    found = Cluster(chooser, claims or {}, kill_at or {}, threading.Semaphore(parallel) if parallel else None)

    class Handler(_Handler):
        serves = found

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        found.variables.update(_variables(f"http://127.0.0.1:{server.server_address[1]}", folder))
        try:
            yield found
        finally:
            found.close()
            server.shutdown()


def _variables(url: str, folder: Path) -> dict[str, str]:
    config = folder / "kubeconfig"
    name = {"name": "here"}
    context = {"cluster": "here", "user": "here", "namespace": "default"}
    whole = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{**name, "cluster": {"server": url}}],
        "users": [{**name, "user": {"token": "nobody"}}],
        "contexts": [{**name, "context": context}],
        "current-context": "here",
    }
    config.write_text(json.dumps(whole))
    return {
        "KUBECONFIG": str(config),
        "AWS_ENDPOINT_URL_BATCH": url,
        "AWS_ENDPOINT_URL_SFN": url,
        "METAFLOW_BATCH_JOB_QUEUE": QUEUE,
        "METAFLOW_ECS_S3_ACCESS_IAM_ROLE": _ROLE,
        "METAFLOW_SFN_IAM_ROLE": _ROLE,
        "METAFLOW_SFN_DYNAMO_DB_TABLE": "no-table",
        "NO_PROXY": "127.0.0.1",
    }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    serves: Cluster

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or "{}")
        if parts.path.startswith("/v1/"):
            found = answer_batch(self.serves, parts.path[4:], body)
        elif self.headers.get("X-Amz-Target") == "AWSStepFunctions.ListStateMachines":
            found = {"stateMachines": []}
        else:
            found = answer_kubernetes(self.serves, self.command, parts.path, parse_qs(parts.query), body)
        data = json.dumps(found if found is not None else {"message": "not found"}).encode()
        self.send_response(200 if found is not None else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PATCH = do_DELETE = _answer  # noqa: N815 - the library's names

    def log_message(self, *_: Any) -> None:
        """Say nothing."""
