"""As much of the Kubernetes API as Metaflow asks of it: jobs, and the one pod of each."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .pods import Pod

if TYPE_CHECKING:
    from .cluster import Cluster, Job

_JOBS = re.compile(r"/apis/batch/v1/namespaces/([^/]+)/jobs(?:/([^/]+))?")
_PODS = re.compile(r"/api/v1/namespaces/([^/]+)/pods")
_TIME = "2026-01-01T00:00:00Z"


def answer_kubernetes(
    cluster: Cluster, method: str, path: str, query: Mapping[str, list[str]], body: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Return the answer to a request, or None if there is no such thing."""
    if jobs := _JOBS.fullmatch(path):
        if method == "POST":
            return _job(_submit(cluster, jobs.group(1), body))
        job = cluster.named(jobs.group(2))
        if method == "DELETE" or (body.get("spec") or {}).get("parallelism") == 0:
            job.stop()
        return _job(job)
    if _PODS.fullmatch(path) and method == "GET":
        name = query["labelSelector"][0].removeprefix("job-name=")
        return {"apiVersion": "v1", "kind": "PodList", "metadata": {}, "items": [_pod(cluster.named(name))]}
    return None


def _submit(cluster: Cluster, namespace: str, body: Mapping[str, Any]) -> Job:
    metadata, template = body["metadata"], body["spec"]["template"]["spec"]
    (container,) = template["containers"]

    def make(name: str) -> Pod:
        return Pod(
            name=f"{name}-pod",
            spec=container,
            volumes=template.get("volumes") or (),
            namespace=namespace,
            claims=cluster.claims,
        )

    name = metadata.get("name") or metadata["generateName"]
    return cluster.submit(name, metadata["annotations"]["metaflow/step_name"], body, make)


def _job(job: Job) -> dict[str, Any]:
    state = ("succeeded" if job.status == 0 else "failed") if job.over else "active"
    spec = {**job.document["spec"], **({"parallelism": 0} if job.stopped else {})}
    metadata = {**job.document["metadata"], "name": job.name, "uid": f"uid-of-{job.name}"}
    metadata.setdefault("namespace", job.pod.namespace)
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec, "status": {state: 1}}


def _pod(job: Job) -> dict[str, Any]:
    phase = ("Succeeded" if job.status == 0 else "Failed") if job.over else "Running"
    state: dict[str, Any] = {"running": {"startedAt": _TIME}}
    if job.over:
        reason = "Completed" if job.status == 0 else "Error"
        ended = {"exitCode": job.status, "reason": reason, "startedAt": _TIME, "finishedAt": _TIME}
        state = {"terminated": {**ended, **({"message": str(job.fault)} if job.fault else {})}}
    status = {
        "name": job.pod.spec["name"],
        "image": job.pod.spec.get("image") or "none",
        "imageID": "none",
        "ready": not job.over,
        "restartCount": 0,
        "state": state,
    }
    return {
        "metadata": {"name": job.pod.name, "namespace": job.pod.namespace, "labels": {"job-name": job.name}},
        "spec": job.document["spec"]["template"]["spec"],
        "status": {"phase": phase, "containerStatuses": [status]},
    }
