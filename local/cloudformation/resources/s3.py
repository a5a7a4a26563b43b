"""S3 buckets of a template: properties come in, buckets with their settings go out."""

from __future__ import annotations

from typing import Any

from local.cloudformation.resources.kind import Context, Kind, Made, Properties


def _create(context: Context, properties: Properties) -> Made:
    name = properties.get("BucketName") or context.name(63, lower=True)
    place = {} if context.region == "us-east-1" else {"LocationConstraint": context.region}
    context.client("s3").create_bucket(Bucket=name, **({"CreateBucketConfiguration": place} if place else {}))
    made = Made(name, _attributes(context, name))
    _configure(context, made, {}, properties)
    return made


def _attributes(context: Context, name: str) -> dict[str, Any]:
    return {
        "Arn": f"arn:aws:s3:::{name}",
        "DomainName": f"{name}.s3.amazonaws.com",
        "RegionalDomainName": f"{name}.s3.{context.region}.amazonaws.com",
        "DualStackDomainName": f"{name}.s3.dualstack.{context.region}.amazonaws.com",
        "WebsiteURL": f"http://{name}.s3-website-{context.region}.amazonaws.com",
    }


def _configure(context: Context, made: Made, before: Properties, now: Properties) -> None:
    s3, bucket = context.client("s3"), made.physical_id
    if status := now.get("VersioningConfiguration", {}).get("Status"):
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})
    if "BucketEncryption" in now:
        rules = [_encryption_rule(rule) for rule in now["BucketEncryption"]["ServerSideEncryptionConfiguration"]]
        s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": rules})
    if "PublicAccessBlockConfiguration" in now:
        block = {key: str(value).lower() == "true" for key, value in now["PublicAccessBlockConfiguration"].items()}
        s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=block)
    if "LifecycleConfiguration" in now:
        rules = [_lifecycle_rule(rule) for rule in now["LifecycleConfiguration"]["Rules"]]
        s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})
    elif "LifecycleConfiguration" in before:
        s3.delete_bucket_lifecycle(Bucket=bucket)
    if "OwnershipControls" in now:
        s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=now["OwnershipControls"])
    if "CorsConfiguration" in now:
        rules = [_renamed(rule, Id="ID", MaxAge="MaxAgeSeconds") for rule in now["CorsConfiguration"]["CorsRules"]]
        s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": rules})
    if "Tags" in now:
        s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": now["Tags"]})


def _encryption_rule(rule: Properties) -> Properties:
    fitted = _renamed(rule, ServerSideEncryptionByDefault="ApplyServerSideEncryptionByDefault")
    if "BucketKeyEnabled" in fitted:
        fitted["BucketKeyEnabled"] = str(fitted["BucketKeyEnabled"]).lower() == "true"
    return fitted


def _lifecycle_rule(rule: Properties) -> Properties:
    """CloudFormation flattens what the API nests."""
    fitted: Properties = {"Status": rule["Status"], "Filter": {"Prefix": rule.get("Prefix", "")}}
    if "Id" in rule:
        fitted["ID"] = rule["Id"]
    if "ExpirationInDays" in rule:
        fitted["Expiration"] = {"Days": int(rule["ExpirationInDays"])}
    elif "ExpiredObjectDeleteMarker" in rule:
        marker = str(rule["ExpiredObjectDeleteMarker"]).lower() == "true"
        fitted["Expiration"] = {"ExpiredObjectDeleteMarker": marker}
    if "NoncurrentVersionExpiration" in rule:
        fitted["NoncurrentVersionExpiration"] = {
            key: int(value) for key, value in rule["NoncurrentVersionExpiration"].items()
        }
    if "AbortIncompleteMultipartUpload" in rule:
        days = int(rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"])
        fitted["AbortIncompleteMultipartUpload"] = {"DaysAfterInitiation": days}
    if "Transitions" in rule:
        fitted["Transitions"] = [
            {"StorageClass": step["StorageClass"], "Days": int(step["TransitionInDays"])}
            for step in rule["Transitions"]
        ]
    return fitted


def _renamed(properties: Properties, **names: str) -> Properties:
    return {names.get(key, key): value for key, value in properties.items()}


def _delete(context: Context, made: Made, _: Properties) -> None:
    context.client("s3").delete_bucket(Bucket=made.physical_id)


KINDS = {"AWS::S3::Bucket": Kind(_create, _configure, _delete, frozenset({"BucketName"}))}
