"""A request to S3 comes in, the IAM actions and resources that it needs go out; few are named as the operation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote

from local.iam.policy import Need
from local.wire import AwsRequest

_ACTIONS = {
    "CompleteMultipartUpload": "PutObject",
    "CopyObject": "PutObject",
    "CreateMultipartUpload": "PutObject",
    "DeleteBucketCors": "PutBucketCORS",
    "DeleteBucketEncryption": "PutEncryptionConfiguration",
    "DeleteBucketLifecycle": "PutLifecycleConfiguration",
    "DeleteObjects": "DeleteObject",
    "DeletePublicAccessBlock": "PutBucketPublicAccessBlock",
    "GetBucketCors": "GetBucketCORS",
    "GetBucketEncryption": "GetEncryptionConfiguration",
    "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration",
    "GetBucketNotificationConfiguration": "GetBucketNotification",
    "GetPublicAccessBlock": "GetBucketPublicAccessBlock",
    "HeadBucket": "ListBucket",
    "HeadObject": "GetObject",
    "ListBuckets": "ListAllMyBuckets",
    "ListMultipartUploads": "ListBucketMultipartUploads",
    "ListObjectVersions": "ListBucketVersions",
    "ListObjects": "ListBucket",
    "ListObjectsV2": "ListBucket",
    "ListParts": "ListMultipartUploadParts",
    "PutBucketCors": "PutBucketCORS",
    "PutBucketEncryption": "PutEncryptionConfiguration",
    "PutBucketLifecycleConfiguration": "PutLifecycleConfiguration",
    "PutBucketNotificationConfiguration": "PutBucketNotification",
    "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
    "SelectObjectContent": "GetObject",
    "UploadPart": "PutObject",
    "UploadPartCopy": "PutObject",
}
_VERSIONED = {"GetObject", "DeleteObject", "GetObjectTagging", "PutObjectTagging"}
_KEY_IN_BODY = re.compile(r"<Key>(.*?)</Key>", re.DOTALL)


def s3_needs(request: AwsRequest) -> Iterator[Need]:
    """
    A list is checked with the prefix that it asks for; a copy needs to read what it copies.
    """
    operation, given = request.operation, request.parameters
    action = _ACTIONS.get(operation, operation)
    bucket, key = given.get("Bucket", ""), given.get("Key")
    arn = f"arn:aws:s3:::{bucket}" if bucket else "*"
    context = {"aws:securetransport": "true", "aws:requestedregion": request.region}
    if action == "ListBucket":
        # A list without a prefix has the key with no value; asking of a bucket's head has none.
        context |= {f"s3:{name}": given.get(name, "") for name in ("prefix", "delimiter", "max-keys") if name in given}
        context.setdefault("s3:prefix", "")
    if operation == "DeleteObjects":
        for name in _KEY_IN_BODY.findall(request.body.decode()):
            yield Need("s3:DeleteObject", f"{arn}/{_unescaped(name)}", context)
        return
    if "versionId" in given and action in _VERSIONED:
        action = action.replace("Object", "ObjectVersion")
    yield Need(f"s3:{action}", f"{arn}/{key}" if key else arn, context)
    source = request.environ.get("HTTP_X_AMZ_COPY_SOURCE")
    if source:
        path = unquote(source).partition("?versionId=")[0].lstrip("/")
        yield Need("s3:GetObject", f"arn:aws:s3:::{path}", context)
    if "HTTP_X_AMZ_TAGGING" in request.environ and action == "PutObject":
        yield Need("s3:PutObjectTagging", f"{arn}/{key}", context)


def _unescaped(text: str) -> str:
    for entity, character in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&#13;", "\r"), ("&#10;", "\n")):
        text = text.replace(entity, character)
    return text.replace("&amp;", "&")
