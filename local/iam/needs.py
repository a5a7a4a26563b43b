"""A request comes in, the IAM actions and resources that it needs go out.

The service model of the SDK gives the operation; its IAM action has the same name, but for the exceptions below
(https://docs.aws.amazon.com/service-authorization/latest/reference/). An operation that no rule knows needs its action
on a resource that is not told, so that any Allow of the action suffices.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from email import message_from_bytes
from email.utils import parseaddr
from typing import Any

from local.iam.names import Account
from local.iam.policy import Need
from local.iam.s3_needs import s3_needs
from local.wire import AwsRequest

Parameters = dict[str, Any]
_PREFIXES = {"stepfunctions": "states", "sesv2": "ses", "dynamodbstreams": "dynamodb"}
_BATCHES = {  # operations that are checked as another
    "lambda": {
        "Invoke": "InvokeFunction",
        "InvokeAsync": "InvokeFunction",
        "InvokeWithResponseStream": "InvokeFunction",
    },
    "sns": {"PublishBatch": "Publish"},
    "sqs": {
        "ChangeMessageVisibilityBatch": "ChangeMessageVisibility",
        "DeleteMessageBatch": "DeleteMessage",
        "SendMessageBatch": "SendMessage",
    },
}
_OPEN = {("sts", "GetCallerIdentity")}  # needs no permission


def needs_of(request: AwsRequest, account: Account) -> list[Need]:
    """Everything the request needs; empty when it needs no permission."""
    service, operation = request.service, request.operation
    if not operation or (service, operation) in _OPEN:
        return []
    if service == "s3":
        return list(s3_needs(request))
    prefix = _PREFIXES.get(service, service)
    rule = _RULES.get(service)
    if rule is not None:
        found = list(rule(operation, request.parameters, account))
        if found:
            return found
    name = _BATCHES.get(service, {}).get(operation, operation)
    resource = _resource(service, operation, request.parameters, account)
    return [Need(f"{prefix}:{name}", resource, _context(request))]


def _context(request: AwsRequest) -> dict[str, str]:
    context = {"aws:securetransport": "true", "aws:requestedregion": request.region}
    if request.service == "cloudwatch" and "Namespace" in request.parameters:
        context["cloudwatch:namespace"] = str(request.parameters["Namespace"])
    return context


def _resource(service: str, operation: str, given: Parameters, account: Account) -> str | None:
    """The resource of an operation that concerns one; "*" for those that concern none."""
    named = _NAMED.get(service)
    if named is not None:
        for parameter, resource in named:
            value = given.get(parameter)
            if isinstance(value, str) and value:
                return account.arn(_PREFIXES.get(service, service), resource.format(value))
    finder = _FINDERS.get(service)
    if finder is not None:
        found = finder(operation, given, account)
        if found is not None:
            return found
    if operation.startswith(("List", "Describe")) or service in _WITHOUT_RESOURCES:
        return "*"
    return next((v for k, v in given.items() if k.lower().endswith("arn") and str(v).startswith("arn:")), None)


# Parameter -> the resource part of the ARN, the first that is given. A value that is an ARN stays as it is.
_NAMED: dict[str, list[tuple[str, str]]] = {
    "stepfunctions": [
        ("executionArn", "{}"),
        ("stateMachineArn", "{}"),
        ("mapRunArn", "{}"),
        ("activityArn", "{}"),
        ("name", "stateMachine:{}"),
    ],
    "batch": [("jobId", "job/{}"), ("jobDefinitionName", "job-definition/{}")],
    "sns": [("TopicArn", "{}"), ("TargetArn", "{}"), ("ResourceArn", "{}"), ("Name", "{}")],
    "events": [("Rule", "rule/{}"), ("Name", "rule/{}"), ("NamePrefix", "rule/{}")],
    "cloudwatch": [("AlarmName", "alarm:{}")],
    "ssm": [("Path", "parameter{}")],
    "ecr": [("repositoryName", "repository/{}")],
}
_WITHOUT_RESOURCES = {"xray"}


def _lambda_function(_: str, given: Parameters, account: Account) -> str | None:
    name = str(given.get("FunctionName", ""))
    if not name or name.startswith("arn:"):
        return name or None
    qualifier = f":{given['Qualifier']}" if "Qualifier" in given else ""
    return account.arn("lambda", f"function:{name.rpartition('function:')[2]}{qualifier}")


def _queue(_: str, given: Parameters, account: Account) -> str | None:
    name = str(given.get("QueueUrl") or given.get("QueueName") or "").rpartition("/")[2]
    return account.arn("sqs", name) if name else None


def _log_resource(operation: str, given: Parameters, account: Account) -> str | None:
    group, stream = given.get("logGroupName"), given.get("logStreamName")
    if group is None:
        return None
    return account.arn("logs", f"log-group:{group}:log-stream:{stream or ''}")


def _parameter(_: str, given: Parameters, account: Account) -> str | None:
    name = given.get("Name")
    return account.arn("ssm", f"parameter/{str(name).lstrip('/')}") if name else None


def _schedule(operation: str, given: Parameters, account: Account) -> str | None:
    if "Name" not in given:
        return None
    if operation.endswith("Group"):
        return account.arn("scheduler", f"schedule-group/{given['Name']}")
    group = given.get("GroupName") or given.get("groupName") or "default"
    return account.arn("scheduler", f"schedule/{group}/{given['Name']}")


def _role(_: str, given: Parameters, account: Account) -> str | None:
    name = given.get("RoleName")
    return f"arn:aws:iam::{account.id}:role/{name}" if name else None


_FINDERS: dict[str, Callable[[str, Parameters, Account], str | None]] = {
    "iam": _role,
    "kms": lambda _, given, account: account.key(given["KeyId"]) if "KeyId" in given else None,
    "lambda": _lambda_function,
    "logs": _log_resource,
    "scheduler": _schedule,
    "secretsmanager": lambda _, given, account: account.secret(given["SecretId"]) if "SecretId" in given else None,
    "sqs": _queue,
    "ssm": _parameter,
}


def _dynamodb(operation: str, given: Parameters, account: Account) -> Iterator[Need]:
    def table(name: str, index: str | None = None) -> str:
        arn = account.arn("dynamodb", name if name.startswith("arn:") else f"table/{name}")
        return f"{arn}/index/{index}" if index else arn

    if operation in {"BatchGetItem", "BatchWriteItem"}:
        for name in given.get("RequestItems", {}):
            yield Need(f"dynamodb:{operation}", table(name))
    elif operation in {"TransactWriteItems", "TransactGetItems"}:
        for item in given.get("TransactItems", ()):
            for verb, request in item.items():
                action = "ConditionCheckItem" if verb == "ConditionCheck" else f"{verb}Item"
                yield Need(f"dynamodb:{action}", table(request["TableName"]))
    elif "TableName" in given:
        yield Need(f"dynamodb:{operation}", table(given["TableName"], given.get("IndexName")))


def _batch(operation: str, given: Parameters, account: Account) -> Iterator[Need]:
    """A job needs the permission on its definition and on its queue."""
    if operation == "SubmitJob":
        yield Need("batch:SubmitJob", account.job_definition(given["jobDefinition"]))
        queue = str(given["jobQueue"])
        yield Need("batch:SubmitJob", account.arn("batch", queue if ":" in queue else f"job-queue/{queue}"))


def _ses(operation: str, given: Parameters, account: Account) -> Iterator[Need]:
    """Sending needs the permission on the identity and on the configuration set.

    Raw content is checked as the action of the older API, ses:SendRawEmail, also through the newer one.
    """
    if operation not in {"SendEmail", "SendBulkEmail"}:
        return
    content = given.get("Content") or given.get("DefaultContent") or {}
    action = "ses:SendRawEmail" if "Raw" in content else f"ses:{operation}"
    sender = parseaddr(given.get("FromEmailAddress") or _sender_of(content))[1]
    destination = given.get("Destination") or {}
    context = {"ses:fromaddress": sender, "aws:securetransport": "true"}
    recipients = [
        address for name in ("ToAddresses", "CcAddresses", "BccAddresses") for address in destination.get(name, ())
    ]
    if len(recipients) == 1:
        context["ses:recipients"] = recipients[0]
    yield Need(action, given.get("FromEmailAddressIdentityArn") or account.identity(sender), context)
    if "ConfigurationSetName" in given:
        yield Need(action, account.arn("ses", f"configuration-set/{given['ConfigurationSetName']}"), context)
    template = content.get("Template", {})
    if "TemplateName" in template:
        yield Need(action, account.arn("ses", f"template/{template['TemplateName']}"), context)


def _sender_of(content: Parameters) -> str:
    raw = base64.b64decode(content.get("Raw", {}).get("Data", ""))
    return str(message_from_bytes(raw).get("From", ""))


def _assume(operation: str, given: Parameters, _: Account) -> Iterator[Need]:
    if operation == "AssumeRole":
        yield Need("sts:AssumeRole", given["RoleArn"])


def _ssm(operation: str, given: Parameters, account: Account) -> Iterator[Need]:
    if operation == "GetParameters":
        names = given.get("Names", ())
        yield from (Need("ssm:GetParameters", _parameter("", {"Name": name}, account)) for name in names)


def _events(operation: str, given: Parameters, account: Account) -> Iterator[Need]:
    if operation == "PutEvents":
        buses = {str(entry.get("EventBusName", "default")) for entry in given.get("Entries", ())}
        for bus in sorted(buses):
            yield Need("events:PutEvents", account.arn("events", bus if ":" in bus else f"event-bus/{bus}"))


_RULES: dict[str, Callable[[str, Parameters, Account], Iterator[Need]]] = {
    "batch": _batch,
    "dynamodb": _dynamodb,
    "events": _events,
    "sesv2": _ses,
    "ssm": _ssm,
    "sts": _assume,
}
