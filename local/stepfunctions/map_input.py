"""Items of a Distributed Map: its declaration and the state's input in, a list (one item per child execution) out.

Repairs to moto: listings are paginated and hold no dates, an empty prefix is no error, and an ItemReader's failure is
States.ItemReaderFailed.
"""

import json
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from local.stepfunctions.clients import StateClients
from local.stepfunctions.evaluation import query_error
from local.stepfunctions.failures import failure

READERS = {"arn:aws:states:::s3:listObjectsV2", "arn:aws:states:::s3:getObject"}


def read_items(declared: dict[str, Any], env: Any, value_of: Callable[[str], Any], clients: StateClients) -> list[Any]:
    """`value_of(field)` gives the evaluated field of the declaration (`ItemReader`, `Items`)."""
    if "ItemReader" in declared:
        reader = value_of("ItemReader")
        try:
            return _items_from_s3(reader, clients.of(env, "s3"))
        except (ClientError, ValueError) as error:
            raise failure(env, "States.ItemReaderFailed", str(error)) from error
    items = value_of("Items") if "Items" in declared else env.states.get_input()
    if not isinstance(items, list):
        raise query_error(env, f"Map state input must be an array but was: {json.dumps(items)}")
    return items


def _items_from_s3(reader: dict[str, Any], s3: Any) -> list[Any]:
    limit = reader.get("ReaderConfig", {}).get("MaxItems") or None
    if reader["Resource"].endswith(":listObjectsV2"):
        pages = s3.get_paginator("list_objects_v2").paginate(**reader["Arguments"])
        return [_listed(found) for page in pages for found in page.get("Contents", [])][:limit]
    body = s3.get_object(**reader["Arguments"])["Body"].read()
    items = json.loads(body)
    if not isinstance(items, list):
        raise ValueError("Attempting to map over non-iterable node.")
    return items[:limit]


def _listed(found: dict[str, Any]) -> dict[str, Any]:
    return {
        "Etag": found["ETag"],
        "Key": found["Key"],
        "LastModified": int(found["LastModified"].timestamp()),
        "Size": found["Size"],
        "StorageClass": found.get("StorageClass", "STANDARD"),
    }
