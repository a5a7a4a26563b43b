"""SES v2 as AWS has it: what it takes, what arrives, what it tells."""

import email
import json
import time
from email import policy
from email.message import EmailMessage

import pytest

from tests.conformance.kit import archive, make_role

SENDER = "picks@shop.example"


@pytest.fixture(scope="module")
def ses(aws):
    ses = aws.client("sesv2")
    ses.create_email_identity(EmailIdentity="shop.example")
    return ses


def mime(to="ann@example.com", sender=SENDER, subject="For you", body="Coffee\n", **headers):
    message = EmailMessage(policy.SMTP)
    message["From"], message["To"], message["Subject"] = sender, to, subject
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    message.set_content(body)
    return message.as_bytes()


def send(ses, to="ann@example.com", sender=SENDER, raw=None, **given):
    to = [to] if isinstance(to, str) else to
    return ses.send_email(
        FromEmailAddress=sender,
        Destination={"ToAddresses": to},
        Content={"Raw": {"Data": raw or mime(to[0], sender)}},
        **given,
    )["MessageId"]


def index(aws, message_id):
    lines = (aws.mailbox / "mailbox.jsonl").read_text(encoding="utf-8").splitlines()
    return next(line for line in map(json.loads, lines) if line["message_id"] == message_id)


def arrived(aws, message_id):
    return email.message_from_bytes((aws.mailbox / f"{message_id}.eml").read_bytes(), policy=policy.default)


def refusal(call, *given, **named):
    """(HTTP status, error code, message) of a call that is refused."""
    try:
        call(*given, **named)
    except Exception as error:
        told = error.response
        return told["ResponseMetadata"]["HTTPStatusCode"], told["Error"]["Code"], told["Error"]["Message"]
    raise AssertionError("not refused")


def test_a_raw_message_arrives_as_it_was_sent_under_the_id_that_ses_gave(aws, ses):
    sent = mime(List_Unsubscribe="<https://shop.example/u>", Message_ID="<mine@shop.example>", subject="Für dich ☕")

    message_id = send(ses, raw=sent)

    message = arrived(aws, message_id)
    assert message["Subject"] == "Für dich ☕"
    assert message["List-Unsubscribe"] == "<https://shop.example/u>"
    assert message["Message-ID"] == f"<{message_id}@{aws.region}.amazonses.com>"
    assert message.get_content().splitlines() == ["Coffee"]
    assert message["Date"]


def test_headers_for_ses_and_hidden_recipients_do_not_arrive(aws, ses):
    raw = mime(Bcc="secret@example.com", X_SES_MESSAGE_TAGS="run=r1")

    message_id = ses.send_email(FromEmailAddress=SENDER, Content={"Raw": {"Data": raw}})["MessageId"]

    written = (aws.mailbox / f"{message_id}.eml").read_bytes()
    assert b"secret" not in written
    assert b"X-SES" not in written
    assert index(aws, message_id)["destination"] == ["ann@example.com", "secret@example.com"]
    assert index(aws, message_id)["tags"] == {"run": "r1"}


def test_the_file_has_the_line_ends_of_mail(aws, ses):
    message_id = send(ses, raw=mime(body="one\ntwo\n").replace(b"\r\n", b"\n"))

    written = (aws.mailbox / f"{message_id}.eml").read_bytes()
    assert b"one\r\ntwo\r\n" in written
    assert written.count(b"\n") == written.count(b"\r\n")


def test_simple_content_is_composed_with_text_and_html(aws, ses):
    content = {
        "Simple": {
            "Subject": {"Data": "Für dich"},
            "Body": {"Text": {"Data": "Coffee"}, "Html": {"Data": "<p>Coffee</p>"}},
            "Headers": [{"Name": "List-Unsubscribe-Post", "Value": "List-Unsubscribe=One-Click"}],
        }
    }
    destination = {"ToAddresses": ["Ann <ann@example.com>"], "BccAddresses": ["bob@example.com"]}

    message_id = ses.send_email(FromEmailAddress=SENDER, Destination=destination, Content=content)["MessageId"]

    message = arrived(aws, message_id)
    assert (message["Subject"], message["To"], message["Bcc"]) == ("Für dich", "Ann <ann@example.com>", None)
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert message.get_body(("plain",)).get_content().strip() == "Coffee"
    assert message.get_body(("html",)).get_content().strip() == "<p>Coffee</p>"
    assert index(aws, message_id)["destination"] == ["ann@example.com", "bob@example.com"]


def test_the_index_tells_time_destination_tags_and_configuration_set(aws, ses):
    ses.create_configuration_set(ConfigurationSetName="indexed")
    tags = [{"Name": "campaign", "Value": "weekly-picks"}]

    message_id = send(ses, EmailTags=tags, ConfigurationSetName="indexed")

    line = index(aws, message_id)
    assert line["outcomes"] == {"ann@example.com": "delivered"}
    assert (line["tags"], line["configuration_set"]) == ({"campaign": "weekly-picks"}, "indexed")
    assert line["file"] == f"{message_id}.eml"
    assert line["time"].startswith(time.strftime("%Y-%m-%dT", time.gmtime()))


@pytest.mark.parametrize(
    "sender", ["other@elsewhere.example", "Shop <other@notshop.example>", "shop.example@evil.example"]
)
def test_a_sender_that_is_not_verified_is_rejected(ses, sender):
    status, code, said = refusal(send, ses, sender=sender)

    assert (status, code) == (400, "MessageRejected")
    assert said.startswith(
        "Email address is not verified. The following identities failed the check in region EU-WEST-1"
    )


@pytest.mark.parametrize("sender", ["PICKS@Shop.Example", "Picks <x@shop.example>", "x@mail.shop.example"])
def test_a_verified_domain_covers_its_addresses_and_subdomains(ses, sender):
    assert send(ses, sender=sender)


def test_a_verified_address_covers_itself_and_its_labels_only(ses):
    ses.create_email_identity(EmailIdentity="only@other.example")

    assert send(ses, sender="only@other.example")
    assert send(ses, sender="only+weekly@other.example")
    assert refusal(send, ses, sender="another@other.example")[1] == "MessageRejected"


def test_the_from_header_must_be_verified_too(ses):
    assert refusal(send, ses, raw=mime(sender="boss@bank.example"))[1] == "MessageRejected"


def test_an_identity_can_send_once_it_is_created(ses):
    assert ses.get_email_identity(EmailIdentity="shop.example")["VerifiedForSendingStatus"] is True


def test_fifty_recipients_are_taken_and_fifty_one_refused(ses):
    addresses = [f"u{n}@example.com" for n in range(51)]

    assert send(ses, to=addresses[:50])
    assert refusal(send, ses, to=addresses)[:2] == (400, "BadRequestException")


def test_a_message_over_40_mib_is_refused(ses):
    status, code, said = refusal(send, ses, raw=mime() + b"x" * 40 * 1024 * 1024)

    assert (status, code) == (400, "BadRequestException")
    assert "Message length is more than 41943040 bytes long" in said


@pytest.mark.parametrize(
    "tag", [("with space", "v"), ("campaign", "a.b"), ("campaign", "ü"), ("", "v"), ("n" * 257, "v"), ("n", "")]
)
def test_a_tag_with_other_characters_is_refused(ses, tag):
    tags = [{"Name": tag[0], "Value": tag[1]}]

    assert refusal(send, ses, EmailTags=tags)[:2] == (400, "BadRequestException")


@pytest.mark.parametrize("to", ["no-domain", "two@at@signs", "spa ce@example.com"])
def test_an_address_that_is_none_is_refused(ses, to):
    assert refusal(send, ses, to=[to], raw=mime())[:2] == (400, "BadRequestException")


def test_an_unknown_configuration_set_is_refused(ses):
    assert refusal(send, ses, ConfigurationSetName="absent")[:2] == (404, "NotFoundException")


def test_the_configuration_set_of_the_identity_is_the_default(aws, ses):
    ses.create_configuration_set(ConfigurationSetName="default-set")
    ses.create_email_identity(EmailIdentity="with-default.example", ConfigurationSetName="default-set")

    message_id = send(ses, sender="x@with-default.example")

    assert index(aws, message_id)["configuration_set"] == "default-set"


def test_templates_and_the_old_api_are_refused_in_so_many_words(aws, ses):
    template = {"Template": {"TemplateName": "t", "TemplateData": "{}"}}
    old = aws.client("ses")

    new_said = refusal(
        ses.send_email, FromEmailAddress=SENDER, Destination={"ToAddresses": ["a@b.example"]}, Content=template
    )
    old_said = refusal(old.send_raw_email, Source=SENDER, RawMessage={"Data": mime()})

    assert new_said[0] == old_said[0] == 501
    assert "does not implement" in new_said[2]


@pytest.fixture
def account(aws, ses):
    account = aws.ses.account
    before = account.max_send_rate, account.max_24_hour_send, account.production_access
    yield account
    account.max_send_rate, account.max_24_hour_send, account.production_access = before


def test_the_account_tells_its_quotas_and_what_is_used(account, ses):
    account.max_send_rate, account.max_24_hour_send = 200.0, 1234.0
    before = ses.get_account()["SendQuota"]

    send(ses, to=["a@example.com", "b@example.com"])

    after = ses.get_account()["SendQuota"]
    assert (after["MaxSendRate"], after["Max24HourSend"]) == (200.0, 1234.0)
    assert after["SentLast24Hours"] == before["SentLast24Hours"] + 2


def test_faster_than_the_rate_is_refused_until_the_second_has_passed(account, ses):
    account.max_send_rate = 2.0
    send(ses)
    refusals = [refusal(send, ses) for _ in range(1) if send(ses)]

    time.sleep(0.6)

    assert refusals == [(429, "TooManyRequestsException", "Maximum sending rate exceeded.")]
    assert send(ses)


def test_more_than_the_daily_quota_is_refused(account, ses):
    account.max_24_hour_send = account.sent_last_24_hours() + 1

    send(ses)

    assert refusal(send, ses) == (429, "TooManyRequestsException", "Daily message quota exceeded.")


def test_in_the_sandbox_recipients_must_be_verified_or_simulated(account, ses):
    account.production_access = False

    assert refusal(send, ses)[1] == "MessageRejected"
    assert send(ses, to="someone@shop.example")
    assert send(ses, to="success@simulator.amazonses.com")


def test_an_address_is_put_told_listed_and_taken_off(ses):
    ses.put_suppressed_destination(EmailAddress="Gone@Example.com", Reason="COMPLAINT")

    told = ses.get_suppressed_destination(EmailAddress="gone@example.com")["SuppressedDestination"]
    listed = ses.list_suppressed_destinations(Reasons=["COMPLAINT"])["SuppressedDestinationSummaries"]
    ses.delete_suppressed_destination(EmailAddress="gone@example.com")

    assert told["Reason"] == "COMPLAINT"
    assert [entry["EmailAddress"] for entry in listed] == ["Gone@Example.com"]
    assert refusal(ses.get_suppressed_destination, EmailAddress="gone@example.com")[:2] == (
        404,
        "NotFoundException",
    )
    assert refusal(ses.delete_suppressed_destination, EmailAddress="gone@example.com")[1] == "NotFoundException"


def test_a_message_to_a_suppressed_address_is_taken_but_not_delivered(aws, ses):
    ses.put_suppressed_destination(EmailAddress="bounced@example.com", Reason="BOUNCE")

    message_id = send(ses, to=["Bounced@example.com", "ann@example.com"])

    assert index(aws, message_id)["outcomes"] == {
        "Bounced@example.com": "suppressed",
        "ann@example.com": "delivered",
    }


def test_a_configuration_set_may_not_suppress(aws, ses):
    ses.put_suppressed_destination(EmailAddress="bounced@example.com", Reason="BOUNCE")
    ses.create_configuration_set(ConfigurationSetName="all", SuppressionOptions={"SuppressedReasons": []})

    message_id = send(ses, to="bounced@example.com", ConfigurationSetName="all")

    assert index(aws, message_id)["outcomes"] == {"bounced@example.com": "delivered"}


def test_the_list_comes_in_pages(ses):
    for n in range(3):
        ses.put_suppressed_destination(EmailAddress=f"page{n}@example.com", Reason="COMPLAINT")

    first = ses.list_suppressed_destinations(Reasons=["COMPLAINT"], PageSize=2)
    second = ses.list_suppressed_destinations(Reasons=["COMPLAINT"], PageSize=2, NextToken=first["NextToken"])

    found = first["SuppressedDestinationSummaries"] + second["SuppressedDestinationSummaries"]
    assert sorted(entry["EmailAddress"] for entry in found) == [f"page{n}@example.com" for n in range(3)]


@pytest.fixture(scope="module")
def queue(aws, ses):
    """Where the configuration set `told`, by way of a topic, tells what became of each message."""
    queue = aws.client("sqs").create_queue(QueueName="events")["QueueUrl"]
    attributes = aws.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]
    topic = aws.client("sns").create_topic(Name="events")["TopicArn"]
    subscribe(aws, topic, "sqs", attributes["QueueArn"])
    destination = {
        "Enabled": True,
        "MatchingEventTypes": ["SEND", "DELIVERY", "BOUNCE", "COMPLAINT", "REJECT", "OPEN", "CLICK"],
        "SnsDestination": {"TopicArn": topic},
    }
    ses.create_configuration_set(ConfigurationSetName="told")
    ses.create_configuration_set_event_destination(
        ConfigurationSetName="told", EventDestinationName="topic", EventDestination=destination
    )
    return queue


@pytest.fixture
def events(aws, ses, queue):
    """Sends a message and returns its events."""

    def of(**given):
        send(ses, ConfigurationSetName="told", **given)
        aws.ses.events.drain()
        received = aws.client("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
        for message in received:
            aws.client("sqs").delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return [json.loads(json.loads(message["Body"])["Message"]) for message in received]

    return of


def test_a_message_that_arrives_is_sent_and_delivered(events):
    tags = [{"Name": "campaign", "Value": "weekly-picks"}]

    sent, delivered = events(EmailTags=tags)

    assert (sent["eventType"], delivered["eventType"]) == ("Send", "Delivery")
    assert sent["send"] == {}
    assert delivered["delivery"]["recipients"] == ["ann@example.com"]
    mail = delivered["mail"]
    assert mail["destination"] == ["ann@example.com"]
    assert mail["tags"]["campaign"] == ["weekly-picks"]
    assert mail["tags"]["ses:configuration-set"] == ["told"]
    assert mail["commonHeaders"]["subject"] == "For you"
    assert mail["timestamp"].endswith("Z")


def test_the_simulators_bounce_bounces_and_does_not_arrive(aws, ses, events):
    sent, bounced = events(to="bounce+ann@simulator.amazonses.com")

    assert bounced["eventType"] == "Bounce"
    assert bounced["bounce"]["bounceType"] == "Permanent"
    assert bounced["bounce"]["bounceSubType"] == "General"
    assert [who["emailAddress"] for who in bounced["bounce"]["bouncedRecipients"]] == [
        "bounce+ann@simulator.amazonses.com"
    ]
    assert index(aws, sent["mail"]["messageId"])["file"] is None


def test_the_simulators_complaint_arrives_and_complains(aws, events):
    _, delivered, complained = events(to="complaint@simulator.amazonses.com")

    assert (delivered["eventType"], complained["eventType"]) == ("Delivery", "Complaint")
    assert complained["complaint"]["complaintFeedbackType"] == "abuse"
    assert arrived(aws, complained["mail"]["messageId"])["Subject"] == "For you"


def test_a_suppressed_address_bounces(ses, events):
    ses.put_suppressed_destination(EmailAddress="quiet@example.com", Reason="BOUNCE")

    _, bounced = events(to="quiet@example.com")

    assert bounced["bounce"]["bounceSubType"] == "OnAccountSuppressionList"


def test_a_message_with_a_virus_is_taken_and_rejected(aws, events):
    virus = r"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"

    sent, rejected = events(raw=mime(body=virus))

    assert (rejected["eventType"], rejected["reject"]) == ("Reject", {"reason": "Bad content"})
    assert index(aws, sent["mail"]["messageId"])["outcomes"] == {"ann@example.com": "rejected"}


def test_only_the_types_asked_for_are_told_and_nothing_when_disabled(ses, events):
    destination = ses.get_configuration_set_event_destinations(ConfigurationSetName="told")["EventDestinations"][0]
    name = destination.pop("Name")

    def change(**changes):
        ses.update_configuration_set_event_destination(
            ConfigurationSetName="told", EventDestinationName=name, EventDestination={**destination, **changes}
        )

    change(MatchingEventTypes=["BOUNCE"])
    of_one_type = events()
    change(Enabled=False)
    disabled = events(to="bounce@simulator.amazonses.com")
    change()

    assert of_one_type == disabled == []


def test_without_a_configuration_set_nothing_is_told(aws, ses, queue):
    send(ses)
    aws.ses.events.drain()

    assert "Messages" not in aws.client("sqs").receive_message(QueueUrl=queue)


def test_a_function_subscribed_to_the_topic_is_called_with_the_event(aws, ses):
    topic = aws.client("sns").create_topic(Name="to-function")["TopicArn"]
    source = """
        import boto3, json
        def handler(event, context):
            boto3.client("s3").put_object(Bucket="heard", Key="event", Body=json.dumps(event))
    """
    aws.client("s3").create_bucket(Bucket="heard", CreateBucketConfiguration={"LocationConstraint": aws.region})
    function = aws.client("lambda").create_function(
        FunctionName="listener",
        Runtime="python3.13",
        Role=make_role(aws, "listener", {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}),
        Handler="index.handler",
        Code={"ZipFile": archive(index=source)},
    )["FunctionArn"]
    aws.client("lambda").add_permission(
        FunctionName="listener",
        StatementId="topic",
        Action="lambda:InvokeFunction",
        Principal="sns.amazonaws.com",
        SourceArn=topic,
    )
    subscribe(aws, topic, "lambda", function)
    tell(ses, "to-function", {"SnsDestination": {"TopicArn": topic}})

    message_id = send(ses, ConfigurationSetName="to-function")

    (record,) = json.loads(eventually(aws.client("s3"), "heard", "event"))["Records"]
    event = json.loads(record["Sns"]["Message"])
    assert (record["EventSource"], record["Sns"]["TopicArn"]) == ("aws:sns", topic)
    assert (event["eventType"], event["mail"]["messageId"]) == ("Delivery", message_id)


def test_the_event_bus_hears_of_it_too(aws, ses):
    queue = aws.client("sqs").create_queue(QueueName="bus")["QueueUrl"]
    attributes = aws.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]
    aws.client("events").put_rule(Name="mail", EventPattern=json.dumps({"source": ["aws.ses"]}))
    aws.client("events").put_targets(Rule="mail", Targets=[{"Id": "queue", "Arn": attributes["QueueArn"]}])
    bus = f"arn:aws:events:{aws.region}:{aws.account}:event-bus/default"
    tell(ses, "to-bus", {"EventBridgeDestination": {"EventBusArn": bus}})

    message_id = send(ses, ConfigurationSetName="to-bus")
    aws.ses.events.drain()

    (message,) = aws.client("sqs").receive_message(QueueUrl=queue)["Messages"]
    event = json.loads(message["Body"])
    assert (event["source"], event["detail-type"]) == ("aws.ses", "Email Delivered")
    assert event["detail"]["mail"]["messageId"] == message_id


def test_a_destination_that_is_not_emulated_is_refused(ses):
    ses.create_configuration_set(ConfigurationSetName="stream")
    arns = {"IamRoleArn": "arn:aws:iam::123456789012:role/r", "DeliveryStreamArn": "arn:aws:firehose:eu-west-1:1:s"}

    said = refusal(
        ses.create_configuration_set_event_destination,
        ConfigurationSetName="stream",
        EventDestinationName="stream",
        EventDestination={"MatchingEventTypes": ["SEND"], "KinesisFirehoseDestination": arns},
    )

    assert said[0] == 501


def subscribe(aws, topic, protocol, endpoint):
    aws.client("sns").subscribe(TopicArn=topic, Protocol=protocol, Endpoint=endpoint)


def tell(ses, name, destination):
    ses.create_configuration_set(ConfigurationSetName=name)
    ses.create_configuration_set_event_destination(
        ConfigurationSetName=name,
        EventDestinationName=name,
        EventDestination={"Enabled": True, "MatchingEventTypes": ["DELIVERY"], **destination},
    )


def eventually(s3, bucket, key):
    until = time.monotonic() + 10
    while time.monotonic() < until:
        if s3.list_objects_v2(Bucket=bucket, Prefix=key)["KeyCount"]:
            return s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        time.sleep(0.02)
    raise TimeoutError(f"{key} was not written")


PAGE = """<html><body><a href="https://shop.example/tea?a=1&amp;b=2">Tea</a>
<a href="mailto:hello@shop.example">Us</a>
<a ses:no-track="" href="https://shop.example/unsubscribe">No more</a></body></html>"""
TEA = "https://shop.example/tea?a=1&b=2"


@pytest.fixture
def read(aws, ses, queue):
    """Sends a message with HTML, lets its reader do something with it, and returns the events after its delivery."""

    def happen(do, **given):
        message = EmailMessage(policy.SMTP)
        message["From"], message["To"], message["Subject"] = SENDER, "ann@example.com", "For you"
        message.set_content("Tea")
        message.add_alternative(PAGE, subtype="html")
        message_id = send(ses, raw=message.as_bytes(), ConfigurationSetName="told", **given)
        do(message_id)
        aws.ses.events.drain()
        events = [json.loads(told["Message"]) for told in bodies(aws, queue)]
        return [event for event in events if event["eventType"] in ("Open", "Click")]

    return happen


def bodies(aws, queue):
    found = []
    while messages := aws.client("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", []):
        for message in messages:
            aws.client("sqs").delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
            found.append(json.loads(message["Body"]))
    return found


def test_an_open_is_told_with_time_program_and_tags(aws, read):
    tags = [{"Name": "campaign", "Value": "weekly-picks"}]

    (event,) = read(lambda message_id: aws.ses.readers.open(message_id, user_agent="Mail"), EmailTags=tags)

    assert set(event) == {"eventType", "mail", "open"}
    assert set(event["open"]) == {"ipAddress", "timestamp", "userAgent"}
    assert event["open"]["userAgent"] == "Mail"
    assert event["mail"]["tags"]["campaign"] == ["weekly-picks"]
    assert event["mail"]["destination"] == ["ann@example.com"]


def test_a_click_is_told_with_the_link_as_it_was_sent(aws, read):
    (event,) = read(lambda message_id: aws.ses.readers.click(message_id, TEA))

    assert set(event["click"]) == {"ipAddress", "link", "linkTags", "timestamp", "userAgent"}
    assert event["click"]["link"] == TEA


def test_links_marked_so_and_those_that_are_no_web_addresses_are_not_tracked(aws, read):
    seen = []

    read(lambda message_id: seen.append(aws.ses.readers.links(message_id)))

    assert seen == [[TEA]]


def test_nobody_reads_what_did_not_arrive_or_has_no_html(aws, ses):
    bounced, plain = send(ses, to="bounce@simulator.amazonses.com"), send(ses)

    for message_id, why in ((bounced, "did not arrive"), (plain, "has no HTML"), ("gone", "did not arrive")):
        with pytest.raises(ValueError, match=why):
            aws.ses.readers.open(message_id)


def test_opens_are_not_told_where_they_are_not_asked_for(aws, ses, read):
    destination = ses.get_configuration_set_event_destinations(ConfigurationSetName="told")["EventDestinations"][0]
    types = destination["MatchingEventTypes"]
    given = {"ConfigurationSetName": "told", "EventDestinationName": destination["Name"]}
    wanted = {"Enabled": True, "SnsDestination": destination["SnsDestination"]}

    ses.update_configuration_set_event_destination(
        **given, EventDestination={**wanted, "MatchingEventTypes": [one for one in types if one != "OPEN"]}
    )
    told = read(lambda message_id: aws.ses.readers.open(message_id))
    ses.update_configuration_set_event_destination(**given, EventDestination={**wanted, "MatchingEventTypes": types})

    assert told == []
