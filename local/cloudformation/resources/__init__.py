"""The types of resources that a template may have: those made through the public API, and those that need nothing."""

from __future__ import annotations

from local.cloudformation.resources import (
    batch,
    dynamodb,
    functions,
    iam,
    mail,
    messaging,
    monitoring,
    network,
    s3,
    security,
)
from local.cloudformation.resources.kind import Kind

KINDS: dict[str, Kind] = {
    **batch.KINDS,
    **dynamodb.KINDS,
    **functions.KINDS,
    **iam.KINDS,
    **mail.KINDS,
    **messaging.KINDS,
    **monitoring.KINDS,
    **network.KINDS,
    **s3.KINDS,
    **security.KINDS,
}

# Accepted and left out, each for its reason; docs/embedded-aws.md repeats them.
NO_OPS: dict[str, str] = {
    "AWS::CDK::Metadata": "counts the users of CDK constructs and makes nothing",
    "AWS::CloudFormation::WaitConditionHandle": "a placeholder that makes nothing",
    "AWS::CloudWatch::AnomalyDetector": "no metrics of a past that could be modelled",
    "AWS::Logs::QueryDefinition": "a saved query of the console; there is no console",
    "AWS::S3::BucketPolicy": "moto applies its statements without their conditions: denying what is not TLS denies all,"
    " and every request here is plain HTTP",
    "AWS::SecretsManager::ResourcePolicy": "one account, so the policies of roles decide",
}
