"""A Batch job comes in, the process that stands for its container goes out: folder, command, variables, secrets."""

from __future__ import annotations

import fnmatch
import os
import sys
from typing import Any

from botocore.exceptions import ClientError
from moto.batch.exceptions import ClientException

from local.batch_job import Job
from local.batch_process import Container
from local.iam.guard import may, may_assume
from local.records import ImageMapping, Principal
from local.server import EmbeddedAws

# What a job may know of the machine that runs it, besides its own variables.
PASSED_ON = ("HOME", "LANG", "NUMBA_CACHE_DIR", "OMP_WAIT_POLICY", "PATH", "TMPDIR")
GIB = 1024
# Memory in MiB by vCPU: https://docs.aws.amazon.com/batch/latest/APIReference/API_ResourceRequirement.html
FARGATE_MEMORY_MIB: dict[float, range | tuple[int, ...]] = {
    0.25: (512, GIB, 2 * GIB),
    0.5: range(GIB, 4 * GIB + 1, GIB),
    1: range(2 * GIB, 8 * GIB + 1, GIB),
    2: range(4 * GIB, 16 * GIB + 1, GIB),
    4: range(8 * GIB, 30 * GIB + 1, GIB),
    8: range(16 * GIB, 60 * GIB + 1, 4 * GIB),
    16: range(32 * GIB, 120 * GIB + 1, 8 * GIB),
}


class CannotStartError(Exception):
    """The container cannot be made; the message is the reason that Batch shows."""


def make_container(aws: EmbeddedAws, job: Job, attempt: int, principal: Principal | None) -> Container:
    """The container of the next attempt.

    Raises:
        CannotStartError: its image has no folder here, a secret cannot be read, or its log cannot be written.
    """
    _check_log(aws, job)
    image = _image(aws, str(job.definition.container_properties["image"]))
    command = [*image.entrypoint, *job.command()]
    if command and command[0] in {"python", "python3"}:
        command[0] = sys.executable
    variables = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    variables |= aws.environment() if principal is None else aws.environment(principal.credentials)
    if principal is None:  # without a job role a container has no credentials
        variables = {name: value for name, value in variables.items() if "KEY" not in name}
    variables |= {"PYTHONUNBUFFERED": "1", **image.env, **job.variables(), **_secrets(aws, job)}
    variables |= {
        "AWS_BATCH_JOB_ID": job.id,
        "AWS_BATCH_JOB_ATTEMPT": str(attempt),
        "AWS_BATCH_JQ_NAME": job.queue.name,
        "AWS_BATCH_CE_NAME": job.queue.environments[0].name,
    }
    if job.index is not None:
        variables["AWS_BATCH_JOB_ARRAY_INDEX"] = str(job.index)
    return Container(command, image.cwd, variables, int(job.resource("MEMORY")), job.timeout_s())


def _check_log(aws: EmbeddedAws, job: Job) -> None:
    """The execution role writes the log; a container whose log it may not open does not start."""
    role = job.definition.container_properties.get("executionRoleArn")
    if not role:
        return
    if not may_assume(aws, role, "ecs-tasks.amazonaws.com"):
        raise CannotStartError(f"ECS was unable to assume the role '{role}' that was provided for this task.")
    arn = f"arn:aws:logs:{aws.region}:{aws.account}:log-group:{job.log_group()}:log-stream:{job.log_stream}"
    for action in ("logs:CreateLogStream", "logs:PutLogEvents"):
        if not may(aws, role, action, arn):
            raise CannotStartError(
                f"ResourceInitializationError: {role} is not authorized to perform: {action} on {arn}"
            )


def _image(aws: EmbeddedAws, uri: str) -> ImageMapping:
    for pattern, mapping in aws.images.items():
        if fnmatch.fnmatchcase(uri, pattern):
            return mapping
    raise CannotStartError(f"CannotPullContainerError: aws.images names no folder for the image {uri}")


def _secrets(aws: EmbeddedAws, job: Job) -> dict[str, str]:
    """The secrets of the definition, read as the execution role."""
    wanted = job.definition.container_properties.get("secrets") or ()
    if not wanted:
        return {}
    role = str(job.definition.container_properties.get("executionRoleArn"))
    principal = aws.assume(role, f"execution:{job.name}")
    values = {}
    for secret in wanted:
        source = secret["valueFrom"]
        service = "secretsmanager" if ":secretsmanager:" in source else "ssm"
        client = aws.client(service, principal)
        try:
            if service == "ssm":
                found = client.get_parameter(Name=source.rpartition(":parameter")[2], WithDecryption=True)
                values[secret["name"]] = found["Parameter"]["Value"]
            else:
                values[secret["name"]] = client.get_secret_value(SecretId=source)["SecretString"]
        except ClientError as error:
            raise CannotStartError(f"ResourceInitializationError: {source}: {error}") from error
        finally:
            client.close()
    return values


def check_fargate_size(container: dict[str, Any]) -> None:
    """Refuses a definition whose vCPU and memory Fargate does not offer together.

    Raises:
        ClientException: as RegisterJobDefinition does.
    """
    asked = {item["type"]: float(item["value"]) for item in container.get("resourceRequirements", ())}
    vcpu, memory = asked.get("VCPU", 0.0), asked.get("MEMORY", 0.0)
    if memory not in FARGATE_MEMORY_MIB.get(vcpu, ()):
        sizes = ", ".join(f"{size:g}" for size in FARGATE_MEMORY_MIB)
        raise ClientException(
            f"Fargate resource requirements ({vcpu:g} vCPU, {memory:g} MiB) not valid: "
            f"vCPU is one of {sizes}, and each allows certain amounts of memory"
        )
