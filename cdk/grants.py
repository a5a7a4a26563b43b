"""Permissions as data: what a function or job may do and why in, IAM statements and environment variables out.

A grant names a resource by its field in `shortlist.aws.environment.Environment`, so that what a process may use and
what it is told of are the same set.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from aws_cdk import aws_iam as iam

from cdk.nag import acknowledge_wildcards
from shortlist.aws.environment import Environment, variable_of


@dataclass(frozen=True, slots=True)
class Resource:
    """A deployed resource.

    Attributes:
        arns: its ARNs; none where there is nothing to grant.
        name: what the environment variable says; empty where no process is told.
    """

    arns: Sequence[str]
    name: str = ""


@dataclass(frozen=True, slots=True)
class Grant:
    """Actions on one resource.

    Attributes:
        resource: a field of Environment, or a name that only grants use.
        suffixes: added to each ARN: `/runs/*`.
        because: what the actions are for; answers the reviewer where a resource ends in a wildcard.
    """

    actions: tuple[str, ...]
    resource: str
    because: str
    suffixes: tuple[str, ...] = ("",)

    def statement(self, resources: Mapping[str, Resource]) -> iam.PolicyStatement | None:
        """The IAM statement; None where the deployment has nothing of the kind."""
        arns = [arn + suffix for arn in resources[self.resource].arns for suffix in self.suffixes]
        return iam.PolicyStatement(actions=list(self.actions), resources=arns) if arns else None


def objects(*, read: Iterable[str] = (), write: Iterable[str] = (), delete: Iterable[str] = ()) -> tuple[Grant, ...]:
    """Access to objects by key pattern.

    Listing comes with it, unconditionally: S3 answers 404 for a key that is not there only to a caller that may list
    the bucket, and resuming a run depends on telling "not there" from "not allowed".
    """
    wanted = (
        (("s3:GetObject",), read, "keys hold run ids and shard numbers that are made at run time"),
        (("s3:PutObject", "s3:AbortMultipartUpload"), write, "a stage writes its own part of any run and no other"),
        (("s3:DeleteObject",), delete, "a stage clears its own part of a run before it makes it again"),
    )
    listing = Grant(("s3:ListBucket",), "bucket", "a missing object must answer 404")
    grants = (Grant(a, "bucket", why, tuple(f"/{key}" for key in keys)) for a, keys, why in wanted)
    return (listing, *(grant for grant in grants if grant.suffixes))


def items(table: str, *actions: str) -> Grant:
    """DynamoDB actions on one table: `items("runs", "GetItem")`."""
    return Grant(tuple(f"dynamodb:{action}" for action in actions), f"{table}_table", "items of this table")


def messages(queue: str) -> Grant:
    """What Lambda needs of a function's role to bring it the messages of a queue."""
    actions = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")
    return Grant(actions, queue, "Lambda takes messages in the function's name")


def team() -> Grant:
    return Grant(("sns:Publish",), "topic_arn", "tells the team")


def mail() -> tuple[Grant, ...]:
    """Sending from the campaigns' senders, and only under the configuration set that reports bounces."""
    return (
        # SES v2 asks for SendRawEmail where SendEmail is given complete MIME, as it is here.
        Grant(("ses:SendEmail", "ses:SendRawEmail"), "senders", "sends the messages"),
        Grant(("ses:SendEmail", "ses:SendRawEmail"), "configuration_set", "sends the messages"),
        Grant(("ses:GetAccount",), "everything", "reads the sending quota; the action knows no resources"),
    )


def unsubscribe_key() -> Grant:
    return Grant(("secretsmanager:GetSecretValue",), "unsubscribe_key_secret", "signs and checks unsubscribe links")


def smtp_login() -> Grant:
    return Grant(("secretsmanager:GetSecretValue",), "smtp_login_secret", "logs in to the campaigns' mail server")


EVERYTHING: Final = Resource(("*",))


def allow(role: iam.Role, grants: Iterable[Grant], resources: Mapping[str, Resource]) -> None:
    """Put the grants on a role, each wildcard with its reason for the reviewer."""
    for grant in grants:
        if statement := grant.statement(resources):
            role.add_to_policy(statement)
            acknowledge_wildcards(role, statement.resources, grant.because)


def environment_of(grants: Iterable[Grant], also: Iterable[str], resources: Mapping[str, Resource]) -> dict[str, str]:
    """The variables of a process: the bucket, the resources it has grants for, and `also`."""
    fields = {"bucket", *also, *(grant.resource for grant in grants)} & set(Environment.__struct_fields__)
    return {variable_of(field): resources[field].name for field in sorted(fields)}
