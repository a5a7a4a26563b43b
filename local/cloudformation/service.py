"""CloudFormation's API: requests of the CLI, of CDK and of `deploy` come in, stacks and what became of them go out."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlparse

from moto.core.parse import PROTOCOL_PARSERS
from moto.core.serialize import get_serializer_class
from moto.core.utils import get_service_model

from local.cloudformation.engine import Engine, check
from local.cloudformation.stack import ChangeSet, Stack
from local.cloudformation.template import TemplateError, parameter_values, parse
from local.server import EmbeddedAws
from local.wire import AwsRequest, ErrorAnswer

NO_CHANGES = "The submitted information didn't contain changes. Submit different information to create a change set."
Parameters = dict[str, Any]


class _RefusedError(Exception):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class CloudFormation:
    """All stacks of one embedded AWS. An operation on a stack runs in a thread of its own, as AWS answers at once."""

    def __init__(self, aws: EmbeddedAws) -> None:
        self._aws = aws
        self._stacks: list[Stack] = []
        self._engine = Engine(aws.client, aws.account, aws.region, self._exports)
        self._threads: list[threading.Thread] = []
        self._model = get_service_model("cloudformation")

    def __call__(self, request: AwsRequest, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answers one request."""
        operation = _OPERATIONS.get(request.operation)
        if operation is None:
            raise NotImplementedError(f"cloudformation: {request.operation}")
        model = self._model.operation_model(request.operation)
        parser = PROTOCOL_PARSERS["query"](model)
        given = parser.parse(
            {"values": request.parameters, "method": "POST", "headers": {}, "body": b"", "url_path": ""}
        )
        try:
            result = operation(self, given)
        except (TemplateError, _RefusedError) as refused:
            code = getattr(refused, "code", "ValidationError")
            return ErrorAnswer(400, code, str(refused)).send(request, start_response)
        answer = get_serializer_class("cloudformation", "query")(operation_model=model).serialize(result)
        start_response(f"{answer['status_code']} OK", list(answer["headers"].items()))
        body = answer["body"]
        return [body.encode() if isinstance(body, str) else body]

    def stop(self) -> None:
        """Waits for what is under way."""
        for thread in self._threads:
            thread.join(timeout=60)

    def _exports(self) -> dict[str, str]:
        return {name: value for stack in self._stacks for name, value in stack.exports.items()}

    def _stack(self, name: str) -> Stack:
        """The stack by its name, or by its id even when it is deleted."""
        for stack in reversed(self._stacks):
            if stack.id == name or (stack.name == name and stack.status != "DELETE_COMPLETE"):
                return stack
        raise _RefusedError("ValidationError", f"Stack with id {name} does not exist")

    def _template(self, given: Parameters, stack: Stack | None = None) -> tuple[str, dict[str, Any]]:
        if given.get("UsePreviousTemplate") and stack is not None:
            return stack.template_text, stack.template
        text = given.get("TemplateBody") or self._download(given.get("TemplateURL", ""))
        return text, parse(text)

    def _download(self, url: str) -> str:
        """The template that lies in this AWS's S3; both ways to write a bucket into an address."""
        parts = urlparse(url)
        host = (parts.hostname or "").split(".")
        path = parts.path.lstrip("/")
        in_host = len(host) > 1 and host[1] in {"s3", "localhost"}
        bucket, key = (host[0], path) if in_host else path.partition("/")[::2]
        if not key:
            raise _RefusedError("ValidationError", f"TemplateURL must be that of an object in S3, not {url!r}")
        body: bytes = self._aws.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        return body.decode()

    def _given_parameters(self, given: Parameters, stack: Stack | None) -> dict[str, str]:
        values = {}
        for item in given.get("Parameters") or ():
            previous = item.get("UsePreviousValue") and stack is not None
            name = item["ParameterKey"]
            if not previous:
                values[name] = item["ParameterValue"]
            elif stack is not None and name in stack.parameters:
                values[name] = stack.parameters[name]
        return values

    def _checked(self, given: Parameters, stack: Stack | None) -> tuple[str, dict[str, Any], dict[str, str]]:
        """The template as text and as read, and the parameters given; all refused together or not at all."""
        text, template = self._template(given, stack)
        check(template)
        parameters = self._given_parameters(given, stack)
        parameter_values(template, parameters, lambda name: self._engine.dynamic_value("ssm", name))
        return text, template, parameters

    def _start(self, stack: Stack, status: str, work: Callable[[], None]) -> None:
        stack.move(status, "User Initiated")
        thread = threading.Thread(target=work, name=f"cloudformation-{stack.name}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _arn(self, resource: str) -> str:
        return f"arn:aws:cloudformation:{self._aws.region}:{self._aws.account}:{resource}/{uuid.uuid4()}"

    def _new_stack(self, name: str) -> Stack:
        stack = Stack(self._arn(f"stack/{name}"), name)
        self._stacks.append(stack)
        return stack

    def _refuse_existing(self, name: str) -> None:
        if any(stack.name == name and stack.status != "DELETE_COMPLETE" for stack in self._stacks):
            raise _RefusedError("AlreadyExistsException", f"Stack [{name}] already exists")

    def create_stack(self, given: Parameters) -> Parameters:
        self._refuse_existing(given["StackName"])
        text, template, parameters = self._checked(given, None)
        stack = self._new_stack(given["StackName"])
        stack.rolls_back = not given.get("DisableRollback") and given.get("OnFailure", "ROLLBACK") == "ROLLBACK"
        stack.protected = bool(given.get("EnableTerminationProtection"))
        self._begin_create(stack, text, template, parameters, given.get("Tags") or [])
        return {"StackId": stack.id}

    def _begin_create(
        self, stack: Stack, text: str, template: dict[str, Any], parameters: dict[str, str], tags: list[dict[str, str]]
    ) -> None:
        stack.template_text, stack.template, stack.parameters, stack.tags = text, template, parameters, tags
        self._start(stack, "CREATE_IN_PROGRESS", lambda: self._engine.create(stack))

    def update_stack(self, given: Parameters) -> Parameters:
        stack = self._stack(given["StackName"])
        text, template, parameters = self._checked(given, stack)
        tags = given.get("Tags") or stack.tags
        if (template, parameters, tags) == (stack.template, stack.parameters, stack.tags):
            raise _RefusedError("ValidationError", "No updates are to be performed.")
        self._begin_update(stack, text, template, parameters, tags)
        return {"StackId": stack.id}

    def _begin_update(
        self, stack: Stack, text: str, template: dict[str, Any], parameters: dict[str, str], tags: list[dict[str, str]]
    ) -> None:
        if stack.busy or stack.status in {"ROLLBACK_COMPLETE", "CREATE_FAILED", "DELETE_FAILED"}:
            message = f"Stack:{stack.id} is in {stack.status} state and can not be updated."
            raise _RefusedError("ValidationError", message)
        stack.tags = tags
        work = lambda: self._engine.update(stack, template, text, parameters)  # noqa: E731
        self._start(stack, "UPDATE_IN_PROGRESS", work)

    def delete_stack(self, given: Parameters) -> Parameters:
        try:
            stack = self._stack(given["StackName"])
        except _RefusedError:
            return {}
        if stack.status == "DELETE_COMPLETE":
            return {}
        if stack.protected:
            message = f"Stack [{stack.name}] cannot be deleted while TerminationProtection is enabled"
            raise _RefusedError("ValidationError", message)
        self._start(stack, "DELETE_IN_PROGRESS", lambda: self._engine.delete(stack))
        return {}

    def describe_stacks(self, given: Parameters) -> Parameters:
        name = given.get("StackName")
        found = [self._stack(name)] if name else [s for s in self._stacks if s.status != "DELETE_COMPLETE"]
        return {"Stacks": [stack.description() for stack in found]}

    def list_stacks(self, given: Parameters) -> Parameters:
        states = given.get("StackStatusFilter") or ()
        shown = [stack.description() for stack in self._stacks if not states or stack.status in states]
        return {"StackSummaries": shown}

    def describe_stack_events(self, given: Parameters) -> Parameters:
        return {"StackEvents": self._stack(given["StackName"]).events[::-1]}

    def describe_stack_resources(self, given: Parameters) -> Parameters:
        stack = self._stack(given["StackName"])
        wanted = given.get("LogicalResourceId")
        found = [r for r in list(stack.resources.values()) if wanted in (None, r.logical_id)]
        return {"StackResources": [stack.resource_description(resource) for resource in found]}

    def describe_stack_resource(self, given: Parameters) -> Parameters:
        stack = self._stack(given["StackName"])
        resource = stack.resources.get(given["LogicalResourceId"])
        if resource is None:
            message = f"Resource {given['LogicalResourceId']} does not exist for stack {stack.name}"
            raise _RefusedError("ValidationError", message)
        return {"StackResourceDetail": stack.resource_description(resource)}

    def list_stack_resources(self, given: Parameters) -> Parameters:
        return {"StackResourceSummaries": self.describe_stack_resources(given)["StackResources"]}

    def get_template(self, given: Parameters) -> Parameters:
        stack = self._stack(given["StackName"])
        text = stack.template_text
        if name := given.get("ChangeSetName"):
            text = self._change_set(name, stack.name)[1].template_text
        return {"TemplateBody": text, "StagesAvailable": ["Original", "Processed"]}

    def get_template_summary(self, given: Parameters) -> Parameters:
        stack = self._stack(given["StackName"]) if given.get("StackName") else None
        template = stack.template if stack is not None else self._template(given)[1]
        return {
            "Parameters": [
                {"ParameterKey": name, "ParameterType": slot["Type"], "DefaultValue": slot.get("Default")}
                for name, slot in template.get("Parameters", {}).items()
            ],
            "Description": template.get("Description"),
            "ResourceTypes": sorted({resource["Type"] for resource in template["Resources"].values()}),
        }

    def validate_template(self, given: Parameters) -> Parameters:
        check(self._template(given)[1])
        return self.get_template_summary(given)

    def list_exports(self, _: Parameters) -> Parameters:
        exports = [
            {"ExportingStackId": stack.id, "Name": name, "Value": value}
            for stack in self._stacks
            for name, value in stack.exports.items()
        ]
        return {"Exports": exports}

    def update_termination_protection(self, given: Parameters) -> Parameters:
        stack = self._stack(given["StackName"])
        stack.protected = bool(given["EnableTerminationProtection"])
        return {"StackId": stack.id}

    def create_change_set(self, given: Parameters) -> Parameters:
        kind = given.get("ChangeSetType", "UPDATE")
        if kind == "CREATE" and not any(
            s.name == given["StackName"] and s.status == "REVIEW_IN_PROGRESS" for s in self._stacks
        ):
            self._refuse_existing(given["StackName"])
            stack = None
        else:
            stack = self._stack(given["StackName"])
        text, template, parameters = self._checked(given, stack)
        stack = stack or self._new_stack(given["StackName"])
        tags = given.get("Tags") or stack.tags
        same = (template, parameters, tags) == (stack.template, stack.parameters, stack.tags)
        arn = self._arn(f"changeSet/{given['ChangeSetName']}")
        changes = [] if same else _changes(stack.template.get("Resources", {}), template["Resources"])
        change_set = ChangeSet(
            arn, given["ChangeSetName"], kind, text, template, parameters, tags, changes, given.get("Description", "")
        )
        change_set.executed = same  # nothing to execute
        stack.change_sets[change_set.name] = change_set
        return {"Id": arn, "StackId": stack.id}

    def _change_set(self, name: str, stack_name: str | None) -> tuple[Stack, ChangeSet]:
        for stack in reversed(self._stacks):
            for change_set in stack.change_sets.values():
                if change_set.id == name or (change_set.name == name and stack_name in (stack.name, stack.id)):
                    return stack, change_set
        raise _RefusedError("ChangeSetNotFound", f"ChangeSet [{name}] does not exist")

    def describe_change_set(self, given: Parameters) -> Parameters:
        stack, change_set = self._change_set(given["ChangeSetName"], given.get("StackName"))
        same = change_set.executed and not change_set.changes
        return {
            "ChangeSetName": change_set.name,
            "ChangeSetId": change_set.id,
            "StackId": stack.id,
            "StackName": stack.name,
            "Description": change_set.description,
            "CreationTime": change_set.created_at,
            "ExecutionStatus": "UNAVAILABLE" if change_set.executed else "AVAILABLE",
            "Status": "FAILED" if same else "CREATE_COMPLETE",
            **({"StatusReason": NO_CHANGES} if same else {}),
            "Parameters": [{"ParameterKey": n, "ParameterValue": v} for n, v in change_set.parameters.items()],
            "Tags": change_set.tags,
            "Changes": change_set.changes,
        }

    def list_change_sets(self, given: Parameters) -> Parameters:
        stack = self._stack(given["StackName"])
        kept = ("ChangeSetId", "ChangeSetName", "CreationTime", "ExecutionStatus", "StackId", "StackName", "Status")
        shown = [self.describe_change_set({"ChangeSetName": one.id}) for one in stack.change_sets.values()]
        return {"Summaries": [{name: one[name] for name in kept} for one in shown]}

    def delete_change_set(self, given: Parameters) -> Parameters:
        try:
            stack, change_set = self._change_set(given["ChangeSetName"], given.get("StackName"))
        except _RefusedError:
            return {}
        del stack.change_sets[change_set.name]
        return {}

    def execute_change_set(self, given: Parameters) -> Parameters:
        stack, change_set = self._change_set(given["ChangeSetName"], given.get("StackName"))
        if change_set.executed:
            message = f"ChangeSet [{change_set.id}] cannot be executed in its current status"
            raise _RefusedError("InvalidChangeSetStatus", message)
        change_set.executed = True
        stack.rolls_back = not given.get("DisableRollback")
        wanted = (change_set.template_text, change_set.template, change_set.parameters, change_set.tags)
        if change_set.kind == "CREATE":
            self._begin_create(stack, *wanted)
        else:
            self._begin_update(stack, *wanted)
        return {}


def _changes(before: dict[str, Any], now: dict[str, Any]) -> list[dict[str, Any]]:
    changes = []
    for name in {**before, **now}:
        action = "Add" if name not in before else "Remove" if name not in now else "Modify"
        if action == "Modify" and before[name] == now[name]:
            continue
        change = {"Action": action, "LogicalResourceId": name, "ResourceType": (now.get(name) or before[name])["Type"]}
        if action == "Modify":
            change["Replacement"] = "Conditional"
        changes.append({"Type": "Resource", "ResourceChange": change})
    return changes


_OPERATIONS: dict[str, Callable[[CloudFormation, Parameters], Parameters]] = {
    "CreateChangeSet": CloudFormation.create_change_set,
    "CreateStack": CloudFormation.create_stack,
    "DeleteChangeSet": CloudFormation.delete_change_set,
    "DeleteStack": CloudFormation.delete_stack,
    "DescribeChangeSet": CloudFormation.describe_change_set,
    "DescribeStackEvents": CloudFormation.describe_stack_events,
    "DescribeStackResource": CloudFormation.describe_stack_resource,
    "DescribeStackResources": CloudFormation.describe_stack_resources,
    "DescribeStacks": CloudFormation.describe_stacks,
    "ExecuteChangeSet": CloudFormation.execute_change_set,
    "GetTemplate": CloudFormation.get_template,
    "GetTemplateSummary": CloudFormation.get_template_summary,
    "ListChangeSets": CloudFormation.list_change_sets,
    "ListExports": CloudFormation.list_exports,
    "ListStackResources": CloudFormation.list_stack_resources,
    "ListStacks": CloudFormation.list_stacks,
    "UpdateStack": CloudFormation.update_stack,
    "UpdateTerminationProtection": CloudFormation.update_termination_protection,
    "ValidateTemplate": CloudFormation.validate_template,
}
