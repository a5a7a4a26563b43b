"""SNS topics and SQS queues of a template: properties come in, topics, subscriptions and queues go out."""

from __future__ import annotations

from local.cloudformation.resources.kind import Context, Kind, Made, Properties, document, without


def _texts(properties: Properties) -> dict[str, str]:
    """Attributes of SNS and SQS are texts."""
    texts = {}
    for name, value in properties.items():
        if isinstance(value, bool):
            texts[name] = str(value).lower()
        else:
            texts[name] = document(value) if isinstance(value, (dict, list)) else str(value)
    return texts


_TOPIC_ATTRIBUTES = ("DisplayName", "KmsMasterKeyId", "SignatureVersion", "TracingConfig", "DeliveryPolicy")


def _create_topic(context: Context, properties: Properties) -> Made:
    sns, name = context.client("sns"), properties.get("TopicName") or context.name(256)
    attributes = _texts({key: properties[key] for key in _TOPIC_ATTRIBUTES if key in properties})
    if properties.get("FifoTopic"):
        attributes["FifoTopic"] = "true"
    arn = sns.create_topic(Name=name, Attributes=attributes, Tags=properties.get("Tags", []))["TopicArn"]
    for subscription in properties.get("Subscription", ()):
        sns.subscribe(TopicArn=arn, Protocol=subscription["Protocol"], Endpoint=subscription["Endpoint"])
    return Made(arn, {"TopicArn": arn, "TopicName": name})


def _update_topic(context: Context, made: Made, _: Properties, now: Properties) -> None:
    for name, value in _texts({key: now[key] for key in _TOPIC_ATTRIBUTES if key in now}).items():
        context.client("sns").set_topic_attributes(TopicArn=made.physical_id, AttributeName=name, AttributeValue=value)


def _delete_topic(context: Context, made: Made, _: Properties) -> None:
    context.client("sns").delete_topic(TopicArn=made.physical_id)


def _subscribe(context: Context, properties: Properties) -> Made:
    attributes = _texts(without(properties, "TopicArn", "Protocol", "Endpoint", "Region"))
    arn = context.client("sns").subscribe(
        TopicArn=properties["TopicArn"],
        Protocol=properties["Protocol"],
        Endpoint=properties["Endpoint"],
        Attributes=attributes,
        ReturnSubscriptionArn=True,
    )["SubscriptionArn"]
    return Made(arn, {"Arn": arn})


def _unsubscribe(context: Context, made: Made, _: Properties) -> None:
    context.client("sns").unsubscribe(SubscriptionArn=made.physical_id)


def _put_topic_policy(context: Context, properties: Properties) -> Made:
    for topic in properties["Topics"]:
        policy = document(properties["PolicyDocument"])
        context.client("sns").set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=policy)
    return Made(context.name(64))


def _update_topic_policy(context: Context, _: Made, __: Properties, now: Properties) -> None:
    _put_topic_policy(context, now)


def _create_queue(context: Context, properties: Properties) -> Made:
    sqs, name = context.client("sqs"), properties.get("QueueName") or context.name(80)
    attributes = _texts(without(properties, "QueueName", "Tags"))
    tags = {tag["Key"]: tag["Value"] for tag in properties.get("Tags", ())}
    url = sqs.create_queue(QueueName=name, Attributes=attributes, tags=tags)["QueueUrl"]
    return Made(url, {"Arn": context.arn("sqs", name), "QueueName": name, "QueueUrl": url})


def _update_queue(context: Context, made: Made, _: Properties, now: Properties) -> None:
    attributes = _texts(without(now, "QueueName", "FifoQueue", "Tags"))
    context.client("sqs").set_queue_attributes(QueueUrl=made.physical_id, Attributes=attributes)


def _delete_queue(context: Context, made: Made, _: Properties) -> None:
    context.client("sqs").delete_queue(QueueUrl=made.physical_id)


def _put_queue_policy(context: Context, properties: Properties) -> Made:
    for url in properties["Queues"]:
        policy = {"Policy": document(properties["PolicyDocument"])}
        context.client("sqs").set_queue_attributes(QueueUrl=url, Attributes=policy)
    return Made(context.name(64))


def _update_queue_policy(context: Context, _: Made, __: Properties, now: Properties) -> None:
    _put_queue_policy(context, now)


KINDS = {
    "AWS::SNS::Topic": Kind(
        _create_topic, _update_topic, _delete_topic, frozenset({"TopicName", "FifoTopic", "Subscription"})
    ),
    "AWS::SNS::Subscription": Kind(_subscribe, None, _unsubscribe),
    "AWS::SNS::TopicPolicy": Kind(_put_topic_policy, _update_topic_policy),
    "AWS::SQS::Queue": Kind(_create_queue, _update_queue, _delete_queue, frozenset({"QueueName", "FifoQueue"})),
    "AWS::SQS::QueuePolicy": Kind(_put_queue_policy, _update_queue_policy),
}
