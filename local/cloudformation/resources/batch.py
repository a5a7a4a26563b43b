"""Batch environments, queues and job definitions of a template: properties come in, where jobs may be sent goes out."""

from __future__ import annotations

from local.cloudformation.resources.kind import Context, Kind, Made, Properties, without


def _create_environment(context: Context, properties: Properties) -> Made:
    name = properties.get("ComputeEnvironmentName") or context.name(128)
    role = properties.get("ServiceRole") or _service_role(context)
    given = {"computeEnvironmentName": name, "serviceRole": role, "type": properties["Type"].upper()}
    rest = without(properties, "ComputeEnvironmentName", "ServiceRole", "Type")
    arn = context.call("batch", "CreateComputeEnvironment", {"State": "ENABLED", **rest}, **given)
    return Made(arn["computeEnvironmentArn"], {"ComputeEnvironmentArn": arn["computeEnvironmentArn"]})


def _service_role(context: Context) -> str:
    """The role that Batch makes for itself when no other is named."""
    iam = context.client("iam")
    found = iam.list_roles(PathPrefix="/aws-service-role/batch.amazonaws.com/")["Roles"]
    role = found[0] if found else iam.create_service_linked_role(AWSServiceName="batch.amazonaws.com")["Role"]
    return str(role["Arn"])


def _update_environment(context: Context, made: Made, _: Properties, now: Properties) -> None:
    rest = {name: value for name, value in now.items() if name in {"State", "ComputeResources"}}
    context.call("batch", "UpdateComputeEnvironment", rest, computeEnvironment=made.physical_id)


def _delete_environment(context: Context, made: Made, _: Properties) -> None:
    batch = context.client("batch")
    batch.update_compute_environment(computeEnvironment=made.physical_id, state="DISABLED")
    batch.delete_compute_environment(computeEnvironment=made.physical_id)


def _create_queue(context: Context, properties: Properties) -> Made:
    name = properties.get("JobQueueName") or context.name(128)
    rest = {"State": "ENABLED", **without(properties, "JobQueueName")}
    arn = context.call("batch", "CreateJobQueue", rest, jobQueueName=name)["jobQueueArn"]
    return Made(arn, {"JobQueueArn": arn})


def _update_queue(context: Context, made: Made, _: Properties, now: Properties) -> None:
    context.call("batch", "UpdateJobQueue", without(now, "JobQueueName", "Tags"), jobQueue=made.physical_id)


def _delete_queue(context: Context, made: Made, _: Properties) -> None:
    batch = context.client("batch")
    batch.update_job_queue(jobQueue=made.physical_id, state="DISABLED")
    batch.delete_job_queue(jobQueue=made.physical_id)


def _register(context: Context, properties: Properties) -> Made:
    name = properties.get("JobDefinitionName") or context.name(128)
    rest = without(properties, "JobDefinitionName")
    arn = context.call("batch", "RegisterJobDefinition", rest, jobDefinitionName=name)["jobDefinitionArn"]
    return Made(arn, {"JobDefinitionArn": arn})


def _register_again(context: Context, made: Made, _: Properties, now: Properties) -> None:
    """A new revision under the old name; the one before is deregistered."""
    name = made.physical_id.rpartition("/")[2].partition(":")[0]
    again = _register(context, {**now, "JobDefinitionName": name})
    _deregister(context, made, now)
    made.physical_id, made.attributes = again.physical_id, again.attributes


def _deregister(context: Context, made: Made, _: Properties) -> None:
    context.client("batch").deregister_job_definition(jobDefinition=made.physical_id)


KINDS = {
    "AWS::Batch::ComputeEnvironment": Kind(
        _create_environment, _update_environment, _delete_environment, frozenset({"ComputeEnvironmentName", "Type"})
    ),
    "AWS::Batch::JobQueue": Kind(_create_queue, _update_queue, _delete_queue, frozenset({"JobQueueName"})),
    "AWS::Batch::JobDefinition": Kind(
        _register, _register_again, _deregister, frozenset({"JobDefinitionName", "Type"})
    ),
}
