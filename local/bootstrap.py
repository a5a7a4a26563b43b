"""What `cdk bootstrap` leaves in an account: the bucket for assets, the repository, the roles, the version."""

from __future__ import annotations

import json
from collections.abc import Mapping

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
    aws.client("ecr").create_repository(repositoryName=f"cdk-{QUALIFIER}-container-assets-{aws.account}-{aws.region}")
    aws.client("ssm").put_parameter(Name=f"/cdk-bootstrap/{QUALIFIER}/version", Value=VERSION, Type="String")
    iam = aws.client("iam")
    trust = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{aws.account}:root"}, "Action": "sts:AssumeRole"}
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    for purpose in ROLES:
        name = f"cdk-{QUALIFIER}-{purpose}-role-{aws.account}-{aws.region}"
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=_document(trust))
        iam.put_role_policy(RoleName=name, PolicyName="everything", PolicyDocument=_document(everything))


def _document(statement: Mapping[str, object]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
