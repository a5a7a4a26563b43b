"""Items go into and come out of moto's tables at the speed of their bytes.

moto measures every attribute of an item again for each that follows, looks for all ten kinds of value in each value
of a request, and writes each value of an answer after a search for its member's name. With lists of sixty places that
is much of the time of a run. What it answers stays the same.
"""

from __future__ import annotations

import base64
from typing import Any, Final

from moto.core.parse import JSONParser
from moto.core.serialize import BaseJSONSerializer
from moto.dynamodb.exceptions import ItemSizeTooLarge
from moto.dynamodb.models.dynamo_type import DynamoType, LimitedSizeDict
from moto.dynamodb.models.utilities import bytesize

from local.server import EmbeddedAws

LIMIT_BYTES: Final = 400 * 1024
"""Names and values of an item together, as AWS counts them."""


def install(aws: EmbeddedAws) -> None:
    """Replaces the measuring of attributes, and the reading and writing of their values."""
    aws.replace(LimitedSizeDict, "__setitem__", set_attribute)
    aws.replace(DynamoType, "size", size)
    write_structure = BaseJSONSerializer._serialize_type_structure

    def write(serializer: Any, serialized: Any, value: Any, shape: Any, key: str) -> None:
        if shape.name == "AttributeValue" and value is not None:
            serialized[serializer.get_serialized_name(shape, key)] = as_json(value)
        else:
            write_structure(serializer, serialized, value, shape, key)

    aws.replace(BaseJSONSerializer, "_serialize_type_structure", write)
    read_structure = JSONParser._parse_structure

    def read(parser: Any, shape: Any, value: Any) -> Any:
        known = shape.name == "AttributeValue" and type(value) is dict
        return from_json(value) if known else read_structure(parser, shape, value)

    aws.replace(JSONParser, "_parse_structure", read)


def set_attribute(attributes: Any, name: str, value: Any) -> None:
    """Sets an attribute of an item.

    Raises:
        ItemSizeTooLarge: the item would pass 400 KiB.
    """
    sizes: dict[str, int] = attributes.__dict__.setdefault("sizes", {})
    sizes[name] = bytesize(name) + (value.size() if hasattr(value, "size") else bytesize(str(value)))
    if sum(sizes.get(other, 0) for other in {*attributes, name}) > LIMIT_BYTES:
        raise ItemSizeTooLarge
    dict.__setitem__(attributes, name, value)


def size(value: Any) -> int:
    """Bytes of an attribute's value, as moto counts them, without copying what is nested."""
    kind, content = value.type, value.value
    if kind == "M":
        return sum(
            _bytes(name) + (one if type(one) is DynamoType else DynamoType(one)).size() for name, one in content.items()
        )
    if kind == "L":
        return sum(one.size() for one in content)
    if kind in ("NS", "BS", "SS"):
        return sum(_bytes(one) for one in content)
    return 1 if isinstance(content, bool) else _bytes(content)


def _bytes(content: Any) -> int:
    text = content if isinstance(content, str | bytes) else str(content)
    return len(text) if isinstance(text, bytes) or text.isascii() else len(text.encode())


def from_json(value: dict[str, Any]) -> dict[str, Any]:
    """An attribute's value as the API reads it, binary decoded; what is no kind of value stays as it is."""
    kind: str = next(iter(value), "")
    content: Any = value.get(kind)
    if kind == "L":
        return {kind: [from_json(one) for one in content]}
    if kind == "M":
        return {kind: {name: from_json(one) for name, one in content.items()}}
    if kind == "B":
        return {kind: base64.b64decode(content)}
    if kind == "BS":
        return {kind: [base64.b64decode(one) for one in content]}
    return value


def as_json(value: Any) -> dict[str, Any]:
    """An attribute's value as the API writes it: `{"L": [{"S": "a"}, {"N": "1"}]}`."""
    kind, content = (value.type, value.value) if isinstance(value, DynamoType) else next(iter(value.items()))
    if kind == "L":
        return {kind: [as_json(one) for one in content]}
    if kind == "M":
        return {kind: {name: as_json(one) for name, one in content.items()}}
    if kind in ("NS", "BS", "SS"):
        return {kind: [_scalar(one) for one in content]}
    return {kind: content if kind in ("BOOL", "NULL") else _scalar(content)}


def _scalar(content: Any) -> str:
    return base64.b64encode(content).decode() if isinstance(content, bytes) else str(content)
