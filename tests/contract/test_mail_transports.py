"""The laws of every mail transport: what it says was taken was, what it says was not was not, the rest is unknown."""

from collections.abc import Iterator
from typing import Any, Protocol

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from shortlist.aws.ses import SesTransport
from shortlist.errors import ContractError, MessageRejectedError, ShortlistError, TransientError
from shortlist.ports import MailTransport
from tests.contract.test_smtp import MESSAGE, Inbox, Server

ANSWERS = {
    "not now": ClientError({"Error": {"Code": "TooManyRequestsException"}}, "SendEmail"),
    "never": ClientError({"Error": {"Code": "MessageRejected"}}, "SendEmail"),
    "not you": ClientError({"Error": {"Code": "SendingPausedException"}}, "SendEmail"),
    "silence": ReadTimeoutError(endpoint_url="https://email"),
}
REFUSALS = {
    "not now": {"ann@example.com": "451 later"},
    "never": {"ann@example.com": "550 gone"},
    "not you": {"hello@shop.example.com": "550 not you"},
}


class Service(Protocol):
    """A mail service that can be told how to answer the next message, and what it has taken."""

    transport: MailTransport

    def answer(self, how: str) -> None: ...

    def taken(self) -> int: ...


class SesService:
    """The answers of SES, as botocore hands them over."""

    def __init__(self) -> None:
        self.transport = SesTransport(self)
        self.count = 0
        self.how = ""

    def answer(self, how: str) -> None:
        self.how = how

    def taken(self) -> int:
        return self.count

    def send_email(self, **call: Any) -> dict[str, str]:
        how, self.how = self.how, ""
        self.count += how in ("", "silence")
        if how:
            raise ANSWERS[how]
        return {"MessageId": f"m{self.count}"}

    def get_account(self) -> dict[str, Any]:
        return {"SendQuota": {"MaxSendRate": 14.0, "Max24HourSend": 50_000.0, "SentLast24Hours": float(self.count)}}


class SmtpService:
    """A real server."""

    def __init__(self) -> None:
        self.server = Server(Inbox())
        self.transport = self.server.transport(max_per_second=14.0)

    def answer(self, how: str) -> None:
        self.server.inbox.refusals = dict(REFUSALS.get(how, {}))
        self.server.inbox.hang_up_at = "answer" if how == "silence" else ""

    def taken(self) -> int:
        return len(self.server.inbox.taken)


@pytest.fixture(params=["ses", "smtp"])
def service(request: pytest.FixtureRequest) -> Iterator[Service]:
    if request.param == "ses":
        yield SesService()
        return
    smtp = SmtpService()
    yield smtp
    smtp.server.stop()


def test_a_message_that_is_taken_has_an_id(service: Service) -> None:
    assert service.transport.send(MESSAGE)
    assert service.taken() == 1


@pytest.mark.parametrize(
    ("how", "error"), [("not now", TransientError), ("never", MessageRejectedError), ("not you", ContractError)]
)
def test_a_refusal_took_nothing_and_the_next_message_goes_through(
    service: Service, how: str, error: type[Exception]
) -> None:
    service.answer(how)

    with pytest.raises(error) as raised:
        service.transport.send(MESSAGE)
    after_refusal = service.taken()
    service.answer("")
    service.transport.send(MESSAGE)

    assert raised.type is error
    assert (after_refusal, service.taken()) == (0, 1)
    assert "ann@example.com" not in str(raised.value)


def test_an_answer_that_never_comes_is_none_of_our_errors(service: Service) -> None:
    service.answer("silence")

    with pytest.raises(Exception) as raised:
        service.transport.send(MESSAGE)

    assert not isinstance(raised.value, ShortlistError)
    assert service.taken() == 1


def test_the_rate_is_told(service: Service) -> None:
    assert service.transport.quota().max_per_second == 14.0
