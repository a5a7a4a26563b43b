"""What `cdk bootstrap` leaves in an account: the bucket for assets, the repository, the roles, the version."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from moto.ecr.responses import ECRResponse

from local.server import EmbeddedAws

QUALIFIER = "hnb659fds"  # CDK's default
VERSION = "31"
ROLES = ("deploy", "file-publishing", "image-publishing", "lookup", "cfn-exec")


def assets_bucket(aws: EmbeddedAws) -> str:
    return f"cdk-{QUALIFIER}-assets-{aws.account}-{aws.region}"


def install(aws: EmbeddedAws) -> None:
    """Makes the resources by which the CDK CLI knows a bootstrapped account."""
    place = {} if aws.region == "us-east-1" else {"LocationConstraint": aws.region}
    configuration = {"CreateBucketConfiguration": place} if place else {}
    aws.client("s3").create_bucket(Bucket=assets_bucket(aws), **configuration)
    _make_repository(aws, f"cdk-{QUALIFIER}-container-assets-{aws.account}-{aws.region}")
    aws.client("ssm").put_parameter(Name=f"/cdk-bootstrap/{QUALIFIER}/version", Value=VERSION, Type="String")
    iam = aws.client("iam")
    trust = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{aws.account}:root"}, "Action": "sts:AssumeRole"}
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    for purpose in ROLES:
        name = f"cdk-{QUALIFIER}-{purpose}-role-{aws.account}-{aws.region}"
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=_document(trust))
        iam.put_role_policy(RoleName=name, PolicyName="everything", PolicyDocument=_document(everything))


def _make_repository(aws: EmbeddedAws, name: str) -> None:
    """A repository that says of each image that it is there: nothing runs an image, so nobody need build one."""
    aws.client("ecr").create_repository(repositoryName=name)
    before = ECRResponse.describe_images

    def describe_images(self: Any) -> Any:
        if self._get_param("repositoryName") != name:
            return before(self)
        tags = [image.get("imageTag", "") for image in self._get_param("imageIds") or ()]
        details = [
            {"registryId": aws.account, "repositoryName": name, "imageTags": [tag], "imageDigest": _digest(tag)}
            for tag in tags
        ]
        return json.dumps({"imageDetails": details})

    aws.replace(ECRResponse, "describe_images", describe_images)


def _digest(tag: str) -> str:
    return f"sha256:{hashlib.sha256(tag.encode()).hexdigest()}"


def _document(statement: Mapping[str, object]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
