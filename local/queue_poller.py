"""One event source mapping and its queue come in, a thread that calls the function with batches of messages goes out.

https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html says which messages count as failed.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from moto.core.exceptions import JsonRESTError
from moto.sqs.models import Queue, SQSBackend, sqs_backends

from local.iam.guard import may

if TYPE_CHECKING:
    from local.server import EmbeddedAws

NEEDED = ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes")
MAX_BATCH_BYTES = 6 * 1024 * 1024
LOOK_AGAIN_S = 1.0  # at messages that are hidden: nothing tells when they come back
_log = logging.getLogger(__name__)


class Poller:
    """The thread of one mapping. Its settings are read anew for each batch."""

    def __init__(self, aws: EmbeddedAws, mapping: Any, queue: Queue) -> None:
        self._aws = aws
        self._mapping = mapping
        self._queue = queue
        self._news = queue._messages_lock  # moto's condition: notified of each message that is sent
        self._stopped = False
        self._busy = False
        self._hurried = 0  # how many wait for the queue to be empty
        self._troubled = ""
        self._thread = threading.Thread(target=self._poll, name=f"queue-{queue.name}", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        with self._news:
            self._news.notify_all()

    def drain(self, timeout_s: float) -> None:
        with self._news:
            self._hurried += 1
            self._news.notify_all()
            try:
                if not self._news.wait_for(self._is_drained, timeout_s):
                    raise TimeoutError(f"{self._queue.name} was not empty after {timeout_s} s. {self._troubled}")
            finally:
                self._hurried -= 1

    def stop(self) -> None:
        """Lets the batch under way end, takes no other."""
        with self._news:
            self._stopped = True
            self._news.notify_all()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout=10)

    def _is_drained(self) -> bool:
        return self._stopped or not (self._busy or (self._mapping.enabled and self._queue.messages))

    def _poll(self) -> None:
        while self._wait_for_batch():
            try:
                self._take_batch()
            except JsonRESTError as refused:  # throttled, or the function went: the messages come back
                self._trouble(f"{refused.error_type}: {refused.message}")
            finally:
                with self._news:
                    self._busy = False
                    self._news.notify_all()

    def _wait_for_batch(self) -> bool:
        """Returns True when there is a batch, which is then under way; False when the mapping has gone."""
        with self._news:
            while not (self._stopped or (self._mapping.enabled and self._queue.messages and self._may_take())):
                self._news.wait(LOOK_AGAIN_S if self._mapping.enabled and self._queue._messages else None)
            self._news.wait_for(self._is_full, self._mapping.max_batch_window or 0)
            self._busy = not self._stopped
            return self._busy

    def _is_full(self) -> bool:
        size = self._mapping.batch_size  # the hidden ones count in the first look, which is the cheap one
        full = len(self._queue._messages) >= size and len(self._queue.messages) >= size
        return full or bool(self._hurried) or self._stopped

    def _may_take(self) -> bool:
        """Whether queue and function are there and its role may take messages; says what is missing, once."""
        function = self._function()
        if function is None or self._backend().queues.get(self._queue.name) is not self._queue:
            self._trouble(f"the queue or {self._mapping.function_arn} has gone")
            return False
        missing = missing_permission(self._aws, self._queue, function)
        if missing:
            self._trouble(f"{function.role} may not sqs:{missing}")
        return not missing

    def _trouble(self, said: str) -> None:
        if said != self._troubled:
            self._troubled = said
            _log.warning("queue_not_handled %s %s", self._queue.name, said)

    def _function(self) -> Any:
        from moto.awslambda.utils import get_backend

        return get_backend(self._aws.account, self._aws.region).get_function_by_arn(self._mapping.function_arn)

    def _backend(self) -> SQSBackend:
        return sqs_backends[self._aws.account][self._aws.region]

    def _take_batch(self) -> None:
        self._troubled = ""
        hidden_s = int(self._queue.visibility_timeout)
        messages = self._backend().receive_message(self._queue.name, self._mapping.batch_size, 0, hidden_s, ["All"])
        records = [_record(message, self._queue) for message in messages]
        for batch in _fitting(records):
            failed = self._failed(batch)
            for record in batch:
                if record["messageId"] not in failed:
                    self._queue.delete_message(record["receiptHandle"])

    def _failed(self, batch: list[dict[str, Any]]) -> set[str]:
        """Calls the function; answers with the ids of the messages that are to come again."""
        function, response = self._function(), dict[str, str]()
        everything = {record["messageId"] for record in batch}
        answer = function.invoke(json.dumps({"Records": batch}), {}, response) if function else b""
        if function is None or "x-amz-function-error" in response:
            return everything
        if "ReportBatchItemFailures" not in (self._mapping.function_response_types or ()):
            return set()
        reported = _reported(answer)
        return everything if reported is None or not reported <= everything else reported


def missing_permission(aws: EmbeddedAws, queue: Queue, function: Any) -> str:
    """The first permission that the function's role lacks, empty for none."""
    return next((n for n in NEEDED if not may(aws, function.role, f"sqs:{n}", queue.queue_arn)), "")


def _record(message: Any, queue: Queue) -> dict[str, Any]:
    attributes = {
        "ApproximateReceiveCount": message.approximate_receive_count,
        "SentTimestamp": message.sent_timestamp,
        "SenderId": message.sender_id,
        "ApproximateFirstReceiveTimestamp": message.approximate_first_receive_timestamp,
    }
    return {
        "messageId": message.id,
        "receiptHandle": message.receipt_handle,
        "body": message.body,
        "attributes": {name: str(value) for name, value in attributes.items()},
        "messageAttributes": {name: _attribute(value) for name, value in message.message_attributes.items()},
        "md5OfBody": message.body_md5,
        "eventSource": "aws:sqs",
        "eventSourceARN": queue.queue_arn,
        "awsRegion": queue.region,
    }


def _attribute(value: dict[str, Any]) -> dict[str, Any]:
    """As Lambda spells it: stringValue, binaryValue (base64), dataType."""
    spelled = {name[0].lower() + name[1:]: item for name, item in value.items()}
    if isinstance(spelled.get("binaryValue"), bytes):
        spelled["binaryValue"] = spelled["binaryValue"].decode()
    return {**spelled, "stringListValues": [], "binaryListValues": []}


def _fitting(records: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """The records in as few batches as the size of a payload allows."""
    batch: list[dict[str, Any]] = []
    size = len('{"Records": []}')
    for record in records:
        more = len(json.dumps(record)) + len(", ")
        if batch and size + more > MAX_BATCH_BYTES:
            yield batch
            batch, size = [], len('{"Records": []}')
        batch.append(record)
        size += more
    if batch:
        yield batch


def _reported(answer: bytes) -> set[str] | None:
    """The ids that the function says have failed; None where it says it so that nobody can know."""
    try:
        said = json.loads(answer)
        failures = (said or {}).get("batchItemFailures") or []
        ids = [failure["itemIdentifier"] for failure in failures]
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return set(ids) if all(isinstance(one, str) and one for one in ids) else None
