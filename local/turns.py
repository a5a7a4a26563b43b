"""Requests to DynamoDB, and to S3, take turns.

On AWS a condition of a write holds while it is written, and nobody reads half of an item or of an object. moto looks
first and writes then, makes an item with its key alone before it sets the rest, and closes an object's file before
another stands in its place; a list fails while something is added to it. Other threads come between.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from moto.dynamodb.responses import DynamoHandler
from moto.s3.responses import S3Response

from local.server import EmbeddedAws


def install(aws: EmbeddedAws) -> None:
    """A request is answered, its body read before, and the answer written down, before the next one of the service."""
    for handler, answers in ((DynamoHandler, ("call_action",)), (S3Response, ("_bucket_response", "_key_response"))):
        turn = threading.Lock()
        for name in answers:
            aws.replace(handler, name, _in_turn(turn, getattr(handler, name)))


def _in_turn(turn: threading.Lock, answer: Callable[..., Any]) -> Callable[..., Any]:
    def answer_in_turn(*args: Any) -> Any:
        with turn:
            return answer(*args)

    return answer_in_turn
