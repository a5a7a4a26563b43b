"""A request comes in; the permissions to use the customer's key, by which its data is encrypted, go out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from moto.dynamodb.models import dynamodb_backends
from moto.s3.models import s3_backends
from moto.sns.models import sns_backends

from local.iam.names import Account
from local.iam.policy import Need
from local.wire import AwsRequest

# Where a service uses the key for the caller, and with which permissions of the caller. A multipart upload reads its
# parts back: https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuAndPermissions.html
_BOTH = ("GenerateDataKey", "Decrypt")
_USES: dict[tuple[str, str], tuple[str, ...]] = {
    ("s3", "GetObject"): ("Decrypt",),
    ("s3", "PutObject"): ("GenerateDataKey",),
    ("s3", "CopyObject"): _BOTH,
    ("s3", "CreateMultipartUpload"): _BOTH,
    ("s3", "UploadPart"): _BOTH,
    ("s3", "CompleteMultipartUpload"): _BOTH,
    ("sns", "Publish"): _BOTH,
    ("sns", "PublishBatch"): _BOTH,
    **{
        ("dynamodb", operation): ("Decrypt",)
        for operation in ("DeleteItem", "GetItem", "PutItem", "Query", "Scan", "UpdateItem")
    },
}


def key_needs(request: AwsRequest, account: Account) -> Iterator[Need]:
    uses = _USES.get((request.service, request.operation))
    name = _key_of(request, account) if uses else None
    if uses is None or not name or not account.is_customer_key(name):
        return
    context = {"kms:viaservice": f"{request.service}.{account.region}.amazonaws.com"}
    for action in uses:
        yield Need(f"kms:{action}", account.key(name), context)


def _key_of(request: AwsRequest, account: Account) -> str | None:
    """The id, alias or ARN of the key, whosever it is; None where the data is not encrypted with a key of KMS."""
    given = request.parameters
    if request.service == "s3":
        return _bucket_key(s3_backends[account.id]["aws"].buckets.get(given.get("Bucket")))
    if request.service == "sns":
        topic = sns_backends[account.id][account.region].topics.get(given.get("TopicArn", ""))
        return getattr(topic, "kms_master_key_id", None)
    table = dynamodb_backends[account.id][account.region].tables.get(str(given["TableName"]).rpartition("/")[2])
    return (getattr(table, "sse_specification", None) or {}).get("KMSMasterKeyId")


def _bucket_key(bucket: Any) -> str | None:
    rule = (getattr(bucket, "encryption", None) or {}).get("Rule") or {}
    rule = rule[0] if isinstance(rule, list) else rule
    default = rule.get("ApplyServerSideEncryptionByDefault", {})
    return default.get("KMSMasterKeyID") if str(default.get("SSEAlgorithm", "")).startswith("aws:kms") else None
