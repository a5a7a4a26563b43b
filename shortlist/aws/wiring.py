"""The adapters of this process, made once: environment in, ports out. Handlers and jobs take their ports from here."""

from functools import lru_cache

from shortlist.aws.clients import client
from shortlist.aws.clock import SystemClock
from shortlist.aws.environment import Environment
from shortlist.aws.lists import DynamoListsTable
from shortlist.aws.responses import DynamoResponses
from shortlist.aws.runs import DynamoRunsTable
from shortlist.aws.s3 import S3ObjectStore
from shortlist.aws.sns import SnsNotifier


@lru_cache
def environment() -> Environment:
    return Environment.from_variables()


@lru_cache
def store() -> S3ObjectStore:
    return S3ObjectStore(client("s3"), environment().bucket)


@lru_cache
def clock() -> SystemClock:
    return SystemClock()


@lru_cache
def notifier() -> SnsNotifier:
    return SnsNotifier(client("sns"), environment().topic_arn)


@lru_cache
def lists() -> DynamoListsTable:
    return DynamoListsTable(client("dynamodb"), environment().recommendations_table, clock=clock())


@lru_cache
def runs() -> DynamoRunsTable:
    return DynamoRunsTable(client("dynamodb"), environment().runs_table)


@lru_cache
def responses() -> DynamoResponses:
    return DynamoResponses(client("dynamodb"), environment().responses_table)
