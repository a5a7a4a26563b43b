"""DynamoDB: an item holds 400 KiB, names and values counted."""

from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError

from local.server import EmbeddedAws

KIB = 1024


@pytest.fixture
def table(aws: EmbeddedAws) -> Iterator[str]:
    client = aws.client("dynamodb")
    client.create_table(
        TableName="sizes",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    yield "sizes"
    client.delete_table(TableName="sizes")


def put(aws: EmbeddedAws, table: str, **attributes: int) -> None:
    """An item with attributes of so many characters."""
    item = {"id": {"S": "1"}, **{name: {"S": "x" * size} for name, size in attributes.items()}}
    aws.client("dynamodb").put_item(TableName=table, Item=item)


def test_an_item_of_400_kib_fits(aws: EmbeddedAws, table: str) -> None:
    put(aws, table, a=200 * KIB, b=200 * KIB - 5)

    assert aws.client("dynamodb").get_item(TableName=table, Key={"id": {"S": "1"}})["Item"]["a"]["S"]


def test_a_larger_item_is_refused(aws: EmbeddedAws, table: str) -> None:
    with pytest.raises(ClientError, match="Item size has exceeded the maximum allowed size"):
        put(aws, table, a=200 * KIB, b=200 * KIB - 4)


def test_an_attribute_that_is_overwritten_counts_once(aws: EmbeddedAws, table: str) -> None:
    put(aws, table, a=300 * KIB)

    for _ in range(2):
        aws.client("dynamodb").update_item(
            TableName=table,
            Key={"id": {"S": "1"}},
            UpdateExpression="SET a = :a",
            ExpressionAttributeValues={":a": {"S": "y" * 300 * KIB}},
        )

    assert aws.client("dynamodb").get_item(TableName=table, Key={"id": {"S": "1"}})["Item"]["a"]["S"][0] == "y"


def test_every_kind_of_value_comes_back_as_it_went_in(aws: EmbeddedAws, table: str) -> None:
    item = {
        "id": {"S": "1"},
        "number": {"N": "1.50"},
        "bytes": {"B": b"\x00\xff"},
        "yes": {"BOOL": True},
        "nothing": {"NULL": True},
        "strings": {"SS": ["a", "b"]},
        "numbers": {"NS": ["1", "2"]},
        "blobs": {"BS": [b"x", b"y"]},
        "list": {"L": [{"S": "a"}, {"M": {"n": {"N": "-1"}, "empty": {"L": []}, "blob": {"B": b"z"}}}]},
    }

    aws.client("dynamodb").put_item(TableName=table, Item=item)

    found = aws.client("dynamodb").get_item(TableName=table, Key={"id": {"S": "1"}})["Item"]
    for name in ("strings", "numbers", "blobs"):
        ((kind, values),) = item[name].items()
        assert sorted(found.pop(name)[kind]) == sorted(values)
        del item[name]
    assert found == item
    assert aws.client("dynamodb").scan(TableName=table)["Items"][0]["list"] == item["list"]


def test_values_of_every_kind_come_back_as_they_went_in(aws: EmbeddedAws, table: str) -> None:
    scalars = {"s": {"S": "é"}, "n": {"N": "1.5"}, "b": {"B": b"\x00\xff"}, "t": {"BOOL": True}, "z": {"NULL": True}}
    sets = {"ss": {"SS": ["a"]}, "ns": {"NS": ["1"]}, "bs": {"BS": [b"\x01"]}}
    nested = {"l": {"L": [{"M": scalars}, {"L": []}]}, "m": {"M": {"inner": {"M": {}}, **sets}}}
    item = {"id": {"S": "1"}, **scalars, **sets, **nested}

    aws.client("dynamodb").put_item(TableName=table, Item=item)

    assert aws.client("dynamodb").get_item(TableName=table, Key={"id": {"S": "1"}})["Item"] == item
