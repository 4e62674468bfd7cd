"""As much of the AWS Batch API as Metaflow asks of it: a queue, job definitions, jobs of one container."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from .pods import Pod

if TYPE_CHECKING:
    from .cluster import Cluster, Job

_ARN = "arn:aws:batch:us-east-1:000000000000"
QUEUE = "one-machine"
_ENVIRONMENT = "one-machine-environment"


def answer_batch(cluster: Cluster, action: str, body: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the answer to an action, or None if there is no such."""
    answer = _ANSWERS.get(action)
    return answer(cluster, body) if answer is not None else None


def container_of(overrides: Mapping[str, Any], definition: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a job's container is, in the words of a pod's."""
    properties = definition["containerProperties"]
    mounts = [
        {"name": mount["sourceVolume"], "mountPath": mount["containerPath"]}
        for mount in properties.get("mountPoints") or ()
    ]
    return {
        "name": "default",
        "image": properties.get("image"),
        "command": overrides["command"],
        "env": overrides.get("environment") or [],
        "volumeMounts": mounts,
    }


def variables_of(job_id: str, attempt: int = 1) -> dict[str, str]:
    """Return what Batch itself tells a job's container."""
    return {
        "AWS_BATCH_JOB_ID": job_id,
        "AWS_BATCH_JOB_ATTEMPT": str(attempt),
        "AWS_BATCH_CE_NAME": _ENVIRONMENT,
        "AWS_BATCH_JQ_NAME": QUEUE,
        "AWS_EXECUTION_ENV": "AWS_ECS_EC2",
    }


def _queues(_cluster: Cluster, body: Mapping[str, Any]) -> dict[str, Any]:
    order = [{"order": 1, "computeEnvironment": _ENVIRONMENT}]
    common = {"state": "ENABLED", "status": "VALID", "priority": 1, "computeEnvironmentOrder": order}
    names = body.get("jobQueues") or [QUEUE]
    return {"jobQueues": [{"jobQueueName": name, "jobQueueArn": f"{_ARN}:q/{name}", **common} for name in names]}


def _environments(_cluster: Cluster, _body: Mapping[str, Any]) -> dict[str, Any]:
    found = {"computeEnvironmentName": _ENVIRONMENT, "computeResources": {"type": "EC2"}}
    return {"computeEnvironments": [found]}


def _no_definitions(_cluster: Cluster, _body: Mapping[str, Any]) -> dict[str, Any]:
    return {"jobDefinitions": []}


def _register(cluster: Cluster, body: Mapping[str, Any]) -> dict[str, Any]:
    arn = f"{_ARN}:job-definition/{body['jobDefinitionName']}:1"
    cluster.definitions[arn] = body
    return {"jobDefinitionName": body["jobDefinitionName"], "jobDefinitionArn": arn, "revision": 1}


def _submitted(cluster: Cluster, body: Mapping[str, Any]) -> dict[str, Any]:
    return {"jobName": body["jobName"], "jobId": _submit(cluster, body).name}


def _described(cluster: Cluster, body: Mapping[str, Any]) -> dict[str, Any]:
    return {"jobs": [_job(cluster.named(name)) for name in body["jobs"]]}


def _terminated(cluster: Cluster, body: Mapping[str, Any]) -> dict[str, Any]:
    cluster.named(body["jobId"]).stop()
    return {}


_ANSWERS: Mapping[str, Callable[[Cluster, Mapping[str, Any]], dict[str, Any]]] = {
    "describejobqueues": _queues,
    "describecomputeenvironments": _environments,
    "describejobdefinitions": _no_definitions,
    "registerjobdefinition": _register,
    "submitjob": _submitted,
    "describejobs": _described,
    "terminatejob": _terminated,
}


def _submit(cluster: Cluster, body: Mapping[str, Any]) -> Job:
    definition = cluster.definitions[body["jobDefinition"]]
    spec = container_of(body["containerOverrides"], definition)
    volumes = [
        {"name": volume["name"], "persistentVolumeClaim": {"claimName": volume["host"]["sourcePath"]}}
        for volume in definition["containerProperties"].get("volumes") or ()
    ]

    def make(name: str) -> Pod:
        env = [*spec["env"], *({"name": key, "value": value} for key, value in variables_of(name).items())]
        return Pod(name=name, spec={**spec, "env": env}, volumes=volumes, claims=cluster.claims)

    return cluster.submit(body["jobName"], body["parameters"]["metaflow.step_name"], body, make)


def _job(job: Job) -> dict[str, Any]:
    found: dict[str, Any] = {
        "jobId": job.name,
        "jobName": job.document["jobName"],
        "jobQueue": job.document["jobQueue"],
        "jobDefinition": job.document["jobDefinition"],
        "parameters": job.document.get("parameters") or {},
        "status": ("SUCCEEDED" if job.status == 0 else "FAILED") if job.over else "RUNNING",
        "createdAt": 1,
        "startedAt": 1,
        "container": {},
    }
    if job.over:
        reason = {"statusReason": f"the container ended with {job.status}{f': {job.fault}' if job.fault else ''}"}
        found.update(stoppedAt=2, container={"exitCode": job.status}, **(reason if job.status else {}))
    return found
