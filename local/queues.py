"""Event source mappings of SQS: messages of a queue come in, batches go to a function, what failed stays in the queue.

moto calls the function within SendMessage, once for each message, with attributes it invents. Here a thread of each
mapping gathers messages as the mapping says and calls the function as its role allows. One batch of a mapping is under
way at a time; AWS begins with five.

https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from moto.awslambda.models import LambdaBackend
from moto.core.exceptions import JsonRESTError
from moto.core.utils import unix_time_millis
from moto.sqs import models
from moto.sqs.models import Queue, SQSBackend, sqs_backends

from local.queue_poller import Poller, missing_permission

if TYPE_CHECKING:
    from local.server import EmbeddedAws

MAX_WINDOW_S = 300
LARGEST_WITHOUT_WINDOW = 10
_NOT_EMULATED = ("DestinationConfig", "FilterCriteria")
COUNTS: Final = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesDelayed",
    "ApproximateNumberOfMessagesNotVisible",
)


class Queues:
    """The mappings of one embedded AWS, by their UUID."""

    def __init__(self, aws: EmbeddedAws) -> None:
        self._aws = aws
        self._pollers: dict[str, Poller] = {}

    def follow(self, mapping: Any, queue: Queue) -> None:
        self._pollers[mapping.uuid] = Poller(self._aws, mapping, queue)

    def unfollow(self, uuid: str) -> None:
        if uuid in self._pollers:
            self._pollers.pop(uuid).stop()

    def wake(self, uuid: str) -> None:
        """Has a mapping looked at again, as its settings changed."""
        if uuid in self._pollers:
            self._pollers[uuid].wake()

    def drain(self, timeout_s: float = 60) -> None:
        """Returns when every message that a mapping may take has been handled; no batch waits for its window.

        What failed and is hidden until it is delivered again is not waited for.

        Raises:
            TimeoutError: a function is too slow, or its role may not take the messages.
        """
        for poller in list(self._pollers.values()):
            poller.drain(timeout_s)

    def stop(self) -> None:
        for uuid in list(self._pollers):
            self.unfollow(uuid)


def install(aws: EmbeddedAws) -> None:
    """Takes the mappings over from moto until `aws` stops; they can be reached as `aws.queues`."""
    queues = aws.queues = Queues(aws)
    aws.on_stop(queues.stop)
    before_create = LambdaBackend.create_event_source_mapping
    before_update = LambdaBackend.update_event_source_mapping
    before_delete = LambdaBackend.delete_event_source_mapping
    forget = Queue.delete_message

    def create(self: Any, spec: dict[str, Any]) -> Any:
        function = self.get_function(spec["FunctionName"])
        queue = _queue(aws, spec.get("EventSourceArn") or "brokers")
        _check(spec)
        _check_queue(aws, queue, function)
        for other in self.list_event_source_mappings(queue.queue_arn, None):
            if other.function_arn == function.function_arn:
                raise JsonRESTError(
                    "ResourceConflictException",
                    f'An event source mapping with SQS arn (" {queue.queue_arn} ") and function '
                    f'(" {function.function_name} ") already exists. '
                    f"Please update or delete the existing mapping with UUID {other.uuid}",
                )
        mapping = before_create(self, spec)
        queue.lambda_event_source_mappings.clear()  # by which moto would call the function as well
        queues.follow(mapping, queue)
        return mapping

    def update(self: Any, uuid: str, spec: dict[str, Any]) -> Any:
        mapping = self.get_event_source_mapping(uuid)
        if mapping is None:
            return None
        now = {"BatchSize": mapping.batch_size, "MaximumBatchingWindowInSeconds": mapping.max_batch_window}
        _check({**now, **spec})
        function = self.get_function(spec.get("FunctionName", mapping.function_arn))
        _check_queue(aws, _queue(aws, mapping.event_source_arn), function)
        before_update(self, uuid, spec)
        queues.wake(uuid)
        return mapping

    def delete(self: Any, uuid: str) -> Any:
        queues.unfollow(uuid)
        return before_delete(self, uuid)

    def delete_message(self: Any, receipt_handle: str) -> None:
        with self._messages_lock:  # moto copies the list, and would lose what is sent meanwhile
            forget(self, receipt_handle)

    aws.replace(LambdaBackend, "create_event_source_mapping", create)
    aws.replace(LambdaBackend, "update_event_source_mapping", update)
    aws.replace(LambdaBackend, "delete_event_source_mapping", delete)
    aws.replace(Queue, "delete_message", delete_message)
    _count_faster(aws)


def _count_faster(aws: EmbeddedAws) -> None:
    """moto lists all attributes of a queue with each message that is sent or received, and for three of them asks each
    message that waits whether it is visible, by the clock: 4.0 ms to send one where 200 wait. Here those three are
    counted for who asks for them."""
    of_others = SQSBackend.get_queue_attributes

    def visible(self: Any) -> list[Any]:
        now = unix_time_millis()
        return [one for one in self._messages if one.visible_at < now and one.delayed_until <= now]

    def hidden(self: Any) -> int:
        now = unix_time_millis()
        return sum(one.visible_at >= now for one in self._messages)

    def delayed(self: Any) -> int:
        now = unix_time_millis()
        return sum(one.delayed_until > now for one in self._messages)

    def attributes(self: Any, queue_name: str, names: list[str]) -> dict[str, Any]:
        counted = [name for name in COUNTS if name in names or "All" in names]
        found = of_others(self, queue_name, [name for name in names if name not in COUNTS])
        queue = self.get_queue(queue_name)
        return {**found, **{name: getattr(queue, models.camelcase_to_underscores(name)) for name in counted}}

    aws.replace(models, "camelcase_to_underscores", lru_cache(models.camelcase_to_underscores))
    aws.replace(Queue, "messages", property(visible))
    aws.replace(Queue, "approximate_number_of_messages_not_visible", property(hidden))
    aws.replace(Queue, "approximate_number_of_messages_delayed", property(delayed))
    aws.replace(Queue, "BASE_ATTRIBUTES", [name for name in Queue.BASE_ATTRIBUTES if name not in COUNTS])
    aws.replace(SQSBackend, "get_queue_attributes", attributes)


def _queue(aws: EmbeddedAws, arn: str) -> Queue:
    """Raises NotImplementedError for other sources and for queues with an order, JsonRESTError where it is missing."""
    name = arn.rpartition(":")[2]
    if not arn.startswith("arn:aws:sqs:") or name.endswith(".fifo"):
        raise NotImplementedError(f"an event source mapping of {arn} (SQS is emulated, without FIFO)")
    queue = sqs_backends[aws.account][aws.region].queues.get(name)
    if queue is None or queue.queue_arn != arn:
        raise JsonRESTError(
            "InvalidParameterValueException",
            "Error occurred while ReceiveMessage. SQS Error Code: AWS.SimpleQueueService.NonExistentQueue. "
            "SQS Error Message: The specified queue does not exist.",
        )
    return queue


def _check(spec: dict[str, Any]) -> None:
    unknown = [name for name in _NOT_EMULATED if spec.get(name)]
    if unknown:
        raise NotImplementedError(f"an event source mapping with {unknown[0]}")
    size, window = spec.get("BatchSize") or LARGEST_WITHOUT_WINDOW, spec.get("MaximumBatchingWindowInSeconds") or 0
    if not 0 <= window <= MAX_WINDOW_S:
        raise JsonRESTError(
            "InvalidParameterValueException", f"Maximum batch window in seconds must be between 0 and {MAX_WINDOW_S}"
        )
    if size > LARGEST_WITHOUT_WINDOW and not window:
        raise JsonRESTError(
            "InvalidParameterValueException",
            "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10",
        )


def _check_queue(aws: EmbeddedAws, queue: Queue, function: Any) -> None:
    if missing := missing_permission(aws, queue, function):
        raise JsonRESTError(
            "InvalidParameterValueException",
            f"The provided execution role does not have permissions to call {missing} on SQS",
        )
    hidden_s = int(queue.visibility_timeout)
    if hidden_s < int(function.timeout):
        raise JsonRESTError(
            "InvalidParameterValueException",
            f"Queue visibility timeout: {hidden_s} seconds is less than Function timeout: {function.timeout} seconds",
        )
