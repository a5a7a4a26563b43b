"""Stacks, their resources and change sets, as DescribeStacks and its kin show them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from local.cloudformation.resources.kind import Made

STACK_TYPE = "AWS::CloudFormation::Stack"


@dataclass(slots=True)
class Resource:
    """A resource of a stack: as the template wanted it, and as it was made."""

    logical_id: str
    type: str
    made: Made
    properties: dict[str, Any]
    retained: bool = False  # by its DeletionPolicy
    status: str = "CREATE_COMPLETE"
    reason: str = ""
    changed_at: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(slots=True)
class ChangeSet:
    """A template that may be executed, and what would change."""

    id: str
    name: str
    kind: str
    template_text: str
    template: dict[str, Any]
    parameters: dict[str, str]
    tags: list[dict[str, str]]
    changes: list[dict[str, Any]]
    description: str = ""
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    executed: bool = False


@dataclass(slots=True, eq=False)
class Stack:
    """One stack; `status` is told by its last event."""

    id: str
    name: str
    template_text: str = ""
    template: dict[str, Any] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    tags: list[dict[str, str]] = field(default_factory=list)
    resources: dict[str, Resource] = field(default_factory=dict)
    outputs: list[dict[str, str]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)  # oldest first
    change_sets: dict[str, ChangeSet] = field(default_factory=dict)
    status: str = "REVIEW_IN_PROGRESS"
    reason: str = ""
    rolls_back: bool = True
    protected: bool = False
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    updated_at: datetime | None = None

    @property
    def exports(self) -> dict[str, str]:
        return {item["ExportName"]: item["OutputValue"] for item in self.outputs if "ExportName" in item}

    @property
    def busy(self) -> bool:
        return self.status.endswith("_IN_PROGRESS") and self.status != "REVIEW_IN_PROGRESS"

    def move(self, status: str, reason: str = "") -> None:
        """Changes the state of the stack itself."""
        # The event first: who waits for the state then reads the events finds it.
        self.tell(self.name, self.id, STACK_TYPE, status, reason)
        self.reason = reason
        self.status = status

    def mark(self, resource: Resource, status: str, reason: str = "") -> None:
        """Changes the state of a resource."""
        resource.status, resource.reason, resource.changed_at = status, reason, datetime.now(UTC)
        self.tell(resource.logical_id, resource.made.physical_id, resource.type, status, reason)

    def tell(self, logical_id: str, physical_id: str, kind: str, status: str, reason: str) -> None:
        event = {
            "StackId": self.id,
            "StackName": self.name,
            "EventId": str(uuid.uuid4()),
            "LogicalResourceId": logical_id,
            "PhysicalResourceId": physical_id,
            "ResourceType": kind,
            "Timestamp": datetime.now(UTC),
            "ResourceStatus": status,
        }
        self.events.append({**event, "ResourceStatusReason": reason} if reason else event)

    def description(self) -> dict[str, Any]:
        """An entry of DescribeStacks."""
        shown = {
            "StackId": self.id,
            "StackName": self.name,
            "Description": self.template.get("Description"),
            "Parameters": [
                {"ParameterKey": name, "ParameterValue": value} for name, value in self._shown_parameters().items()
            ],
            "CreationTime": self.created_at,
            "LastUpdatedTime": self.updated_at,
            "StackStatus": self.status,
            "StackStatusReason": self.reason or None,
            "DisableRollback": not self.rolls_back,
            "NotificationARNs": [],
            "Capabilities": ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"],
            "Outputs": self.outputs,
            "Tags": self.tags,
            "EnableTerminationProtection": self.protected,
            "DriftInformation": {"StackDriftStatus": "NOT_CHECKED"},
        }
        return {name: value for name, value in shown.items() if value is not None}

    def _shown_parameters(self) -> Mapping[str, str]:
        declared: dict[str, Any] = self.template.get("Parameters", {})
        values = {name: str(self.parameters.get(name, slot.get("Default", ""))) for name, slot in declared.items()}
        return {name: "****" if declared[name].get("NoEcho") else value for name, value in values.items()}

    def resource_description(self, resource: Resource) -> dict[str, Any]:
        """An entry of DescribeStackResources and ListStackResources."""
        shown = {
            "StackId": self.id,
            "StackName": self.name,
            "LogicalResourceId": resource.logical_id,
            "PhysicalResourceId": resource.made.physical_id,
            "ResourceType": resource.type,
            "Timestamp": resource.changed_at,
            "LastUpdatedTimestamp": resource.changed_at,
            "ResourceStatus": resource.status,
            "ResourceStatusReason": resource.reason or None,
            "DriftInformation": {"StackResourceDriftStatus": "NOT_CHECKED"},
        }
        return {name: value for name, value in shown.items() if value is not None}
