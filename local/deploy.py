"""A synthesised CDK app (cloud assembly) comes in; its stacks, deployed to the embedded AWS, and their outputs go out.

Does what `cdk deploy` does, without node and without a container engine: publishes the assets, applies the templates
through CloudFormation's API, waits. An image is not built, its files are where `aws.images` says.
"""

from __future__ import annotations

import io
import json
import time
from pathlib import Path
from typing import Any

from cdk.archives import entries_of, write_archive
from local.bootstrap import assets_bucket
from local.server import EmbeddedAws

POLL_S = 0.05
DEPLOYED = ("CREATE_COMPLETE", "UPDATE_COMPLETE")


class DeployError(Exception):
    """A stack could not be deployed; the message names the resource that failed first, and why."""


def deploy(aws: EmbeddedAws, assembly: Path) -> dict[str, str]:
    """Deploys every stack of the assembly, new or again; returns the outputs of all of them by name.

    Raises:
        DeployError: a template is refused, or a resource of it fails.
        FileNotFoundError: the folder holds no assembly.
    """
    artifacts = json.loads((assembly / "manifest.json").read_text())["artifacts"]
    for artifact in artifacts.values():
        if artifact["type"] == "cdk:asset-manifest":
            _publish(aws, assembly, assembly / artifact["properties"]["file"])
    outputs: dict[str, str] = {}
    for name in _stacks_in_order(artifacts):
        properties = artifacts[name]["properties"]
        stack_name = properties.get("stackName", name)
        template = (assembly / properties["templateFile"]).read_text()
        outputs |= _apply(aws, stack_name, template, properties.get("tags", {}))
    return outputs


def _stacks_in_order(artifacts: dict[str, Any]) -> list[str]:
    stacks = [name for name, artifact in artifacts.items() if artifact["type"] == "aws:cloudformation:stack"]
    order: list[str] = []

    def visit(name: str) -> None:
        for needed in artifacts[name].get("dependencies", ()):
            if needed in stacks:
                visit(needed)
        if name not in order:
            order.append(name)

    for name in stacks:
        visit(name)
    return order


def _publish(aws: EmbeddedAws, assembly: Path, manifest: Path) -> None:
    """Puts each file asset where the template looks for it."""
    s3 = aws.client("s3")
    for asset in json.loads(manifest.read_text()).get("files", {}).values():
        source = assembly / asset["source"]["path"]
        for destination in asset["destinations"].values():
            bucket, key = (_filled(aws, destination[name]) for name in ("bucketName", "objectKey"))
            s3.put_object(Bucket=bucket, Key=key, Body=_content(source, asset["source"].get("packaging", "file")))


def _content(source: Path, packaging: str) -> bytes:
    if packaging != "zip":
        return source.read_bytes()
    packed = io.BytesIO()
    write_archive(packed, entries_of(source))
    return packed.getvalue()


def _filled(aws: EmbeddedAws, text: str) -> str:
    for name, value in (("AccountId", aws.account), ("Region", aws.region), ("Partition", "aws")):
        text = text.replace(f"${{AWS::{name}}}", value)
    return text


def _apply(aws: EmbeddedAws, stack: str, template: str, tags: dict[str, str]) -> dict[str, str]:
    cloudformation = aws.client("cloudformation")
    bucket, key = assets_bucket(aws), f"templates/{stack}.json"
    aws.client("s3").put_object(Bucket=bucket, Key=key, Body=template.encode())
    before = _status(aws, stack)
    if before in {"ROLLBACK_COMPLETE", "CREATE_FAILED"}:  # can only be deleted
        cloudformation.delete_stack(StackName=stack)
        _wait(aws, stack)
        before = None
    request = {
        "StackName": stack,
        "TemplateURL": f"{aws.endpoint}/{bucket}/{key}",
        "Tags": [{"Key": name, "Value": value} for name, value in tags.items()],
        "Capabilities": ["CAPABILITY_NAMED_IAM"],
    }
    try:
        if before is None:
            identity = cloudformation.create_stack(**request)["StackId"]
        else:
            identity = cloudformation.update_stack(**request)["StackId"]
    except cloudformation.exceptions.ClientError as refused:
        if "No updates are to be performed" not in str(refused):
            raise DeployError(f"{stack}: {refused.response['Error']['Message']}") from refused
        identity = stack
    status = _wait(aws, identity)
    if status not in DEPLOYED:
        raise DeployError(f"{stack} is {status}: {_first_failure(aws, identity)}")
    shown = cloudformation.describe_stacks(StackName=identity)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in shown.get("Outputs", ())}


def _status(aws: EmbeddedAws, stack: str) -> str | None:
    cloudformation = aws.client("cloudformation")
    try:
        return str(cloudformation.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"])
    except cloudformation.exceptions.ClientError:
        return None


def _wait(aws: EmbeddedAws, stack: str) -> str | None:
    while (status := _status(aws, stack)) is not None and status.endswith("_IN_PROGRESS"):
        time.sleep(POLL_S)
    return status


def _first_failure(aws: EmbeddedAws, stack: str) -> str:
    """The resource that failed first in the last operation."""
    events = aws.client("cloudformation").describe_stack_events(StackName=stack)["StackEvents"]  # newest first
    failure = "no resource says why"
    for event in events:
        if event["ResourceStatus"].endswith("_FAILED"):
            told = event.get("ResourceStatusReason", "")
            failure = f"{event['LogicalResourceId']} ({event['ResourceType']}): {told}"
        if event.get("ResourceStatusReason") == "User Initiated":
            break
    return failure
