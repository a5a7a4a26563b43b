"""SNS topics with functions subscribed, as AWS delivers to them."""

import json
import time

import pytest

from tests.conformance.kit import archive, make_role

LISTENER = """
import boto3, json
def handler(event, context):
    sns = event["Records"][0]["Sns"]
    boto3.client("s3").put_object(Bucket="heard", Key=sns["MessageId"], Body=json.dumps(event))
"""


@pytest.fixture(scope="module")
def function(aws):
    aws.client("s3").create_bucket(Bucket="heard", CreateBucketConfiguration={"LocationConstraint": aws.region})
    return aws.client("lambda").create_function(
        FunctionName="listener",
        Runtime="python3.13",
        Role=make_role(aws, "listener", {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}),
        Handler="index.handler",
        Code={"ZipFile": archive(index=LISTENER)},
    )["FunctionArn"]


@pytest.fixture
def topic(aws, request):
    return aws.client("sns").create_topic(Name=request.node.name)["TopicArn"]


def allow(aws, topic):
    aws.client("lambda").add_permission(
        FunctionName="listener",
        StatementId=topic.rpartition(":")[2],
        Action="lambda:InvokeFunction",
        Principal="sns.amazonaws.com",
        SourceArn=topic,
    )


def heard(aws, message_id, seconds=5):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if aws.client("s3").list_objects_v2(Bucket="heard", Prefix=message_id)["KeyCount"]:
            return json.load(aws.client("s3").get_object(Bucket="heard", Key=message_id)["Body"])
        time.sleep(0.02)
    raise TimeoutError(message_id)


def test_a_function_is_called_with_the_message_and_where_it_comes_from(aws, function, topic):
    allow(aws, topic)
    subscription = aws.client("sns").subscribe(TopicArn=topic, Protocol="lambda", Endpoint=function)["SubscriptionArn"]
    attributes = {"kind": {"DataType": "String", "StringValue": "run"}}

    message_id = aws.client("sns").publish(TopicArn=topic, Subject="Run", Message="held", MessageAttributes=attributes)[
        "MessageId"
    ]

    (record,) = heard(aws, message_id)["Records"]
    assert (record["EventSource"], record["EventSubscriptionArn"]) == ("aws:sns", subscription)
    told = record["Sns"]
    assert (told["TopicArn"], told["Subject"], told["Message"]) == (topic, "Run", "held")
    assert told["MessageAttributes"] == {"kind": {"Type": "String", "Value": "run"}}
    assert told["Timestamp"].startswith(time.strftime("%Y-%m-%d", time.gmtime()))


def test_publishing_does_not_wait_for_the_function(aws, topic):
    slow = "import time\ndef handler(event, context):\n    time.sleep(2)\n"
    slow_function = aws.client("lambda").create_function(
        FunctionName="slow",
        Runtime="python3.13",
        Role=make_role(aws, "slow"),
        Handler="index.handler",
        Code={"ZipFile": archive(index=slow)},
    )["FunctionArn"]
    aws.client("lambda").add_permission(
        FunctionName="slow",
        StatementId="t",
        Action="lambda:InvokeFunction",
        Principal="sns.amazonaws.com",
        SourceArn=topic,
    )
    aws.client("sns").subscribe(TopicArn=topic, Protocol="lambda", Endpoint=slow_function)
    begun = time.monotonic()

    aws.client("sns").publish(TopicArn=topic, Message="wait")

    assert time.monotonic() - begun < 1


def test_what_the_function_may_not_be_told_is_kept_in_the_dead_letter_queue(aws, function, topic):
    sqs = aws.client("sqs")
    queue = sqs.create_queue(QueueName="lost")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    aws.client("sns").subscribe(
        TopicArn=topic,
        Protocol="lambda",
        Endpoint=function,
        Attributes={"RedrivePolicy": json.dumps({"deadLetterTargetArn": arn})},
    )

    aws.client("sns").publish(TopicArn=topic, Message="not allowed")

    (message,) = sqs.receive_message(QueueUrl=queue, MessageAttributeNames=["All"])["Messages"]
    assert message["Body"] == "not allowed"
