"""An emulated DynamoDB, one for the tests of a module, in which each of them finds the product's tables empty."""

from collections.abc import Iterator

import boto3
import pytest
from moto import mock_aws

from shortlist.contracts.records import (
    DELIVERIES_KEY,
    RECOMMENDATIONS_KEY,
    RESPONSES_KEY,
    RUNS_KEY,
    SUPPRESSIONS_KEY,
)

TABLES = {
    "recommendations": RECOMMENDATIONS_KEY,
    "runs": RUNS_KEY,
    "deliveries": DELIVERIES_KEY,
    "suppressions": SUPPRESSIONS_KEY,
    "responses": RESPONSES_KEY,
}


@pytest.fixture(scope="module")
def emulated_dynamodb() -> Iterator[object]:
    with mock_aws():
        yield boto3.client("dynamodb", region_name="eu-central-1")


@pytest.fixture
def dynamodb(emulated_dynamodb) -> Iterator[object]:
    for name, key in TABLES.items():
        emulated_dynamodb.create_table(
            TableName=name,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": part, "AttributeType": "S"} for part in key],
            KeySchema=[
                {"AttributeName": part, "KeyType": kind} for part, kind in zip(key, ("HASH", "RANGE"), strict=False)
            ],
        )
    yield emulated_dynamodb
    for name in TABLES:
        emulated_dynamodb.delete_table(TableName=name)
