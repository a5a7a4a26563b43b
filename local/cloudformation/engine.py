"""A stack and a template come in; resources made, changed and removed in the order of their dependencies go out.

Strict where moto is lenient: a type that is neither made nor on the list of those that need nothing refuses the whole
template before anything is touched. A failure undoes what the operation did, as CloudFormation's rollback does.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local.cloudformation.resources import KINDS, NO_OPS
from local.cloudformation.resources.kind import Context, Kind, Made
from local.cloudformation.stack import Resource, Stack
from local.cloudformation.template import (
    PSEUDO_PARAMETERS,
    Scope,
    TemplateError,
    in_order,
    parameter_values,
    references,
)

RETAINING = ("Retain", "RetainExceptOnCreate")
# What a resource may do wrong: the API refuses it, or its properties are not as CloudFormation's types want them.
_FAILURES = (BotoCoreError, ClientError, KeyError, StopIteration, TemplateError, TypeError, ValueError)
_log = logging.getLogger(__name__)


class _FailedError(Exception):
    """A resource failed; its events are written."""


def check(template: Mapping[str, Any]) -> None:
    """What is refused before anything is touched.

    Raises:
        TemplateError: a type is not emulated (the message names it and the logical id), a name stands for nothing, or
            resources need each other in a circle.
    """
    unknown = [
        f"{resource.get('Type')} ({logical_id})"
        for logical_id, resource in template["Resources"].items()
        if resource.get("Type") not in KINDS and resource.get("Type") not in NO_OPS
    ]
    if unknown:
        raise TemplateError(
            f"Unrecognized resource types: the embedded AWS does not emulate {', '.join(unknown)}. "
            "Cure: add the type to local/cloudformation/resources, or to its NO_OPS with the reason why not"
        )
    in_order(template["Resources"])
    known = {*template["Resources"], *template.get("Parameters", {}), *PSEUDO_PARAMETERS}
    unresolved = sorted({name for name in references(template["Resources"]) if name not in known})
    if unresolved:
        message = f"Template format error: Unresolved resource dependencies {unresolved} in the Resources block"
        raise TemplateError(f"{message} of the template")


class Engine:
    """Applies templates; `exports` gives the exports of all stacks."""

    def __init__(
        self,
        client: Callable[[str], Any],
        account: str,
        region: str,
        exports: Callable[[], Mapping[str, str]],
    ) -> None:
        self._client = client
        self._account = account
        self._region = region
        self._exports = exports

    def create(self, stack: Stack) -> None:
        """Makes every resource of the stack's template; leaves it CREATE_COMPLETE or rolled back."""
        undo: list[Callable[[], None]] = []
        try:
            self._apply(stack, stack.template, stack.parameters, undo, [])
        except _FailedError as failed:
            if not stack.rolls_back:
                stack.move("CREATE_FAILED", str(failed))
                return
            stack.move("ROLLBACK_IN_PROGRESS", f"{failed} Rollback requested by user.")
            self._undo(undo)
            stack.resources.clear()
            stack.move("ROLLBACK_COMPLETE")
            return
        stack.move("CREATE_COMPLETE")

    def update(self, stack: Stack, template: dict[str, Any], text: str, parameters: dict[str, str]) -> None:
        """Brings the stack to the template; leaves it UPDATE_COMPLETE or as it was."""
        undo: list[Callable[[], None]] = []
        replaced: list[Resource] = []
        before = dict(stack.resources)
        try:
            self._apply(stack, template, parameters, undo, replaced)
        except _FailedError as failed:
            stack.move("UPDATE_ROLLBACK_IN_PROGRESS", str(failed))
            self._undo(undo)
            stack.resources = before
            stack.move("UPDATE_ROLLBACK_COMPLETE")
            return
        stack.move("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")
        gone = [before[name] for name in reversed(in_order(stack.template["Resources"])) if name in before]
        removed = [resource for resource in gone if resource.logical_id not in stack.resources]
        for resource in (*reversed(replaced), *removed):
            self._remove(stack, resource)
        stack.template, stack.template_text, stack.parameters = template, text, parameters
        stack.updated_at = datetime.now(UTC)
        stack.move("UPDATE_COMPLETE")

    def delete(self, stack: Stack) -> None:
        """Removes every resource but those to be retained; leaves the stack DELETE_COMPLETE or DELETE_FAILED."""
        order = in_order(stack.template["Resources"]) if stack.template else []
        failed = []
        for name in reversed(order):
            resource = stack.resources.get(name)
            if resource is None:
                continue
            if self._remove(stack, resource):
                del stack.resources[name]
            else:
                failed.append(name)
        if failed:
            stack.move("DELETE_FAILED", f"The following resource(s) failed to delete: [{', '.join(failed)}].")
        else:
            stack.move("DELETE_COMPLETE")

    def _apply(
        self,
        stack: Stack,
        template: dict[str, Any],
        parameters: Mapping[str, str],
        undo: list[Callable[[], None]],
        replaced: list[Resource],
    ) -> None:
        """Makes and changes resources, then evaluates the outputs; `undo` gets what takes each step back."""
        existing, made = stack.resources, dict[str, Resource]()
        try:
            scope = self._scope(stack, template, parameters, made)
            order = [name for name in in_order(template["Resources"]) if _wanted(scope, template["Resources"][name])]
        except _FAILURES as error:
            raise _FailedError(_reason(error)) from error
        for name in order:
            wanted = template["Resources"][name]
            resource = self._bring(stack, name, wanted, scope, existing.get(name), undo, replaced)
            resource.retained = wanted.get("DeletionPolicy") in RETAINING
            made[name] = resource
        stack.resources = made
        try:
            stack.outputs = _outputs(template, scope)
        except _FAILURES as error:
            raise _FailedError(f"Outputs: {_reason(error)}") from error

    def _bring(
        self,
        stack: Stack,
        name: str,
        wanted: Mapping[str, Any],
        scope: Scope,
        existing: Resource | None,
        undo: list[Callable[[], None]],
        replaced: list[Resource],
    ) -> Resource:
        """The resource as the template wants it, whether it was there or not."""
        verb = "CREATE" if existing is None else "UPDATE"
        try:
            properties = scope.value(wanted.get("Properties", {}))
            if existing is not None and (existing.type, existing.properties) == (wanted["Type"], properties):
                return existing
            if existing is not None and existing.type != wanted["Type"]:
                raise TemplateError("Update of resource type is not permitted. The new template modifies resource type")
        except _FAILURES as error:
            self._fail(stack, existing or Resource(name, wanted["Type"], Made(""), {}), verb, error)
        context = self._context(stack, name)
        kind = KINDS.get(wanted["Type"])
        if existing is None or kind is None or _must_replace(kind, existing.properties, properties):
            if existing is not None:
                replaced.append(existing)
            return self._make(stack, Resource(name, wanted["Type"], Made(""), properties), kind, context, verb, undo)
        return self._change(stack, existing, kind, context, properties, undo)

    def _make(
        self,
        stack: Stack,
        resource: Resource,
        kind: Kind | None,
        context: Context,
        verb: str,
        undo: list[Callable[[], None]],
    ) -> Resource:
        stack.mark(resource, f"{verb}_IN_PROGRESS")
        try:
            resource.made = Made(context.name(64)) if kind is None else kind.create(context, resource.properties)
        except _FAILURES as error:
            self._fail(stack, resource, verb, error)
        undo.append(lambda: self._take_back(stack, resource))
        stack.mark(resource, f"{verb}_COMPLETE", "" if kind else f"Not emulated: {NO_OPS[resource.type]}")
        return resource

    def _change(
        self,
        stack: Stack,
        existing: Resource,
        kind: Kind,
        context: Context,
        properties: dict[str, Any],
        undo: list[Callable[[], None]],
    ) -> Resource:
        before, made = existing.properties, Made(existing.made.physical_id, dict(existing.made.attributes))
        resource = Resource(existing.logical_id, existing.type, made, properties)
        update = kind.update
        if update is None:
            raise TypeError(f"{existing.type} cannot be updated")
        stack.mark(resource, "UPDATE_IN_PROGRESS")
        undo.append(lambda: update(context, existing.made, properties, before))
        try:
            update(context, made, before, properties)
        except _FAILURES as error:
            self._fail(stack, resource, "UPDATE", error)
        stack.mark(resource, "UPDATE_COMPLETE")
        return resource

    def _fail(self, stack: Stack, resource: Resource, verb: str, error: Exception) -> None:
        stack.mark(resource, f"{verb}_FAILED", _reason(error))
        doing = "create" if verb == "CREATE" else "update"
        raise _FailedError(f"The following resource(s) failed to {doing}: [{resource.logical_id}].") from error

    def _undo(self, steps: list[Callable[[], None]]) -> None:
        for step in reversed(steps):
            try:
                step()
            except _FAILURES as error:  # as CloudFormation, go on with what can be undone
                _log.warning("rollback_step_failed %s", _reason(error))

    def _take_back(self, stack: Stack, resource: Resource) -> None:
        """Deletes what a failed operation made, whatever its DeletionPolicy says of later."""
        resource.retained = False
        self._remove(stack, resource)

    def _remove(self, stack: Stack, resource: Resource) -> bool:
        kind = KINDS.get(resource.type)
        if resource.retained:
            stack.mark(resource, "DELETE_SKIPPED")
            return True
        stack.mark(resource, "DELETE_IN_PROGRESS")
        try:
            if kind is not None and kind.delete is not None:
                context = self._context(stack, resource.logical_id)
                kind.delete(context, resource.made, resource.properties)
        except _FAILURES as error:
            stack.mark(resource, "DELETE_FAILED", _reason(error))
            return False
        stack.mark(resource, "DELETE_COMPLETE")
        return True

    def _context(self, stack: Stack, logical_id: str) -> Context:
        return Context(self._client, self._account, self._region, stack.name, logical_id)

    def _scope(
        self, stack: Stack, template: dict[str, Any], parameters: Mapping[str, str], made: Mapping[str, Resource]
    ) -> Scope:
        pseudo = {
            "AWS::AccountId": self._account,
            "AWS::Region": self._region,
            "AWS::Partition": "aws",
            "AWS::URLSuffix": "amazonaws.com",
            "AWS::StackName": stack.name,
            "AWS::StackId": stack.id,
            "AWS::NotificationARNs": [],
        }

        def attribute(logical_id: str, name: str) -> Any:
            if logical_id not in made:
                raise TemplateError(f"Template error: unresolved resource dependency {logical_id}")
            resource = made[logical_id]
            if not name:
                return resource.made.physical_id
            if name not in resource.made.attributes:
                raise TemplateError(f"Template error: resource {logical_id} ({resource.type}) has no attribute {name}")
            return resource.made.attributes[name]

        values = parameter_values(template, parameters, lambda name: self.dynamic_value("ssm", name))
        return Scope(template, values, pseudo, attribute, self._exports(), self.dynamic_value)

    def dynamic_value(self, service: str, reference: str) -> str:
        """What `{{resolve:service:reference}}` stands for."""
        if service != "secretsmanager":
            name = reference.partition(":")[0] if reference.startswith("/") or ":" in reference else reference
            found = self._client("ssm").get_parameter(Name=name, WithDecryption=True)
            return str(found["Parameter"]["Value"])
        is_arn = reference.startswith("arn:")
        parts = reference.split(":")
        secret_id, rest = (":".join(parts[:7]), parts[7:]) if is_arn else (parts[0], parts[1:])
        text = str(self._client("secretsmanager").get_secret_value(SecretId=secret_id)["SecretString"])
        key = rest[1] if len(rest) > 1 else ""
        return str(_member(text, key)) if key else text


def _member(text: str, key: str) -> Any:
    return json.loads(text)[key]


def _wanted(scope: Scope, resource: Mapping[str, Any]) -> bool:
    return "Condition" not in resource or scope.condition(resource["Condition"])


def _must_replace(kind: Kind, before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    return kind.update is None or any(before.get(name) != now.get(name) for name in kind.fixed)


def _outputs(template: Mapping[str, Any], scope: Scope) -> list[dict[str, str]]:
    outputs = []
    for name, output in template.get("Outputs", {}).items():
        if not _wanted(scope, output):
            continue
        shown = {"OutputKey": name, "OutputValue": str(scope.value(output["Value"]))}
        if "Description" in output:
            shown["Description"] = output["Description"]
        if "Export" in output:
            shown["ExportName"] = str(scope.value(output["Export"]["Name"]))
        outputs.append(shown)
    return outputs


def _reason(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"Property {error} is missing"
    return str(error) or type(error).__name__
