"""The mail transport over SES: what goes out, and SES's refusals in the port's words."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError, ReadTimeoutError
from moto import mock_aws

from shortlist.aws.ses import SesTransport, ses_client
from shortlist.errors import ContractError, DailyQuotaError, MessageRejectedError, TransientError
from shortlist.mail.delivery import MARGIN_S
from shortlist.ports import OutgoingMessage

MESSAGE = OutgoingMessage(
    sender="Corner Shop <hello@shop.example.com>",
    recipient="ann@example.com",
    mime=b"From: hello@shop.example.com\r\nTo: ann@example.com\r\nSubject: x\r\n\r\nHello\r\n",
    tags={"campaign": "weekly-picks", "run": "r1", "user0": "dTE"},
)


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")


@pytest.fixture
def emulated(credentials: None) -> Iterator[None]:
    with mock_aws():
        boto3.client("sesv2").create_email_identity(EmailIdentity="hello@shop.example.com")
        boto3.client("ses").verify_email_identity(EmailAddress="hello@shop.example.com")
        yield


class Refusing:
    """A SES client that answers every call with one error and keeps what it was asked."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.asked: list[dict[str, Any]] = []

    def send_email(self, **call: Any) -> None:
        self.asked.append(call)
        raise self.error

    get_account = send_email


def client_error(code: str, message: str = "") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "SendEmail")


@pytest.mark.usefixtures("emulated")
def test_a_message_is_accepted_with_an_id() -> None:
    message_id = SesTransport(ses_client()).send(MESSAGE)

    assert message_id


def test_the_bytes_the_tags_and_the_configuration_set_go_out_as_they_are() -> None:
    client = Refusing(client_error("TooManyRequestsException"))

    with pytest.raises(TransientError):
        SesTransport(client, "shortlist-events").send(MESSAGE)

    [asked] = client.asked
    assert asked["Content"] == {"Raw": {"Data": MESSAGE.mime}}
    assert asked["Destination"] == {"ToAddresses": ["ann@example.com"]}
    assert asked["ConfigurationSetName"] == "shortlist-events"
    assert {tag["Name"]: tag["Value"] for tag in asked["EmailTags"]} == MESSAGE.tags


@pytest.mark.parametrize(
    ("refusal", "error"),
    [
        (client_error("TooManyRequestsException", "Maximum sending rate exceeded."), TransientError),
        (client_error("LimitExceededException", "Daily message quota exceeded."), DailyQuotaError),
        (client_error("SendingPausedException"), ContractError),
        (client_error("AccountSuspendedException"), ContractError),
        (client_error("AccessDeniedException"), ContractError),
        (
            client_error("MessageRejected", "Email address is not verified. Failed: hello@shop.example.com"),
            ContractError,
        ),
        (
            client_error("MessageRejected", "Email address is not verified. Failed: ann@example.com"),
            MessageRejectedError,
        ),
        (client_error("MessageRejected", "Illegal content"), MessageRejectedError),
        (client_error("BadRequestException", "Missing final '@domain'"), MessageRejectedError),
        (client_error("InternalFailure"), ClientError),
        (ConnectTimeoutError(endpoint_url="https://email"), TransientError),
        (ReadTimeoutError(endpoint_url="https://email"), ReadTimeoutError),
    ],
)
def test_each_refusal_has_its_word(refusal: Exception, error: type[Exception]) -> None:
    with pytest.raises(error) as raised:
        SesTransport(Refusing(refusal)).send(MESSAGE)

    assert raised.type is error
    assert error is ClientError or "ann@example.com" not in str(raised.value)


def test_a_sender_that_the_deployment_does_not_have_is_told_with_its_cure() -> None:
    with pytest.raises(ContractError, match=r"from hello@shop.example.com.*Cure: deploy with the campaign's file"):
        SesTransport(Refusing(client_error("AccessDeniedException"))).send(MESSAGE)


@pytest.mark.usefixtures("credentials")
def test_the_client_never_repeats_a_call_and_answers_before_the_deadline() -> None:
    config = ses_client().meta.config

    assert config.retries == {"mode": "standard", "total_max_attempts": 1}
    assert config.connect_timeout + config.read_timeout < MARGIN_S
