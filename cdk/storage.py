"""What is kept: the bucket with inputs and runs, and the five tables. Nothing in; bucket and tables out."""

from typing import Final

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_s3 as s3
from constructs import Construct

from cdk.grants import Resource
from cdk.nag import acknowledge
from shortlist.contracts.keys import RUNS_PREFIX
from shortlist.contracts.records import (
    DELIVERIES_KEY,
    EXPIRES_AT,
    RECOMMENDATIONS_KEY,
    RESPONSES_KEY,
    RUNS_KEY,
    SUPPRESSIONS_KEY,
)

RUNS_KEPT: Final = Duration.days(90)
OLD_VERSIONS_KEPT: Final = Duration.days(7)
UPLOADS_KEPT: Final = Duration.days(2)
ACCESS_LOGS_KEPT: Final = Duration.days(90)

TABLES: Final[dict[str, tuple[str, ...]]] = {
    "recommendations": RECOMMENDATIONS_KEY,
    "runs": RUNS_KEY,
    "deliveries": DELIVERIES_KEY,
    "suppressions": SUPPRESSIONS_KEY,
    "responses": RESPONSES_KEY,
}
"""name -> key attributes, all strings. Items without `expires_at` stay: who unsubscribed stays unsubscribed."""


class Storage(Construct):
    """Bucket and tables outlive the stack: removing it leaves the shop's data and the suppression list where they are.

    The bucket is encrypted with S3's own keys. A customer-managed key would add a second permission to every grant and
    a charge to every request, and would keep out nobody whom the bucket's own policies let in: one account owns all.
    """

    def __init__(self, scope: Construct, construct_id: str) -> None:
        super().__init__(scope, construct_id)
        self.bucket = self._bucket()
        self.tables = {name: self._table(name, key) for name, key in TABLES.items()}

    def resources(self) -> dict[str, Resource]:
        """By field of Environment."""
        return {
            "bucket": Resource([self.bucket.bucket_arn], self.bucket.bucket_name),
            **{f"{name}_table": Resource([table.table_arn], table.table_name) for name, table in self.tables.items()},
        }

    def _bucket(self) -> s3.Bucket:
        access_logs = s3.Bucket(
            self,
            "AccessLogs",
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            removal_policy=RemovalPolicy.RETAIN,
            lifecycle_rules=[s3.LifecycleRule(id="expire", expiration=ACCESS_LOGS_KEPT)],
        )
        acknowledge(access_logs, "S1", "this is the bucket the access logs go to; logging its own writes would not end")
        return s3.Bucket(
            self,
            "Data",
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            versioned=True,  # an input file overwritten by mistake can be fetched back for a week
            server_access_logs_bucket=access_logs,
            removal_policy=RemovalPolicy.RETAIN,
            lifecycle_rules=[
                s3.LifecycleRule(id="expire-runs", prefix=RUNS_PREFIX, expiration=RUNS_KEPT),
                s3.LifecycleRule(
                    id="expire-leftovers",
                    noncurrent_version_expiration=OLD_VERSIONS_KEPT,
                    abort_incomplete_multipart_upload_after=UPLOADS_KEPT,
                ),
            ],
        )

    def _table(self, name: str, key: tuple[str, ...]) -> dynamodb.Table:
        attributes = [dynamodb.Attribute(name=part, type=dynamodb.AttributeType.STRING) for part in key]
        return dynamodb.Table(
            self,
            name.capitalize(),
            partition_key=attributes[0],
            sort_key=attributes[1] if attributes[1:] else None,
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            encryption=dynamodb.TableEncryption.DEFAULT,
            time_to_live_attribute=EXPIRES_AT,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            deletion_protection=True,
            removal_policy=RemovalPolicy.RETAIN,
        )
