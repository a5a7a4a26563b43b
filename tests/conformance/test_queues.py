"""Functions fed from SQS queues, as Lambda's event source mappings do it."""

import hashlib
import json
import threading
import time

import pytest
from botocore.exceptions import ClientError

from local.server import EmbeddedAws
from tests.conformance.kit import archive, make_role

CONSUME = {
    "Effect": "Allow",
    "Action": ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"],
    "Resource": "*",
}
LISTENER = """
import boto3, json
def handler(event, context):
    boto3.client("s3").put_object(Bucket="heard", Key=context.aws_request_id, Body=json.dumps(event))
    bodies = [record["body"] for record in event["Records"]]
    if "raise" in bodies:
        raise ValueError("one of them")
    if "babble" in bodies:
        return {"batchItemFailures": [{"itemIdentifier": "nobody's"}]}
    failed = [record["messageId"] for record in event["Records"] if record["body"] == "fail"]
    return {"batchItemFailures": [{"itemIdentifier": one} for one in failed]}
"""
PARTIAL = {"FunctionResponseTypes": ["ReportBatchItemFailures"]}


class Mapped:
    """A queue, its dead-letter queue, and a function that writes down the batches it gets."""

    def __init__(self, aws: EmbeddedAws, name: str, *, receives: int = 2) -> None:
        self.aws, self.name, self.sqs = aws, name, aws.client("sqs")
        self.dead = self.sqs.create_queue(QueueName=f"{name}-dead")["QueueUrl"]
        redrive = {"deadLetterTargetArn": f"arn:aws:sqs:{aws.region}:{aws.account}:{name}-dead"}
        attributes = {
            "VisibilityTimeout": "1",
            "RedrivePolicy": json.dumps({**redrive, "maxReceiveCount": receives}),
        }
        self.url = self.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        self.arn = f"arn:aws:sqs:{aws.region}:{aws.account}:{name}"
        self.begun = time.time()

    def map(self, function: str, **settings: object) -> str:
        answer = self.aws.client("lambda").create_event_source_mapping(
            EventSourceArn=self.arn, FunctionName=function, **settings
        )
        return answer["UUID"]

    def send(self, *bodies: str) -> None:
        for body in bodies:
            self.sqs.send_message(QueueUrl=self.url, MessageBody=body)

    def heard(self) -> list[list[dict]]:
        """The batches that the function got of this queue, in their order."""
        s3 = self.aws.client("s3")
        objects = sorted(s3.list_objects_v2(Bucket="heard").get("Contents", []), key=lambda o: o["LastModified"])
        batches = [json.load(s3.get_object(Bucket="heard", Key=o["Key"])["Body"])["Records"] for o in objects]
        return [batch for batch in batches if batch[0]["eventSourceARN"] == self.arn]

    def bodies(self) -> list[list[str]]:
        return [sorted(record["body"] for record in batch) for batch in self.heard()]

    def left(self) -> int:
        """Messages in the queue, hidden ones too."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        said = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)["Attributes"]
        return sum(map(int, said.values()))

    def eventually(self, what, seconds: float = 8):
        until = time.monotonic() + seconds
        while not (answer := what()) and time.monotonic() < until:
            time.sleep(0.05)
        return answer


@pytest.fixture(scope="module")
def function(aws):
    aws.client("s3").create_bucket(Bucket="heard", CreateBucketConfiguration={"LocationConstraint": aws.region})
    put = {"Effect": "Allow", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::heard/*"}
    return make_function(aws, "listener", CONSUME, put)


def make_function(aws, name, *statements, timeout=1):
    role = make_role(aws, name, *statements)
    return aws.client("lambda").create_function(
        FunctionName=name,
        Runtime="python3.13",
        Role=role,
        Timeout=timeout,
        Handler="index.handler",
        Code={"ZipFile": archive(index=LISTENER)},
    )["FunctionArn"]


@pytest.fixture
def mapped(aws, request):
    return Mapped(aws, request.node.originalname.removeprefix("test_")[:60])


def test_a_function_gets_the_message_as_the_documentation_spells_it(aws, function, mapped):
    mapped.map(function)
    attributes = {"kind": {"DataType": "String", "StringValue": "run"}}

    sent = mapped.sqs.send_message(QueueUrl=mapped.url, MessageBody="held", MessageAttributes=attributes)

    aws.queues.drain()
    [[record]] = mapped.heard()
    assert record["messageId"] == sent["MessageId"]
    assert record["body"] == "held"
    assert record["md5OfBody"] == hashlib.md5(b"held", usedforsecurity=False).hexdigest()
    assert (record["eventSource"], record["eventSourceARN"], record["awsRegion"]) == ("aws:sqs", mapped.arn, aws.region)
    assert record["messageAttributes"] == {
        "kind": {"stringValue": "run", "dataType": "String", "stringListValues": [], "binaryListValues": []}
    }
    assert record["attributes"]["ApproximateReceiveCount"] == "1"
    assert abs(int(record["attributes"]["SentTimestamp"]) / 1000 - time.time()) < 30
    assert record["receiptHandle"]
    assert mapped.left() == 0


def test_messages_that_come_within_the_window_are_one_batch(function, mapped):
    mapped.map(function, BatchSize=50, MaximumBatchingWindowInSeconds=1)

    mapped.send(*(f"{number:02}" for number in range(20)))

    assert mapped.eventually(mapped.bodies) == [[f"{number:02}" for number in range(20)]]


def test_a_full_batch_does_not_wait_for_its_window(function, mapped):
    mapped.map(function, BatchSize=4, MaximumBatchingWindowInSeconds=300)

    mapped.send(*"abcdefgh", "i")

    assert mapped.eventually(lambda: len(mapped.bodies()) == 2)
    assert sorted(mapped.bodies()) == [list("abcd"), list("efgh")]
    assert mapped.left() == 1


def test_draining_does_not_wait_for_the_window(aws, function, mapped):
    mapped.map(function, BatchSize=100, MaximumBatchingWindowInSeconds=300)
    mapped.send("a", "b")

    aws.queues.drain(timeout_s=20)

    assert mapped.left() == 0


def test_messages_are_counted_for_who_asks_for_all_attributes(aws):
    sqs = aws.client("sqs")
    url = sqs.create_queue(QueueName="counted")["QueueUrl"]
    for delay in (0, 0, 60):
        sqs.send_message(QueueUrl=url, MessageBody="held", DelaySeconds=delay)
    sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=1)

    said = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]

    counts = [said[f"ApproximateNumberOfMessages{which}"] for which in ("", "NotVisible", "Delayed")]
    assert counts == ["1", "1", "1"]
    assert said["VisibilityTimeout"] == "30"


def test_sending_does_not_wait_for_the_function(aws, mapped):
    slow = "import time\ndef handler(event, context):\n    time.sleep(2)\n"
    role = make_role(aws, "slow", CONSUME)
    code = {"ZipFile": archive(index=slow)}
    aws.client("lambda").create_function(
        FunctionName="slow", Runtime="python3.13", Role=role, Timeout=1, Handler="index.handler", Code=code
    )
    mapped.map("slow")
    begun = time.monotonic()

    mapped.send("wait")

    assert time.monotonic() - begun < 1


def test_only_what_failed_comes_again_and_ends_in_the_dead_letter_queue(function, mapped):
    mapped.map(function, BatchSize=2, MaximumBatchingWindowInSeconds=1, **PARTIAL)

    mapped.send("fail", "good")

    lost = mapped.eventually(lambda: mapped.sqs.receive_message(QueueUrl=mapped.dead).get("Messages"), 12)
    assert [message["Body"] for message in lost] == ["fail"]
    assert mapped.bodies() == [["fail", "good"], ["fail"]]
    assert [record["attributes"]["ApproximateReceiveCount"] for [record, *_] in mapped.heard()] == ["1", "2"]
    assert mapped.left() == 0


@pytest.mark.parametrize(
    ("settings", "trouble"),
    [(PARTIAL, "raise"), (PARTIAL, "babble"), ({}, "raise")],
    ids=["an error", "an answer nobody understands", "an error without partial answers"],
)
def test_where_the_function_does_not_say_what_failed_all_comes_again(aws, function, request, settings, trouble):
    mapped = Mapped(aws, f"all-{request.node.callspec.indices['trouble']}-{len(settings)}")
    mapped.map(function, BatchSize=2, MaximumBatchingWindowInSeconds=1, **settings)

    mapped.send(trouble, "good")

    assert mapped.eventually(lambda: len(mapped.bodies()) == 2)
    assert mapped.bodies() == [sorted([trouble, "good"])] * 2


def test_what_a_function_reports_means_nothing_where_the_mapping_does_not_ask(aws, function, mapped):
    mapped.map(function)

    mapped.send("fail")

    aws.queues.drain()
    assert mapped.left() == 0


def test_a_mapping_can_be_disabled_changed_and_deleted(aws, function, mapped):
    client = aws.client("lambda")
    uuid = mapped.map(function, Enabled=False)
    mapped.send(*"abc")
    time.sleep(0.3)
    while_disabled = mapped.bodies()

    client.update_event_source_mapping(UUID=uuid, Enabled=True, BatchSize=20, MaximumBatchingWindowInSeconds=1)
    aws.queues.drain()
    client.delete_event_source_mapping(UUID=uuid)
    mapped.send("too late")
    time.sleep(0.3)

    assert while_disabled == []
    assert mapped.bodies() == [list("abc")]
    assert mapped.left() == 1
    assert client.list_event_source_mappings(EventSourceArn=mapped.arn)["EventSourceMappings"] == []


def test_what_many_send_at_once_is_handled_once(aws, function, mapped):
    mapped.map(function, BatchSize=30, MaximumBatchingWindowInSeconds=1)
    senders = [
        threading.Thread(target=mapped.send, args=[f"{thread}-{number}" for number in range(25)]) for thread in range(4)
    ]

    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    aws.queues.drain()

    handled = [body for batch in mapped.bodies() for body in batch]
    assert sorted(handled) == sorted(f"{thread}-{number}" for thread in range(4) for number in range(25))
    assert len(mapped.bodies()) < 20
    assert mapped.left() == 0


def test_a_role_that_loses_its_permission_leaves_the_messages_where_they_are(aws, mapped):
    function = make_function(aws, "dismissed", CONSUME)
    uuid = mapped.map(function)
    aws.client("iam").delete_role_policy(RoleName="dismissed", PolicyName="inline")

    mapped.send("a")

    with pytest.raises(TimeoutError, match="may not sqs:ReceiveMessage"):
        aws.queues.drain(timeout_s=0.5)
    assert mapped.left() == 1
    aws.client("lambda").delete_event_source_mapping(UUID=uuid)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"BatchSize": 11}, "Maximum batch window in seconds must be greater than 0"),
        ({"EventSourceArn": "arn:aws:sqs:eu-west-1:123456789012:nowhere"}, "does not exist"),
        ({"EventSourceArn": "arn:aws:sqs:eu-west-1:123456789012:in.fifo"}, "does not implement"),
        ({"EventSourceArn": "arn:aws:kinesis:eu-west-1:123456789012:stream/s"}, "does not implement"),
        ({"FilterCriteria": {"Filters": [{"Pattern": "{}"}]}}, "does not implement"),
        ({"FunctionName": "outsider"}, "does not have permissions to call ReceiveMessage on SQS"),
        ({"FunctionName": "sluggish"}, "Queue visibility timeout: 1 seconds is less than Function timeout: 2 seconds"),
    ],
)
def test_a_mapping_that_aws_refuses_or_that_is_not_emulated_is_refused(aws, function, request, settings, said):
    client = aws.client("lambda")
    known = {entry["FunctionName"] for entry in client.list_functions()["Functions"]}
    if "sluggish" not in known:
        make_function(aws, "outsider")
        make_function(aws, "sluggish", CONSUME, timeout=2)
    mapped = Mapped(aws, f"refused-{request.node.callspec.indices['settings']}")

    with pytest.raises(ClientError, match=said):
        client.create_event_source_mapping(**{"EventSourceArn": mapped.arn, "FunctionName": function, **settings})


def test_a_second_mapping_of_the_same_queue_and_function_is_refused(function, mapped):
    uuid = mapped.map(function)

    with pytest.raises(ClientError, match=f"existing mapping with UUID {uuid}"):
        mapped.map(function)
