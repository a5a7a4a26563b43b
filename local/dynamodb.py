"""Items that come into moto's tables are measured once per attribute, not again for every attribute that follows.

moto's measuring is right and takes half of the time of a batch write with lists in it; its result is the same.
"""

from __future__ import annotations

from typing import Any, Final

from moto.dynamodb.exceptions import ItemSizeTooLarge
from moto.dynamodb.models.dynamo_type import LimitedSizeDict
from moto.dynamodb.models.utilities import bytesize

from local.server import EmbeddedAws

LIMIT_BYTES: Final = 400 * 1024
"""Names and values of an item together, as AWS counts them."""


def install(aws: EmbeddedAws) -> None:
    """Replaces the measuring of attributes."""
    aws.replace(LimitedSizeDict, "__setitem__", set_attribute)


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
