"""What many do at once: of conditional writers one wins, nobody reads half of anything, and lists do not fail."""

import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.server import EmbeddedAws

LARGE = 100_000


@pytest.fixture(autouse=True)
def hurry() -> Iterator[None]:
    """Threads take over from each other hundreds of times as often as usual."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(2e-5)
    yield
    sys.setswitchinterval(before)


@pytest.fixture
def table(aws: EmbeddedAws) -> str:
    name = uuid.uuid4().hex
    aws.client("dynamodb").create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return name


@pytest.fixture
def bucket(aws: EmbeddedAws) -> str:
    name = uuid.uuid4().hex
    aws.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    return name


def succeeds(code: str, call: Any, **arguments: Any) -> bool:
    """Whether the call did; other errors are raised."""
    try:
        call(**arguments)
    except ClientError as error:
        if error.response["Error"]["Code"] != code:
            raise
        return False
    return True


def test_of_writers_of_an_item_that_must_not_be_there_one_wins(aws: EmbeddedAws, table: str) -> None:
    client = aws.client("dynamodb")

    def wins(number: int) -> bool:
        return succeeds(
            "ConditionalCheckFailedException",
            client.put_item,
            TableName=table,
            Item={"id": {"S": str(number // 8)}},
            ConditionExpression="attribute_not_exists(id)",
        )

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(wins, range(8 * 50))) == 50


def test_of_writers_of_an_object_that_must_not_be_there_one_wins(aws: EmbeddedAws, bucket: str) -> None:
    client = aws.client("s3")

    def wins(number: int) -> bool:
        key = str(number // 8)
        return succeeds("PreconditionFailed", client.put_object, Bucket=bucket, Key=key, Body=b"mine", IfNoneMatch="*")

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(wins, range(8 * 50))) == 50


def test_nobody_reads_half_an_item(aws: EmbeddedAws, table: str) -> None:
    client, attributes = aws.client("dynamodb"), [f"a{n}" for n in range(40)]

    def write(number: int) -> None:
        client.update_item(
            TableName=table,
            Key={"id": {"S": str(number)}},
            UpdateExpression="SET " + ", ".join(f"{name} = :a" for name in attributes),
            ExpressionAttributeValues={":a": {"S": "a"}},
        )

    def reads_whole_items(_: int) -> bool:
        return all(set(attributes) < set(item) for item in client.scan(TableName=table)["Items"])

    with ThreadPoolExecutor(8) as pool:
        written = [pool.submit(write, number) for number in range(60)]
        assert all(pool.map(reads_whole_items, range(60)))
        assert [one.result() for one in written] == [None] * 60


def test_an_object_is_read_and_listed_while_it_is_written_over(aws: EmbeddedAws, bucket: str) -> None:
    client = aws.client("s3")
    client.put_object(Bucket=bucket, Key="0", Body=b"." * LARGE)

    def write(number: int) -> None:
        client.put_object(Bucket=bucket, Key="0", Body=f"{number % 10}".encode() * LARGE)
        client.put_object(Bucket=bucket, Key=f"more/{number}", Body=b"")

    def reads_one_of_them(_: int) -> bool:
        body = client.get_object(Bucket=bucket, Key="0")["Body"].read()
        listed = client.list_objects_v2(Bucket=bucket)["Contents"]
        return len(body) == LARGE and len(set(body)) == 1 and "0" in {one["Key"] for one in listed}

    with ThreadPoolExecutor(8) as pool:
        written = [pool.submit(write, number) for number in range(100)]
        assert all(pool.map(reads_one_of_them, range(100)))
        assert [one.result() for one in written] == [None] * 100
